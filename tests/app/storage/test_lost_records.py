"""Versions whose records are gone: their voxels stay, keep their numbers, and are named (C11)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from segsam.errors import OutputError
from segsam_app.check_files import check_studies
from segsam_app.errors import NotFoundError
from segsam_app.storage.index import Index
from segsam_app.storage.store import Store
from segsam_app.storage.write_lock import WriteLock

from ..stored import label, make_studies, write
from .test_places import KINDS, folder

VERSIONS = "labels/final/.versions/case0"


def opened(studies: Path) -> Store:
    return Store(str(studies), on_image=lambda _: None)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    made: Path = make_studies(tmp_path / "studies", 2)
    return made


@pytest.fixture
def save(studies: Path, tmp_path: Path) -> Callable[[Store, int], int]:
    def saved(store: Store, value: int) -> int:
        file = write(tmp_path / "drawn.nii.gz", label(value))
        return store.save("case0", file, "final", {"label_names": {"liver": value}}).number

    return saved


@pytest.fixture
def kept(studies: Path) -> Path:
    return studies / VERSIONS


def voxels(kept: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(kept.glob("[0-9]*.nii.gz"))}


def kinds(store: Store) -> list[tuple[int, str]]:
    return [(one.number, one.kind) for one in store.history("case0", "final").all()]


def served(store: Store) -> tuple[bytes, object]:
    found = store.open_label("case0", "final")
    assert found is not None
    with found.stream as stream:
        return stream.read(), found.content


class TestARecordIsGone:
    @pytest.mark.parametrize("then", ["it is put back", "read", "save", "start", "refresh"])
    def test_the_voxels_stay_and_are_a_version_again(
        self, studies: Path, kept: Path, tmp_path: Path, save: Callable[..., int], then: str
    ) -> None:
        store = opened(studies)
        assert [save(store, value) for value in (1, 2, 3)] == [1, 2, 3]
        before = voxels(kept)
        (kept / "0001.json").rename(tmp_path / "elsewhere")
        assert (
            "version 1 of the label has no record"
            in check_studies(studies).listed()[f"{VERSIONS}/0001.nii.gz"]
        )
        store.check_records()
        assert "put the record back" in store.status()["damaged"][f"{VERSIONS}/0001.nii.gz"]
        if then == "it is put back":
            assert kinds(store) == [(2, "saved"), (3, "saved")]
            (tmp_path / "elsewhere").rename(kept / "0001.json")
            assert "damaged" not in store.status()
            assert kinds(store) == [(1, "saved"), (2, "saved"), (3, "saved")]
            return
        if then == "read":
            assert served(store) == (before["0003.nii.gz"], 3)
        elif then == "start":
            store = opened(studies)
        elif then == "refresh":
            store.refresh()
        elif then == "save":
            assert save(store, 4) == 4
        assert before.items() <= voxels(kept).items()
        assert kinds(store)[:3] == [(1, "found"), (2, "saved"), (3, "saved")]
        assert "damaged" not in store.status()
        assert check_studies(studies).listed() == {}
        number = store.restore("case0", "final", 1).number
        assert served(store) == (before["0001.nii.gz"], number)

    def test_a_link_to_nothing_in_its_place(
        self, studies: Path, kept: Path, save: Callable[..., int]
    ) -> None:
        store = opened(studies)
        for value in (1, 2, 3):
            save(store, value)
        before = voxels(kept)
        (kept / "0001.json").unlink()
        (kept / "0001.json").symlink_to("/nowhere")
        assert served(store)[1] == 3
        assert save(store, 4) == 4
        store = opened(studies)
        store.check_records()
        assert before.items() <= voxels(kept).items()
        assert "a link to nothing" in store.status()["damaged"][f"{VERSIONS}/0001.json"]
        (kept / "0001.json").unlink()
        assert list(store.status()["damaged"]) == [f"{VERSIONS}/0001.nii.gz"]
        store.refresh()
        assert kinds(store)[0] == (1, "found")
        assert "damaged" not in store.status()

    @pytest.mark.parametrize("has_index", [True, False])
    @pytest.mark.parametrize("restarted", [True, False])
    def test_all_records(
        self,
        studies: Path,
        kept: Path,
        save: Callable[..., int],
        has_index: bool,
        restarted: bool,
    ) -> None:
        """As in a backup that left them out."""
        store = opened(studies)
        for value in range(1, 7):
            save(store, value)
        before = voxels(kept)
        for record in kept.glob("*.json"):
            record.unlink()
        if not has_index:
            for index in studies.glob("datastore_v2.*"):
                index.unlink()
        if restarted:
            store = opened(studies)
            assert served(store) == (before["0006.nii.gz"], 6)
        assert save(store, 9) == 7
        assert before.items() <= voxels(kept).items()
        last = "saved" if has_index else "found"
        assert kinds(store) == [*((n, "found") for n in range(1, 6)), (6, last), (7, "saved")]
        info = store.history("case0", "final").with_voxels(6)
        assert info.names == ({"6": "liver"} if has_index else {})
        assert check_studies(studies).listed() == {}

    def test_at_a_start_two_of_three(
        self, studies: Path, kept: Path, save: Callable[..., int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(studies)
        for value in (1, 2, 3):
            save(store, value)
        before = voxels(kept)
        for number in (1, 2):
            (kept / f"000{number}.json").unlink()
        names = [f"{VERSIONS}/000{number}.nii.gz" for number in (1, 2)]
        assert list(check_studies(studies).listed()) == names
        with monkeypatch.context() as patch:
            patch.setattr(WriteLock, "is_possible", False)
            read_only = opened(studies)
            read_only.check_records()
            assert list(read_only.status()["damaged"]) == names
        assert kinds(opened(studies)) == [(1, "found"), (2, "found"), (3, "saved")]
        assert voxels(kept) == before

    def test_of_a_label_that_was_removed(
        self, studies: Path, kept: Path, save: Callable[..., int]
    ) -> None:
        store = opened(studies)
        save(store, 1)
        store.remove_label("case0", "final")
        (kept / "0001.json").unlink()
        store = opened(studies)
        assert kinds(store) == [(1, "found"), (2, "removed")]
        assert store.get_labeled_images() == []

    def test_a_damaged_one_that_a_person_moves_away(
        self, studies: Path, kept: Path, tmp_path: Path, save: Callable[..., int]
    ) -> None:
        store = opened(studies)
        for value in (1, 2):
            save(store, value)
        before = voxels(kept)
        (kept / "0001.json").write_bytes(b"torn")
        store.check_records()
        assert list(store.status()["damaged"]) == [f"{VERSIONS}/0001.json"]
        (kept / "0001.json").rename(tmp_path / "0001.json")
        assert list(store.status()["damaged"]) == [f"{VERSIONS}/0001.nii.gz"]
        assert save(store, 3) == 3
        assert before.items() <= voxels(kept).items()
        assert kinds(store) == [(1, "found"), (2, "saved"), (3, "saved")]
        assert "damaged" not in store.status()


class TestWhatWasLaidThereByHand:
    def test_a_label_becomes_a_version(
        self, studies: Path, kept: Path, save: Callable[..., int]
    ) -> None:
        store = opened(studies)
        save(store, 1)
        laid = write(kept / "0009.nii.gz", label(7)).read_bytes()
        assert save(store, 2) == 10
        assert kinds(store) == [(1, "saved"), (9, "found"), (10, "saved")]
        assert (kept / "0009.nii.gz").read_bytes() == laid
        assert served(store)[1] == 10

    @pytest.mark.parametrize("content", [b"rubbish", "image"])
    def test_anything_else_stays_and_is_named(
        self, studies: Path, kept: Path, save: Callable[..., int], content: bytes | str
    ) -> None:
        store = opened(studies)
        save(store, 1)
        image = (studies / "case0.nii.gz").read_bytes()
        content = image if isinstance(content, str) else content
        (kept / "0002.nii.gz").write_bytes(content)
        for number in (3, 4):
            assert save(store, number) == number
            store = opened(studies)
        assert (kept / "0002.nii.gz").read_bytes() == content
        why = store.status()["damaged"][f"{VERSIONS}/0002.nii.gz"]
        assert why.startswith("version 2 of the label has no record (0002.json)")
        assert "not used: " in why
        assert f"{VERSIONS}/0002.nii.gz" in check_studies(studies).listed()
        (kept / "0002.nii.gz").unlink()
        assert "damaged" not in store.status()

    @pytest.mark.parametrize(
        "name",
        ["0007.nii", "0007.txt", "0007.json.damaged-20260102T030405-006789", "0007", "0007.json"],
    )
    def test_no_number_is_given_twice(
        self, studies: Path, kept: Path, save: Callable[..., int], name: str
    ) -> None:
        store = opened(studies)
        save(store, 1)
        (kept / name).write_bytes(b"mine")
        assert save(store, 2) == 8
        assert (kept / name).read_bytes() == b"mine"

    def test_numbers_that_no_version_can_have(
        self, studies: Path, kept: Path, save: Callable[..., int]
    ) -> None:
        store = opened(studies)
        save(store, 1)
        (kept / "99999999999999.nii.gz").write_bytes(b"mine")
        assert save(store, 2) == 2
        assert kinds(store) == [(1, "saved"), (2, "saved")]
        (kept / "1000000000.nii.gz").write_bytes(b"mine")
        with pytest.raises(OutputError, match="1000000000, got a file that carries it"):
            save(store, 3)

    def test_a_save_that_fails_removes_only_its_own(
        self, studies: Path, kept: Path, save: Callable[..., int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(studies)
        save(store, 1)

        def full(*_: object) -> None:
            (kept / "0002.json.mine").write_bytes(b"mine")
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Index, "put_label", full)
            with pytest.raises(OutputError):
                save(opened(studies), 2)
        names = {path.name for path in kept.iterdir()}
        assert names == {"0001.json", "0001.nii.gz", "0002.json.mine"}


class TestWhatIsListed:
    """Entries about versions are looked at again when the list is asked for."""

    @pytest.mark.parametrize("make", KINDS)
    def test_what_lies_in_the_place_of_voxels(
        self, studies: Path, kept: Path, tmp_path: Path, save: Callable[..., int], make: Callable
    ) -> None:
        store = opened(studies)
        for value in (1, 2):
            save(store, value)
        place, name = kept / "0001.nii.gz", f"{VERSIONS}/0001.nii.gz"
        place.rename(tmp_path / "mine")
        store.check_records()
        assert store.status()["damaged"] == {name: "it is missing"}
        make(place)
        sentence = f"expected a file as 0001.nii.gz, got {KINDS[make]}; move it away"
        assert store.status()["damaged"] == {name: sentence}
        assert check_studies(studies).listed() == {name: sentence}
        assert save(store, 3) == 3
        shutil.rmtree(place) if make is folder else place.unlink()
        assert store.status()["damaged"] == {name: "it is missing"}
        place.write_bytes((kept / "0002.nii.gz").read_bytes())
        assert "SHA-256 is another" in store.status()["damaged"][name]
        place.unlink()
        (tmp_path / "mine").rename(place)
        assert "damaged" not in store.status()

    def test_a_damaged_record_that_is_removed_with_its_voxels(
        self, studies: Path, kept: Path, save: Callable[..., int]
    ) -> None:
        store = opened(studies)
        for value in (1, 2):
            save(store, value)
        (kept / "0001.json").write_bytes(b"torn")
        store.check_records()
        (kept / "0001.json").write_bytes(b"torn again")
        assert list(store.status()["damaged"]) == [f"{VERSIONS}/0001.json"]
        (kept / "0001.nii.gz").unlink()
        (kept / "0001.json").unlink()
        assert "damaged" not in store.status()

    @pytest.mark.parametrize("name", [VERSIONS, "labels/final/.versions"])
    def test_a_link_to_itself(
        self, studies: Path, tmp_path: Path, save: Callable[..., int], name: str
    ) -> None:
        store = opened(studies)
        save(store, 1)
        place = studies / name
        place.rename(tmp_path / "mine")
        place.write_bytes(b"mine")
        with pytest.raises(OutputError):
            save(store, 2)
        place.unlink()
        place.symlink_to(place)
        with pytest.raises(OutputError, match="expected a folder"):
            save(store, 2)
        store.check_records()
        for listed in (store.status()["damaged"], check_studies(studies).listed()):
            assert "expected a folder" in listed[name]
        assert store.history("case0", "final").all() == []
        with pytest.raises(NotFoundError):
            store.restore("case0", "final", 1)
        assert f"{name}" in opened(studies).status()["damaged"]
        place.unlink()
        (tmp_path / "mine").rename(place)
        assert "damaged" not in store.status()
        assert save(store, 2) == 2

    def test_a_place_under_a_link_to_itself(
        self, studies: Path, kept: Path, tmp_path: Path, save: Callable[..., int]
    ) -> None:
        store = opened(studies)
        save(store, 1)
        (kept / "0001.nii.gz").rename(tmp_path / "mine")
        (kept / "0001.nii.gz").mkdir()
        store.damage.note_place(kept / "0001.nii.gz")
        shutil.rmtree(kept)
        kept.symlink_to(kept)
        assert len(store.damage.listed()) == 1
        kept.unlink()
        assert store.damage.listed() == {}

    def test_a_folder_that_cannot_be_read(
        self, studies: Path, kept: Path, save: Callable[..., int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(studies)
        save(store, 1)
        (kept / "0001.json").write_bytes(b"torn")
        store.check_records()
        iterdir, lstat = Path.iterdir, Path.lstat

        def refused(path: Path) -> object:
            if path == kept or kept in path.parents:
                raise PermissionError(13, os.strerror(13))
            return iterdir(path)

        def unseen(path: Path) -> os.stat_result:
            if kept in path.parents:
                raise PermissionError(13, os.strerror(13))
            return lstat(path)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "iterdir", refused)
            patch.setattr(Path, "lstat", unseen)
            store.check_records()
            assert "Permission denied" in str(store.status()["damaged"])
            assert "Permission denied" in str(check_studies(studies).listed())


@pytest.mark.parametrize(
    "name",
    [
        "new.nii.gz",
        "labels/final/case1.nii.gz",
        "labels/final/.found",
        "labels/other",
        "labels/final/.versions/AA",
        "labels/final/.versions/case0/0002.nii.gz",
        "labels/final/.versions/case0/0002.json",
        "labels/final/.versions/case0/0002.pending.json",
        "series/one.dcm",
        "series/one.nii.gz",
    ],
)
def test_a_link_to_itself_anywhere_ends_nothing(
    studies: Path, save: Callable[..., int], name: str
) -> None:
    store = opened(studies)
    save(store, 1)
    (studies / name).parent.mkdir(exist_ok=True)
    (studies / name).symlink_to((studies / name).name)
    store.check_records()
    store.status()
    check_studies(studies).listed()
    again = opened(studies)
    again.check_records()
    assert sorted(again.list_images()) == ["case0", "case1"]
    assert served(again)[1] == 1
    if "series" not in name and "other" not in name and "pending" not in name:
        assert name in again.status()["damaged"]
        assert name in check_studies(studies).listed()
    assert save(again, 2) > 1

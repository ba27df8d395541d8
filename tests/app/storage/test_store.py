"""The store: files complete or not there, every version stays, one index for all processes."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
from monailabel.config import settings
from monailabel.datastore.local import LocalDatastore

from segsam.errors import VolumeError, VolumeTooLargeError
from segsam.imaging.volume import Volume
from segsam_app.errors import ConflictError, InfoTooLargeError, NotFoundError, RequestError
from segsam_app.storage.store import Store

from ..stored import AFFINE, SHAPE, label, make_studies, voxels_of, write

Opens = Callable[[], Store]
INVALID_IDS = (
    *("", ".", "..", "../x", "a/b", "/etc/x", "a\\b", "a\0b", "a\nb", ".lock", "CON", "com1.x"),
    *("a..b", "x.", "%2e%2e", "%252e", "\uff41", "a\u2215b", "x" * 129),
)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return make_studies(tmp_path / "studies", 4)


@pytest.fixture
def opens(studies: Path) -> Opens:
    """Opens the folder again, as another process would."""
    return lambda: Store(str(studies), on_image=lambda _: None)


@pytest.fixture
def store(opens: Opens) -> Store:
    return opens()


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    return write(tmp_path / "drawn.nii.gz", label())


def kinds(store: Store, image: str = "case0", tag: str = "final") -> list[tuple[int, str, int]]:
    return [(v.number, v.kind, v.parent) for v in store.history(image, tag).all()]


def snapshot(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file except the lock."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != ".lock"
    }


class TestAsMonaiLabelsOwn:
    def test_it_lists_labels_and_counts(self, store: Store, drawn: Path) -> None:
        assert isinstance(store, LocalDatastore)
        assert sorted(store.list_images()) == ["case0", "case1", "case2", "case3"]
        assert store.save_label("case1", str(drawn), "final", {"client_id": "anna"}) == "case1"
        store.save_label("case2", str(drawn), "original", {})
        assert store.get_labeled_images() == ["case1"]
        assert sorted(store.get_unlabeled_images()) == ["case0", "case2", "case3"]
        assert store.get_labeled_images("original") == ["case2"]
        assert store.get_labels_by_image_id("case1") == {"final": "case1"}
        uri = store.get_label_uri("case1", "final")
        assert [pair["label"] for pair in store.datalist()] == [uri]
        assert Path(uri).read_bytes() == drawn.read_bytes()
        assert store.status() == {
            "total": 4,
            "completed": 1,
            "label_tags": {"final": 1, "original": 1},
        }

    def test_information_is_kept_and_never_handed_out_to_be_changed(
        self, store: Store, drawn: Path, opens: Opens
    ) -> None:
        store.save_label("case0", str(drawn), "final", {"client_id": "anna"})
        store.update_label_info("case0", "final", {"sum": float("nan")})
        store.update_image_info("case0", {"strategy": {"first": {"ts": 3}}})
        store.get_label_info("case0", "final")["sum"] = 9
        again = opens()
        assert again.get_label_info("case0", "final")["sum"] is None  # NaN is not JSON
        assert again.get_label_info("case0", "final")["user"] == "anna"
        assert again.get_image_info("case0")["strategy"] == {"first": {"ts": 3}}
        assert again.get_label_info("case1", "final") == {}

    @pytest.mark.parametrize("info", [["a"], "text", 3])
    def test_information_is_an_object(self, store: Store, drawn: Path, info: Any) -> None:
        for change in (
            lambda: store.update_image_info("case0", info),
            lambda: store.save_label("case0", str(drawn), "final", info),
        ):
            with pytest.raises(RequestError, match="information must be a JSON object"):
                change()
        with pytest.raises(RequestError, match="at most 262144 bytes"):
            store.update_image_info("case0", {"a": "x" * 300_000})

    @pytest.mark.parametrize("kind", ["image", "label"])
    def test_information_is_bounded_whatever_the_number_of_requests(
        self, store: Store, studies: Path, drawn: Path, opens: Opens, kind: str
    ) -> None:
        store.save_label("case0", str(drawn), "final", {"label_names": {"ball": 1, "rest": 2}})

        def add(to: Store, fields: dict[str, Any]) -> None:
            if kind == "image":
                return to.update_image_info("case0", fields)
            return to.update_label_info("case0", "final", fields)

        def read(of: Store) -> dict[str, Any]:
            found = (
                of.get_image_info("case0")
                if kind == "image"
                else of.get_label_info("case0", "final")
            )
            return {key: len(value) for key, value in found.items() if key.startswith("key")}

        refused = []
        for number in range(100):
            try:
                add(store, {f"key{number}": "x" * 50_000})
            except InfoTooLargeError as error:
                refused.append(str(error))
        assert len(refused) == 95
        assert re.search(
            r"at most 262144 bytes .*\(setting info_kilobytes\), got 30\d{4}: 25\d{4} that are "
            r"there, and 500\d\d that were sent",
            refused[0],
        )
        kept = {f"key{number}": 50_000 for number in range(5)}
        assert read(store) == kept
        assert sum(file.stat().st_size for file in studies.glob("datastore_v2.*")) < 3 << 20
        for _ in range(300):
            add(store, {"key4": "x" * 50_000})
        assert sum(file.stat().st_size for file in studies.glob("datastore_v2.*")) < 6 << 20
        assert read(opens()) == kept
        add(store, {"key0": ""})
        add(store, {"key5": "x" * 50_000})
        assert read(store) == {**kept, "key0": 0, "key5": 50_000}

    def test_information_from_before_there_was_a_limit_is_still_there(
        self, store: Store, opens: Opens
    ) -> None:
        for number in range(3):  # as the journal of an older server holds it
            known = store._index.model.objects["case0"]
            info = {**known.image.info, f"key{number}": "x" * 2_000_000}
            image = known.image.model_copy(update={"info": info})
            store._index.put({"case0": known.model_copy(update={"image": image})})
        again = opens()
        assert len(again.get_image_info("case0")["key2"]) == 2_000_000
        with pytest.raises(InfoTooLargeError):
            again.update_image_info("case0", {"more": "x"})
        again.update_image_info("case0", {"key1": "x"})
        again.update_image_info("case0", {"strategy": {"first": {"ts": 3}}})  # the server's own
        info = opens().get_image_info("case0")
        assert (len(info["key0"]), info["key1"], "more" in info) == (2_000_000, "x", False)
        assert info["strategy"] == {"first": {"ts": 3}}

    def test_an_index_full_of_information_takes_no_more(
        self, store: Store, opens: Opens, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.update_image_info("case0", {"key": "x" * 100_000})
        store._index.compact()
        monkeypatch.setattr("segsam_app.storage.index._MOST_BYTES", 50_000)
        with pytest.raises(InfoTooLargeError, match="about all images and labels"):
            store.update_image_info("case1", {"key": "x"})
        store.update_image_info("case0", {"key": "x"})
        store._index.compact()
        store.update_image_info("case1", {"key": "y"})
        assert opens().get_image_info("case1")["key"] == "y"

    def test_unknown_images_and_labels(self, store: Store, drawn: Path) -> None:
        with pytest.raises(NotFoundError, match="no image 'none'"):
            store.save_label("none", str(drawn), "final", {})
        for change in (store.update_image_info, lambda image, _: store.get_image_info(image)):
            with pytest.raises(NotFoundError):
                change("none", {})
        with pytest.raises(NotFoundError, match="no label 'case0' with the tag final"):
            store.update_label_info("case0", "final", {})
        with pytest.raises(NotFoundError):
            store.remove_label("case0", "final")
        with pytest.raises(NotFoundError, match="no final label yet"):
            store.dataset_archive()
        assert store.get_image_uri("none") == ""
        assert store.get_label_uri("case0", "final") == ""

    def test_it_can_be_packed(self, store: Store, drawn: Path) -> None:
        store.save_label("case0", str(drawn), "final", {})
        pieces = list(store.dataset_archive(1))
        archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
        assert archive.testzip() is None
        names = ["image/case0.nii.gz", "label/case0.nii.gz", "metadata.json"]
        assert archive.namelist() == names
        assert archive.read("label/case0.nii.gz") == drawn.read_bytes()
        assert archive.read("image/case0.nii.gz") == Path(store.get_image_uri("case0")).read_bytes()
        assert "case0" in json.loads(archive.read("metadata.json"))["objects"]

    def test_a_store_has_a_name(self, store: Store, opens: Opens) -> None:
        store.set_name("ward 3")
        store.set_description("of 2026")
        assert (opens().name(), opens().description()) == ("ward 3", "of 2026")


class TestVersions:
    def test_every_save_is_one(self, store: Store, tmp_path: Path) -> None:
        for value in (1, 2, 3):
            path = write(tmp_path / "label.nii.gz", label(value))
            version = store.save("case0", path, "final", {"client_id": f"user{value}"})
            assert (version.number, version.parent) == (value, value - 1)
        assert kinds(store) == [(1, "saved", 0), (2, "saved", 1), (3, "saved", 2)]
        history = store.history("case0", "final")
        for version in history.all():
            file = history.file(version)
            assert voxels_of(file).max() == version.number
            assert hashlib.sha256(file.read_bytes()).hexdigest() == version.sha256
            assert version.user == f"user{version.number}"
        assert voxels_of(store.get_label_uri("case0", "final")).max() == 3

    def test_a_conflict_is_reported_and_both_labels_stay(
        self, store: Store, tmp_path: Path
    ) -> None:
        files = [write(tmp_path / f"{value}.nii.gz", label(value)) for value in (1, 2, 3)]
        store.save("case0", files[0], "final", {})
        began = store.get_label_info("case0", "final")["version"]
        store.save("case0", files[1], "final", {"expected_version": began})
        with pytest.raises(
            ConflictError, match="began from version 1, it is at version 2"
        ) as conflict:
            store.save("case0", files[2], "final", {"expected_version": began})
        assert "kept as version 3" in str(conflict.value)
        assert conflict.value.headers == {"ETag": '"2"', "X-Kept-Version": "3"}
        assert kinds(store) == [(1, "saved", 0), (2, "saved", 1), (3, "conflict", 1)]
        assert voxels_of(store.get_label_uri("case0", "final")).max() == 2
        assert store.get_label_info("case0", "final")["version"] == 2
        restored = store.restore("case0", "final", 3, user="anna")
        assert (restored.number, restored.kind, restored.parent) == (4, "restored", 2)
        assert (restored.restored_from, restored.user) == (3, "anna")
        assert voxels_of(store.get_label_uri("case0", "final")).max() == 3

    def test_two_begin_from_nothing(self, store: Store, drawn: Path) -> None:
        def save(_: int) -> str:
            try:
                return store.save("case0", drawn, "final", {"expected_version": 0}).kind
            except ConflictError:
                return "refused"

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(save, range(2))) == ["refused", "saved"]
        assert [kind for _, kind, _ in kinds(store)] == ["saved", "conflict"]

    def test_a_restore_can_be_conditional(self, store: Store, drawn: Path) -> None:
        store.save("case0", drawn, "final", {})
        store.save("case0", drawn, "final", {})
        with pytest.raises(ConflictError, match="at version 2, not 1; nothing was changed"):
            store.restore("case0", "final", 1, expected=1)
        with pytest.raises(NotFoundError, match="no version 7"):
            store.restore("case0", "final", 7)
        assert store.restore("case0", "final", 1, expected=2).number == 3

    @pytest.mark.parametrize("expected", [-1, "1", 1.5, True])
    def test_an_invalid_expected_version(self, store: Store, drawn: Path, expected: Any) -> None:
        with pytest.raises(RequestError, match="expected_version must be the number"):
            store.save("case0", drawn, "final", {"expected_version": expected})

    def test_names_are_kept_by_value(self, store: Store, tmp_path: Path) -> None:
        both = label(2)
        both[0, 0] = 1
        path = write(tmp_path / "label.nii.gz", both)
        listed = [{"name": "liver", "idx": 2}, {"name": "spleen", "idx": 3}]
        version = store.save("case0", path, "final", {"label_info": listed})
        assert version.names == {"1": "liver", "2": "spleen"}
        assert version.info["label_info"] == listed
        assert store.get_label_info("case0", "final")["names"] == version.names
        assert store.get_label_info("case0", "final")["label_info"] == listed

    def test_keys_of_the_store_cannot_be_set_by_clients(self, store: Store, drawn: Path) -> None:
        version = store.save("case0", drawn, "final", {"sha256": "x", "version": 99})
        info = store.get_label_info("case0", "final")
        assert (info["version"], info["sha256"]) == (1, version.sha256)
        store.update_label_info("case0", "final", {"version": 99})
        assert store.get_label_info("case0", "final")["version"] == 1

    def test_another_format_takes_the_place(self, store: Store, tmp_path: Path) -> None:
        store.save("case0", write(tmp_path / "a.nii.gz", label()), "final", {})
        Volume.from_array(label(2), AFFINE).save(tmp_path / "b.seg.nrrd")
        store.save("case0", tmp_path / "b.seg.nrrd", "final", {})
        uri = Path(store.get_label_uri("case0", "final"))
        assert uri.name == "case0.seg.nrrd"
        assert nrrd.read(str(uri))[0].max() == 2
        assert [path.name for path in uri.parent.glob("case0*")] == ["case0.seg.nrrd"]
        store.restore("case0", "final", 1)
        assert [path.name for path in uri.parent.glob("case0*")] == ["case0.nii.gz"]

    def test_a_removed_label_is_only_hidden(self, store: Store, drawn: Path, opens: Opens) -> None:
        store.save("case0", drawn, "final", {})
        store.remove_label("case0", "final")
        assert store.get_label_uri("case0", "final") == ""
        assert opens().get_labeled_images() == []
        assert kinds(store) == [(1, "saved", 0), (2, "removed", 1)]
        with pytest.raises(NotFoundError, match="no version 2"):
            store.restore("case0", "final", 2)
        store.restore("case0", "final", 1)
        assert Path(store.get_label_uri("case0", "final")).read_bytes() == drawn.read_bytes()

    def test_a_removed_image_is_only_hidden(self, store: Store, studies: Path, drawn: Path) -> None:
        store.save("case0", drawn, "final", {})
        content = (studies / "case0.nii.gz").read_bytes()
        store.remove_image("case0")
        assert "case0" not in store.list_images()
        (hidden,) = (studies / ".removed").iterdir()
        assert hidden.read_bytes() == content
        assert (studies / "labels/final/.versions/case0/0001.nii.gz").exists()

    def test_eight_annotators_lose_nothing(self, store: Store, tmp_path: Path) -> None:
        def save(value: int) -> int:
            path = write(tmp_path / f"{value}.nii.gz", label(value))
            return store.save("case0", path, "final", {"client_id": str(value)}).number

        with ThreadPoolExecutor(8) as pool:
            numbers = list(pool.map(save, range(1, 17)))
        history = store.history("case0", "final")
        assert sorted(numbers) == list(range(1, 17))
        assert {voxels_of(history.file(v)).max() for v in history.all()} == set(range(1, 17))
        newest = history.all()[-1]
        assert voxels_of(store.get_label_uri("case0", "final")).max() == int(newest.user)


class TestWhatIsRefused:
    """Row B7: and the version before stays as it was."""

    def test_labels(self, store: Store, studies: Path, tmp_path: Path, drawn: Path) -> None:
        store.save("case0", drawn, "final", {})
        before = snapshot(studies)
        moved, turned = AFFINE.copy(), AFFINE.copy()
        moved[0, 3] += 0.5
        turned[0, 1] = 0.0014
        holey = label().astype(np.float32)
        holey[0, 0, 0] = np.nan
        bad = {
            "shape": (label(shape=(8, 9, 5)), AFFINE, "has 8x9x5 voxels and its image 8x9x4"),
            "swapped": (label(shape=(9, 8, 4)), AFFINE, "9x8x4"),
            "moved": (label(), moved, "corners are up to 0.5 mm apart"),
            "turned": (label(), turned, "steps between voxels 0.0014 mm"),
            "float": (label().astype(np.float32) / 2, AFFINE, "whole numbers"),
            "nan": (holey, AFFINE, "whole numbers"),
            "negative": (label().astype(np.int16) - 3, AFFINE, "holds -3"),
            "movie": (np.stack([label()] * 2, axis=-1), AFFINE, "4D"),
            "image": (np.arange(1, 289).reshape(SHAPE).astype(np.uint16), AFFINE, "got an image"),
            "unnamed": (label(7), AFFINE, "holds 7, but names were sent only for 1"),
        }
        names = {"label_info": [{"name": "liver", "idx": 1}]}
        for name, (voxels, affine, words) in bad.items():
            path = write(tmp_path / f"{name}.nii.gz", voxels, affine)
            with pytest.raises(VolumeError, match=words):
                store.save("case0", path, "final", names)
        assert snapshot(studies) == before

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("x.exe", b"MZ"),
            ("x.txt", b"text"),
            ("x", b"text"),
            ("x.nii.gz", b"text"),
            ("x.nii.gz", b""),
            (
                "x.nrrd",
                b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 8 9 4\ndata file: /etc/passwd\n\n",
            ),
            ("x.mha", b"ObjectType = Image"),
            ("x.dcm", b"\0" * 128 + b"DICM"),
        ],
    )
    def test_files(
        self, store: Store, studies: Path, tmp_path: Path, name: str, content: bytes
    ) -> None:
        before = snapshot(studies)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(VolumeError):
            store.save("case0", tmp_path / name, "final", {})
        assert snapshot(studies) == before

    def test_a_truncated_label(self, store: Store, studies: Path, drawn: Path) -> None:
        before = snapshot(studies)
        drawn.write_bytes(drawn.read_bytes()[:-20])
        with pytest.raises(VolumeError, match="got a damaged or incomplete one"):
            store.save("case0", drawn, "final", {})
        assert snapshot(studies) == before

    def test_a_declared_size_before_any_memory(self, store: Store, tmp_path: Path) -> None:
        header = nibabel.Nifti1Header()
        header.set_data_dtype(np.uint8)
        header.set_data_shape((4096, 4096, 4096))
        (tmp_path / "bomb.nii").write_bytes(header.binaryblock + bytes(64))
        with pytest.raises(VolumeTooLargeError, match="4096x4096x4096"):
            store.save("case0", tmp_path / "bomb.nii", "final", {})

    @pytest.mark.parametrize("name", INVALID_IDS)
    def test_ids_and_tags(self, store: Store, studies: Path, drawn: Path, name: str) -> None:
        before = snapshot(studies.parent)
        with pytest.raises(RequestError):
            store.save("case0", drawn, name, {})
        with pytest.raises((RequestError, NotFoundError)):
            store.save(name, drawn, "final", {})
        if name:  # an empty one is the file's name
            with pytest.raises(RequestError):
                store.add_image(name, str(studies / "case0.nii.gz"), {})
        with pytest.raises((RequestError, NotFoundError)):
            store.remove_label(name, "final")
        with pytest.raises(RequestError):
            store.history("case0", name)
        assert store.get_image_uri(name) == ""
        assert snapshot(studies.parent) == before


class TestImages:
    def test_a_new_one_is_kept_and_announced(self, studies: Path, tmp_path: Path) -> None:
        announced: list[Path] = []
        store = Store(str(studies), on_image=announced.append)
        source = write(tmp_path / "a.b.nii.gz", label())
        assert store.add_image("", str(source), {"client_id": "anna"}) == "a.b"
        assert announced == [(studies / "a.b.nii.gz").resolve()]
        assert store.get_image_info("a.b")["client_id"] == "anna"

    def test_an_id_is_given_once(self, store: Store, studies: Path, tmp_path: Path) -> None:
        content = (studies / "case0.nii.gz").read_bytes()
        other = write(tmp_path / "other.nii.gz", label())
        before = snapshot(studies)
        with pytest.raises(ConflictError, match="images are never overwritten"):
            store.add_image("case0", str(other), {})
        assert store.add_image("case0", str(studies / "case0.nii.gz"), {}) == "case0"
        nibabel.save(nibabel.load(other), tmp_path / "other.nii")
        with pytest.raises(ConflictError):
            store.add_image("case0", str(tmp_path / "other.nii"), {})
        assert (studies / "case0.nii.gz").read_bytes() == content
        assert snapshot(studies) == before

    @pytest.mark.parametrize("name", ["x.py", "x.exe", "x.seg", "noending", "text.nii.gz"])
    def test_a_file_that_is_no_image(
        self, store: Store, studies: Path, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / name).write_bytes(b"print()")
        before = snapshot(studies)
        with pytest.raises(VolumeError):
            store.add_image("new", str(tmp_path / name), {})
        assert snapshot(studies) == before

    def test_an_image_id_must_not_end_like_a_label(self, store: Store, studies: Path) -> None:
        with pytest.raises(RequestError, match=r"must not end in \.seg"):
            store.add_image("case0.seg", str(studies / "case1.nii.gz"), {})

    def test_a_link_that_leads_out_is_not_listed(self, studies: Path, tmp_path: Path) -> None:
        outside = write(tmp_path / "outside.nii.gz", label())
        (studies / "out.nii.gz").symlink_to(outside)
        (studies / "in.nii.gz").symlink_to(studies / "case0.nii.gz")
        store = Store(str(studies), on_image=lambda _: None)
        assert "out" not in store.list_images()
        assert "in" in store.list_images()
        with pytest.raises(ConflictError):
            store.add_image("out", str(studies / "case0.nii.gz"), {})
        assert (studies / "out.nii.gz").is_symlink()


class TestFilesThatOthersPutThere:
    def test_they_are_noticed(self, store: Store, studies: Path, tmp_path: Path) -> None:
        shutil.copy(studies / "case0.nii.gz", studies / "late.nii.gz")
        assert "late" in store.list_images()
        (studies / "case3.nii.gz").unlink()
        assert store.get_image_uri("case3") == ""
        write(studies / "labels/final/case1.nii.gz", label(4))
        assert store.get_labeled_images() == ["case1"]
        assert store.get_label_info("case1", "final")["version"] == 1
        (studies / "labels/final/case1.nii.gz").unlink()
        assert store.get_labeled_images() == []

    def test_a_label_by_hand_is_kept_when_it_is_saved_over(
        self, store: Store, studies: Path, drawn: Path
    ) -> None:
        write(studies / "labels/final/case1.nii.gz", label(4))
        with pytest.raises(ConflictError, match="began from no label, it is at version 1"):
            store.save("case1", drawn, "final", {"expected_version": 0})
        store.save("case1", drawn, "final", {"expected_version": 1})
        assert kinds(store, "case1") == [(1, "found", 0), (2, "conflict", 0), (3, "saved", 1)]
        history = store.history("case1", "final")
        assert voxels_of(history.file(history.all()[0])).max() == 4

    def test_a_label_edited_in_place_is_kept_too(
        self, store: Store, studies: Path, drawn: Path
    ) -> None:
        store.save("case1", drawn, "final", {})
        write(studies / "labels/final/case1.nii.gz", label(4))
        with pytest.raises(ConflictError):
            store.save("case1", drawn, "final", {"expected_version": 1})
        assert kinds(store, "case1") == [(1, "saved", 0), (2, "found", 1), (3, "conflict", 1)]
        assert voxels_of(store.get_label_uri("case1", "final")).max() == 4

    def test_without_auto_reload_only_a_refresh_scans(
        self, studies: Path, opens: Opens, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settings, "MONAI_LABEL_DATASTORE_AUTO_RELOAD", False)
        store = opens()
        shutil.copy(studies / "case0.nii.gz", studies / "late.nii.gz")
        assert "late" not in store.list_images()
        store.refresh()
        assert "late" in store.list_images()

    def test_a_folder_that_vanishes_for_a_while(
        self, store: Store, studies: Path, drawn: Path
    ) -> None:
        from segsam.errors import OutputError

        store.save("case0", drawn, "final", {})
        away = studies.rename(studies.with_name("away"))
        with pytest.raises((OutputError, NotFoundError)):
            store.save("case0", drawn, "final", {})
        shutil.rmtree(studies, ignore_errors=True)
        away.rename(studies)
        assert store.save("case0", drawn, "final", {}).number == 2
        assert len(store.list_images()) == 4


class TestSeveralProcesses:
    def test_each_sees_what_the_other_did(self, opens: Opens, drawn: Path) -> None:
        one, other = opens(), opens()
        one.save("case0", drawn, "final", {})
        assert other.get_labeled_images() == ["case0"]
        other.update_image_info("case1", {"score": 0.5})
        one.save("case1", drawn, "final", {})
        assert other.get_image_info("case1")["score"] == 0.5
        assert sorted(other.get_labeled_images()) == ["case0", "case1"]
        other._index.compact()
        one.save("case2", drawn, "final", {})
        assert sorted(opens().get_labeled_images()) == ["case0", "case1", "case2"]

    def test_the_index_is_monai_labels(self, store: Store, studies: Path, drawn: Path) -> None:
        store.save("case0", drawn, "final", {})
        store.refresh()
        read = json.loads((studies / "datastore_v2.json").read_text())
        assert read["objects"]["case0"]["labels"]["final"]["ext"] == ".nii.gz"
        stock = LocalDatastore(str(studies), extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT)
        assert stock.get_labeled_images() == ["case0"]
        assert stock.get_label_uri("case0", "final") == store.get_label_uri("case0", "final")

    def test_a_folder_of_monai_label_is_adopted(
        self, studies: Path, opens: Opens, drawn: Path
    ) -> None:
        stock = LocalDatastore(str(studies), extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT)
        stock.save_label("case2", str(drawn), "final", {"label_info": [{"name": "x", "idx": 1}]})
        store = opens()
        assert store.get_label_info("case2", "final")["label_info"] == [{"name": "x", "idx": 1}]
        store.save("case2", drawn, "final", {})
        assert [kind for _, kind, _ in kinds(store, "case2")] == ["found", "saved"]
        versions = studies / "labels" / "final" / ".versions"
        assert [path.name for path in versions.iterdir()] == ["case2"]
        assert voxels_of(store.get_label_uri("case2", "final")).shape == SHAPE

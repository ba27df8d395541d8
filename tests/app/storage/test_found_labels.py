"""Labels that another program writes beside ours: adopted, or kept and named (C10)."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
from numpy.typing import NDArray

from segsam.imaging.label_files import read_labels
from segsam.imaging.readers import read_grid
from segsam.imaging.volume import Volume
from segsam.imaging.writers import write_image
from segsam_app.errors import ConflictError
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.store import Store

from ..stored import AFFINE, label, make_studies, write

HOUR = 3600
ENDINGS = [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".mhd", ".NII", ".NII.GZ", ".Nrrd"]


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return make_studies(tmp_path / "studies", 3)


@pytest.fixture
def store(studies: Path) -> Store:
    return opened(studies)


@pytest.fixture
def finals(studies: Path) -> Path:
    folder = studies / "labels" / "final"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def opened(studies: Path) -> Store:
    return Store(str(studies), on_image=lambda _: None)


def drawn(folder: Path, value: int, ending: str = ".nii") -> Path:
    return write(folder / f"drawn{value}{ending}", label(value))


def other_program(path: Path, voxels: NDArray[Any], affine: NDArray[Any] = AFFINE) -> Path:
    """Write a label as another program does, with the name that it likes."""
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        plain = path.with_name("elsewhere" + name[name.index(".") :])
        write(plain, voxels, affine)
        plain.rename(path)
    elif name.endswith(".seg.nrrd"):
        directions = affine[:3, :3].T * [-1, -1, 1]
        header = {
            "type": "uchar",
            "dimension": 3,
            "space": "left-posterior-superior",
            "space directions": directions.tolist(),
            "space origin": (affine[:3, 3] * [-1, -1, 1]).tolist(),
            "kinds": ["domain"] * 3,
            "Segment0_ID": "a",
            "Segment0_Name": "spleen",
            "Segment0_LabelValue": str(int(voxels.max())),
            "Segment0_Layer": "0",
        }
        nrrd.write(str(path), voxels, header)
    elif name.endswith(".mhd"):
        whole = path.with_suffix(".mha")
        write_image(whole, voxels, affine)
        head, data = whole.read_bytes().split(b"ElementDataFile = LOCAL\n", 1)
        whole.unlink()
        path.with_suffix(".zraw").write_bytes(data)
        path.write_bytes(head + f"ElementDataFile = {path.stem}.zraw\n".encode())
    else:
        write_image(path, voxels, affine)
    return path


def at(path: Path, seconds: float) -> Path:
    """Give a file another time of its last change."""
    os.utime(path, (seconds, seconds))
    return path


def shown(store: Store, image: str = "case0") -> NDArray[Any]:
    """The current label, on the voxels of its image."""
    image_file = Path(store.get_image_uri(image))
    return read_labels(Path(store.get_label_uri(image, "final")), Volume.load(image_file)).maps[0]


def kinds(store: Store, image: str = "case0") -> list[tuple[int, str, int, bool]]:
    versions = store.history(image, "final").all()
    return [(v.number, v.kind, v.parent, v.beside) for v in versions]


def value_of(history: LabelHistory, number: int) -> int:
    version = history.with_voxels(number)
    image = read_grid(history.folder.parents[3] / "case0.nii.gz")
    return int(read_labels(history.voxels_of(version), image).maps[0].max())


def written_while_it_runs(store: Store, write_it: Callable[[], object]) -> Store:
    store.get_labeled_images()
    write_it()
    return store


def written_before_a_start(store: Store, write_it: Callable[[], object]) -> Store:
    write_it()
    return opened(Path(store._datastore_path))


MOMENTS = [written_while_it_runs, written_before_a_start]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_newest_is_the_current_label(
    store: Store, finals: Path, tmp_path: Path, ending: str, moment: Any
) -> None:
    store.save("case0", drawn(tmp_path, 1), "final", {"label_names": {"liver": 1}})
    theirs = finals / f"case0{ending}"
    same_name = ending == ".nii"
    later = time.time() + HOUR
    store = moment(store, lambda: at(other_program(theirs, label(7)), later))
    assert store.get_labeled_images() == ["case0"]
    assert (shown(store) == label(7)).all()
    assert store.get_label_info("case0", "final")["version"] == 2
    assert kinds(store) == [(1, "saved", 0, False), (2, "found", 1, False)]
    history = store.history("case0", "final")
    assert [value_of(history, number) for number in (1, 2)] == [1, 7]
    current = [file.name for file in finals.iterdir() if file.name.lower().startswith("case0.")]
    assert len([name for name in current if not name.endswith(".zraw")]) == 1
    names = store.get_label_info("case0", "final")["names"]
    assert names == ({"7": "spleen"} if ending == ".seg.nrrd" else {})
    assert store.save("case0", drawn(tmp_path, 2), "final", {"expected_version": 2}).number == 3
    assert [value_of(history, number) for number in (1, 2, 3)] == [1, 7, 2]
    assert same_name or theirs.name != "case0.nii"


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_older_one_becomes_a_version_beside(
    store: Store, finals: Path, tmp_path: Path, moment: Any
) -> None:
    store.save("case0", drawn(tmp_path, 1), "final", {})
    earlier = time.time() - HOUR
    store = moment(store, lambda: at(other_program(finals / "case0.nii.gz", label(7)), earlier))
    assert store.get_labeled_images() == ["case0"]
    assert kinds(store) == [(1, "saved", 0, False), (2, "found", 1, True)]
    assert store.get_label_info("case0", "final")["version"] == 1
    assert (shown(store) == label(1)).all()
    assert value_of(store.history("case0", "final"), 2) == 7
    assert not (finals / "case0.nii.gz").exists()
    assert opened(Path(store._datastore_path)).get_label_info("case0", "final")["version"] == 1
    assert store.save("case0", drawn(tmp_path, 2), "final", {"expected_version": 1}).number == 3
    restored = store.restore("case0", "final", 2)
    assert (restored.number, restored.beside, restored.is_label) == (4, False, True)
    assert (shown(store) == label(7)).all()


def test_at_equal_times_the_one_that_came_later_is_current(
    store: Store, finals: Path, tmp_path: Path
) -> None:
    store.save("case0", drawn(tmp_path, 1), "final", {})
    ours = (finals / "case0.nii").stat()
    theirs = other_program(finals / "case0.nii.gz", label(7))
    os.utime(theirs, ns=(ours.st_mtime_ns, ours.st_mtime_ns))
    assert store.get_label_info("case0", "final")["version"] == 2
    assert (shown(store) == label(7)).all()


def test_several_at_once_are_all_kept(store: Store, finals: Path, tmp_path: Path) -> None:
    store.save("case0", drawn(tmp_path, 1), "final", {})
    for number, ending in enumerate((".mha", ".nii.gz", ".nrrd"), start=2):
        at(other_program(finals / f"case0{ending}", label(number)), time.time() + number)
    assert kinds(opened(finals.parents[1])) == [
        (1, "saved", 0, False),
        (2, "found", 1, True),
        (3, "found", 1, True),
        (4, "found", 1, False),
    ]
    history = store.history("case0", "final")
    assert [value_of(history, number) for number in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert (shown(store) == label(4)).all()


def test_two_by_hand_before_any_save(studies: Path, finals: Path, tmp_path: Path) -> None:
    at(other_program(finals / "case0.nii", label(3)), time.time() - HOUR)
    other_program(finals / "case0.nii.gz", label(4))
    store = opened(studies)
    assert (shown(store) == label(4)).all()
    store.save("case0", drawn(tmp_path, 5), "final", {})
    values = [value_of(store.history("case0", "final"), number) for number in (1, 2, 3)]
    assert values == [3, 4, 5]


def test_between_reading_and_saving_it_is_a_conflict(
    store: Store, finals: Path, tmp_path: Path
) -> None:
    read = store.save("case0", drawn(tmp_path, 1), "final", {}).number
    at(other_program(finals / "case0.nii.gz", label(7)), time.time() + HOUR)
    with pytest.raises(ConflictError, match="is kept as version 3"):
        store.save("case0", drawn(tmp_path, 2), "final", {"expected_version": read})
    assert (shown(store) == label(7)).all()
    assert [kind for _, kind, _, _ in kinds(store)] == ["saved", "found", "conflict"]


def test_changed_in_place_while_it_runs(store: Store, finals: Path, tmp_path: Path) -> None:
    store.save("case0", drawn(tmp_path, 1), "final", {"label_names": {"liver": 1}})
    store.get_label_info("case0", "final")
    with (finals / "case0.nii").open("r+b") as stream:  # the folder's time stays as it is
        stream.write(write(tmp_path / "other.nii", label(9)).read_bytes())
    at(finals / "case0.nii", time.time() + 5)
    info = store.get_label_info("case0", "final")
    assert (info["version"], info["kind"], info["names"]) == (2, "found", {})
    assert info["sha256"] == hashlib.sha256((finals / "case0.nii").read_bytes()).hexdigest()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mhd"])
@pytest.mark.parametrize("what", ["rubbish", "elsewhere", "half"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_no_label_is_kept_and_named(
    store: Store, finals: Path, tmp_path: Path, ending: str, what: str, moment: Any
) -> None:
    store.save("case0", drawn(tmp_path, 1), "final", {})
    theirs, moved = finals / f"case0{ending}", AFFINE.copy()
    moved[0, 3] += 40

    written: list[bytes] = []

    def write_it() -> None:
        other_program(theirs, label(7), moved if what == "elsewhere" else AFFINE)
        if what != "elsewhere":
            content = theirs.read_bytes()
            theirs.write_bytes(b"rubbish" if what == "rubbish" else content[: len(content) // 2])
        written.append(at(theirs, time.time() + HOUR).read_bytes())

    store = moment(store, write_it)
    store.get_labeled_images()
    assert (shown(store) == label(1)).all()
    assert [kind for _, kind, _, _ in kinds(store)] == ["saved"]
    (name,) = store.damage.listed()
    assert name.startswith(f"labels/final/case0{ending}")
    store.save("case0", drawn(tmp_path, 2), "final", {"expected_version": 1})
    (kept,) = (
        [file for file in finals.iterdir() if file.name.startswith(theirs.name)]
        if (ending != ".nii")
        else finals.glob("case0.nii.aside-*")
    )
    assert [kept.read_bytes()] == written
    assert (shown(store) == label(2)).all()


def test_what_is_no_label_is_not_listed_as_one(studies: Path, finals: Path) -> None:
    moved = AFFINE.copy()
    moved[2, 3] += 40
    other_program(finals / "case0.nii.gz", label(), moved)
    other_program(finals / "case1.nii.gz", label())
    (finals / "case2.nii.gz").write_bytes(b"rubbish")
    store = opened(studies)
    assert store.get_labeled_images() == ["case1"]
    listed = store.status()["damaged"]
    assert list(listed) == ["labels/final/case0.nii.gz", "labels/final/case2.nii.gz"]
    assert "does not lie on its image" in listed["labels/final/case0.nii.gz"]


def test_a_half_written_one_is_adopted_once_it_is_whole(
    store: Store, finals: Path, tmp_path: Path
) -> None:
    store.save("case0", drawn(tmp_path, 1), "final", {})
    whole = other_program(finals / "case0.nii.gz", label(7)).read_bytes()
    (finals / "case0.nii.gz").write_bytes(whole[:100])
    store.get_labeled_images()
    assert list(store.damage.listed()) == ["labels/final/case0.nii.gz"]
    with (finals / "case0.nii.gz").open("r+b") as stream:
        stream.write(whole)
    at(finals / "case0.nii.gz", time.time() + HOUR)
    assert store.get_label_info("case0", "final")["version"] == 2
    assert (shown(store) == label(7)).all()
    assert store.damage.listed() == {}


def test_a_removed_label_stays_removed_and_a_new_one_is_adopted(
    store: Store, finals: Path, tmp_path: Path
) -> None:
    store.save("case0", drawn(tmp_path, 1), "final", {})
    store.remove_label("case0", "final")
    assert opened(finals.parents[1]).get_labeled_images() == []
    other_program(finals / "case0.mha", label(7))
    assert store.get_labeled_images() == ["case0"]
    assert (shown(store) == label(7)).all()
    store.remove_label("case0", "final")
    assert store.get_labeled_images() == []
    assert value_of(store.history("case0", "final"), 3) == 7


def test_a_pair_of_files_becomes_one_and_the_pair_is_kept(
    store: Store, finals: Path, tmp_path: Path
) -> None:
    store.save("case0", drawn(tmp_path, 1), "final", {})
    pair = other_program(finals / "case0.mhd", label(7))
    contents = {path.read_bytes() for path in (pair, pair.with_suffix(".zraw"))}
    at(pair, time.time() + HOUR)
    store.get_labeled_images()
    kept = [path for path in (finals / ".found").rglob("*") if path.is_file()]
    assert {path.read_bytes() for path in kept} == contents
    assert sorted(path.name for path in kept) == ["case0.mhd", "case0.zraw"]
    assert Path(store.get_label_uri("case0", "final")).name == "case0.mha"


def test_a_file_that_comes_while_a_label_is_saved_is_not_lost(
    store: Store, finals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the store has looked for such files, and before it removes its own of other formats."""
    store.save("case0", drawn(tmp_path, 1, ".nii.gz"), "final", {})
    finish = LabelHistory.finish

    def at_once(history: LabelHistory, version: Any) -> None:
        if version.number == 2:
            other_program(finals / "case0.mha", label(7))
            other_program(finals / "case0.nii", label(8))
        finish(history, version)

    with monkeypatch.context() as patch:
        patch.setattr(LabelHistory, "finish", at_once)
        store.save("case0", drawn(tmp_path, 2), "final", {})
    (aside,) = finals.glob("case0.nii.aside-*")
    assert np.asarray(nibabel.Nifti1Image.from_bytes(aside.read_bytes()).dataobj).max() == 8
    history = store.history("case0", "final")
    assert [value_of(history, version.number) for version in history.all()] == [1, 2, 8]
    store.get_labeled_images()
    assert [value_of(history, version.number) for version in history.all()] == [1, 2, 8, 7]
    at(aside, time.time() - HOUR)  # a file without compression may have been unfinished
    store.refresh()
    assert list(finals.glob("*.aside-*")) == []
    assert store.damage.listed() == {}


def test_a_rotten_current_label_is_put_back(store: Store, finals: Path, tmp_path: Path) -> None:
    store.save("case0", drawn(tmp_path, 1, ".nii.gz"), "final", {})
    current = finals / "case0.nii.gz"
    rotten = bytearray(current.read_bytes())
    rotten[len(rotten) // 2] ^= 4
    current.write_bytes(rotten)
    at(current, time.time() - HOUR)
    store = opened(finals.parents[1])
    assert (shown(store) == label(1)).all()
    (aside,) = finals.glob("case0.nii.gz.aside-*")
    assert aside.read_bytes() == bytes(rotten)
    assert [kind for _, kind, _, _ in kinds(store)] == ["saved"]

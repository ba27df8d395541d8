"""Labels put there by hand: versions from the first reading on, in every format; or named (C10)."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segsam.imaging.label_files import read_labels
from segsam.imaging.volume import Volume
from segsam.imaging.writers import write_image
from segsam_app.check_files import check_studies
from segsam_app.errors import ConflictError
from segsam_app.storage import adoption
from segsam_app.storage.disk import sha256_of
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.store import Store
from segsam_app.storage.write_lock import WriteLock

from ...lib.imaging.test_label_segmentations import (
    apart,
    ct_slices,
    image_of,
    overlapping,
    segmentation,
)
from ..stored import AFFINE, SHAPE, label, make_studies, voxels_of, write

IMAGE = np.arange(1, 289).reshape(SHAPE).astype(np.uint16)
"""Voxels that are an image, also where a label should be."""


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = make_studies(tmp_path / "studies", 2)
    (folder / "labels" / "final").mkdir(parents=True)
    return folder


@pytest.fixture
def finals(studies: Path) -> Path:
    return studies / "labels" / "final"


def opened(studies: Path) -> Store:
    return Store(str(studies), on_image=lambda _: None)


def drawn(folder: Path, value: int = 2) -> Path:
    return write(folder / f"drawn{value}.nii.gz", label(value))


def values(store: Store, image: str = "case0") -> list[tuple[str, int]]:
    """Kind and greatest value of each version."""
    history = store.history(image, "final")
    return [(one.kind, int(voxels_of(history.voxels_of(one)).max())) for one in history.all()]


def content(store: Store, image: str = "case0") -> Any:
    found = store.current_label(image, "final")
    return None if found is None else found.content


def in_place(path: Path, voxels: NDArray[Any]) -> None:
    """Rewrite an uncompressed label as an editor does, and give it the time that it had."""
    before = path.stat()
    rewritten = write(path.parents[3] / "rewritten.nii", voxels).read_bytes()
    with path.open("r+b") as stream:
        stream.write(rewritten)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_ino) == (before.st_size, before.st_ino)


BEGAN = {0: "no label", 1: "version 1"}


class TestAVersionFromTheFirstReading:
    def test_it_is_one(self, studies: Path, finals: Path) -> None:
        file = write(finals / "case0.nii.gz", label(7))
        digest = sha256_of(file)
        store = opened(studies)
        info = store.get_label_info("case0", "final")
        assert (info["version"], info["kind"], info["sha256"]) == (1, "found", digest)
        assert content(store) == 1
        assert (sha256_of(file), values(store)) == (digest, [("found", 7)])

    def test_names_that_another_program_leaves_out_are_told(
        self, studies: Path, tmp_path: Path
    ) -> None:
        store, drawn = opened(studies), write(tmp_path / "drawn.nii", label(7))
        store.save("case0", drawn, "final", {"label_names": {"liver": 7}})
        in_place(studies / "labels" / "final" / "case0.nii", label(9))
        info = store.get_label_info("case0", "final")
        assert (info["version"], info["kind"], info["names"]) == (2, "found", {})
        assert info["names_note"].endswith("without names; those of version 1 were 7 'liver'")

    @pytest.mark.parametrize("expected", [1, 0])
    def test_a_rewrite_between_reading_and_saving_is_a_conflict(
        self, studies: Path, finals: Path, tmp_path: Path, expected: int
    ) -> None:
        """0 stands for no label: one has appeared since then."""
        file = write(finals / "case0.nii", label(7))
        store = opened(studies)
        if expected:
            assert content(store) == expected
        in_place(file, label(9))
        with pytest.raises(ConflictError, match=f"you began from {BEGAN[expected]}"):
            store.save("case0", drawn(tmp_path), "final", {"expected_version": expected})
        assert values(store) == [("found", 7), ("found", 9), ("conflict", 2)]
        assert content(store) == 2
        assert store.save("case0", drawn(tmp_path, 3), "final", {"expected_version": 2}).number == 4

    def test_a_restore_is_one_too(self, studies: Path, finals: Path) -> None:
        file = write(finals / "case0.nii", label(7))
        store = opened(studies)
        assert content(store) == 1
        in_place(file, label(9))
        with pytest.raises(ConflictError, match="is at version 2, not 1; nothing was changed"):
            store.restore("case0", "final", 1, expected=1)
        assert values(store) == [("found", 7), ("found", 9)]
        assert store.restore("case0", "final", 1, expected=2).number == 3

    def test_a_rewrite_with_the_same_time_and_size_is_noticed(
        self, studies: Path, tmp_path: Path
    ) -> None:
        store = opened(studies)
        store.save("case0", write(tmp_path / "a.nii", label(1)), "final", {})
        assert content(store) == 1
        in_place(studies / "labels" / "final" / "case0.nii", label(5))
        assert content(store) == 2
        assert values(store) == [("saved", 1), ("found", 5)]

    def test_what_is_read_is_the_version_that_is_named(self, studies: Path, tmp_path: Path) -> None:
        """An image over a label that was changed a moment ago may still become a label."""
        store = opened(studies)
        store.save("case0", drawn(tmp_path), "final", {})
        write(studies / "labels" / "final" / "case0.nii.gz", IMAGE)
        found = store.current_label("case0", "final")
        assert found is not None
        assert (found.content, found.name) == (1, "case0.nii.gz")
        assert voxels_of(found.file).max() == 2

    def test_new_labels_are_read_at_a_scan_only_as_long_as_it_may_take(
        self, studies: Path, finals: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adoption, "_SCAN_SECONDS", 0.0)
        monkeypatch.setattr(adoption, "_PAUSE_SECONDS", 0.3)
        for image in ("case0", "case1"):
            write(finals / f"{image}.nii.gz", label(7))
        store = opened(studies)
        assert store.get_labeled_images() == ["case0", "case1"]
        assert not (finals / ".versions").exists()
        assert content(store) == 1, "what is read is a version at once"
        assert store.history("case1", "final").all() == []
        monkeypatch.setattr(adoption, "_SCAN_SECONDS", 60.0)
        time.sleep(0.4)
        assert store.get_labeled_images() == ["case0", "case1"]
        assert values(store, "case1") == [("found", 7)]

    def test_a_full_disk(
        self, studies: Path, finals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is known by its content until there is room for a version."""

        def full(*_: Any) -> Any:
            raise OSError(errno.ENOSPC, "No space left on device")

        file = write(finals / "case0.nii", label(7))
        with monkeypatch.context() as patch:
            patch.setattr(LabelHistory, "record", full)
            store = opened(studies)
            began = content(store)
            assert began == f"sha256-{sha256_of(file)}"
            assert store.get_label_info("case0", "final")["version"] == 0
        kept = store.save("case0", drawn(tmp_path), "final", {"expected_version": began})
        assert kept.number == 2
        with pytest.raises(ConflictError, match="you began from another content"):
            store.save("case0", drawn(tmp_path, 4), "final", {"expected_version": began})
        assert values(store) == [("found", 7), ("saved", 2), ("conflict", 4)]


class TestAnImageIsNoLabel:
    @pytest.mark.parametrize("name", ["case0.nii.gz", "case0.nrrd", "case0.mha"])
    def test_it_is_refused_named_and_kept(self, studies: Path, finals: Path, name: str) -> None:
        write_image(finals / name, IMAGE, AFFINE)
        before = (finals / name).read_bytes()
        store = opened(studies)
        assert store.get_labeled_images() == []
        assert content(store) is None
        why = store.status()["damaged"][f"labels/final/{name}"]
        assert "got an image: its 288 values change from voxel to voxel" in why
        assert store.refused_labels("final")["case0"] == (finals / name, why)
        assert (finals / name).read_bytes() == before
        assert check_studies(studies).listed() == {f"labels/final/{name}": why}

    def test_beside_a_label(self, studies: Path, finals: Path, tmp_path: Path) -> None:
        store = opened(studies)
        store.save("case0", drawn(tmp_path), "final", {})
        write(finals / "case0.nii", IMAGE)
        assert content(store) == 1
        assert values(store) == [("saved", 2)]
        assert list(store.damage.listed()) == ["labels/final/case0.nii"]
        assert (finals / "case0.nii").is_file()

    def test_it_is_looked_at_again_when_its_image_changes(
        self, studies: Path, finals: Path
    ) -> None:
        write(finals / "case0.nii.gz", label(7, (8, 9, 5)))
        store = opened(studies)
        assert store.get_labeled_images() == []
        write(studies / "case0.nii.gz", np.zeros((8, 9, 5), np.int16))
        store.refresh()
        assert store.get_labeled_images() == ["case0"]
        assert store.damage.listed() == {}


class TestFormats:
    @pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"])
    @pytest.mark.parametrize("kind", [np.float32, np.float64])
    def test_whole_numbers_as_floating_point(
        self, studies: Path, finals: Path, tmp_path: Path, ending: str, kind: Any
    ) -> None:
        path = finals / f"case0{ending}"
        expected = label(3).astype(kind)
        expected[0, 0, 0] = 70_001
        if ending == ".mhd":
            write_image(path.with_suffix(".mha"), expected, AFFINE)
            head, data = path.with_suffix(".mha").read_bytes().split(b"LOCAL\n", 1)
            path.with_suffix(".mha").unlink()
            path.with_suffix(".zraw").write_bytes(data)
            path.write_bytes(head + b"case0.zraw\n")
        else:
            write_image(path, expected, AFFINE)
        store = opened(studies)
        assert shown(store, expected) == [("found", True)]
        stored = Path(store.get_label_uri("case0", "final"))
        sent = shutil.copy(stored, tmp_path / stored.name)
        assert store.save("case1", sent, "final", {"label_names": {"a": 3, "b": 70_001}}).number

    @pytest.mark.parametrize(("slope", "intercept"), [(2.0, 0.0), (0.5, 1.0), (3.0, -3.0)])
    def test_scaled(
        self, studies: Path, finals: Path, tmp_path: Path, slope: float, intercept: float
    ) -> None:
        stored = np.full(SHAPE, -intercept / slope).astype(np.int16)
        stored[2:4, 3:7], stored[4:6, 3:7] = 80, 40
        with_header = bytearray(nibabel.Nifti1Image(stored, AFFINE).to_bytes())
        with_header[112:120] = np.array([slope, intercept], "<f4").tobytes()
        plain = finals / "case0.nii"
        plain.write_bytes(with_header)
        expected = np.asarray(nibabel.load(plain).dataobj)
        found = [0, 40 * slope + intercept, 80 * slope + intercept]
        assert np.unique(expected).tolist() == found
        store = opened(studies)
        assert shown(store, expected) == [("found", True)]
        store.save("case1", shutil.copy(plain, tmp_path / "sent.nii"), "final", {})

    def test_many_scaled_values_are_told_from_an_image(self, studies: Path, finals: Path) -> None:
        regions = np.repeat(np.arange(24, dtype=np.int16).reshape(4, 3, 2), 2, axis=0)
        regions = regions.repeat(3, axis=1).repeat(2, axis=2)
        for image, stored in (("case0", regions), ("case1", IMAGE.astype(np.int16))):
            content = bytearray(nibabel.Nifti1Image(stored, AFFINE).to_bytes())
            content[112:120] = np.array([2, 0], "<f4").tobytes()
            (finals / f"{image}.nii").write_bytes(content)
        store = opened(studies)
        assert store.get_labeled_images() == ["case0"]
        assert shown(store, regions * 2) == [("found", True)]

    @pytest.mark.parametrize("name", ["flat.png", "flat.PNG", "flat.bmp", "flat.tif"])
    @pytest.mark.parametrize("mode", ["grey", "palette", "marked as rotated"])
    def test_a_picture_on_a_picture(
        self, studies: Path, finals: Path, tmp_path: Path, name: str, mode: str
    ) -> None:
        Image.fromarray(np.arange(63, dtype=np.uint8).reshape(7, 9)).save(studies / "flat.png")
        plane = np.zeros((7, 9), np.uint8)
        plane[1:4, 2:8], plane[5, 1] = 1, 2
        picture = Image.fromarray(plane)
        if mode == "palette":
            picture.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
        is_turned = mode == "marked as rotated" and name.endswith(".tif")
        picture.save(finals / name, **({"tiffinfo": {274: 6}} if is_turned else {}))
        before = (finals / name).read_bytes()
        store = opened(studies)
        assert store.get_labeled_images() == ["flat"]
        found = store.current_label("flat", "final")
        assert found is not None
        assert (found.content, found.name) == (1, "flat.nii.gz")
        np.testing.assert_array_equal(voxels_of(found.file)[:, :, 0], plane.T)
        kept = [path for path in (finals / ".found").rglob("*") if path.is_file()]
        assert [(path.name, path.read_bytes()) for path in kept] == [(name, before)]
        sent = tmp_path / name
        picture.save(sent)
        assert store.save("flat", sent, "final", {"label_names": {"a": 1, "b": 2}}).number == 2
        saved = store.current_label("flat", "final")
        assert saved is not None
        np.testing.assert_array_equal(voxels_of(saved.file)[:, :, 0], plane.T)

    def test_a_dicom_segmentation(self, studies: Path, finals: Path, tmp_path: Path) -> None:
        slices = ct_slices()
        image = image_of(slices, tmp_path / "ct").reoriented("RSP")
        image.save(studies / "ct.nii.gz")
        segmentation(slices, apart(), finals / "ct.dcm")
        store = opened(studies)
        info = store.get_label_info("ct", "final")
        assert (info["version"], info["kind"]) == (1, "found")
        assert info["names"] == {"2": "liver", "5": "lesion of liver"}
        file = Path(store.get_label_uri("ct", "final"))
        assert file.name == "ct.seg.nrrd"
        expected = read_labels(segmentation(slices, apart(), tmp_path / "a.dcm"), image)
        read = read_labels(file, image)
        np.testing.assert_array_equal(read.as_one_map(), expected.as_one_map())
        assert (read.names, int(np.count_nonzero(read.as_one_map()))) == (expected.names, 28)
        saved = store.save("ct", tmp_path / "a.dcm", "final", {})
        assert (saved.number, saved.names) == (2, info["names"])

    def test_segments_without_a_voxel_keep_their_names(
        self, studies: Path, finals: Path, tmp_path: Path
    ) -> None:
        slices = ct_slices()
        image_of(slices, tmp_path / "ct").save(studies / "ct.nii.gz")
        drawn = apart()
        drawn[2] = np.zeros_like(drawn[2])
        store = opened(studies)
        saved = store.save("ct", segmentation(slices, drawn, tmp_path / "a.dcm"), "final", {})
        assert saved.ending == ".seg.nrrd"
        names = read_labels(
            Path(store.get_label_uri("ct", "final")), Volume.load(studies / "ct.nii.gz")
        ).names
        assert names == {2: "liver", 5: "lesion of liver"}

    def test_one_of_a_series(self, studies: Path, finals: Path, tmp_path: Path) -> None:
        slices = ct_slices()
        image_of(slices, studies / "series")
        store = opened(studies)
        (image,) = [name for name in store.list_images() if name.startswith("series-")]
        segmentation(slices, apart(), finals / f"{image}.dcm")
        assert store.get_labeled_images() == [image]
        info = store.get_label_info(image, "final")
        assert (info["version"], info.get("source_note")) == (1, None)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"PatientID": "another"}, "another patient (Patient ID)"),
            ({"FrameOfReferenceUID": "1.2.9"}, "another frame of reference"),
            ({"PatientID": "another", "SeriesInstanceUID": "1.2.8"}, "(Patient ID) and another s"),
        ],
    )
    def test_one_that_was_made_on_another_image(
        self,
        studies: Path,
        finals: Path,
        tmp_path: Path,
        change: dict[str, str],
        words: str,
    ) -> None:
        """Cropped or anonymised series lie on one grid by chance: it is saved, and said."""
        slices = ct_slices()
        image_of(slices, studies / "series")
        for each in slices:
            each.update(change)
        store = opened(studies)
        (image,) = [name for name in store.list_images() if name.startswith("series-")]
        file = segmentation(slices, apart(), tmp_path / "of_another.dcm")
        saved = store.save(image, file, "final", {"source_note": "a client's own"})
        assert words in saved.info["source_note"]


def shown(store: Store, expected: NDArray[Any]) -> list[tuple[str, bool]]:
    """Kind of each version, and whether it holds the expected voxels."""
    history = store.history("case0", "final")
    image = Volume.load(store.get_image_uri("case0"))
    return [
        (
            one.kind,
            bool((read_labels(history.voxels_of(one), image).as_one_map() == expected).all()),
        )
        for one in history.all()
    ]


def jpeg(finals: Path, _: Path) -> Path:
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(finals / "case0.jpg")
    return finals / "case0.jpg"


def array(finals: Path, _: Path) -> Path:
    np.save(finals / "case0.npy", label())
    return finals / "case0.npy"


def picture(finals: Path, _: Path) -> Path:
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(finals / "case0.png")
    return finals / "case0.png"


def overlap(finals: Path, elsewhere: Path) -> Path:
    slices = ct_slices()
    image_of(slices, elsewhere / "ct").save(finals.parents[1] / "case0.nii.gz")
    return segmentation(slices, overlapping(), finals / "case0.dcm")


def link(finals: Path, elsewhere: Path) -> Path:
    (finals / "case0.nii.gz").symlink_to(write(elsewhere / "a.nii.gz", label()))
    return finals / "case0.nii.gz"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (jpeg, "its compression changes values"),
        (array, r"expected a label in a file that ends in \.nii\.gz, "),
        (picture, "the label has 8x9x1 voxels and its image 8x9x4"),
        (overlap, r"segments that overlap in 4 voxels; a \.seg\.nrrd keeps them"),
        (link, "a link; expected the file itself"),
    ],
)
def test_what_cannot_be_adopted_is_named(
    studies: Path, finals: Path, tmp_path: Path, make: Callable[[Path, Path], Path], words: str
) -> None:
    file = make(finals, tmp_path)
    before = file.read_bytes()
    store = opened(studies)
    assert store.get_labeled_images() == []
    name = f"labels/final/{file.name}"
    assert list(store.status()["damaged"]) == [name]
    for why in (store.damage.listed()[name], check_studies(studies).listed()[name]):
        assert re.search(words, why), why
    assert list(store.refused_labels("final")) == ["case0"]
    assert file.read_bytes() == before
    file.unlink()
    store.get_labeled_images()
    assert store.damage.listed() == {}


def test_a_label_without_an_image_is_named(studies: Path, finals: Path) -> None:
    write(finals / "case0_seg.nii.gz", label())
    (finals / "notes.txt").write_text("seen")
    store = opened(studies)
    left_out = store.status()["left_out"]
    assert left_out == {
        "labels/final/case0_seg.nii.gz": "a label, but there is no image 'case0_seg'"
    }
    assert store.damage.listed() == {}
    (finals / "case0_seg.nii.gz").rename(finals / "case0.nii.gz")
    assert store.get_labeled_images() == ["case0"]
    assert "left_out" not in store.status()


class TestAFolderThatCanOnlyBeRead:
    @pytest.fixture
    def read_only(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Store]:
        def reopened(studies: Path) -> Store:
            monkeypatch.setattr(WriteLock, "is_possible", property(lambda _: False))
            return opened(studies)

        return reopened

    def files(self, studies: Path) -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in studies.rglob("*")
            if path.is_file() and ".segsam" not in path.parts
        }

    def test_labels_are_known_by_their_content(
        self, studies: Path, finals: Path, tmp_path: Path, read_only: Callable[[Path], Store]
    ) -> None:
        opened(studies).save("case1", write(tmp_path / "a.nii", label(1)), "final", {})
        file = write(finals / "case0.nii", label(7))
        before = self.files(studies)
        store = read_only(studies)
        assert store.get_labeled_images() == ["case0", "case1"]
        assert content(store) == f"sha256-{sha256_of(file)}"
        assert content(store, "case1") == 1
        assert self.files(studies) == before
        in_place(file, label(8))
        assert content(store) == f"sha256-{sha256_of(file)}"
        in_place(finals / "case1.nii", label(8))
        assert content(store, "case1") == f"sha256-{sha256_of(finals / 'case1.nii')}"

    def test_what_is_no_label_is_named(
        self, studies: Path, finals: Path, tmp_path: Path, read_only: Callable[[Path], Store]
    ) -> None:
        opened(studies).save("case1", drawn(tmp_path), "final", {})
        write(finals / "case0.nii.gz", IMAGE)
        write(finals / "case1.nii.gz", IMAGE)
        Image.fromarray(np.zeros((9, 8), np.uint8)).save(finals / "case0.png")
        before = self.files(studies)
        store = read_only(studies)
        assert store.get_labeled_images() == ["case1"]
        found = store.current_label("case1", "final")
        assert found is not None
        assert found.content == 1, "the label that was saved"
        assert voxels_of(found.file).max() == 2
        named = store.damage.listed()
        assert "got an image" in named["labels/final/case0.nii.gz"]
        assert "can only be read; expected .nii.gz" in named["labels/final/case0.png"]
        assert self.files(studies) == before

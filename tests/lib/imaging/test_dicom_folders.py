"""DICOM folders with damaged slices, segmentations, studies and the parts of a concatenation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.dicom_writing import (
    SHAPE_KJI,
    stored_values,
    values,
    write_concatenation,
    write_file,
    write_series,
)

from segsam import Volume
from segsam.errors import VolumeError
from segsam.imaging.folder_images import images_in

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def last_slice(folder: Path) -> Path:
    """The file at the end of the series."""
    return max(
        folder.iterdir(), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2])
    )


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def in_its_preamble(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def in_its_meta(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:136])


def in_its_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:400])


def before_its_columns(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\x28\x00\x11\x00US")])


DAMAGES = [emptied, in_its_preamble, in_its_meta, in_its_header, before_its_columns]


class TestDamagedSlices:
    @pytest.mark.parametrize("names", ["IM{:03d}.dcm", "IM{:03d}", "1.2.840.{}"])
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_the_last_slice(
        self, tmp_path: Path, damage: Callable[[Path], None], names: str
    ) -> None:
        write_series(tmp_path, names=names)
        path = last_slice(tmp_path)
        damage(path)
        with pytest.raises(VolumeError, match=f"damaged or incomplete ones: {path.name}"):
            Volume.load(tmp_path)
        volume = Volume.load(next(one for one in sorted(tmp_path.iterdir()) if one != path))
        assert np.array_equal(volume.voxels, values(count=SHAPE_KJI[0] - 1))
        assert f"{path.name}: damaged or incomplete, left out" in " ".join(volume.notes)
        _, left_out = images_in(tmp_path)
        assert [str(one) for one in left_out if one.may_be_image] == [
            f"{path.name}: damaged or incomplete DICOM"
        ]

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_the_damaged_file_itself(self, tmp_path: Path, damage: Callable[[Path], None]) -> None:
        path = write_series(tmp_path)[0]
        damage(path)
        with pytest.raises(VolumeError, match=path.name):
            Volume.load(path)

    def test_litter_of_no_bytes_is_no_slice(self, tmp_path: Path) -> None:
        write_series(tmp_path)
        for name in ("LOCKFILE", "notes1.txt", ".hidden.dcm", "DICOMDIR", "x2.raw"):
            (tmp_path / name).write_bytes(b"")
        volume = Volume.load(tmp_path)
        assert np.array_equal(volume.voxels, values())
        assert volume.notes == ()


class TestSegmentations:
    def write(self, folder: Path) -> Path:
        return write_file(
            folder / "seg.dcm", stored_values()[0], SOPClassUID=SEGMENTATION, Modality="SEG",
            SeriesInstanceUID="1.2.3.9", ImagePositionPatient=[-10, 20, 30],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        )  # fmt: skip

    def test_is_no_image(self, tmp_path: Path) -> None:
        path = self.write(tmp_path)
        with pytest.raises(VolumeError, match=r"got seg\.dcm, a DICOM segmentation, which holds"):
            Volume.load(path)
        with pytest.raises(VolumeError, match=r"got labels \(DICOM segmentation\): seg\.dcm"):
            Volume.load(tmp_path)

    def test_beside_its_image(self, tmp_path: Path) -> None:
        write_series(tmp_path)
        self.write(tmp_path)
        volume = Volume.load(tmp_path)
        assert np.array_equal(volume.voxels, values())
        assert volume.notes == ("seg.dcm: labels (DICOM segmentation), left out of the image.",)


class TestStudies:
    def test_subfolders_are_named(self, tmp_path: Path) -> None:
        write_series(tmp_path / "S1")
        write_series(tmp_path / "S2" / "deeper")
        (tmp_path / "notes").mkdir()
        with pytest.raises(VolumeError, match=r"subfolders hold DICOM files: S1, S2\. Give"):
            Volume.load(tmp_path)


class TestConcatenations:
    def test_all_parts(self, tmp_path: Path) -> None:
        parts = write_concatenation(tmp_path)
        for source in (tmp_path, *parts):
            volume = Volume.load(source)
            assert np.array_equal(volume.voxels, values())
            assert volume.notes == ()

    @pytest.mark.parametrize("kept", [0, 1])
    def test_a_part_alone(self, tmp_path: Path, kept: int) -> None:
        parts = write_concatenation(tmp_path)
        parts[1 - kept].unlink()
        for source in (tmp_path, parts[kept]):
            with pytest.raises(VolumeError, match=f"parts 1 to 2 in one folder, got {kept + 1}"):
                Volume.load(source)

    def test_an_unknown_number_of_parts(self, tmp_path: Path) -> None:
        write_concatenation(tmp_path, total=None)[1].unlink()
        volume = Volume.load(tmp_path)
        assert volume.shape_ijk[2] == 3
        assert "does not say how many parts" in " ".join(volume.notes)

    def test_are_listed_as_one_image(self, tmp_path: Path) -> None:
        write_concatenation(tmp_path)
        ((image,), left_out) = images_in(tmp_path)
        assert (image.stem, image.path, left_out) == ("", tmp_path, [])
        assert image.names == ("part1.dcm", "part2.dcm")

    def test_two_of_one_series_are_two_images(self, tmp_path: Path) -> None:
        write_concatenation(tmp_path)
        write_concatenation(tmp_path, seed=1, uid="1.2.8", name="late{}.dcm")
        images, left_out = images_in(tmp_path)
        assert [image.stem for image in images] == ["late1", "part1"]
        assert left_out == []
        for image, seed in zip(images, (1, 0), strict=True):
            assert np.array_equal(Volume.load(image.path).voxels, values(seed))

    def test_a_missing_part_is_named(self, tmp_path: Path) -> None:
        write_concatenation(tmp_path)[0].unlink()
        images, left_out = images_in(tmp_path)
        assert images == []
        assert [str(one) for one in left_out] == [
            "part2.dcm: a part of a concatenation: expected its parts 1 to 2 in one folder, got 2"
        ]

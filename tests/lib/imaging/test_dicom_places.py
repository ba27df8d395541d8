"""Places of DICOM frames that follow from one position, rounded positions, and float pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat
from tests.dicom_writing import stored_values, write_file

from segsam import Volume
from segsam.errors import VolumeError
from segsam.imaging.folder_images import images_in

DOSE, NUCLEAR = "1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.20"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7.2"
PLACE = [-10.0, 20.0, 30.0]
AXIAL = [1.0, 0, 0, 0, 1, 0]
STORED = stored_values()
"""Stored values (6, 14, 16)."""


def written(folder: Path, **elements: Any) -> Path:
    facts = {
        "NumberOfFrames": 6, "RescaleIntercept": None, "RescaleSlope": None,
        "ImagePositionPatient": PLACE, "ImageOrientationPatient": AXIAL, "SliceThickness": None,
        **elements,
    }  # fmt: skip
    return write_file(folder / "x.dcm", STORED, **facts)


def dose(folder: Path, offsets: Sequence[float], axes: Sequence[float] = AXIAL) -> Path:
    return written(
        folder, SOPClassUID=DOSE, Modality="RTDOSE", GridFrameOffsetVector=list(offsets),
        ImageOrientationPatient=list(axes), DoseGridScaling=0.5,
    )  # fmt: skip


def tomography(folder: Path, spacing: float, numbers: Sequence[int], **elements: Any) -> Path:
    detector = Dataset()
    detector.ImagePositionPatient, detector.ImageOrientationPatient = PLACE, AXIAL
    facts = {
        "SOPClassUID": NUCLEAR, "Modality": "NM", "DetectorInformationSequence": [detector],
        "SliceVector": list(numbers), "SpacingBetweenSlices": spacing,
        "FrameIncrementPointer": 0x00540080, "ImagePositionPatient": None,
        "ImageOrientationPatient": None, **elements,
    }  # fmt: skip
    return written(folder, **facts)


def check(path: Path, values: NDArray[Any], places: NDArray[np.float64]) -> None:
    """Compare the volume, and each frame alone, with planes (k, j, i) at places in LPS (k, 3)."""
    volume = Volume.load(path)
    assert volume.notes == ()
    flat = np.array([-1.0, -1, 1])
    for number, (plane, place) in enumerate(zip(values, places, strict=True), start=1):
        k = round(float(volume.to_ijk([place * flat])[0][2]))
        np.testing.assert_allclose(volume.to_ras([[0, 0, k]])[0], place * flat, atol=1e-6)
        assert np.array_equal(volume.voxels[:, :, k], plane.T)
        alone = Volume.load(path, frame=number)
        np.testing.assert_allclose(alone.to_ras([[0, 0, 0]])[0], place * flat, atol=1e-6)
        assert alone.spacing_mm == pytest.approx(volume.spacing_mm)
        assert np.array_equal(alone.voxels[:, :, 0], plane.T)


class TestDose:
    @pytest.mark.parametrize("axes", [AXIAL, [-1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]])
    @pytest.mark.parametrize("step", [2.5, -2.5])
    def test_offsets(self, tmp_path: Path, axes: list[float], step: float) -> None:
        offsets = step * np.arange(6)
        normal = np.cross(axes[:3], axes[3:])
        check(dose(tmp_path, offsets, axes), STORED * 0.5, PLACE + offsets[:, None] * normal)

    def test_coordinates(self, tmp_path: Path) -> None:
        offsets = 2.5 * np.arange(6)
        places = PLACE + offsets[:, None] * np.array([0, 0, 1.0])
        check(dose(tmp_path, 30 + offsets), STORED * 0.5, places)

    @pytest.mark.parametrize("offsets", [[0, 2.5], [99, 101, 103, 105, 107, 109]])
    def test_an_offset_vector_that_does_not_fit(self, tmp_path: Path, offsets: list[float]) -> None:
        with pytest.raises(VolumeError, match="a grid frame offset vector that begins with 0"):
            Volume.load(dose(tmp_path, offsets))

    def test_damaged_offsets_are_a_sentence_in_a_list(self, tmp_path: Path) -> None:
        path = dose(tmp_path, [0, 2.5, 5, 7.5, 10, 12.5])
        path.write_bytes(path.read_bytes().replace(b"7.5\\10", b"7x5\\10"))
        found, left_out = images_in(tmp_path)
        assert found == []
        assert "got damaged ones" in left_out[0].reason

    def test_uneven_offsets(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeError, match="unevenly spaced"):
            Volume.load(dose(tmp_path, [0, 2.5, 5, 8, 10, 12.5]))


class TestNuclearTomography:
    @pytest.mark.parametrize("spacing", [2.5, -2.5])
    @pytest.mark.parametrize("numbers", [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]])
    def test_slices(self, tmp_path: Path, spacing: float, numbers: list[int]) -> None:
        along = (np.array(numbers) - 1)[:, None] * np.array([0, 0, spacing])
        check(tomography(tmp_path, spacing, numbers), STORED, PLACE + along)

    def test_gated_frames_are_no_volume(self, tmp_path: Path) -> None:
        path = tomography(tmp_path, 2.5, [1, 2, 3, 1, 2, 3])
        with pytest.raises(VolumeError, match="a slice vector that names each slice once"):
            Volume.load(path)


def test_one_position_for_many_frames(tmp_path: Path) -> None:
    path = written(tmp_path, SOPClassUID=CAPTURE, Modality="OT")
    with pytest.raises(VolumeError, match="6 frames but gives one position for all of them"):
        Volume.load(path)
    notes = Volume.load(path, frame=4).notes
    assert "one position for all of its 6 frames; frame 4 was placed there" in " ".join(notes)


class TestFloatPixels:
    @pytest.mark.parametrize("kind", [np.float32, np.float64])
    @pytest.mark.parametrize("bits", [{}, {"BitsStored": None, "HighBit": None}])
    @pytest.mark.parametrize("slope", [None, 1])
    def test_every_bit(self, tmp_path: Path, kind: Any, bits: Any, slope: Any) -> None:
        pixels = np.random.default_rng(1).normal(size=(1, 4, 5)).astype(kind)
        size = 8 * pixels.itemsize
        keyword = "FloatPixelData" if size == 32 else "DoubleFloatPixelData"
        facts: dict[str, Any] = {
            "BitsAllocated": size, "BitsStored": size, "HighBit": size - 1,
            "PixelRepresentation": None, "PixelData": None, keyword: pixels.tobytes(),
            "RescaleSlope": slope, "RescaleIntercept": None, **bits,
        }  # fmt: skip
        volume = Volume.load(write_file(tmp_path / "x.dcm", pixels, **facts))
        assert volume.voxels.dtype == kind
        assert np.array_equal(volume.voxels, pixels.transpose(2, 1, 0))


class TestRoundedPositions:
    def write(
        self,
        folder: Path,
        step: float,
        decimals: int,
        leave_out: Sequence[int] = (),
        count: int = 12,
    ) -> None:
        for k in range(count):
            if k not in leave_out:
                place = [DSfloat(f"{z:.{decimals}f}") for z in (-10, 20, 30 + step * k)]
                write_file(
                    folder / f"{k:03d}.dcm", STORED[k % 6], ImagePositionPatient=place,
                    ImageOrientationPatient=AXIAL,
                )  # fmt: skip

    @pytest.mark.parametrize(
        ("step", "decimals"), [(1 / 3, 2), (0.625, 1), (0.75, 1), (1.25, 1), (0.4464, 2)]
    )
    @pytest.mark.parametrize("count", [4, 40])
    def test_an_even_line_is_found(
        self, tmp_path: Path, step: float, decimals: int, count: int
    ) -> None:
        self.write(tmp_path, step, decimals, count=count)
        volume = Volume.load(tmp_path)
        half = 0.5 * 10.0**-decimals
        assert volume.spacing_mm[2] == pytest.approx(step, abs=2 * half / (count - 1))
        for k in range(count):
            place = volume.to_ras([[0, 0, k]])[0]
            np.testing.assert_allclose(place, [10, -20, 30 + step * k], atol=2 * half)
            assert np.array_equal(volume.voxels[:, :, k], STORED[k % 6].T - 1024)

    @pytest.mark.parametrize("gap", [1, 5, 10])
    @pytest.mark.parametrize(("step", "decimals"), [(1 / 3, 2), (0.625, 1), (0.75, 1), (2.0, 0)])
    @pytest.mark.parametrize("count", [12, 40])
    def test_a_missing_slice_is_refused(
        self, tmp_path: Path, gap: int, step: float, decimals: int, count: int
    ) -> None:
        self.write(tmp_path, step, decimals, leave_out=[gap], count=count)
        with pytest.raises(VolumeError, match=r"missing|unevenly") as refused:
            Volume.load(tmp_path)
        assert " 0 slice(s)" not in str(refused.value)

    def test_decimals_do_not_hide_a_jump(self, tmp_path: Path) -> None:
        """0.2 mm are no rounding of one decimal; whole millimetres hide too much."""
        for k, z in enumerate((30, 31.0, 32.2, 33.0)):
            place = [-10, 20, DSfloat(f"{z:.1f}")]
            write_file(
                tmp_path / f"{k}.dcm", STORED[k], ImagePositionPatient=place,
                ImageOrientationPatient=AXIAL,
            )  # fmt: skip
        with pytest.raises(VolumeError, match="unevenly spaced"):
            Volume.load(tmp_path)

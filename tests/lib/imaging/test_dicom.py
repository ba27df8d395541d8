"""DICOM series: read if the slices form a grid, otherwise refused with the measured values."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from segsam.errors import VolumeError, VolumeTooLargeError
from segsam.imaging.folder_images import images_in
from segsam.imaging.slices import choose_axis
from segsam.imaging.volume import Volume

REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
CT_STORAGE, ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"
STEP = np.array([0.0, 0.0, 2.5])
VALUES = np.random.default_rng(0).integers(0, 1000, (5, 6, 4)).astype(np.int16)  # k, j, i
ROW_COLUMN = [1.0, 0, 0, 0, 1, 0]


def dataset(sop_class: str, pixels: Any, series: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.is_little_endian, made.is_implicit_VR = True, False
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.SeriesInstanceUID, made.StudyInstanceUID = series, "1.2.3"
    made.Modality, made.SeriesDescription = "CT", "abdomen"
    made.Rows, made.Columns = pixels.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 1
    made.PixelData = np.ascontiguousarray(pixels).tobytes()
    return made


def write_slice(folder: Path, number: int, **changes: Any) -> Path:
    """Slice `number` of the standard series; a change of None leaves the attribute out."""
    pixels = VALUES[number % len(VALUES)]
    made = dataset(CT_STORAGE, pixels, changes.pop("series", "1.2.3.4"))
    facts = {
        "ImagePositionPatient": (np.array([-10.0, 20, 30]) + number * STEP).tolist(),
        "ImageOrientationPatient": ROW_COLUMN,
        "PixelSpacing": [0.75, 0.5],
        "SliceThickness": 2.5,
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        **changes,
    }
    for key, value in facts.items():
        if value is not None:
            setattr(made, key, value)
    # Names out of order, so that only the positions can sort them.
    path = folder / f"{(number * 7) % 10}_{len(list(folder.iterdir()))}.dcm"
    made.save_as(path, write_like_original=False)
    return path


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., Path]:
    def write(*numbers: int, change: Callable[[int], dict[str, Any]] = lambda n: {}) -> Path:
        folder = tmp_path / "series"
        folder.mkdir(exist_ok=True)
        for number in numbers or range(5):
            write_slice(folder, number, **change(number))
        return folder

    return write


class TestReading:
    def test_voxels_geometry_and_modality(self, series: Callable[..., Path]) -> None:
        volume = Volume.load(series())
        assert np.array_equal(volume.voxels, VALUES.transpose(2, 1, 0) - 1024)
        assert volume.modality == "CT"
        assert volume.name == "series"
        assert volume.notes == ()
        lps = [[0.5, 0, 0, -10], [0, 0.75, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]]
        np.testing.assert_allclose(volume.affine_ras, np.diag([-1, -1, 1, 1]) @ lps)

    @pytest.mark.parametrize("spacing", [0.625, 0.75, 2.5])
    def test_slices_are_the_planes_that_were_acquired(
        self, series: Callable[..., Path], spacing: float
    ) -> None:
        """Sagittal planes here: neither the spacing nor the anatomy says so."""

        def sagittal(number: int) -> dict[str, Any]:
            return {
                "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
                "ImagePositionPatient": [number * spacing, 0, 0],
                "PixelSpacing": [0.75, 0.75],
            }

        volume = Volume.load(series(change=sagittal))
        assert volume.spacing_mm == pytest.approx((0.75, 0.75, spacing))
        assert choose_axis(volume, "auto") == volume.slice_axis == 2
        assert choose_axis(volume.reoriented("RAS"), "auto") == 0

    def test_one_file_selects_its_series(self, series: Callable[..., Path]) -> None:
        folder = series()
        path = sorted(folder.iterdir())[2]
        write_slice(folder, 3, series="1.2.3.99")
        assert np.array_equal(Volume.load(path).voxels, VALUES.transpose(2, 1, 0) - 1024)

    def test_files_without_an_ending(self, series: Callable[..., Path]) -> None:
        folder = series()
        for path in list(folder.iterdir()):
            path.rename(path.with_suffix(""))
        (folder / "notes.txt").write_text("not an image")
        assert Volume.load(folder).shape_ijk == (4, 6, 5)
        assert Volume.load(next(p for p in folder.iterdir() if not p.suffix)).shape_ijk == (4, 6, 5)

    def test_oblique_series_agree_with_simpleitk(
        self, series: Callable[..., Path], rotation: Any
    ) -> None:
        turn = rotation([1, 2, 3], 33)

        def rotated(number: int) -> dict[str, Any]:
            return {
                "ImagePositionPatient": (turn[:, 2] * 2.5 * number + [1, 2, 3]).tolist(),
                "ImageOrientationPatient": [*turn[:, 0], *turn[:, 1]],
            }

        folder = series(change=rotated)
        volume = Volume.load(folder)
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
        image = sitk.ReadImage(names)
        assert np.array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), volume.voxels)
        point = np.array(image.TransformIndexToPhysicalPoint([3, 5, 4])) * [-1, -1, 1]
        np.testing.assert_allclose(volume.to_ras([[3, 5, 4]])[0], point, atol=1e-6)

    def test_fractional_rescale_differs_by_slice(self, series: Callable[..., Path]) -> None:
        folder = series(change=lambda n: {"RescaleSlope": 0.5 + n, "RescaleIntercept": 0})
        volume = Volume.load(folder)
        expected = VALUES * (0.5 + np.arange(5))[:, None, None]
        assert volume.voxels.dtype == np.float32
        np.testing.assert_allclose(volume.voxels, expected.transpose(2, 1, 0))

    def test_a_fraction_in_a_later_slice_is_not_cut_off(self, series: Callable[..., Path]) -> None:
        folder = series(change=lambda n: {"RescaleSlope": 1.5 if n == 4 else 1})
        volume = Volume.load(folder)
        np.testing.assert_allclose(volume.voxels[:, :, 4], VALUES[4].T * 1.5 - 1024)
        np.testing.assert_allclose(volume.voxels[:, :, 0], VALUES[0].T - 1024)

    def test_rounded_positions_are_even_enough(self, series: Callable[..., Path]) -> None:
        folder = series(
            change=lambda n: {
                "ImagePositionPatient": [0, 0, round(n * 0.6249 + 0.001 * (n % 2), 3)]
            }
        )
        assert Volume.load(folder).spacing_mm[2] == pytest.approx(0.625, abs=0.002)

    def test_a_single_slice(self, series: Callable[..., Path]) -> None:
        volume = Volume.load(series(2))
        assert volume.shape_ijk == (4, 6, 1)
        np.testing.assert_allclose(volume.spacing_mm, (0.5, 0.75, 2.5))
        assert volume.to_ras([[0, 0, 0]])[0].tolist() == [10, -20, 35]

    @pytest.mark.parametrize("thickness", [None, 0])
    def test_a_slice_without_thickness(
        self, series: Callable[..., Path], thickness: float | None
    ) -> None:
        volume = Volume.load(series(2, change=lambda n: {"SliceThickness": thickness}))
        assert volume.spacing_mm[2] == 1
        assert [note for note in volume.notes if "no slice thickness; 1 mm was assumed" in note]
        assert len(volume.notes) == 1

    @pytest.mark.parametrize(
        ("key", "kind"), [("PatientID", "patients"), ("FrameOfReferenceUID", "frames of reference")]
    )
    def test_slices_of_two_patients(self, series: Callable[..., Path], key: str, kind: str) -> None:
        volume = Volume.load(series(change=lambda n: {key: "1.2.1" if n < 3 else "1.2.2"}))
        assert len(volume.notes) == 1
        assert f"name 2 {kind}" in volume.notes[0]

    def test_a_projection_without_position_is_read_with_notes(
        self, series: Callable[..., Path]
    ) -> None:
        nothing = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "Modality": "CR"}
        folder = series(
            0,
            change=lambda n: {
                **nothing,
                "PixelSpacing": None,
                "PhotometricInterpretation": "MONOCHROME1",
            },
        )
        volume = Volume.load(folder)
        assert volume.modality == "CR"
        notes = " ".join(volume.notes)
        assert "no position or no orientation in the patient" in notes
        assert "no pixel spacing; 1 mm was assumed" in notes
        assert "MONOCHROME1" in notes

    @pytest.mark.parametrize("ratio", [(2, 1), (5, 4), (1, 1), (0, 1), (1,), None])
    def test_an_aspect_ratio_without_spacing(
        self, series: Callable[..., Path], ratio: tuple[int, ...] | None
    ) -> None:
        """PS3.3, 10.7.1.3: vertical by horizontal size of a pixel."""
        change = {"PixelSpacing": None, "PixelAspectRatio": ratio and list(ratio)}
        volume = Volume.load(series(0, change=lambda n: change))
        known = {(2, 1): 2.0, (5, 4): 1.25}.get(ratio or ())
        assert volume.spacing_mm[:2] == pytest.approx((1, known or 1))
        note = " ".join(volume.notes)
        if known:
            assert f"rows that lie {known:g} times as far apart as its columns" in note
        else:
            assert "no pixel spacing; 1 mm was assumed" in note


class TestRefusals:
    def refused(self, folder: Path, sentence: str) -> None:
        with pytest.raises(VolumeError, match=sentence):
            Volume.load(folder)

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "holds no DICOM image")

    def test_several_series_are_listed(self, series: Callable[..., Path]) -> None:
        folder = series()
        write_slice(folder, 0, series="1.2.3.5", SeriesDescription="scout", Modality="OT")
        self.refused(
            folder,
            r"Expected one DICOM series .* got 2: CT 'abdomen' \(5 files.*OT 'scout' \(1 files",
        )

    def test_missing_slices(self, series: Callable[..., Path]) -> None:
        self.refused(
            series(0, 1, 4),
            r"2 slice\(s\) are missing .* between 32\.50 and 40\.00 mm is 7\.50 mm",
        )

    def test_uneven_spacing(self, series: Callable[..., Path]) -> None:
        places = [0.0, 2.5, 5.0, 8.6, 11.1]
        self.refused(
            series(change=lambda n: {"ImagePositionPatient": [0, 0, places[n]]}),
            r"unevenly spaced: between 5\.00 and 8\.60 mm the step is 3\.600 mm, usually .* 2\.500",
        )

    def test_two_acquisitions_in_one_series(self, series: Callable[..., Path]) -> None:
        folder = series()
        write_slice(folder, 2)
        self.refused(folder, r"two slices lie at the same position \(35\.00 mm")

    def test_gantry_tilt(self, series: Callable[..., Path]) -> None:
        self.refused(
            series(change=lambda n: {"ImagePositionPatient": [0, 0.5 * n, 2.5 * n]}),
            r"gantry was tilted: .* 2\.00 mm over 10\.00 mm \(11\.31 degrees; at most 0\.06",
        )

    @pytest.mark.parametrize("count", [4, 5, 6, 24])
    def test_a_zigzag_is_no_tilt(self, series: Callable[..., Path], count: int) -> None:
        def change(n: int) -> dict[str, Any]:
            return {"ImagePositionPatient": [0.5 * (n % 2), 0, 2.5 * n]}

        self.refused(series(*range(count), change=change), "do not lie on one line")

    @pytest.mark.parametrize(
        ("axes", "found"),
        [
            ([2, 0, 0, 0, 1, 0], r"lengths 2 and 1 at 90\.00 degrees"),
            ([1, 0, 0, 0.5, 0.8660254, 0], r"lengths 1 and 1 at 60\.00 degrees"),
            ([0, 0, 0, 0, 1, 0], r"lengths 0 and 1"),
        ],
    )
    @pytest.mark.parametrize("count", [1, 5])
    def test_directions_that_are_none(
        self, series: Callable[..., Path], axes: list[float], found: str, count: int
    ) -> None:
        folder = series(*range(count), change=lambda n: {"ImageOrientationPatient": axes})
        self.refused(folder, f"expected row and column vectors of length 1 .* {found}")

    def test_a_copy_of_a_slice_is_read_once(self, series: Callable[..., Path]) -> None:
        folder = series()
        expected = Volume.load(folder)
        original = sorted(folder.iterdir())[1]
        shutil.copy(original, folder / "copy.dcm")
        for path in (folder, original, folder / "copy.dcm"):
            volume = Volume.load(path)
            assert np.array_equal(volume.voxels, expected.voxels)
            assert np.array_equal(volume.affine_ras, expected.affine_ras)
            assert len(volume.notes) == 1
            assert "a second copy of a slice" in volume.notes[0]
        found, left_out = images_in(folder)
        assert [len(each.names) for each in found] == [6]
        assert not left_out

    def test_a_copy_of_the_only_slice(self, series: Callable[..., Path]) -> None:
        folder = series(2)
        shutil.copy(next(folder.iterdir()), folder / "copy.dcm")
        assert Volume.load(folder).shape_ijk == (4, 6, 1)
        assert [len(each.names) for each in images_in(folder)[0]] == [2]

    @pytest.mark.parametrize(
        ("key", "differs"), [("PixelData", "pixels"), ("RescaleIntercept", "headers")]
    )
    def test_another_slice_under_the_same_uid(
        self, series: Callable[..., Path], key: str, differs: str
    ) -> None:
        folder = series()
        made = pydicom.dcmread(sorted(folder.iterdir())[1])
        setattr(made, key, VALUES[0, ::-1].tobytes() if key == "PixelData" else 3)
        made.save_as(folder / "copy.dcm")
        self.refused(folder, f"have one SOP Instance UID and one position, but their {differs}")

    def test_one_uid_for_all_slices_is_no_copy(self, series: Callable[..., Path]) -> None:
        folder = series(change=lambda n: {"SOPInstanceUID": "1.2.3.9"})
        assert Volume.load(folder).shape_ijk == (4, 6, 5)

    def test_one_slice_beside_the_line(self, series: Callable[..., Path]) -> None:
        self.refused(
            series(change=lambda n: {"ImagePositionPatient": [0.7 * (n == 2), 0, 2.5 * n]}),
            r"do not lie on one line: one is 0\.70 mm beside it",
        )

    def test_another_orientation(self, series: Callable[..., Path]) -> None:
        self.refused(
            series(
                change=lambda n: {"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]} if n == 3 else {}
            ),
            r"the orientation must be the same in every slice; .* differs from the first by 1",
        )

    def test_another_pixel_spacing(self, series: Callable[..., Path]) -> None:
        self.refused(
            series(change=lambda n: {"PixelSpacing": [0.75, 0.6]} if n == 3 else {}),
            r"the pixel spacing must be the same in every slice",
        )

    def test_another_size(self, series: Callable[..., Path]) -> None:
        cut = {"Rows": 3, "PixelData": VALUES[0, :3].tobytes()}
        self.refused(
            series(change=lambda n: cut if n == 3 else {}), "all slices must be of one size"
        )

    @pytest.mark.parametrize("key", ["ImagePositionPatient", "ImageOrientationPatient"])
    def test_a_slice_without_position(self, series: Callable[..., Path], key: str) -> None:
        self.refused(
            series(change=lambda n: {key: None} if n == 3 else {}),
            r"has no (position|orientation), so its place among the 5 slices is unknown",
        )

    def test_an_orientation_that_is_skewed(self, series: Callable[..., Path]) -> None:
        self.refused(
            series(change=lambda n: {"ImageOrientationPatient": [1, 0, 0, 0.1, 0.99, 0]}), "sheared"
        )

    def test_broken_pixels(self, series: Callable[..., Path]) -> None:
        folder = series()
        path = sorted(folder.iterdir())[0]
        path.write_bytes(path.read_bytes()[:-30])
        self.refused(folder, "could not be read as DICOM")

    def test_a_broken_header(self, series: Callable[..., Path]) -> None:
        folder = series(0)
        path = next(folder.iterdir())
        path.write_bytes(path.read_bytes()[:140] + b"\xff" * 300)
        self.refused(path, path.name[:-4])

    def test_dicom_without_an_image(self, tmp_path: Path) -> None:
        made = dataset(REPORT, VALUES[0], "1.2")
        del made.Rows, made.PixelData
        made.save_as(tmp_path / "x.dcm", write_like_original=False)
        self.refused(tmp_path / "x.dcm", "is DICOM but holds no image")
        self.refused(tmp_path, "holds no DICOM image")

    def test_the_limit_holds(
        self, series: Callable[..., Path], voxel_limit: Callable[[int], None]
    ) -> None:
        folder = series()
        voxel_limit(119)
        with pytest.raises(VolumeTooLargeError, match="4x6x5 = 120 voxels; at most 119"):
            Volume.load(folder)


class TestEnhanced:
    """One file with many frames."""

    def write(self, folder: Path, order: list[int], *, frames: int | None = None) -> Path:
        made = dataset(ENHANCED_CT, VALUES[order], "1.2.3.4")
        made.NumberOfFrames = frames or len(order)
        shared = Dataset()
        shared.PixelMeasuresSequence = [self.item(PixelSpacing=[0.75, 0.5], SliceThickness=2.5)]
        shared.PlaneOrientationSequence = [self.item(ImageOrientationPatient=ROW_COLUMN)]
        shared.PixelValueTransformationSequence = [
            self.item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
        ]
        made.SharedFunctionalGroupsSequence = [shared]
        made.PerFrameFunctionalGroupsSequence = [self.frame(number) for number in order]
        path = folder / "enhanced.dcm"
        made.save_as(path, write_like_original=False)
        return path

    def item(self, **facts: Any) -> Dataset:
        made = Dataset()
        for key, value in facts.items():
            setattr(made, key, value)
        return made

    def frame(self, number: int) -> Dataset:
        place = (np.array([-10.0, 20, 30]) + number * STEP).tolist()
        return self.item(PlanePositionSequence=[self.item(ImagePositionPatient=place)])

    @pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
    def test_frames_are_put_in_the_order_of_their_positions(
        self, tmp_path: Path, order: list[int]
    ) -> None:
        path = self.write(tmp_path, order)
        for source in (path, tmp_path):
            volume = Volume.load(source)
            assert np.array_equal(volume.voxels, VALUES.transpose(2, 1, 0) - 1024)
            assert volume.to_ras([[0, 0, 0]])[0].tolist() == [10, -20, 30]
            assert volume.modality == "CT"

    def test_missing_frames(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeError, match=r"1 slice\(s\) are missing"):
            Volume.load(self.write(tmp_path, [0, 1, 2, 4]))

    def test_frames_without_geometry(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, [0, 1, 2])
        made = pydicom.dcmread(path)
        del made.PerFrameFunctionalGroupsSequence
        made.save_as(path)
        with pytest.raises(
            VolumeError, match=r"3 frames but gives the position of 0; .*incomplete"
        ):
            Volume.load(path)

    def test_frames_without_positions(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, [0, 1, 2])
        made = pydicom.dcmread(path)
        del made.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
        made.save_as(path)
        with pytest.raises(VolumeError, match=r"frame 2 of enhanced\.dcm has no position"):
            Volume.load(path)

    def test_beside_other_files_of_its_series(self, tmp_path: Path) -> None:
        self.write(tmp_path, [0, 1, 2])
        write_slice(tmp_path, 3)
        with pytest.raises(VolumeError, match=r"enhanced\.dcm alone holds 3 frames"):
            Volume.load(tmp_path)


@pytest.mark.network
class TestTheSampleSeries:
    def test_a_real_series(self, sample: Any) -> None:
        volume = Volume.load(sample.dicom_dir)
        assert volume.shape_ijk == (512, 512, 20)
        assert volume.modality == "CT"
        assert volume.spacing_mm[2] == pytest.approx(2)
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(sample.dicom_dir))
        image = sitk.ReadImage(names)
        assert np.array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), volume.voxels)
        point = np.array(image.TransformIndexToPhysicalPoint([511, 0, 19])) * [-1, -1, 1]
        np.testing.assert_allclose(volume.to_ras([[511, 0, 19]])[0], point, atol=1e-3)

    def test_its_labels_lie_on_it(self, sample: Any) -> None:
        assert Volume.load(sample.dicom_dir).reoriented("RAS").shape_ijk == (
            Volume.load(sample.dicom_labels).reoriented("RAS").shape_ijk
        )

    def test_with_a_slice_removed(self, sample: Any, tmp_path: Path) -> None:
        folder = tmp_path / "cut"
        shutil.copytree(sample.dicom_dir, folder)
        middle = sorted(folder.iterdir())[10]
        middle.unlink()
        with pytest.raises(VolumeError, match=r"slice\(s\) are missing"):
            Volume.load(folder)

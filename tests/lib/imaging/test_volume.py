"""Volume: frames, checks, and files that come back exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from segsam.errors import OutputError, VolumeError
from segsam.imaging.volume import SHEAR_TOLERANCE, Segment, Volume

ENDINGS = [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha"]
LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def corners(shape_ijk: tuple[int, ...]) -> NDArray[Any]:
    return np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape_ijk) - 1)


def sheared(amount: float) -> NDArray[Any]:
    affine = np.diag([1.0, 1.5, 2.0, 1.0])
    affine[0, 1] = amount * 1.5
    return affine


class TestFrames:
    def test_world_of_a_voxel_follows_the_affine(self, oblique: Volume) -> None:
        direct = oblique.affine_ras @ [3, 4, 5, 1]
        np.testing.assert_allclose(oblique.to_ras([[3, 4, 5]])[0], direct[:3], atol=1e-12)

    def test_voxel_of_a_world_point_is_the_inverse(self, oblique: Volume) -> None:
        points = [[0, 0, 0], [7, 9, 5], [2.25, 3.5, 1.125]]
        back = oblique.to_ijk(oblique.to_ras(points))
        np.testing.assert_allclose(back, points, atol=1e-9)

    def test_shape_and_spacing(self, oblique: Volume) -> None:
        assert oblique.shape_ijk == (8, 10, 6)
        np.testing.assert_allclose(oblique.spacing_mm, (0.7, 1.1, 3.3), atol=1e-12)
        assert not oblique.is_colour
        assert not oblique.is_flat

    def test_one_slice_is_flat(self, single_slice: tuple[Volume, int]) -> None:
        assert single_slice[0].is_flat

    def test_voxels_and_affine_cannot_be_written(self, oblique: Volume) -> None:
        with pytest.raises(ValueError, match="read-only"):
            oblique.voxels[0, 0, 0] = 1
        with pytest.raises(ValueError, match="read-only"):
            oblique.affine_ras[0, 0] = 1

    def test_the_callers_affine_is_copied(self) -> None:
        affine = np.eye(4)
        volume = Volume.from_array(np.zeros((2, 2, 2), np.uint8), affine)
        affine[0, 3] = 99
        assert volume.affine_ras[0, 3] == 0


class TestReorientation:
    def test_every_voxel_keeps_its_world_point(self, oblique: Volume, storage_order: Any) -> None:
        stored = storage_order.stored(oblique)
        points = np.array([[0, 0, 0], [7, 9, 5], [3, 1, 4]])
        for codes in ("RAS", "LPS", "SPL"):
            reoriented = stored.reoriented(codes)
            indices = np.rint(reoriented.to_ijk(oblique.to_ras(points))).astype(int)
            for old, new in zip(points, indices, strict=True):
                assert reoriented.voxels[tuple(new)] == oblique.voxels[tuple(old)]
            np.testing.assert_allclose(
                reoriented.to_ras(indices), oblique.to_ras(points), atol=1e-9
            )

    def test_all_48_orders_become_one(self, oblique: Volume, storage_order: Any) -> None:
        expected = oblique.reoriented("RAS")
        reoriented = storage_order.stored(oblique).reoriented("RAS")
        assert np.array_equal(reoriented.voxels, expected.voxels)
        np.testing.assert_allclose(reoriented.affine_ras, expected.affine_ras, atol=1e-9)

    def test_exactly_45_degrees_is_decided_by_the_world(
        self, rotation: Any, storage_order: Any
    ) -> None:
        affine = np.eye(4)
        affine[:3, :3] = rotation([0, 0, 1], 45)
        volume = Volume.from_array(np.arange(24, dtype=np.int16).reshape(2, 3, 4), affine)
        reoriented = storage_order.stored(volume).reoriented("RAS")
        assert np.array_equal(reoriented.voxels, volume.reoriented("RAS").voxels)

    @pytest.mark.parametrize("codes", ["RA", "RAX", "RLS", "RASA", ""])
    def test_nonsense_codes_are_refused(self, oblique: Volume, codes: str) -> None:
        with pytest.raises(VolumeError, match="Expected orientation codes"):
            oblique.reoriented(codes)


class TestRefusals:
    def test_shear_above_the_limit_names_both_numbers(self) -> None:
        with pytest.raises(VolumeError, match=r"sheared.*by 0\.002000.*0\.001 is accepted"):
            Volume.from_array(np.zeros((3, 3, 3), np.uint8), sheared(0.002))

    def test_shear_below_the_limit_is_kept_exactly(self) -> None:
        affine = sheared(0.9 * SHEAR_TOLERANCE)
        volume = Volume.from_array(np.zeros((3, 3, 3), np.uint8), affine)
        assert np.array_equal(volume.affine_ras, affine)

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ((0, 0, np.nan), "must be finite"),
            ((1, 3, np.inf), "must be finite"),
            ((1, 1, 0.0), "spacing along j is 0 mm"),
            ((2, 2, 1e-9), "spacing along k is 1e-09 mm"),
            ((0, 0, 1e200), "spacing along i is inf mm"),
            ((3, 0, 1.0), "last row must be 0, 0, 0, 1; it is 1, 0, 0, 1"),
        ],
    )
    def test_impossible_affines(self, change: tuple[int, int, float], sentence: str) -> None:
        affine = np.eye(4)
        affine[change[0], change[1]] = change[2]
        with pytest.raises(VolumeError, match=sentence):
            Volume.from_array(np.zeros((3, 3, 3), np.uint8), affine)

    def test_axes_in_one_plane_are_singular(self) -> None:
        affine = np.eye(4)
        affine[:3, 2] = [1, 1, 0]
        with pytest.raises(VolumeError, match=r"singular.*one plane"):
            Volume.from_array(np.zeros((3, 3, 3), np.uint8), affine)

    def test_an_affine_of_another_shape(self) -> None:
        with pytest.raises(VolumeError, match=r"expected a 4 x 4 affine, got the shape \(3, 3\)"):
            Volume.from_array(np.zeros((3, 3, 3), np.uint8), np.eye(3))

    def test_time_series(self) -> None:
        with pytest.raises(VolumeError, match=r"4D \(4x4x4x5\) with t = 5"):
            Volume.from_array(np.zeros((4, 4, 4, 5), np.uint8))

    def test_a_single_point_in_time_is_squeezed(self) -> None:
        assert Volume.from_array(np.zeros((4, 5, 6, 1), np.int16)).shape_ijk == (4, 5, 6)

    def test_seven_dimensions(self) -> None:
        with pytest.raises(VolumeError, match=r"7D .* with dimension 7 = 2"):
            Volume.from_array(np.zeros((2, 2, 2, 1, 1, 1, 2), np.uint8))

    def test_nan_is_counted_and_located(self) -> None:
        voxels = np.zeros((3, 4, 5), np.float32)
        voxels[1, 2, 3] = voxels[2, 0, 0] = np.nan
        with pytest.raises(VolumeError, match=r"2 of 60 voxels.*voxel \(1, 2, 3\), which is NaN"):
            Volume.from_array(voxels)

    def test_infinity_is_named(self) -> None:
        voxels = np.zeros((3, 4, 5), np.float64)
        voxels[0, 0, 1] = -np.inf
        with pytest.raises(VolumeError, match=r"1 of 60.*\(0, 0, 1\), which is infinite"):
            Volume.from_array(voxels)

    def test_complex_voxels(self) -> None:
        with pytest.raises(VolumeError, match="real numbers; these are complex64"):
            Volume.from_array(np.zeros((2, 2, 2), np.complex64))

    @pytest.mark.parametrize("voxels", [np.array([["a"]]), np.array([[None]])])
    def test_what_is_no_number(self, voxels: NDArray[Any]) -> None:
        with pytest.raises(VolumeError, match="voxels must be numbers"):
            Volume.from_array(voxels)

    def test_nothing(self) -> None:
        with pytest.raises(VolumeError, match="at least 1 voxel; the image is 0x4x4"):
            Volume.from_array(np.zeros((0, 4, 4), np.uint8))

    def test_a_number_is_no_image(self) -> None:
        with pytest.raises(VolumeError, match="no sides at all"):
            Volume.from_array(np.float32(3))

    def test_labels_of_another_shape(self, oblique: Volume) -> None:
        with pytest.raises(VolumeError, match="do not fit this volume of 8x10x6"):
            oblique.like(np.zeros((8, 10, 5), np.uint8))


class TestContent:
    @pytest.mark.parametrize("name", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"])
    def test_native_types_stay(self, name: str) -> None:
        voxels = np.ones((2, 3, 4), np.dtype(name))
        assert Volume.from_array(voxels).voxels.dtype == voxels.dtype

    @pytest.mark.parametrize(
        ("given", "expected"),
        [("?", "u1"), ("f2", "f4"), (">i2", "=i2"), (">f4", "=f4"), ("g", "f8")],
    )
    def test_other_types_become_the_nearest_native_one(self, given: str, expected: str) -> None:
        voxels = np.array([[[0, 1]]]).astype(given)
        volume = Volume.from_array(voxels)
        assert volume.voxels.dtype == np.dtype(expected)
        assert volume.voxels.tolist() == [[[0, 1]]]

    def test_two_dimensions_become_one_slice(self) -> None:
        assert Volume.from_array(np.zeros((4, 5), np.uint8)).shape_ijk == (4, 5, 1)

    def test_colour_stays_and_grey_colour_becomes_grey(self) -> None:
        colour = np.zeros((4, 5, 1, 3), np.uint8)
        colour[..., 1] = 7
        assert Volume.from_array(colour).is_colour
        colour[:] = 9
        grey = Volume.from_array(colour)
        assert not grey.is_colour
        assert grey.shape_ijk == (4, 5, 1)

    def test_constant_zero_and_huge_values_are_images(self) -> None:
        for value in (0.0, -0.0, 5.0, 1e308, -1e308):
            assert Volume.from_array(np.full((2, 2, 2), value)).shape_ijk == (2, 2, 2)

    def test_tiny_and_thin(self) -> None:
        for shape in ((1, 1, 1), (2, 2, 2), (1, 5, 6), (5, 1, 1)):
            assert Volume.from_array(np.zeros(shape, np.uint8)).shape_ijk == shape


class TestHounsfield:
    def ct(self, **changes: float) -> NDArray[Any]:
        """Half air, half soft tissue, a bone."""
        voxels = np.full((10, 10, 10), -1000, np.int16)
        voxels[:5] = 40
        voxels[0, 0] = 900
        for key, value in changes.items():
            voxels[{"corner": (9, 9, 9), "bone": (0, 0, 0)}[key]] = value
        return voxels

    def test_air_and_tissue_make_a_ct(self) -> None:
        assert Volume.from_array(self.ct()).modality == "CT"
        assert Volume.from_array(self.ct().astype(np.float32) + 0.25).modality == "CT"
        assert Volume.from_array(self.ct(corner=-3024)).modality == "CT"

    def test_the_files_own_word_wins(self) -> None:
        assert Volume.from_array(self.ct(), modality="MR").modality == "MR"

    @pytest.mark.parametrize(
        "voxels",
        [
            np.linspace(0, 900, 1000).reshape(10, 10, 10),
            np.linspace(-4, 4, 1000).reshape(10, 10, 10),
            np.linspace(-4096, 4095, 1000).astype(np.int16).reshape(10, 10, 10),
            np.full((4, 4, 4), -1000, np.int16),
            np.zeros((4, 4, 4), np.uint8),
        ],
        ids=["mr", "z-scores", "phase", "air only", "labels"],
    )
    def test_other_values_do_not(self, voxels: NDArray[Any]) -> None:
        assert Volume.from_array(voxels).modality is None

    @pytest.mark.network
    def test_the_sample_is_a_ct(self, sample_ct: Volume) -> None:
        assert sample_ct.modality == "CT"
        assert sample_ct.shape_ijk == (122, 101, 112)


class TestFiles:
    @pytest.mark.parametrize("ending", ENDINGS)
    def test_voxels_and_affine_come_back(
        self, tmp_path: Path, oblique: Volume, ending: str
    ) -> None:
        labels = oblique.like((oblique.voxels % 3).astype(np.uint8))
        path = tmp_path / f"labels{ending}"
        labels.save(path)
        again = Volume.load(path)
        assert np.array_equal(again.voxels, labels.voxels)
        assert again.voxels.dtype == np.uint8
        np.testing.assert_allclose(again.affine_ras, oblique.affine_ras, atol=1e-5)
        assert again.geometry_equals(oblique)
        assert again.name == path.name
        assert again.notes == ()
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]

    @pytest.mark.parametrize("ending", [".nrrd", ".seg.nrrd", ".mha"])
    def test_text_headers_are_exact_to_the_last_digit(
        self, tmp_path: Path, oblique: Volume, ending: str
    ) -> None:
        path = tmp_path / f"x{ending}"
        oblique.save(path)
        again = Volume.load(path).affine_ras
        np.testing.assert_allclose(again, oblique.affine_ras, atol=1e-13)

    @pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
    @pytest.mark.parametrize("name", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"])
    def test_every_type_comes_back(self, tmp_path: Path, ending: str, name: str) -> None:
        values = np.arange(24).reshape(2, 3, 4).astype(name)
        path = tmp_path / f"x{ending}"
        Volume.from_array(values).save(path)
        again = Volume.load(path).voxels
        assert again.dtype == values.dtype
        assert np.array_equal(again, values)

    @pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
    def test_colour_comes_back(self, tmp_path: Path, ending: str) -> None:
        values = np.random.default_rng(1).integers(0, 255, (4, 5, 2, 3)).astype(np.uint8)
        path = tmp_path / f"x{ending}"
        Volume.from_array(values).save(path)
        assert np.array_equal(Volume.load(path).voxels, values)

    @pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
    def test_slight_shear_is_written_exactly(self, tmp_path: Path, ending: str) -> None:
        affine = sheared(0.9 * SHEAR_TOLERANCE)
        path = tmp_path / f"x{ending}"
        Volume.from_array(np.ones((3, 4, 5), np.uint8), affine).save(path)
        np.testing.assert_allclose(Volume.load(path).affine_ras, affine, atol=1e-7)

    def test_a_view_with_turned_axes_is_written_as_it_is_seen(
        self, tmp_path: Path, oblique: Volume, storage_order: Any
    ) -> None:
        reoriented = storage_order.stored(oblique).reoriented("PIR")
        reoriented.save(tmp_path / "x.nrrd")
        again = Volume.load(tmp_path / "x.nrrd")
        assert np.array_equal(again.voxels, reoriented.voxels)
        assert again.geometry_equals(reoriented)


class TestOtherReaders:
    """G3: other programs place every corner of our files within 0.01 mm of ours."""

    LIMIT_MM = 0.01

    def world_by_sitk(self, path: Path, points: NDArray[Any]) -> NDArray[Any]:
        image = sitk.ReadImage(str(path))
        lps = [image.TransformIndexToPhysicalPoint([int(n) for n in point]) for point in points]
        return np.array(lps) * [-1, -1, 1]

    def world_by_nibabel(self, path: Path, points: NDArray[Any]) -> NDArray[Any]:
        return nib.affines.apply_affine(nib.load(path).affine, points)

    def world_by_pynrrd(self, path: Path, points: NDArray[Any]) -> NDArray[Any]:
        header = nrrd.read_header(str(path))
        assert header["space"] == "left-posterior-superior"
        lps = points @ header["space directions"] + header["space origin"]
        return lps * [-1, -1, 1]

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_simpleitk(self, tmp_path: Path, oblique: Volume, ending: str) -> None:
        path, points = tmp_path / f"x{ending}", corners(oblique.shape_ijk)
        oblique.save(path)
        apart = self.world_by_sitk(path, points) - oblique.to_ras(points)
        assert np.abs(apart).max() <= self.LIMIT_MM
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        assert np.array_equal(array.transpose(2, 1, 0), oblique.voxels)

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    def test_nibabel(self, tmp_path: Path, oblique: Volume, ending: str) -> None:
        path, points = tmp_path / f"x{ending}", corners(oblique.shape_ijk)
        oblique.save(path)
        apart = self.world_by_nibabel(path, points) - oblique.to_ras(points)
        assert np.abs(apart).max() <= self.LIMIT_MM
        header = nib.load(path).header
        np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-4)
        assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
        assert header.get_xyzt_units()[0] == "mm"

    @pytest.mark.parametrize("ending", [".nrrd", ".seg.nrrd"])
    def test_pynrrd(self, tmp_path: Path, oblique: Volume, ending: str) -> None:
        path, points = tmp_path / f"x{ending}", corners(oblique.shape_ijk)
        oblique.save(path)
        apart = self.world_by_pynrrd(path, points) - oblique.to_ras(points)
        assert np.abs(apart).max() <= self.LIMIT_MM
        assert np.array_equal(nrrd.read(str(path))[0], oblique.voxels)

    def test_a_sheared_nifti_has_no_second_opinion(self, tmp_path: Path) -> None:
        affine = sheared(0.9 * SHEAR_TOLERANCE)
        Volume.from_array(np.ones((3, 4, 5), np.uint8), affine).save(tmp_path / "x.nii.gz")
        header = nib.load(tmp_path / "x.nii.gz").header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)


class TestSegmentations:
    def save(self, path: Path, segments: dict[int, Segment] | None) -> dict[str, str]:
        labels = np.zeros((6, 7, 8), np.uint8)
        labels[1:3, 2:5, 3:4] = 1
        labels[4, 4, 4:7] = 9
        Volume.from_array(labels).save(path, segments=segments)
        return nrrd.read_header(str(path))

    def test_names_colours_values_and_extents(self, tmp_path: Path) -> None:
        header = self.save(
            tmp_path / "x.seg.nrrd",
            {
                1: Segment("liver", (221, 130, 101), ("10200004", "Liver")),
                9: Segment("left\nkidney"),
                12: Segment("absent"),
            },
        )
        assert header["Segment0_ID"] == "Segment_1"
        assert header["Segment0_Name"] == "liver"
        assert header["Segment0_LabelValue"] == "1"
        assert header["Segment0_Layer"] == "0"
        assert header["Segment0_Extent"] == "1 2 2 4 3 3"
        assert header["Segment0_Color"] == "0.866667 0.509804 0.396078"
        assert "SCT^10200004^Liver" in header["Segment0_Tags"]
        assert header["Segment1_Name"] == "left kidney"
        assert header["Segment1_Extent"] == "4 4 4 4 4 6"
        assert header["Segment1_ColorAutoGenerated"] == "1"
        assert header["Segment2_Extent"] == "0 -1 0 -1 0 -1"
        assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"

    def test_without_segments_every_value_present_is_one(self, tmp_path: Path) -> None:
        header = self.save(tmp_path / "x.seg.nrrd", None)
        assert header["Segment0_LabelValue"] == "1"
        assert header["Segment1_LabelValue"] == "9"
        assert "Segment2_LabelValue" not in header

    def test_itk_carries_the_segments(self, tmp_path: Path) -> None:
        self.save(tmp_path / "x.seg.nrrd", {1: Segment("liver"), 9: Segment("spleen")})
        image = sitk.ReadImage(str(tmp_path / "x.seg.nrrd"))
        assert image.GetMetaData("Segment1_Name") == "spleen"

    def test_a_value_without_a_segment_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            OutputError, match=r"hold the values \[9\], for which no segment is given"
        ):
            self.save(tmp_path / "x.seg.nrrd", {1: Segment("liver")})
        assert list(tmp_path.iterdir()) == []

    def test_fractions_are_no_labels(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"holds labels, whole numbers from 0.*float32"):
            Volume.from_array(np.zeros((2, 2, 2), np.float32)).save(tmp_path / "x.seg.nrrd")

    def test_an_empty_segmentation_is_allowed(self, tmp_path: Path) -> None:
        Volume.from_array(np.zeros((2, 2, 2), np.uint8)).save(tmp_path / "x.seg.nrrd")
        assert not Volume.load(tmp_path / "x.seg.nrrd").voxels.any()


class TestWriting:
    def test_a_picture_comes_back(self, tmp_path: Path) -> None:
        plane = np.random.default_rng(0).integers(0, 255, (5, 9, 3)).astype(np.uint8)
        Image.fromarray(plane).save(tmp_path / "a.png")
        Volume.load(tmp_path / "a.png").save(tmp_path / "b.png")
        assert np.array_equal(np.array(Image.open(tmp_path / "b.png")), plane)

    def test_a_picture_of_a_volume_is_refused(self, tmp_path: Path, oblique: Volume) -> None:
        with pytest.raises(OutputError, match="one slice; this volume has 8x10x6"):
            oblique.save(tmp_path / "x.png")

    def test_a_picture_of_fractions_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"8- or 16-bit.*float32"):
            Volume.from_array(np.zeros((2, 2), np.float32)).save(tmp_path / "x.png")

    @pytest.mark.parametrize("name", ["x.jpg", "x.exe", "x", "x.nii.zip"])
    def test_unknown_endings(self, tmp_path: Path, oblique: Volume, name: str) -> None:
        with pytest.raises(OutputError, match=r"expected a name ending in \.nii\.gz, "):
            oblique.save(tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_a_missing_folder(self, tmp_path: Path, oblique: Volume) -> None:
        with pytest.raises(OutputError, match=r"x\.nii\.gz could not be written: No such file"):
            oblique.save(tmp_path / "none" / "x.nii.gz")

    def test_a_failed_write_leaves_the_old_file(self, tmp_path: Path, oblique: Volume) -> None:
        path = tmp_path / "x.seg.nrrd"
        path.write_bytes(b"old")
        with pytest.raises(OutputError):
            oblique.like(oblique.voxels.astype(np.float32)).save(path)
        assert path.read_bytes() == b"old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["x.seg.nrrd"]

    def test_a_full_disk_leaves_the_old_file(
        self, tmp_path: Path, full_after: Callable[[int], Any]
    ) -> None:
        path = tmp_path / "x.nrrd"
        path.write_bytes(b"old")
        large = Volume.from_array(np.random.default_rng(0).integers(0, 255, (64, 64, 64)))
        with full_after(10_000), pytest.raises(OutputError, match="could not be written"):
            large.save(path)
        assert path.read_bytes() == b"old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["x.nrrd"]

    def test_nifti_sides_beyond_its_format(self, tmp_path: Path) -> None:
        long = Volume.from_array(np.zeros((40_000, 1, 1), np.uint8))
        with pytest.raises(OutputError, match=r"sides up to 32767.*40000x1x1"):
            long.save(tmp_path / "x.nii.gz")
        long.save(tmp_path / "x.nrrd")
        assert Volume.load(tmp_path / "x.nrrd").shape_ijk == (40_000, 1, 1)


class TestGeometryEquals:
    def test_itself_and_a_copy(self, oblique: Volume) -> None:
        assert oblique.geometry_equals(oblique.like(np.zeros(oblique.shape_ijk, np.uint8)))

    def test_shifted_turned_or_of_another_shape(self, oblique: Volume, rotation: Any) -> None:
        shifted = oblique.affine_ras.copy()
        shifted[2, 3] += 0.01
        rotated = oblique.affine_ras.copy()
        rotated[:3, :3] = rotation([1, 0, 0], 0.5) @ rotated[:3, :3]
        for affine in (shifted, rotated):
            assert not oblique.geometry_equals(Volume.from_array(oblique.voxels, affine))
        smaller = Volume.from_array(oblique.voxels[1:], oblique.affine_ras)
        assert not oblique.geometry_equals(smaller)
        assert oblique.geometry_equals(
            Volume.from_array(oblique.voxels, shifted), tolerance_mm=0.02
        )

    def test_one_voxel_of_another_spacing_differs(self) -> None:
        one = np.zeros((1, 1, 1), np.uint8)
        assert not Volume.from_array(one).geometry_equals(
            Volume.from_array(one, np.diag([2.0, 1, 1, 1]))
        )

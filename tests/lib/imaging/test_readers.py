"""Readers: every format is read; wrong and damaged files are refused with a VolumeError."""

from __future__ import annotations

import bz2
import gzip
import os
import struct
import subprocess
import sys
import zlib
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

from segsam.errors import VolumeError, VolumeNotFoundError, VolumeTooLargeError
from segsam.imaging.image_files import IMAGE_ENDINGS
from segsam.imaging.readers import read_grid
from segsam.imaging.volume import Volume

VALUES = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 20
AFFINE = np.array([[-2.0, 0, 0, 5], [0, 3, 0, -6], [0, 0, 4, 7], [0, 0, 0, 1]])


def nifti(path: Path, values: Any = VALUES, *, affine: Any = AFFINE, cls: Any = None) -> Path:
    image = (cls or nib.Nifti1Image)(values, affine)
    nib.save(image, path)
    return path


def patched(path: Path, offset: int, form: str, *numbers: float) -> Path:
    """The file with some bytes of its (plain) header replaced."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, offset, *numbers)
    path.write_bytes(data)
    return path


class TestNifti:
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".NII.GZ"])
    @pytest.mark.parametrize("cls", [nib.Nifti1Image, nib.Nifti2Image])
    def test_both_versions_plain_and_compressed(
        self, tmp_path: Path, ending: str, cls: Any
    ) -> None:
        source = nifti(tmp_path / f"y{ending.lower()}", cls=cls)
        volume = Volume.load(source.rename(tmp_path / f"x{ending}"))
        assert np.array_equal(volume.voxels, VALUES)
        assert volume.voxels.dtype == np.int16
        assert np.array_equal(volume.affine_ras, AFFINE)

    def test_big_endian(self, tmp_path: Path) -> None:
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(">i2")
        nib.save(nib.Nifti1Image(VALUES, AFFINE, header), tmp_path / "x.nii")
        volume = Volume.load(tmp_path / "x.nii")
        assert np.array_equal(volume.voxels, VALUES)
        assert volume.voxels.dtype.isnative

    def test_scaled_values_become_single_precision(self, tmp_path: Path) -> None:
        path = nifti(tmp_path / "x.nii")
        patched(path, 112, "<ff", 0.5, -3.0)  # scl_slope, scl_inter
        volume = Volume.load(path)
        assert volume.voxels.dtype == np.float32
        assert np.array_equal(volume.voxels, VALUES * 0.5 - 3)

    @pytest.mark.parametrize("scaling", [(1.0, 0.0), (0.0, 0.0), (np.nan, np.nan)])
    def test_integers_stay_integers_without_scaling(
        self, tmp_path: Path, scaling: tuple[float, float]
    ) -> None:
        path = patched(nifti(tmp_path / "x.nii"), 112, "<ff", *scaling)
        assert Volume.load(path).voxels.dtype == np.int16

    def test_scaling_beyond_single_precision_is_refused(self, tmp_path: Path) -> None:
        path = patched(nifti(tmp_path / "x.nii"), 112, "<ff", 3e38, 0.0)
        with pytest.raises(VolumeError, match="NaN or infinite"):
            Volume.load(path)

    def test_one_point_in_time(self, tmp_path: Path) -> None:
        assert Volume.load(nifti(tmp_path / "x.nii", VALUES[..., None])).shape_ijk == (4, 5, 6)

    def test_time_series_are_refused(self, tmp_path: Path) -> None:
        path = nifti(tmp_path / "x.nii", np.zeros((4, 5, 6, 3), np.uint8))
        with pytest.raises(VolumeError, match=r"x\.nii: the image is 4D \(4x5x6x3\) with t = 3"):
            Volume.load(path)

    def test_colour(self, tmp_path: Path) -> None:
        colour = np.random.default_rng(0).integers(0, 255, (4, 5, 6, 3)).astype(np.uint8)
        structured = np.ascontiguousarray(colour).view([(c, "u1") for c in "RGB"])[..., 0]
        volume = Volume.load(nifti(tmp_path / "x.nii.gz", structured))
        assert np.array_equal(volume.voxels, colour)

    def test_two_dimensions(self, tmp_path: Path) -> None:
        assert Volume.load(nifti(tmp_path / "x.nii", VALUES[:, :, 0])).shape_ijk == (4, 5, 1)

    def test_complex_is_refused(self, tmp_path: Path) -> None:
        path = nifti(tmp_path / "x.nii", VALUES.astype(np.complex64))
        with pytest.raises(VolumeError, match="real numbers; these are complex64"):
            Volume.load(path)

    def test_nan_is_refused(self, tmp_path: Path) -> None:
        values = VALUES.astype(np.float32)
        values[1, 2, 3] = np.nan
        with pytest.raises(VolumeError, match=r"1 of 120 voxels .* voxel \(1, 2, 3\)"):
            Volume.load(nifti(tmp_path / "x.nii.gz", values))


class TestNiftiOrientation:
    def save(self, path: Path, *, sform: int, qform: int, shift_mm: float = 0) -> Path:
        image = nib.Nifti1Image(VALUES, AFFINE)
        image.set_sform(AFFINE, code=sform)
        other = AFFINE.copy()
        other[0, 3] += shift_mm
        image.set_qform(other, code=qform)
        nib.save(image, path)
        return path

    def test_the_sform_is_used_and_noted(self, tmp_path: Path) -> None:
        volume = Volume.load(self.save(tmp_path / "x.nii", sform=1, qform=1, shift_mm=10))
        assert np.array_equal(volume.affine_ras, AFFINE)
        assert volume.notes == (
            "x.nii holds two different orientations, qform and sform; the sform was used.",
        )

    def test_agreement_needs_no_note(self, tmp_path: Path) -> None:
        assert Volume.load(self.save(tmp_path / "x.nii", sform=1, qform=1)).notes == ()

    def test_the_qform_serves_alone(self, tmp_path: Path) -> None:
        volume = Volume.load(self.save(tmp_path / "x.nii", sform=0, qform=1, shift_mm=10))
        assert volume.affine_ras[0, 3] == AFFINE[0, 3] + 10
        assert volume.notes == ()

    def test_with_neither_the_orientation_is_nibabels_with_a_note(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "x.nii", sform=0, qform=0)
        volume = Volume.load(path)
        assert np.array_equal(volume.affine_ras, nib.load(path).affine)
        assert "states no orientation" in volume.notes[0]
        assert "left and right may be swapped" in volume.notes[0]

    def test_an_impossible_qform_beside_a_good_sform(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "x.nii", sform=1, qform=1)
        patched(path, 256, "<fff", 5.0, 5.0, 5.0)  # quatern_b, _c, _d
        volume = Volume.load(path)
        assert np.array_equal(volume.affine_ras, AFFINE)
        assert "two different orientations" in volume.notes[0]

    def test_other_units_are_mentioned(self, tmp_path: Path) -> None:
        image = nib.Nifti1Image(VALUES, AFFINE)
        image.header.set_xyzt_units("micron")
        nib.save(image, tmp_path / "x.nii")
        assert (
            "in microns; the numbers were read as mill" in Volume.load(tmp_path / "x.nii").notes[0]
        )

    @pytest.mark.parametrize(
        ("row", "sentence"),
        [
            ((0.0, 0, 0, 0), "spacing along i is 0 mm"),
            ((np.nan, 0, 0, 0), "must be finite"),
            ((2.0, 2, 0, 0), "sheared"),
        ],
    )
    def test_bad_affines(self, tmp_path: Path, row: tuple[float, ...], sentence: str) -> None:
        path = self.save(tmp_path / "x.nii", sform=1, qform=0)
        patched(path, 280, "<ffff", *row)  # srow_x
        with pytest.raises(VolumeError, match=sentence):
            Volume.load(path)


class TestWrongAndDamagedFiles:
    """B4: all of these raise VolumeError, and each sentence names the file."""

    @pytest.fixture
    def good(self, tmp_path: Path) -> dict[str, bytes]:
        volume = Volume.from_array(VALUES, AFFINE)
        colour = np.random.default_rng(0).integers(0, 255, (9, 9, 3)).astype(np.uint8)
        contents = {}
        for ending in (".nii", ".nii.gz", ".nrrd", ".mha"):
            volume.save(tmp_path / f"good{ending}")
            contents[ending] = (tmp_path / f"good{ending}").read_bytes()
        for ending in (".png", ".jpg", ".tif", ".bmp"):
            Image.fromarray(colour).save(tmp_path / f"good{ending}")
            contents[ending] = (tmp_path / f"good{ending}").read_bytes()
        return contents

    ENDINGS = (".nii", ".nii.gz", ".nrrd", ".mha", ".png", ".jpg", ".tif", ".bmp", ".dcm", ".mhd")

    def refused(self, path: Path, data: bytes) -> str:
        path.write_bytes(data)
        with pytest.raises(VolumeError) as caught:
            Volume.load(path)
        assert path.name in str(caught.value)
        assert str(path.parent) not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("ending", ENDINGS)
    @pytest.mark.parametrize(
        "data",
        [b"", b"\0", b"hello\n" * 500, b"NRRD", b"NRRD0004\n", b"\x1f\x8b", b"NDims = 3\n"],
        ids=["empty", "one byte", "text", "magic", "magic line", "gzip magic", "one key"],
    )
    def test_content_that_is_not_an_image(self, tmp_path: Path, ending: str, data: bytes) -> None:
        self.refused(tmp_path / f"bad{ending}", data)

    def test_every_format_under_every_other_name(
        self, tmp_path: Path, good: dict[str, bytes]
    ) -> None:
        # Pillow reads any picture format under any picture name, and a .mhd may hold its own data
        # as a .mha does.
        for own, data in good.items():
            for other in self.ENDINGS:
                is_picture = {own, other} <= {".png", ".jpg", ".tif", ".bmp"}
                if own != other and not is_picture and (own, other) != (".mha", ".mhd"):
                    self.refused(tmp_path / f"wrong{other}", data)

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".png", ".tif"])
    @pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9])
    def test_truncated(
        self, tmp_path: Path, good: dict[str, bytes], ending: str, share: float
    ) -> None:
        data = good[ending]
        self.refused(tmp_path / f"cut{ending}", data[: int(len(data) * share)])

    def test_header_only(self, tmp_path: Path, good: dict[str, bytes]) -> None:
        self.refused(tmp_path / "x.nii", good[".nii"][:352])
        self.refused(tmp_path / "x.nrrd", good[".nrrd"].split(b"\n\n")[0] + b"\n\n")
        end = good[".mha"].index(b"LOCAL") + 6
        self.refused(tmp_path / "x.mha", good[".mha"][:end])

    def test_gzip_of_gzip(self, tmp_path: Path, good: dict[str, bytes]) -> None:
        sentence = self.refused(tmp_path / "x.nii.gz", gzip.compress(good[".nii.gz"]))
        assert "must begin with 348 or 540" in sentence

    @pytest.mark.parametrize("offset", [100.0, 1e30, -5.0, np.nan, 400.0])
    def test_wrong_vox_offset(self, tmp_path: Path, good: dict[str, bytes], offset: float) -> None:
        path = tmp_path / "x.nii"
        path.write_bytes(good[".nii"])
        self.refused(path, patched(path, 108, "<f", offset).read_bytes())

    def test_unknown_datatype(self, tmp_path: Path, good: dict[str, bytes]) -> None:
        path = tmp_path / "x.nii"
        path.write_bytes(good[".nii"])
        self.refused(path, patched(path, 70, "<h", 9999).read_bytes())

    def test_unknown_endings_list_the_known(self, tmp_path: Path) -> None:
        sentence = self.refused(tmp_path / "x.pdf", b"%PDF")
        assert "expected a DICOM series or a name ending in .nii.gz, .nii, .nrrd" in sentence

    @pytest.mark.parametrize("name", ["none.nii.gz", "none", "a" * 400 + ".nii"])
    def test_missing_files(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(VolumeNotFoundError, match="There is no image"):
            Volume.load(tmp_path / name)

    def test_a_name_that_no_file_can_have(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeNotFoundError, match="There is no image"):
            Volume.load(f"{tmp_path}/x\0y.nii")


class TestSizes:
    """B5: refused by the header, before voxels are read or memory is taken."""

    def declaring(self, path: Path, dims: tuple[int, ...], datatype: int = 64) -> Path:
        """A NIfTI whose header declares dims of double precision, with 1 KB behind it."""
        header = nib.Nifti1Header()
        data = bytearray(header.binaryblock)
        struct.pack_into("<8h", data, 40, len(dims), *dims, *[1] * (7 - len(dims)))
        struct.pack_into("<hh", data, 70, datatype, 64)
        struct.pack_into("<f", data, 108, 352.0)
        content = bytes(data) + b"\0" * 4 + b"\0" * 1024
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        return path

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    def test_a_header_that_declares_eight_gigabytes(self, tmp_path: Path, ending: str) -> None:
        path = self.declaring(tmp_path / f"x{ending}", (1024, 1024, 1024))
        with pytest.raises(VolumeError, match=r"declares 8589934592 bytes of voxels, but only"):
            Volume.load(path)

    @pytest.mark.parametrize("dims", [(2048, 2048, 2048), (32767, 32767, 32767), (32767,) * 7])
    def test_too_many_voxels(self, tmp_path: Path, dims: tuple[int, ...]) -> None:
        path = self.declaring(tmp_path / "x.nii.gz", dims)
        with pytest.raises(VolumeTooLargeError, match="at most 2147483648 are accepted"):
            Volume.load(path)

    @pytest.mark.parametrize("dims", [(0, 4, 4), (-3, 4, 4), (4, 4, 4, 0)])
    def test_no_voxels(self, tmp_path: Path, dims: tuple[int, ...]) -> None:
        with pytest.raises(VolumeError, match=r"x\.nii"):
            Volume.load(self.declaring(tmp_path / "x.nii", dims))

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
    def test_the_limit_can_be_set(
        self, tmp_path: Path, voxel_limit: Callable[[int], None], ending: str
    ) -> None:
        path = tmp_path / f"x{ending}"
        Volume.from_array(VALUES, AFFINE).save(path)
        voxel_limit(120)
        assert Volume.load(path).shape_ijk == (4, 5, 6)
        voxel_limit(119)
        with pytest.raises(VolumeTooLargeError, match="4x5x6 = 120 voxels; at most 119"):
            Volume.load(path)

    def test_the_limit_must_be_a_number(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SEGSAM_MAX_VOXELS", "many")
        with pytest.raises(VolumeError, match="SEGSAM_MAX_VOXELS must be a positive whole number"):
            Volume.load(nifti(tmp_path / "x.nii"))

    @pytest.mark.parametrize("sizes", ["1000000 1000000 1000000", "9" * 30 + " 1 1", "-4 5 6"])
    def test_nrrd_sizes_that_overflow(self, tmp_path: Path, sizes: str) -> None:
        (tmp_path / "x.nrrd").write_text(
            "NRRD0004\ntype: double\ndimension: 3\nencoding: raw\nendian: little\n"
            f"sizes: {sizes}\n\n"
        )
        with pytest.raises(VolumeError, match=r"x\.nrrd"):
            Volume.load(tmp_path / "x.nrrd")

    def test_compressed_data_are_inflated_no_further_than_declared(self, tmp_path: Path) -> None:
        bomb = gzip.compress(b"\0" * 50_000_000)
        header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\nencoding: gzip\n\n"
        (tmp_path / "x.nrrd").write_bytes(header.encode() + bomb)
        assert Volume.load(tmp_path / "x.nrrd").voxels.nbytes == 24


class TestNrrd:
    def write(self, path: Path, values: Any = VALUES, **fields: Any) -> Path:
        header = {
            "space": "left-posterior-superior",
            "space directions": (AFFINE[:3, :3] * [[-1], [-1], [1]]).T,
            "space origin": AFFINE[:3, 3] * [-1, -1, 1],
            "encoding": "gzip",
        }
        header = {key: value for key, value in (header | fields).items() if value is not None}
        nrrd.write(str(path), values, header)
        return path

    def body(self, path: Path, *lines: str, data: bytes = VALUES.tobytes(order="F")) -> Path:
        header = ["NRRD0004", "type: short", "dimension: 3", "sizes: 4 5 6", "endian: little"]
        path.write_bytes("\n".join([*header, *lines, "", ""]).encode() + data)
        return path

    def test_lines_of_a_header_are_bounded(self, tmp_path: Path) -> None:
        """They are read one by one, several times a file."""
        lines = ["encoding: raw", *(f"{number}:=" for number in range(65_530))]
        volume = Volume.load(self.body(tmp_path / "x.nrrd", *lines[:5000]))
        assert np.array_equal(volume.voxels, VALUES)
        for more in (3, 500_000):
            path = self.body(tmp_path / "y.nrrd", *lines, *[":="] * more)
            with pytest.raises(VolumeError, match=r"at most 4194304 bytes and 65536 lines, which"):
                Volume.load(path)

    @pytest.mark.parametrize("encoding", ["gzip", "raw", "ascii"])
    def test_encodings(self, tmp_path: Path, encoding: str) -> None:
        volume = Volume.load(self.write(tmp_path / "x.nrrd", encoding=encoding))
        assert np.array_equal(volume.voxels, VALUES)
        assert volume.voxels.dtype == np.int16
        np.testing.assert_allclose(volume.affine_ras, AFFINE, atol=1e-12)
        assert volume.notes == ()

    @pytest.mark.parametrize(
        ("space", "signs"),
        [
            ("right-anterior-superior", (1, 1, 1)),
            ("RAS", (1, 1, 1)),
            ("left-anterior-superior", (-1, 1, 1)),
            ("LPS", (-1, -1, 1)),
        ],
    )
    def test_frames(self, tmp_path: Path, space: str, signs: tuple[int, int, int]) -> None:
        in_frame = np.diag([*signs, 1]) @ AFFINE
        path = self.write(
            tmp_path / "x.nrrd",
            **{
                "space": space,
                "space directions": in_frame[:3, :3].T,
                "space origin": in_frame[:3, 3],
            },
        )
        volume = Volume.load(path)
        np.testing.assert_allclose(volume.affine_ras, AFFINE, atol=1e-12)
        assert volume.notes == ()

    def test_without_a_frame_it_is_lps_as_in_itk_with_a_note(self, tmp_path: Path) -> None:
        path = self.body(tmp_path / "x.nrrd", "spacings: 2 3 4", "encoding: raw")
        volume = Volume.load(path)
        image = sitk.ReadImage(str(path))
        expected = np.array(image.TransformIndexToPhysicalPoint([1, 2, 3])) * [-1, -1, 1]
        np.testing.assert_allclose(volume.to_ras([[1, 2, 3]])[0], expected)
        assert "were read as left, posterior, superior" in volume.notes[0]

    @pytest.mark.parametrize("centres", ["", "cell cell cell", "node node node", "cell node cell"])
    @pytest.mark.parametrize(
        "place",
        [
            ["spacings: 2 3 4", "axis mins: 10 20 30"],
            ["spacings: 2 3 4", "axismins: 10 20 30"],
            ["spacings: 2 3 4", "axis maxs: 18 29 44"],
            ["axis mins: 10 20 30"],
            ["axis mins: 10 20 30", "axis maxs: 18 29 44"],
            ["spacings: 2 3 4", "axis mins: 10 20 30", "axis maxs: 18 29 44"],
        ],
    )
    @pytest.mark.parametrize("key", ["centers", "centerings"])
    def test_the_ends_of_its_axes_place_it_as_in_itk(
        self, tmp_path: Path, place: list[str], centres: str, key: str
    ) -> None:
        more = [f"{key}: {centres}"] if centres else []
        path = self.body(tmp_path / "x.nrrd", *place, *more, "encoding: raw")
        image = sitk.ReadImage(str(path))
        for voxel in ([0, 0, 0], [3, 4, 5]):
            expected = np.array(image.TransformIndexToPhysicalPoint(voxel)) * [-1, -1, 1]
            np.testing.assert_allclose(Volume.load(path).to_ras([voxel])[0], expected)
        np.testing.assert_allclose(read_grid(path).affine_ras, Volume.load(path).affine_ras)

    def test_blanks_inside_vectors(self, tmp_path: Path) -> None:
        vectors = "( 1.5 , 0 , 0 ) (0, 2,0)\t( 0,0 ,3 )"
        lines = ["space: LPS", f"space directions: {vectors}", "space origin: ( 1 , 2 , 3 )"]
        path = self.body(tmp_path / "x.nrrd", *lines, "encoding: raw")
        volume = Volume.load(path)
        np.testing.assert_allclose(volume.affine_ras[:3, 3], [-1, -2, 3])
        np.testing.assert_allclose(np.diag(volume.affine_ras), [-1.5, -2, 3, 1])
        assert np.array_equal(volume.voxels, VALUES)

    @pytest.mark.parametrize("unit", ["cm", "m", "um", "mm"])
    def test_other_units_are_mentioned(self, tmp_path: Path, unit: str) -> None:
        named = " ".join([f'"{unit}"'] * 3)
        path = self.write(tmp_path / "x.nrrd", **{"space units": [unit] * 3})
        plain = self.body(
            tmp_path / "y.nrrd", "spacings: 2 3 4", f"units: {named}", "encoding: raw"
        )
        for file in (path, plain):
            notes = [note for note in Volume.load(file).notes if f"lengths in '{unit}'" in note]
            assert len(notes) == (unit != "mm")

    def test_big_endian(self, tmp_path: Path) -> None:
        path = tmp_path / "x.nrrd"
        data = VALUES.astype(">i2").tobytes(order="F")
        lines = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 5 6\nendian: big\nencoding: raw\n\n"
        path.write_bytes(lines.encode() + data)
        assert np.array_equal(Volume.load(path).voxels, VALUES)

    def test_data_at_the_end(self, tmp_path: Path) -> None:
        path = self.body(
            tmp_path / "x.nrrd",
            "byte skip: -1",
            "encoding: raw",
            data=b"junk" + VALUES.tobytes(order="F"),
        )
        assert np.array_equal(Volume.load(path).voxels, VALUES)

    @pytest.mark.parametrize("key", ["data file", "datafile"])
    @pytest.mark.parametrize("target", ["secret.raw", "/etc/passwd", "LIST", "x%d.raw 1 3 1"])
    def test_data_elsewhere_are_never_followed(self, tmp_path: Path, key: str, target: str) -> None:
        (tmp_path / "secret.raw").write_bytes(VALUES.tobytes())
        path = self.body(tmp_path / "x.nrrd", f"{key}: {target}", "encoding: raw")
        with pytest.raises(VolumeError, match="expected the voxels in the same file, got a header"):
            Volume.load(path)

    def test_colour(self, tmp_path: Path) -> None:
        colour = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 6)).astype(np.uint8)
        directions = np.vstack([np.full(3, np.nan), np.eye(3)])
        path = self.write(
            tmp_path / "x.nrrd",
            colour,
            **{"space directions": directions, "kinds": ["RGB-color", *["domain"] * 3]},
        )
        assert np.array_equal(Volume.load(path).voxels, np.moveaxis(colour, 0, 3))

    def test_one_list_element_is_squeezed_and_more_are_refused(self, tmp_path: Path) -> None:
        directions = np.vstack([np.full(3, np.nan), np.eye(3)])
        one = self.write(tmp_path / "a.nrrd", VALUES[None], **{"space directions": directions})
        assert np.array_equal(Volume.load(one).voxels, VALUES)
        two = self.write(
            tmp_path / "b.nrrd", np.stack([VALUES, VALUES]), **{"space directions": directions}
        )
        with pytest.raises(VolumeError, match=r"4D \(2x4x5x6\) .* one 3D volume \(t = 1\)"):
            Volume.load(two)

    def test_two_dimensions(self, tmp_path: Path) -> None:
        path = tmp_path / "x.nrrd"
        header = (
            "NRRD0004\ntype: short\ndimension: 2\nsizes: 4 5\nendian: little\nencoding: raw\n\n"
        )
        path.write_bytes(header.encode() + VALUES[:, :, 0].tobytes(order="F"))
        volume = Volume.load(path)
        assert np.array_equal(volume.voxels[:, :, 0], VALUES[:, :, 0])

    @pytest.mark.parametrize(
        ("lines", "sentence"),
        [
            (["encoding: bzip2"], "expected the encoding gzip, raw or ascii, got 'bzip2'"),
            (["encoding: hex"], "raw or ascii, got 'hex'"),
            (["encoding: raw", "byte skip: 7"], "got a byte or line skip"),
            (["encoding: raw", "line skip: 1"], "got a byte or line skip"),
            ([], "could not be read as NRRD"),
            (
                ["encoding: raw", "space directions: (1,0,0) (0,1,0)"],
                "one space direction, or none, for each of 3 axes",
            ),
            (["encoding: raw", "space directions: (1,0,0) (0,x,0) (0,0,1)"], "NRRD"),
            (["encoding: raw", "space directions: (1,0,0) (0,0,0) (0,0,1)"], "spacing along j"),
        ],
    )
    def test_headers_that_are_refused(
        self, tmp_path: Path, lines: list[str], sentence: str
    ) -> None:
        with pytest.raises(VolumeError, match=sentence):
            Volume.load(self.body(tmp_path / "x.nrrd", *lines))

    def test_voxels_that_are_blocks(self, tmp_path: Path) -> None:
        (tmp_path / "x.nrrd").write_bytes(
            b"NRRD0004\ntype: block\ndimension: 3\nsizes: 1 1 1\nblock size: 4\n"
            b"encoding: raw\n\n1234"
        )
        with pytest.raises(VolumeError, match="voxels must be numbers; the header says 'block'"):
            Volume.load(tmp_path / "x.nrrd")

    def test_bzip2_bytes_called_gzip(self, tmp_path: Path) -> None:
        data = bz2.compress(VALUES.tobytes())
        path = self.body(tmp_path / "x.nrrd", "encoding: gzip", data=data)
        with pytest.raises(VolumeError, match="damaged or of another format"):
            Volume.load(path)

    def test_what_itk_wrote(self, tmp_path: Path, oblique: Volume) -> None:
        for compressed in (True, False):
            path = tmp_path / f"{compressed}.nrrd"
            sitk.WriteImage(itk_image(oblique), str(path), compressed)
            volume = Volume.load(path)
            assert np.array_equal(volume.voxels, oblique.voxels)
            assert volume.geometry_equals(oblique, tolerance_mm=1e-6)


def itk_image(volume: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.voxels.T))
    lps = np.diag([-1, -1, 1, 1]) @ volume.affine_ras
    image.SetSpacing(volume.spacing_mm)
    image.SetDirection((lps[:3, :3] / volume.spacing_mm).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


class TestMetaImage:
    @pytest.mark.parametrize("ending", [".mha", ".mhd"])
    @pytest.mark.parametrize("compressed", [True, False])
    def test_what_itk_wrote(
        self, tmp_path: Path, oblique: Volume, ending: str, compressed: bool
    ) -> None:
        path = tmp_path / f"x{ending}"
        sitk.WriteImage(itk_image(oblique), str(path), compressed)
        volume = Volume.load(path)
        assert np.array_equal(volume.voxels, oblique.voxels)
        assert volume.geometry_equals(oblique, tolerance_mm=1e-6)

    def test_colour_as_itk_wrote_it(self, tmp_path: Path) -> None:
        colour = np.random.default_rng(0).integers(0, 255, (6, 5, 4, 3)).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(colour, isVector=True), str(tmp_path / "x.mha"))
        assert np.array_equal(Volume.load(tmp_path / "x.mha").voxels, colour.transpose(2, 1, 0, 3))

    def test_four_dimensions_with_one_point_in_time(self, tmp_path: Path) -> None:
        image = sitk.GetImageFromArray(np.zeros((1, 6, 5, 4), np.int16), isVector=False)
        image.SetSpacing([2, 3, 4, 1])
        sitk.WriteImage(image, str(tmp_path / "x.mha"))
        volume = Volume.load(tmp_path / "x.mha")
        assert volume.shape_ijk == (4, 5, 6)
        assert volume.spacing_mm == (2, 3, 4)

    def header(self, folder: Path, *lines: str, data: str = "LOCAL") -> Path:
        path = folder / "x.mhd"
        start = ["ObjectType = Image", "NDims = 3", "DimSize = 4 5 6", "ElementType = MET_SHORT"]
        fields = {line.partition(" = ")[0]: line for line in (*start, *lines)}
        text = "\n".join([*fields.values(), f"ElementDataFile = {data}", ""])
        path.write_bytes(text.encode() + (VALUES.tobytes(order="F") if data == "LOCAL" else b""))
        return path

    def test_a_neighbour_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "x.raw").write_bytes(VALUES.tobytes(order="F"))
        volume = Volume.load(self.header(tmp_path, data="x.raw"))
        assert np.array_equal(volume.voxels, VALUES)

    @pytest.mark.parametrize(
        "target",
        [
            "/etc/passwd",
            "../x.raw",
            "sub/x.raw",
            "..",
            "LIST",
            "x%02d.raw 1 3 1",
            "a\\b",
            "C:x",
            "",
        ],
    )
    def test_data_elsewhere_are_never_followed(self, tmp_path: Path, target: str) -> None:
        with pytest.raises(
            VolumeError, match="expected the voxels in the same file or in a plain file name"
        ):
            Volume.load(self.header(tmp_path, data=target))

    def test_a_link_out_of_the_folder_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "secret.raw").write_bytes(VALUES.tobytes(order="F"))
        inner = tmp_path / "inner"
        inner.mkdir()
        (inner / "x.raw").symlink_to(tmp_path / "secret.raw")
        with pytest.raises(VolumeError, match="expected the voxels in the same file"):
            Volume.load(self.header(inner, data="x.raw"))

    def test_a_missing_neighbour(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeError, match=r"voxel file 'x\.raw' is not in the same folder"):
            Volume.load(self.header(tmp_path, data="x.raw"))

    @pytest.mark.parametrize(
        ("lines", "sentence"),
        [
            (["ElementNumberOfChannels = 2"], "single numbers or 8-bit colour; these are 2 x"),
            (["ElementSpacing = 1 0 1"], "spacing along j is 0 mm"),
            (["TransformMatrix = 1 0 0 0.5 1 0 0 0 1"], "sheared"),
            (["TransformMatrix = 1 0 0"], "could not be read as MetaImage"),
            (["CompressedData = True"], "could not be read as MetaImage"),
            (["DimSize = 4 5"], r"3 dimensions with the sizes \[4, 5\]"),
            (["DimSize = 4 5 7"], "declares 280 bytes of voxels, but only 240"),
            (["ElementType = MET_STRING"], "these are 1 x MET_STRING"),
        ],
    )
    def test_headers_that_are_refused(
        self, tmp_path: Path, lines: list[str], sentence: str
    ) -> None:
        with pytest.raises(VolumeError, match=sentence):
            Volume.load(self.header(tmp_path, *lines))

    def test_modality_and_byte_order_and_header_size(self, tmp_path: Path) -> None:
        path = self.header(
            tmp_path, "Modality = MET_MOD_MR", "ElementByteOrderMSB = False", "HeaderSize = -1"
        )
        volume = Volume.load(path)
        assert volume.modality == "MR"
        assert np.array_equal(volume.voxels, VALUES)

    @pytest.mark.parametrize("unit", ["um", "cm", "mm"])
    def test_other_units_are_mentioned(self, tmp_path: Path, unit: str) -> None:
        notes = Volume.load(self.header(tmp_path, f"DistanceUnits = {unit}")).notes
        assert [f"lengths in '{unit}'" in note for note in notes] == [True] * (unit != "mm")

    def test_truncated_compressed_data(self, tmp_path: Path) -> None:
        data = zlib.compress(np.random.default_rng(0).bytes(240))[:-60]
        header = "NDims = 3\nDimSize = 4 5 6\nElementType = MET_SHORT\nCompressedData = True\n"
        path = tmp_path / "x.mha"
        path.write_bytes(f"{header}ElementDataFile = LOCAL\n".encode() + data)
        with pytest.raises(
            VolumeError, match=r"declares 240 bytes of voxels, but only .* unpacked"
        ):
            Volume.load(path)


class TestPictures:
    def save(self, path: Path, pixels: NDArray[Any], **more: Any) -> Path:
        Image.fromarray(pixels).save(path, **more)
        return path

    def test_i_runs_right_and_j_runs_down(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (5, 9, 3)).astype(np.uint8)
        volume = Volume.load(self.save(tmp_path / "x.png", pixels))
        assert volume.shape_ijk == (9, 5, 1)
        assert np.array_equal(volume.voxels[7, 2, 0], pixels[2, 7])
        assert volume.to_ras([[7, 2, 0]]).tolist() == [[-7, -2, 0]]
        assert volume.modality is None

    def test_the_world_is_that_of_itk(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "x.png", np.zeros((5, 9), np.uint8))
        point = sitk.ReadImage(str(path)).TransformIndexToPhysicalPoint([7, 2])
        volume = Volume.load(path)
        assert volume.to_ras([[7, 2, 0]])[0, :2].tolist() == [-point[0], -point[1]]

    @pytest.mark.parametrize("ending", [".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"])
    def test_grey_is_one_channel(self, tmp_path: Path, ending: str) -> None:
        pixels = np.full((5, 9), 77, np.uint8)
        for number, array in enumerate((pixels, np.repeat(pixels[..., None], 3, axis=2))):
            volume = Volume.load(self.save(tmp_path / f"{number}{ending}", array))
            assert not volume.is_colour
            assert np.abs(volume.voxels.astype(int) - 77).max() <= 1

    def test_sixteen_bits_stay(self, tmp_path: Path) -> None:
        pixels = np.arange(45, dtype=np.uint16).reshape(5, 9) * 1000
        for ending in (".png", ".tif"):
            volume = Volume.load(self.save(tmp_path / f"x{ending}", pixels))
            assert np.array_equal(volume.voxels[:, :, 0].T, pixels)
            assert volume.voxels.dtype.kind in "iu"

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "RGB"])
    def test_every_mode_becomes_grey_or_colour(self, tmp_path: Path, mode: str) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
        ending = ".tif" if mode == "CMYK" else ".png"
        picture = Image.fromarray(pixels).convert(mode)
        picture.save(tmp_path / f"x{ending}")
        volume = Volume.load(tmp_path / f"x{ending}")
        assert volume.is_colour == (mode not in ("1", "L", "LA"))
        assert volume.voxels.dtype == np.uint8

    def test_transparency_is_dropped_not_blended(self, tmp_path: Path) -> None:
        pixels = np.zeros((4, 4, 4), np.uint8)
        pixels[..., 0] = 200
        volume = Volume.load(self.save(tmp_path / "x.png", pixels))
        assert (volume.voxels[..., 0] == 200).all()

    def test_several_pages_are_refused(self, tmp_path: Path) -> None:
        page = Image.fromarray(np.zeros((4, 4), np.uint8))
        page.save(tmp_path / "x.tif", save_all=True, append_images=[page, page])
        with pytest.raises(VolumeError, match="expected one picture, got a file with 3"):
            Volume.load(tmp_path / "x.tif")

    def test_a_turned_photograph_is_mentioned(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[274] = 6
        path = self.save(tmp_path / "x.jpg", np.zeros((4, 6, 3), np.uint8), exif=exif)
        volume = Volume.load(path)
        assert volume.shape_ijk == (6, 4, 1)
        assert "EXIF orientation 6" in volume.notes[0]

    def test_the_limit_holds(self, tmp_path: Path, voxel_limit: Callable[[int], None]) -> None:
        path = self.save(tmp_path / "x.png", np.zeros((50, 50), np.uint8))
        voxel_limit(2499)
        with pytest.raises(VolumeTooLargeError, match="50x50x1 = 2500 voxels; at most 2499"):
            Volume.load(path)

    def test_a_picture_that_pillow_takes_for_a_bomb(self, tmp_path: Path) -> None:
        header = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR"
        chunk = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
        crc = struct.pack(">I", zlib.crc32(b"IHDR" + chunk))
        (tmp_path / "x.png").write_bytes(header + chunk + crc + b"\0\0\0\4IDAT")
        with pytest.raises(VolumeTooLargeError, match="too large"):
            Volume.load(tmp_path / "x.png")


class TestRealData:
    DATASETS = ("acdc_cardiac", "btcv_slices", "busi_ultrasound", "drive_fundus", "hippocampus",
                "isic_dermoscopy", "jsrt_xray", "sts_ct", "sts_mr", "sts_pet")  # fmt: skip

    @pytest.mark.parametrize("name", DATASETS)
    def test_image_and_label_lie_on_each_other(self, shared_data: Path, name: str) -> None:
        folder = shared_data / name
        image_path = sorted((folder / "images").iterdir())[0]
        stem = image_path.name.split(".")[0]
        label_path = next(iter(sorted((folder / "labels").glob(f"{stem}.*"))))
        image, labels = Volume.load(image_path), Volume.load(label_path)
        assert image.geometry_equals(labels)
        assert labels.voxels.dtype.kind in "iu"
        assert labels.voxels.max() >= 1
        colour = name in ("drive_fundus", "isic_dermoscopy")
        assert image.is_colour == colour
        assert image.modality == ("CT" if name == "sts_ct" else None)


PEAK = """
import resource, sys
import numpy as np
from segsam.imaging.readers import read_grid
from segsam.imaging.volume import Volume
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
volume = Volume.load(sys.argv[1])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.stdout.write(f"{(after - before) * 1024 / volume.voxels.nbytes:.2f}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"x{ending}" for ending in IMAGE_ENDINGS])
def test_an_empty_file_is_called_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    sentence = f"{name} is empty: expected an image or labels, got 0 bytes."
    for read in (Volume.load, read_grid):
        with pytest.raises(VolumeError) as refused:
            read(path)
        assert str(refused.value) == sentence


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_large_volume_needs_at_most_three_times_its_size(tmp_path: Path, ending: str) -> None:
    """G8: 512 x 512 x 300 int16 (`make reliability`: 1000, half a gigabyte), in a process of its
    own.
    """
    depth = 1000 if os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0") else 300
    values = np.zeros((512, 512, depth), np.int16, order="F")
    values[100:400, 100:400] = np.arange(depth, dtype=np.int16)
    # Noise: without it, the file would be too small for a scan (test_plausible_size.py).
    noise = np.random.default_rng(0).integers(0, 16, (300, 300, 100), np.int16)
    values[100:400, 100:400] += np.tile(noise, depth // 100)
    path = tmp_path / f"x{ending}"
    Volume.from_array(values).save(path)
    del values
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) <= 3, f"{ending}: {done.stdout} times the raw size"


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".png"])
def test_the_grid_alone_is_the_grid_of_the_volume(tmp_path: Path, ending: str) -> None:
    shape = (5, 6, 1) if ending == ".png" else (5, 6, 7)
    affine = np.array([[0, -2.0, 0, 4], [1.5, 0, 0, -5], [0, 0, 3, 6], [0, 0, 0, 1]])
    path = tmp_path / f"x{ending}"
    Volume.from_array(np.zeros(shape, np.uint8), affine).save(path)
    whole, grid = Volume.load(path), read_grid(path)
    assert grid.shape_ijk == whole.shape_ijk
    np.testing.assert_allclose(grid.affine_ras, whole.affine_ras)


def test_the_grid_is_refused_like_the_volume(tmp_path: Path) -> None:
    (tmp_path / "x.nii.gz").write_bytes(b"text")
    with pytest.raises(VolumeError, match=r"x\.nii\.gz could not be read as NIfTI"):
        read_grid(tmp_path / "x.nii.gz")
    with pytest.raises(VolumeNotFoundError):
        read_grid(tmp_path / "none.nii")

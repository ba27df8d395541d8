"""NIfTI of many kinds; values and affines are those that were put in, or nibabel's."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from .kinds import AFFINE, INTEGERS, VALUES, Kinds, Made, of_type

NIFTI = Kinds("NIfTI")
_DAMAGED = (
    "x.nii could not be read as NIfTI: expected a header with a known type of voxels and valid "
    "numbers, got a damaged or incomplete one."
)
_FEWER = (
    "x.nii.gz could not be read as NIfTI: expected all voxels that its header declares, got fewer, "
    "or damaged compressed data."
)


def write(path: Path, values: Any = VALUES, kind: Any = nib.Nifti1Image, **header: Any) -> Path:
    image = kind(values, AFFINE, dtype=values.dtype)
    for field, value in header.items():
        image.header[field] = value
    nib.save(image, path)
    return path


def patched(path: Path, offset: int, form: str, *numbers: Any) -> Path:
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, offset, *numbers)
    path.write_bytes(content)
    return path


def oriented(path: Path, *, sform: int, qform: int, shift_mm: float = 0) -> Path:
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.set_sform(AFFINE, code=sform)
    other = AFFINE.copy()
    other[0, 3] += shift_mm
    image.set_qform(other, code=qform)
    nib.save(image, path)
    return path


@NIFTI.read("NIfTI-1, plain (`.nii`)")
def _(folder: Path) -> Made:
    return Made(write(folder / "x.nii"), VALUES, AFFINE)


@NIFTI.read("NIfTI-1, compressed (`.nii.gz`), also with capitals in its name (`.NII.GZ`)")
def _(folder: Path) -> list[Made]:
    path = write(folder / "x.nii.gz")
    capitals = folder / "y.NII.GZ"
    capitals.write_bytes(path.read_bytes())
    return [Made(each, VALUES, AFFINE) for each in (path, capitals)]


@NIFTI.read("compressed in several parts (bgzip)")
def _(folder: Path) -> Made:
    content = write(folder / "y.nii").read_bytes()
    path = folder / "x.nii.gz"
    path.write_bytes(gzip.compress(content[:300]) + gzip.compress(content[300:]))
    return Made(path, VALUES, AFFINE)


@NIFTI.read("NIfTI-2, plain and compressed")
def _(folder: Path) -> list[Made]:
    paths = [write(folder / f"x{end}", kind=nib.Nifti2Image) for end in (".nii", ".nii.gz")]
    return [Made(path, VALUES, AFFINE) for path in paths]


@NIFTI.read("big-endian")
def _(folder: Path) -> Made:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nib.save(nib.Nifti1Image(VALUES, AFFINE, header), folder / "x.nii")
    return Made(folder / "x.nii", VALUES, AFFINE)


@NIFTI.read("every number type: 8 to 64 bits, with and without sign; 32 and 64 bits with fractions")
def _(folder: Path) -> list[Made]:
    made = []
    for kind in (*INTEGERS, "f4", "f8"):
        values = of_type(kind)
        made.append(Made(write(folder / f"{kind}.nii", values), values, AFFINE))
    return made


@NIFTI.read("8-bit colour (RGB24)")
def _(folder: Path) -> Made:
    colour = np.random.default_rng(0).integers(0, 255, (4, 5, 6, 3)).astype(np.uint8)
    packed = np.ascontiguousarray(colour).view([(c, "u1") for c in "RGB"])[..., 0]
    return Made(write(folder / "x.nii.gz", packed), colour, AFFINE)


@NIFTI.read("8-bit colour with transparency (RGBA32), which is dropped")
def _(folder: Path) -> Made:
    colour = np.random.default_rng(0).integers(0, 255, (4, 5, 6, 4)).astype(np.uint8)
    packed = np.ascontiguousarray(colour).view([(c, "u1") for c in "RGBA"])[..., 0]
    return Made(write(folder / "x.nii", packed), colour[..., :3], AFFINE)


@NIFTI.read("slope 0, NaN or 1: values as they are stored")
def _(folder: Path) -> list[Made]:
    made = []
    for number, slope in enumerate((0.0, np.nan, 1.0)):
        path = write(folder / f"{number}.nii")
        made.append(Made(patched(path, 112, "<ff", slope, 0.0), VALUES, AFFINE))
    return made


@NIFTI.read("slope and intercept, as nibabel applies them (16 bits to float32, 32 bits to float64)")
def _(folder: Path) -> list[Made]:
    made = []
    for kind in ("i2", "i4"):
        values = VALUES.astype(kind) + (2**30 if kind == "i4" else 0)
        path = patched(write(folder / f"{kind}.nii", values), 112, "<ff", 0.5, -3.0)
        made.append(Made(path, nib.load(path).get_fdata(), AFFINE))
    return made


@NIFTI.read("4D with one point in time, 5D with one")
def _(folder: Path) -> list[Made]:
    made = [write(folder / "4.nii", VALUES[..., None])]
    made.append(write(folder / "5.nii", VALUES[..., None, None]))
    return [Made(path, VALUES, AFFINE) for path in made]


@NIFTI.read("2D, also with both sform and qform, as SimpleITK writes it")
def _(folder: Path) -> list[Made]:
    flat, by_itk = VALUES[:, :, 0], folder / "y.nii"
    image = sitk.GetImageFromArray(np.ascontiguousarray(flat.T))
    image.SetSpacing((2, 3))
    sitk.WriteImage(image, by_itk)
    return [
        Made(write(folder / "x.nii", flat), flat[..., None], AFFINE),
        Made(by_itk, flat[..., None], np.diag([-2.0, -3, 1, 1])),
    ]


@NIFTI.read("sform alone; qform alone; both alike")
def _(folder: Path) -> list[Made]:
    return [
        Made(oriented(folder / f"{s}{q}.nii", sform=s, qform=q), VALUES, AFFINE)
        for s, q in ((1, 0), (0, 1), (1, 1))
    ]


@NIFTI.read("sform and qform that differ (the sform is used, with a note)")
def _(folder: Path) -> Made:
    path = oriented(folder / "x.nii", sform=1, qform=1, shift_mm=10)
    return Made(path, VALUES, AFFINE, "two different orientations")


@NIFTI.read("neither sform nor qform (as nibabel assumes, with a note)")
def _(folder: Path) -> Made:
    path = oriented(folder / "x.nii", sform=0, qform=0)
    return Made(path, VALUES, nib.load(path).affine, "left and right may be swapped")


@NIFTI.read("spacing in metres or microns (its numbers as millimetres, with a note)")
def _(folder: Path) -> Made:
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.header.set_xyzt_units("micron")
    nib.save(image, folder / "x.nii")
    return Made(folder / "x.nii", VALUES, AFFINE, "in microns")


@NIFTI.read("with header extensions")
def _(folder: Path) -> Made:
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"a comment"))
    nib.save(image, folder / "x.nii.gz")
    return Made(folder / "x.nii.gz", VALUES, AFFINE)


@NIFTI.refused(
    "4D with several points in time",
    "x.nii: the image is 4D (4x5x6x3) with t = 3; expected one 3D volume (t = 1). Extract one "
    "first.",
)
def _(folder: Path) -> Path:
    return write(folder / "x.nii", np.zeros((4, 5, 6, 3), np.uint8))


@NIFTI.refused("complex numbers", "x.nii: voxels must be real numbers; these are complex64.")
def _(folder: Path) -> Path:
    return write(folder / "x.nii", VALUES.astype(np.complex64))


@NIFTI.refused(
    "NaN or infinity among the voxels",
    "x.nii.gz: 1 of 120 voxels are NaN or infinite; every voxel must be a number. The first is "
    "voxel (1, 2, 3), which is NaN.",
)
def _(folder: Path) -> Path:
    values = VALUES.astype(np.float32)
    values[1, 2, 3] = np.nan
    return write(folder / "x.nii.gz", values)


@NIFTI.refused(
    "an orientation with NaN", "x.nii: the affine must be finite; it holds NaN or infinity."
)
def _(folder: Path) -> Path:
    return patched(write(folder / "x.nii"), 280, "<f", np.nan)


@NIFTI.refused(
    "not compressed, but named `.nii.gz`",
    "x.nii.gz could not be read as NIfTI: expected a file compressed by gzip, as its name says, "
    "got one that is not. If nothing else is wrong, a name that ends in .nii makes it readable.",
)
def _(folder: Path) -> Path:
    return write(folder / "y.nii").rename(folder / "x.nii.gz")


@NIFTI.refused(
    "compressed, but named `.nii`",
    "x.nii could not be read as NIfTI: expected plain NIfTI, as its name says, got a file "
    "compressed by gzip. If nothing else is wrong, a name that ends in .nii.gz makes it readable.",
)
def _(folder: Path) -> Path:
    return write(folder / "y.nii.gz").rename(folder / "x.nii")


@NIFTI.refused(
    "voxels that would begin within the header",
    "x.nii: expected its voxels from byte 352 on, got 0 as their place (vox_offset).",
)
def _(folder: Path) -> Path:
    return patched(write(folder / "x.nii"), 108, "<f", 0.0)


@NIFTI.refused(
    "the header of a pair (`.hdr`, `.img`) under the name `.nii`",
    "x.nii is the header of a pair of files (.hdr and .img); expected NIfTI in one file.",
)
def _(folder: Path) -> Path:
    nib.save(nib.Nifti1Pair(VALUES, AFFINE), folder / "y.hdr")
    return (folder / "y.hdr").rename(folder / "x.nii")


@NIFTI.refused("ANALYZE 7.5 under the name `.nii`", _DAMAGED)
def _(folder: Path) -> Path:
    nib.save(nib.AnalyzeImage(VALUES, AFFINE), folder / "y.hdr")
    return (folder / "y.hdr").rename(folder / "x.nii")


@NIFTI.refused("an unknown type of voxels", _DAMAGED)
def _(folder: Path) -> Path:
    return patched(write(folder / "x.nii"), 70, "<h", 9999)


@NIFTI.refused(
    "cut off, plain",
    "x.nii: the header declares 240 bytes of voxels, but only 210 bytes follow it; the file is "
    "incomplete or its header is wrong.",
)
def _(folder: Path) -> Path:
    path = write(folder / "x.nii")
    path.write_bytes(path.read_bytes()[:-30])
    return path


@NIFTI.refused("cut off, compressed", _FEWER)
def _(folder: Path) -> Path:
    path = write(
        folder / "x.nii.gz", np.random.default_rng(0).integers(0, 999, (9, 9, 9), np.int32)
    )
    path.write_bytes(path.read_bytes()[:-400])
    return path


@NIFTI.refused("a checksum that is wrong (a bit flipped in compressed data)", _FEWER)
def _(folder: Path) -> Path:
    path = write(folder / "x.nii.gz")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    return path


@NIFTI.refused(
    "a web page under its name",
    "x.nii is not NIfTI: the file must begin with 348 or 540, the size of its header.",
)
def _(folder: Path) -> Path:
    (folder / "x.nii").write_text("<html>not found</html>" * 30)
    return folder / "x.nii"

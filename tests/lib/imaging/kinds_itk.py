"""NRRD and MetaImage of many kinds; values and affines are those put in, or SimpleITK's."""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .kinds import AFFINE, INTEGERS, VALUES, Kinds, Made, of_type

NRRD = Kinds("NRRD")
META = Kinds("MetaImage")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
NAMES = {
    "i1": ("int8", "MET_CHAR"), "u1": ("uint8", "MET_UCHAR"), "i2": ("short", "MET_SHORT"),
    "u2": ("unsigned short", "MET_USHORT"), "i4": ("int", "MET_INT"), "u4": ("uint32", "MET_UINT"),
    "i8": ("longlong", "MET_LONG_LONG"), "u8": ("uint64", "MET_ULONG_LONG"),
    "f4": ("float", "MET_FLOAT"), "f8": ("double", "MET_DOUBLE"),
}  # fmt: skip
BYTES = VALUES.tobytes(order="F")


def vectors(affine: NDArray[np.float64], signs: tuple[int, int, int]) -> list[str]:
    """Fields of NRRD for an affine in RAS, in the frame that these signs make of it."""
    own = np.diag([*signs, 1.0]) @ affine
    columns = " ".join(f"({','.join(f'{x:g}' for x in column)})" for column in own[:3, :3].T)
    return [f"space directions: {columns}", f"space origin: ({','.join(map(str, own[:3, 3]))})"]


PLACED = ["space: left-posterior-superior", *vectors(AFFINE, (-1, -1, 1))]


def nrrd(
    path: Path,
    *lines: str,
    data: bytes | None = BYTES,
    kind: str = "short",
    sizes: str = "4 5 6",
    placed: list[str] = PLACED,
) -> Path:
    header = ["NRRD0005", f"type: {kind}", f"dimension: {len(sizes.split())}", f"sizes: {sizes}"]
    header += [*([] if any("endian" in line for line in lines) else ["endian: little"])]
    path.write_bytes("\n".join([*header, *placed, *lines, "", ""]).encode() + (data or b""))
    return path


def meta(
    path: Path,
    *lines: str,
    data: bytes = BYTES,
    kind: str = "MET_SHORT",
    sizes: str = "4 5 6",
    file: str = "LOCAL",
) -> Path:
    header = [
        "ObjectType = Image", f"NDims = {len(sizes.split())}", f"DimSize = {sizes}",
        f"ElementType = {kind}", "TransformMatrix = 1 0 0 0 -1 0 0 0 1", "Offset = -5 6 7",
        "ElementSpacing = 2 3 4", *lines, f"ElementDataFile = {file}", "",
    ]  # fmt: skip
    path.write_bytes("\n".join(header).encode() + (data if file == "LOCAL" else b""))
    return path


def by_itk(path: Path, compressed: bool = False, values: NDArray[Any] = VALUES) -> Made:
    """A file that SimpleITK wrote."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    own = LPS @ AFFINE
    image.SetSpacing([2.0, 3.0, 4.0])
    image.SetDirection((own[:3, :3] / [2.0, 3.0, 4.0]).ravel().tolist())
    image.SetOrigin(own[:3, 3].tolist())
    sitk.WriteImage(image, str(path), compressed)
    return Made(path, values, AFFINE)


@NRRD.read("encodings raw, gzip and ascii, as SimpleITK and others write them")
def _(folder: Path) -> list[Made]:
    text = " ".join(map(str, VALUES.ravel(order="F"))).encode()
    return [
        by_itk(folder / "a.nrrd"),
        by_itk(folder / "b.nrrd", compressed=True),
        Made(nrrd(folder / "c.nrrd", "encoding: raw"), VALUES, AFFINE),
        Made(nrrd(folder / "d.nrrd", "encoding: ascii", data=text), VALUES, AFFINE),
    ]


@NRRD.read("compressed in several parts (bgzip)")
def _(folder: Path) -> Made:
    data = gzip.compress(BYTES[:100]) + gzip.compress(BYTES[100:])
    return Made(nrrd(folder / "x.nrrd", "encoding: gzip", data=data), VALUES, AFFINE)


@NRRD.read("big-endian")
def _(folder: Path) -> Made:
    data = VALUES.astype(">i2").tobytes(order="F")
    return Made(nrrd(folder / "x.nrrd", "endian: big", "encoding: raw", data=data), VALUES, AFFINE)


@NRRD.read(
    "frames left-posterior-superior, right-anterior-superior (also with blanks) and "
    "left-anterior-superior"
)
def _(folder: Path) -> list[Made]:
    made = []
    for frame, signs in (
        ("LPS", (-1, -1, 1)),
        ("RAS", (1, 1, 1)),
        ("Right Anterior Superior", (1, 1, 1)),
        ("LAS", (-1, 1, 1)),
    ):
        placed = [f"space: {frame}", *vectors(AFFINE, signs)]
        path = nrrd(folder / f"{frame}.nrrd", "encoding: raw", placed=placed)
        made.append(Made(path, VALUES, AFFINE))
    return made


@NRRD.read("names of fields in capitals or without blanks (`SpaceOrigin`)")
def _(folder: Path) -> list[Made]:
    made = []
    for number, change in enumerate((str.title, str.lower)):
        names = (line.partition(":") for line in PLACED)
        placed = [f"{change(name).replace(' ', '')}:{rest}" for name, _, rest in names]
        path = nrrd(folder / f"{number}.nrrd", "encoding: raw", placed=placed)
        made.append(Made(path, VALUES, AFFINE))
    return made


@NRRD.read("2D in space, also coronal")
def _(folder: Path) -> Made:
    directions = "space directions: (2,0,0) (0,0,3)"
    placed = ["space: RAS", directions, "space origin: (5,-6,7)"]
    path = nrrd(folder / "x.nrrd", "encoding: raw", sizes="4 30", placed=placed)
    affine = np.array([[2.0, 0, 0, 5], [0, 0, -1, -6], [0, 3, 0, 7], [0, 0, 0, 1]])
    return Made(path, VALUES.reshape((4, 30, 1), order="F"), affine)


@NRRD.read("no frame (as SimpleITK places it, with a note)")
def _(folder: Path) -> Made:
    path = nrrd(folder / "x.nrrd", "encoding: raw", placed=["spacings: 2 3 4"])
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return Made(path, VALUES, LPS @ affine, "no complete patient orientation")


@NRRD.read("every number type: 8 to 64 bits, with and without sign; 32 and 64 bits with fractions")
def _(folder: Path) -> list[Made]:
    made = []
    for kind in (*INTEGERS, "f4", "f8"):
        values = of_type(kind)
        data = values.tobytes(order="F")
        path = nrrd(folder / f"{kind}.nrrd", "encoding: raw", kind=NAMES[kind][0], data=data)
        made.append(Made(path, values, AFFINE))
    return made


@NRRD.read("8-bit colour; a list axis of length 1")
def _(folder: Path) -> list[Made]:
    colour = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 6)).astype(np.uint8)
    first, second = vectors(AFFINE, (-1, -1, 1))
    placed = ["space: LPS", first.replace(": ", ": none "), second]
    lines = ["encoding: raw"]
    data = colour.tobytes(order="F")
    rgb = nrrd(folder / "a.nrrd", *lines, data=data, kind="uchar", sizes="3 4 5 6", placed=placed)
    one = nrrd(folder / "b.nrrd", *lines, sizes="1 4 5 6", placed=placed)
    return [Made(rgb, np.moveaxis(colour, 0, 3), AFFINE), Made(one, VALUES, AFFINE)]


@NRRD.read("voxels as the last bytes (`byte skip: -1`)")
def _(folder: Path) -> Made:
    path = nrrd(folder / "x.nrrd", "byte skip: -1", "encoding: raw", data=b"junk" + BYTES)
    return Made(path, VALUES, AFFINE)


@NRRD.read("header and voxels in two files (`.nhdr` with `.raw` or `.raw.gz` beside it)")
def _(folder: Path) -> list[Made]:
    (folder / "x.raw").write_bytes(BYTES)
    (folder / "y.raw.gz").write_bytes(gzip.compress(BYTES))
    plain = nrrd(folder / "x.nhdr", "encoding: raw", "data file: x.raw", data=None)
    packed = nrrd(folder / "y.nhdr", "encoding: gzip", "data file: ./y.raw.gz", data=None)
    return [Made(plain, VALUES, AFFINE), Made(packed, VALUES, AFFINE)]


@NRRD.refused(
    "another frame than these",
    "x.nrrd: expected the space left-posterior-superior, right-anterior-superior, "
    "left-anterior-superior, or none, got 'right-posterior-superior'.",
)
def _(folder: Path) -> Path:
    placed = ["space: right-posterior-superior", *vectors(AFFINE, (1, -1, 1))]
    return nrrd(folder / "x.nrrd", "encoding: raw", placed=placed)


@NRRD.refused(
    "spacings that contradict the directions",
    "x.nrrd: expected spacings equal to the lengths of the space directions, or none, got 5 mm "
    "beside 4 mm.",
)
def _(folder: Path) -> Path:
    return nrrd(folder / "x.nrrd", "spacings: 2 3 5", "encoding: raw")


@NRRD.refused(
    "an origin with fewer numbers than the directions",
    "x.nrrd: expected a space origin of 3 numbers, got 2.",
)
def _(folder: Path) -> Path:
    placed = [*PLACED[:2], "space origin: (5,6)"]
    return nrrd(folder / "x.nrrd", "encoding: raw", placed=placed)


@NRRD.refused(
    "a direction of an axis that holds the numbers of one voxel",
    "x.nrrd: expected one space direction, or none, for each of 3 axes, and only for axes in "
    "space, got one for axis 0, a 'list'.",
)
def _(folder: Path) -> Path:
    return nrrd(folder / "x.nrrd", "kinds: list domain domain", "encoding: raw")


@NRRD.refused(
    "no byte order",
    "x.nrrd: expected the byte order (endian) little or big, got none.",
)
def _(folder: Path) -> Path:
    path = nrrd(folder / "x.nrrd", "encoding: raw")
    path.write_bytes(path.read_bytes().replace(b"endian: little\n", b""))
    return path


@NRRD.refused(
    "voxels some bytes before the end (`byte skip: -3`)",
    "x.nrrd: expected the voxels directly after the header, got a byte or line skip.",
)
def _(folder: Path) -> Path:
    return nrrd(folder / "x.nrrd", "byte skip: -3", "encoding: raw", data=BYTES + b"xx")


@NRRD.refused(
    "a `.nrrd` that names another file",
    "x.nrrd: expected the voxels in the same file, got a header for a separate data file; save "
    "both as one .nrrd file.",
)
def _(folder: Path) -> Path:
    (folder / "x.raw").write_bytes(BYTES)
    return nrrd(folder / "x.nrrd", "encoding: raw", "data file: x.raw", data=None)


@NRRD.refused(
    "a `.nhdr` without its voxels", "x.nhdr: its voxel file 'x.raw' is not in the same folder."
)
def _(folder: Path) -> Path:
    return nrrd(folder / "x.nhdr", "encoding: raw", "data file: x.raw", data=None)


@NRRD.refused(
    "a `.nhdr` whose voxels are in another folder, or in a list of files",
    "x.nhdr: expected the voxels in the same file or in a plain file name in the same folder, got "
    "'../x.raw'.",
)
def _(folder: Path) -> Path:
    return nrrd(folder / "x.nhdr", "encoding: raw", "data file: ../x.raw", data=None)


@NRRD.refused("bzip2", "x.nrrd: expected the encoding gzip, raw or ascii, got 'bzip2'.")
def _(folder: Path) -> Path:
    return nrrd(folder / "x.nrrd", "encoding: bzip2", data=bz2.compress(BYTES))


@NRRD.refused(
    "several points in time",
    "x.nrrd: the image is 4D (2x4x5x6) with 3 axes in space; expected one 3D volume (t = 1). "
    "Extract one first.",
)
def _(folder: Path) -> Path:
    first, second = vectors(AFFINE, (-1, -1, 1))
    placed = ["space: LPS", first.replace(": ", ": none "), second]
    return nrrd(folder / "x.nrrd", "encoding: raw", data=BYTES * 2, sizes="2 4 5 6", placed=placed)


@NRRD.refused(
    "text with a number that the type does not hold",
    "x.nrrd: expected numbers from 0 to 255, got 0 to 256.",
)
def _(folder: Path) -> Path:
    text = " ".join(["0"] * 119 + ["256"]).encode()
    return nrrd(folder / "x.nrrd", "encoding: ascii", kind="uchar", data=text)


@NRRD.refused(
    "cut off",
    "x.nrrd: the header declares 240 bytes of voxels, but only 200 bytes follow it; the file is "
    "incomplete or its header is wrong.",
)
def _(folder: Path) -> Path:
    return nrrd(folder / "x.nrrd", "encoding: raw", data=BYTES[:200])


@NRRD.refused(
    "compressed data that are damaged",
    "x.nrrd could not be read as NRRD: expected a complete file of this format, got one that is "
    "incomplete, damaged or of another format.",
)
def _(folder: Path) -> Path:
    return nrrd(folder / "x.nrrd", "encoding: gzip", data=b"no gzip at all" * 20)


@NRRD.refused(
    "a checksum that is wrong (a bit flipped in compressed data)",
    "x.nrrd could not be read as NRRD: expected a complete file of this format, got one that is "
    "incomplete, damaged or of another format.",
)
def _(folder: Path) -> Path:
    data = bytearray(gzip.compress(BYTES))
    data[-5] ^= 1
    return nrrd(folder / "x.nrrd", "encoding: gzip", data=bytes(data))


@NRRD.refused("another format under its name", "x.nrrd is not NRRD: the file must begin with NRRD.")
def _(folder: Path) -> Path:
    (folder / "x.nrrd").write_text("<html>not found</html>")
    return folder / "x.nrrd"


@META.read("`.mha`, plain and compressed, as SimpleITK writes it")
def _(folder: Path) -> list[Made]:
    return [by_itk(folder / "a.mha"), by_itk(folder / "b.mha", compressed=True)]


@META.read("`.mhd` with `.raw` or `.zraw` beside it")
def _(folder: Path) -> list[Made]:
    return [by_itk(folder / "a.mhd"), by_itk(folder / "b.mhd", compressed=True)]


@META.read("every number type: 8 to 64 bits, with and without sign; 32 and 64 bits with fractions")
def _(folder: Path) -> list[Made]:
    made = []
    for kind in (*INTEGERS, "f4", "f8"):
        values = of_type(kind)
        path = meta(folder / f"{kind}.mha", kind=NAMES[kind][1], data=values.tobytes(order="F"))
        made.append(Made(path, values, AFFINE))
    return made


@META.read("MET_LONG and MET_ULONG, 32 bits as in ITK")
def _(folder: Path) -> Made:
    path = meta(folder / "x.mha", kind="MET_LONG", data=VALUES.astype("i4").tobytes(order="F"))
    return Made(path, sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T, AFFINE)


@META.read("voxels as text (`BinaryData = False`)")
def _(folder: Path) -> Made:
    text = " ".join(f"{value:5d}" for value in VALUES.ravel(order="F")).encode()
    return Made(meta(folder / "x.mha", "BinaryData = False", data=text), VALUES, AFFINE)


@META.read("big-endian")
def _(folder: Path) -> list[Made]:
    data = VALUES.astype(">i2").tobytes(order="F")
    fields = ("BinaryDataByteOrderMSB = True", "ElementByteOrderMSB = T")
    paths = [meta(folder / f"{field[0]}.mha", field, data=data) for field in fields]
    return [Made(path, VALUES, AFFINE) for path in paths]


@META.read("8-bit colour")
def _(folder: Path) -> Made:
    colour = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 6)).astype(np.uint8)
    data = colour.tobytes(order="F")
    path = meta(folder / "x.mha", "ElementNumberOfChannels = 3", kind="MET_UCHAR", data=data)
    return Made(path, np.moveaxis(colour, 0, 3), AFFINE)


@META.read("with a slope of its own for intensities (not applied, as in ITK, with a note)")
def _(folder: Path) -> Made:
    path = meta(folder / "x.mha", "ElementToIntensityFunctionSlope = 2")
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T
    return Made(path, values, AFFINE, "as in ITK")


@META.refused(
    "a `.mhd` without its voxels", "x.mhd: its voxel file 'x.raw' is not in the same folder."
)
def _(folder: Path) -> Path:
    return meta(folder / "x.mhd", file="x.raw")


@META.refused(
    "a `.mhd` whose voxels are in another folder, or in a list of files",
    "x.mhd: expected the voxels in the same file or in a plain file name in the same folder, got "
    "'LIST'.",
)
def _(folder: Path) -> Path:
    return meta(folder / "x.mhd", file="LIST")


@META.refused(
    "two places of the first voxel",
    "x.mha: expected one of the fields Offset, Position, Origin, or the same in each, got "
    "'-5 6 7' and '5 6 7'.",
)
def _(folder: Path) -> Path:
    return meta(folder / "x.mha", "Origin = 5 6 7")


@META.refused("a field that comes twice", "x.mha: expected each field once, got two 'Offset'.")
def _(folder: Path) -> Path:
    return meta(folder / "x.mha", "Offset = 5 6 7")


@META.refused(
    "two byte orders",
    "x.mha: expected one byte order, got two (BinaryDataByteOrderMSB and ElementByteOrderMSB).",
)
def _(folder: Path) -> Path:
    lines = ("BinaryDataByteOrderMSB = False", "ElementByteOrderMSB = True")
    return meta(folder / "x.mha", *lines)


@META.refused(
    "cut off",
    "x.mha: the header declares 240 bytes of voxels, but only 120 bytes follow it; the file is "
    "incomplete or its header is wrong.",
)
def _(folder: Path) -> Path:
    return meta(folder / "x.mha", data=BYTES[:120])


@META.refused(
    "compressed data that end too early",
    "x.mha: the header declares 240 bytes of voxels, but only 100 could be unpacked; the file is "
    "incomplete or its header is wrong.",
)
def _(folder: Path) -> Path:
    return meta(folder / "x.mha", "CompressedData = True", data=zlib.compress(BYTES[:100]))


@META.refused(
    "vectors as voxels",
    "x.mha: voxels must be single numbers or 8-bit colour; these are 2 x MET_SHORT.",
)
def _(folder: Path) -> Path:
    return meta(folder / "x.mha", "ElementNumberOfChannels = 2", data=BYTES * 2)


@META.refused(
    "a header without sizes that are numbers",
    "x.mha could not be read as MetaImage: expected a complete file of this format, got one that "
    "is incomplete, damaged or of another format.",
)
def _(folder: Path) -> Path:
    return meta(folder / "x.mha", sizes="4 5 six")

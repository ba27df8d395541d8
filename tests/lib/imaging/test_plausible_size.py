"""A small file does not fill the memory: compressed voxels are counted before they are kept."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, JPEG2000Lossless

from segsam.errors import LabelError, SegSamError, VolumeError, VolumeTooLargeError
from segsam.imaging.formats.stored_voxels import SMALL_BYTES
from segsam.imaging.label_files import label_planes, read_label_values, read_labels
from segsam.imaging.label_regions import check_planes, check_regions
from segsam.imaging.readers import read_grid, read_image
from segsam.imaging.volume import Volume
from segsam.imaging.voxels import zeros

from ...warm_python import WarmPython

SIDE = 512
"""128 MB of 8-bit voxels."""
GOAL_MB = 100
PEAK = """
import sys
from pathlib import Path
from segsam.errors import SegSamError
from segsam.imaging.label_files import read_label_values
from segsam.imaging.readers import read_grid
from segsam.imaging.volume import Volume

def peak_kb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

path, before, outcome = Path(sys.argv[2]), peak_kb(), "read"
try:
    if sys.argv[1] == "label":
        read_label_values(path, read_grid(path))
    else:
        Volume.load(path)
except SegSamError as error:
    outcome = type(error).__name__
sys.stdout.write(f"{outcome} {(peak_kb() - before) / 1024:.1f}")
"""


def packed(value: int, count: int, *, wrapper: int) -> bytes:
    """Return `count` equal bytes, compressed: 16 MB at a time, each time the same data."""
    coder = zlib.compressobj(9, zlib.DEFLATED, wrapper)
    head = coder.compress(b"") + coder.flush(zlib.Z_FULL_FLUSH)
    piece = coder.compress(bytes([value]) * 2**24) + coder.flush(zlib.Z_FULL_FLUSH)
    whole, rest = divmod(count, 2**24)
    end = coder.compress(bytes([value]) * rest) + coder.flush()
    checksum = 8 if wrapper > 15 else 4  # of what the coder has seen: without it, none is wrong
    return head + piece * whole + end[:-checksum]


def nifti_header(
    shape: tuple[int, ...], kind: str, slope: float = 1, intercept: float = 0
) -> bytes:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.dtype(kind))
    header.set_data_shape(shape)
    header["sform_code"], header["pixdim"][1:4] = 1, 1
    header["srow_x"], header["srow_y"], header["srow_z"] = np.eye(4)[:3]
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, slope, intercept
    return bytes(header.binaryblock) + bytes(4)


def nifti_bomb(
    path: Path,
    value: int,
    kind: str = "u1",
    shape: tuple[int, int, int] = (SIDE, SIDE, SIDE),
    **scale: float,
) -> None:
    count = math.prod(shape) * np.dtype(kind).itemsize
    head = gzip.compress(nifti_header(shape, kind, **scale))  # a member of its own
    path.write_bytes(head + packed(value, count, wrapper=31))


def long_extension(path: Path, offset: int, *, item: int = 0) -> None:
    """A header whose voxels begin at `offset`, after one extension or items of 16 bytes."""
    header = nibabel.Nifti1Header(nifti_header((2, 2, 2), "u1")[:348])
    header["vox_offset"] = offset
    length = item or offset - 352
    first = b"\1\0\0\0" + struct.pack("<ii", length, 0)
    head = gzip.compress(bytes(header.binaryblock) + first + bytes(8))
    rest = offset - 368
    piece = struct.pack("<ii", length, 0) + bytes(8) if item else bytes(16)
    is_huge = rest > 2**25
    body = packed(0, rest, wrapper=31) if is_huge else gzip.compress(piece * (rest // 16))
    path.write_bytes(head + body + gzip.compress(bytes(range(8))))


def long_nrrd_header(path: Path) -> None:
    head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"
    path.write_bytes(head.encode() + b"# more\n" * 2**20 + b"\n" + bytes(8))


def metaimage_after(path: Path, skipped: int) -> None:
    head = f"NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nHeaderSize = {skipped}\n"
    path.write_bytes(head.encode() + b"ElementDataFile = LOCAL\n" + bytes(8))


def nrrd_bomb(path: Path, value: int, more: str = "") -> None:
    head = (
        f"NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: {SIDE} "
        f"{SIDE} {SIDE}\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n"
        f"encoding: gzip\n{more}\n"
    )
    path.write_bytes(head.encode() + packed(value, SIDE**3, wrapper=31))


def metaimage_bomb(path: Path, value: int) -> None:
    head = (
        f"NDims = 3\nDimSize = {SIDE} {SIDE} {SIDE}\nElementSpacing = 1 1 1\n"
        "CompressedData = True\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    path.write_bytes(head.encode() + packed(value, SIDE**3, wrapper=15))


def dicom(path: Path, syntax: pydicom.uid.UID, frames: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    dataset.Modality, dataset.SeriesInstanceUID = "CT", "1.2.4"
    dataset.Rows = dataset.Columns = 2048
    dataset.NumberOfFrames = frames
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    return dataset


def placed(number: int) -> pydicom.Dataset:
    position, groups = pydicom.Dataset(), pydicom.Dataset()
    position.ImagePositionPatient = [0, 0, number]
    groups.PlanePositionSequence = [position]
    return groups


def deflated_bomb(path: Path) -> None:
    dataset = dicom(path, DeflatedExplicitVRLittleEndian, 1)
    dataset.Rows = dataset.Columns = 16_384
    dataset.PixelData = bytes(2 * 16_384**2)
    dataset.save_as(path, write_like_original=False)


def deflated_element(path: Path, *values: bytes, header: bytes = b"") -> None:
    """A deflated file with a private element of these values before its rows and columns."""
    meta = b"\2\0\x10\0UI" + struct.pack("<H", 22) + b"1.2.840.10008.1.2.1.99"
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    image = b"\x08\0\x60\0CS\2\0CT" + (
        header or b"\x09\0\x10\0OB\0\0" + struct.pack("<I", sum(map(len, values)))
    )
    after = b"\x28\0\x10\0US\2\0\2\0\x28\0\x11\0US\2\0\2\0"
    body = b"".join(map(coder.compress, [image, *values, after])) + coder.flush()
    size = struct.pack("<I", len(meta))
    path.write_bytes(bytes(128) + b"DICM\2\0\0\0UL\4\0" + size + meta + body)


def many_items(path: Path) -> None:
    items = b"\xfe\xff\0\xe0\0\0\0\0" * 2**20
    header = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff"
    deflated_element(path, items, b"\xfe\xff\xdd\xe0\0\0\0\0", header=header)


def jpeg2000_bomb(path: Path) -> None:
    dataset = dicom(path, JPEG2000Lossless, 100)
    sides = (2048).to_bytes(4, "big")
    size = b"\0\0" + sides * 2 + bytes(8) + sides * 2 + bytes(8) + b"\0\1\x0f\1\1"
    frame = b"\xff\x4f\xff\x51" + (len(size) + 2).to_bytes(2, "big") + size
    dataset.PerFrameFunctionalGroupsSequence = [placed(number) for number in range(100)]
    dataset.PixelData = encapsulate([frame] * 100)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, write_like_original=False)


def picture_bomb(path: Path) -> None:
    options = {"compression": "tiff_adobe_deflate"} if path.suffix == ".tif" else {}
    Image.new("RGB", (12_000, 12_000), (1, 2, 3)).save(path, **options)


REFUSED: dict[str, Callable[[Path], None]] = {
    "one.nii.gz": lambda path: nifti_bomb(path, 1),
    "scaled.nii.gz": lambda path: nifti_bomb(path, 0, "<i2", slope=2, intercept=-1024),
    "one.nrrd": lambda path: nrrd_bomb(path, 1),
    "one.mha": lambda path: metaimage_bomb(path, 1),
    "deflated.dcm": deflated_bomb,
    "jpeg2000.dcm": jpeg2000_bomb,
    "one.png": picture_bomb,
    "one.tif": picture_bomb,
}
REFUSED |= {
    "empty.nii.gz": lambda path: nifti_bomb(path, 0, shape=(1024, 1024, 1024)),
    "plane.nii.gz": lambda path: nifti_bomb(path, 0, shape=(25_000, 25_000, 1)),
}
HEADERS: dict[str, Callable[[Path], None]] = {
    "extension.nii.gz": lambda path: long_extension(path, 10**9),
    "offset.nii.gz": lambda path: long_extension(path, 2**24 + 1024),
    "lines.nrrd": long_nrrd_header,
    "skip.nrrd": lambda path: nrrd_bomb(path, 0, "byte skip: 1000000000\n"),
    "skip.mha": lambda path: metaimage_after(path, 10**9),
    "element.dcm": lambda path: deflated_element(path, *[bytes(2**24)] * 16),
    "items.dcm": many_items,
}
"""Files whose header, or what stands before the voxels, is far longer than a real one."""
READ: dict[str, Callable[[Path], None]] = {
    "zero.nii.gz": lambda path: nifti_bomb(path, 0),
    "swapped.nii.gz": lambda path: nifti_bomb(path, 0, ">i2"),
    "zero.nrrd": lambda path: nrrd_bomb(path, 0),
    "zero.mha": lambda path: metaimage_bomb(path, 0),
    "items.nii.gz": lambda path: long_extension(path, 2**24, item=16),
}
SEGMENT = "Segment0_ID: a\nSegment0_Name: liver\nSegment0_LabelValue: 1\nSegment0_Layer: 0\n"
LABELS: dict[str, Callable[[Path], None]] = {
    "one.nii.gz": lambda path: nifti_bomb(path, 1),
    "one.nrrd": lambda path: nrrd_bomb(path, 1),
    "one.seg.nrrd": lambda path: nrrd_bomb(path, 1, SEGMENT),
}


@pytest.fixture(scope="module")
def python() -> Iterator[WarmPython]:
    with WarmPython("segsam.imaging.label_files", "segsam.imaging.volume") as python:
        yield python


def peak_of(python: WarmPython, kind: str, path: Path) -> tuple[str, float]:
    """Return what reading the file ended in, and by how many MB the memory of a process grew."""
    done = python.run(["-c", PEAK, kind, str(path)], cwd=path.parent, env=os.environ)
    assert done.returncode == 0, done.stderr
    outcome, megabytes = done.stdout.split()
    return outcome, float(megabytes)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("kind", "name", "make", "expected"),
    [
        *(("image", name, make, "VolumeTooLargeError") for name, make in REFUSED.items()),
        *(("image", name, make, "VolumeError") for name, make in HEADERS.items()),
        *(("image", name, make, "read") for name, make in READ.items()),
        *(("label", name, make, "read") for name, make in LABELS.items()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bomb_takes_no_memory(
    python: WarmPython,
    tmp_path: Path,
    kind: str,
    name: str,
    make: Callable[[Path], None],
    expected: str,
    record_property: Callable[[str, float], None],
) -> None:
    path = tmp_path / name
    make(path)
    assert path.stat().st_size < 2**23
    outcome, megabytes = peak_of(python, kind, path)
    record_property(f"MB for {kind} {name}", megabytes)
    assert outcome == expected
    assert megabytes < GOAL_MB


def test_the_sentence_says_how_to_send_it_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "one.nii.gz"
    nifti_bomb(path, 1)
    with pytest.raises(
        VolumeTooLargeError, match=r"to at most \d+ bytes.*save it without compress"
    ):
        Volume.load(path)


def test_a_huge_header_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    for name, words in {
        "extension.nii.gz": "at most 16777216 bytes of header extensions .* got 1000000000",
        "lines.nrrd": "a header of at most 4194304 bytes",
        "items.dcm": "at most 65536 items in its sequences, got 1048576",
        "skip.mha": "only 0 bytes follow",
    }.items():
        HEADERS[name](tmp_path / name)
        with pytest.raises(VolumeError, match=words):
            read_grid(tmp_path / name)


def test_extensions_of_real_length_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.nii.gz"
    for length in (352 + 16, 2**20, 352 + 2**24):
        long_extension(path, length)
        assert read_image(path).voxels.ravel(order="F").tolist() == list(range(8))


def test_zeros_take_memory_only_where_they_are_written() -> None:
    for shape, kind in (((3, 4), "u1"), ((300, 400, 500), ">i2"), (2**23, "f8")):
        made = zeros(shape, kind)
        assert made.shape == np.empty(shape).shape
        assert made.dtype == np.dtype(kind)
        assert made.flags.writeable
        made[-1] = 7
        assert np.count_nonzero(made) == made[-1].size
    with pytest.raises(MemoryError):
        zeros(2**60, "u1")


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_an_image_with_little_in_it_is_read_exactly(tmp_path: Path, ending: str) -> None:
    """A masked organ: much smaller than its voxels, and yet a scan."""
    values = np.zeros((400, 400, 300), np.int16)
    values[100:160, 90:170, 50:120] = np.random.default_rng(1).normal(50, 40, (60, 80, 70))
    path = tmp_path / f"organ{ending}"
    Volume.from_array(values).save(path)
    assert values.nbytes > SMALL_BYTES + 20 * path.stat().st_size
    assert np.array_equal(Volume.load(path).voxels, values)


@pytest.mark.parametrize("kind", ["|u1", "<i2", ">i2", "<f4", ">f8", "<u4", "<i8"])
@pytest.mark.parametrize("scale", [(1.0, 0.0), (0.37, -1024.0)])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_values_are_those_of_nibabel(
    tmp_path: Path, kind: str, scale: tuple[float, float], ending: str
) -> None:
    stored = np.random.default_rng(2).integers(0, 120, (70, 90, 110)).astype(kind)
    stored[:40] = 0
    path = tmp_path / f"x{ending}"
    content = nifti_header(stored.shape, kind, *scale)
    order = "big" if kind.startswith(">") else "little"
    if order == "big":
        header = nibabel.Nifti1Header.from_header(nibabel.Nifti1Header(content[:348]))
        content = bytes(header.as_byteswapped(">").binaryblock) + bytes(4)
    content += stored.tobytes(order="F")
    path.write_bytes(gzip.compress(content, 1) if ending == ".nii.gz" else content)
    expected = np.asarray(nibabel.load(path).dataobj.get_unscaled())
    if scale != (1.0, 0.0):
        is_wide = kind in (">f8", "<u4", "<i8")
        number = np.float64 if is_wide else np.float32
        slope, intercept = (number(np.float32(each)) for each in scale)  # as the header has them
        expected = expected.astype(number) * slope + intercept
    voxels = read_image(path).voxels
    assert np.array_equal(voxels, expected)
    assert voxels.dtype == expected.dtype.newbyteorder("=")


@pytest.mark.parametrize("members", [1, 3])
def test_a_gzip_file_of_several_members_is_read(tmp_path: Path, members: int) -> None:
    values = np.arange(60 * 50 * 40, dtype=np.int16).reshape(60, 50, 40)
    content = nifti_header(values.shape, "<i2") + values.tobytes(order="F")
    cuts = np.linspace(0, len(content), members + 1).astype(int)
    pieces = [gzip.compress(content[a:b]) for a, b in pairwise(cuts)]
    path = tmp_path / "x.nii.gz"
    path.write_bytes(b"".join(pieces) + bytes(100))
    assert np.array_equal(read_image(path).voxels, values)
    path.write_bytes(b"".join(pieces)[:-2000])
    with pytest.raises(VolumeError):
        read_image(path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".seg.nrrd"])
def test_the_values_of_a_label_are_those_of_its_voxels(tmp_path: Path, ending: str) -> None:
    labels = np.zeros((90, 80, 200), np.uint16)
    labels[20:30, 20:40, 3:150], labels[50:60], labels[0, 0, 0] = 7, 300, 2
    path = tmp_path / f"x{ending}"
    Volume.from_array(labels).save(path)
    grid = read_grid(path)
    assert read_label_values(path, grid) == (2, 7, 300)
    assert read_label_values(path, grid) == read_labels(path, grid).values


@pytest.mark.parametrize(
    ("voxels", "words"),
    [
        (np.full((4, 5, 6), -3, np.int16), "-3"),
        (np.full((4, 5, 6), 2**33, np.int64), "8.58993e\\+09"),
        (np.full((4, 5, 6), 0.5, np.float32), "holds 0.5"),
        (np.full((4, 5, 6), 2.0**32, np.float64), "holds 4294967296"),
        (np.zeros((4, 5, 6, 3), np.uint8) + np.arange(3, dtype=np.uint8), "colour"),
        (np.arange(70_000, dtype=np.int32).reshape(70, 100, 10), "more than 65536"),
    ],
    ids=["negative", "large", "float", "large float", "colour", "image"],
)
def test_voxels_that_are_no_label_are_refused(
    tmp_path: Path, voxels: np.ndarray, words: str
) -> None:
    path = tmp_path / "x.nrrd"
    Volume.from_array(voxels).save(path)
    with pytest.raises(LabelError, match=words):
        read_label_values(path, read_grid(path))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("is_image", [False, True])
def test_an_image_is_told_from_a_label_plane_by_plane(
    tmp_path: Path, ending: str, *, is_image: bool
) -> None:
    values = np.random.default_rng(3).integers(0, 90, (60, 50, 40)).astype(np.int16)
    if not is_image:
        values = np.repeat(values[::6, ::5], 6, axis=0).repeat(5, axis=1)
    path = tmp_path / f"x{ending}"
    Volume.from_array(values).save(path)
    labels = read_labels(path, read_grid(path))
    planes = label_planes(path)
    assert planes is not None
    if not is_image:
        check_planes(planes, labels.values)
        return
    with pytest.raises(LabelError, match="got an image") as by_plane:
        check_planes(planes, labels.values)
    with pytest.raises(LabelError) as as_a_whole:
        check_regions(labels)
    assert str(by_plane.value) == str(as_a_whole.value)


def test_layers_of_overlapping_segments_are_read_by_block(tmp_path: Path) -> None:
    head = (
        "NRRD0004\ntype: uchar\ndimension: 4\nspace: left-posterior-superior\nsizes: 2 9 8 7\n"
        "space directions: none (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\n"
        "Segment0_ID: a\nSegment0_Name: a\nSegment0_LabelValue: 1\nSegment0_Layer: 0\n"
        "Segment1_ID: b\nSegment1_Name: b\nSegment1_LabelValue: 1\nSegment1_Layer: 1\n\n"
    )
    layers = np.zeros((2, 9, 8, 7), np.uint8)
    path = tmp_path / "x.seg.nrrd"
    for filled, expected in (((0, 1), (1, 2)), ((1,), (2,)), ((), ())):
        layers[:] = 0
        layers[list(filled), 3:5] = 1
        path.write_bytes(head.encode() + layers.tobytes(order="F"))
        assert read_label_values(path, read_grid(path)) == expected
    layers[0, 0, 0, 0] = 9
    path.write_bytes(head.encode() + layers.tobytes(order="F"))
    with pytest.raises(SegSamError, match=r"values \[9\] without one"):
        read_label_values(path, read_grid(path))


def test_a_flipped_bit_in_compressed_voxels_is_never_unnoticed(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "x.nii.gz"
    voxels = rng.integers(0, 3, (20, 20, 20)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    packed = path.read_bytes()
    for place in rng.integers(20, len(packed), 300):
        damaged = bytearray(packed)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with suppress(SegSamError):
            assert np.array_equal(read_image(path).voxels, voxels), f"byte {place}"

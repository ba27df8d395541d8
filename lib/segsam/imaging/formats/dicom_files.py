"""DICOM files: what is one, its header and its data set, and the files of one series.

A file begins with 128 bytes and "DICM" (PS3.10, section 7.1). Files of old scanners and exports
begin with their first element instead. Deflated files are inflated here, and never further than
their header declares.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from segsam.errors import VolumeError
from segsam.imaging.formats.raw import check_not_empty, reading, unreadable
from segsam.imaging.image_files import is_litter

NATIVE_SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
"""Transfer syntaxes whose pixels are not compressed by an image codec."""

OVERLAY_BIT_POSITIONS = tuple(group << 16 | 0x0102 for group in range(0x6000, 0x6020, 2))
"""Elements that give the pixels' bit in which an old overlay is stored."""

PRIVATE_BLOCKS = range(0x10, 0x20)
MOSAIC_CREATORS = {
    "SIEMENS MR HEADER": (0x0019, (0x0A,)),
    "Image Private Header": (0x0065, (0x50, 0x51)),
}
"""Creator of private elements -> their group and the last bytes of those about a mosaic: the number
of its slices (Siemens, UIH), and where they lie (UIH)."""
_PRIVATE = [
    group << 16 | tag
    for group, ends in MOSAIC_CREATORS.values()
    for block in PRIVATE_BLOCKS
    for tag in (block, *(block << 8 | end for end in ends))
]

_PIXEL_MODULE: list[str | int] = [
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "PixelPaddingValue", *OVERLAY_BIT_POSITIONS,
]  # fmt: skip
_PIXELS = ["PixelData", "FloatPixelData", "DoubleFloatPixelData"]
_HEADER: list[str | int] = [
    *_PIXEL_MODULE,
    "SOPClassUID", "SOPInstanceUID", "PatientID", "FrameOfReferenceUID", "SeriesInstanceUID",
    "SeriesDescription", "Modality",
    "ImageType", "VolumetricProperties", "VolumeBasedCalculationTechnique", *_PRIVATE,
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing",
    "PixelAspectRatio",
    "SpacingBetweenSlices", "SliceThickness", "SequenceOfUltrasoundRegions",
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "DoseGridScaling",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "GridFrameOffsetVector", "DetectorInformationSequence", "SliceVector", "FrameIncrementPointer",
    "ConcatenationUID", "InConcatenationNumber", "InConcatenationTotalNumber",
    "ReferencedSeriesSequence", "SegmentSequence", "SegmentationType", "MaximumFractionalValue",
]  # fmt: skip
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes of segmentations and of label maps."""
_OTHER_IMAGES = frozenset({"RT Dose Storage", "Parametric Map Storage", "Segmentation Storage"})
"""Names of SOP classes of images that do not call themselves so."""
_NO_IMAGES = frozenset({"SR", "PR", "KO", "DOC", "REG", "FID", "RTSTRUCT", "RTPLAN", "RTRECORD"})
"""Modalities of objects without pixels."""
_SLICE_ENDINGS = frozenset({"", ".dcm", ".ima"})
_PREAMBLE, _MAGIC = 128, b"DICM"
_FIRST_GROUPS = (0x0002, 0x0008)
_LONGEST_FIRST_VALUE = 1024
_HEADER_LIMIT = 2**24
"""Bytes of a deflated file that are inflated for its header."""
_ITEM = b"\xfe\xff\x00\xe0"
_MOST_ITEMS = 2**16
"""Most items of a deflated header; a frame of an enhanced object has some ten."""


@dataclass(frozen=True, eq=False)
class DicomFile:
    """DICOM image file with its header: the data set without pixels."""

    path: Path
    header: pydicom.Dataset

    @property
    def series_uid(self) -> str:
        """Series Instance UID; empty if missing."""
        return str(self.header.get("SeriesInstanceUID") or "")

    @property
    def sop_class(self) -> pydicom.uid.UID:
        """UID of the kind of object, from the header or the file meta information, or empty."""
        meta = getattr(self.header, "file_meta", None) or pydicom.Dataset()
        found = self.header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or ""
        return pydicom.uid.UID(str(found))

    @property
    def is_segmentation(self) -> bool:
        """True for a segmentation, which holds labels and no image."""
        return self.sop_class in SEGMENTATIONS or self.header.get("Modality") == "SEG"

    @property
    def has_size(self) -> bool:
        """True if the header gives rows and columns, as that of every image does."""
        return "Rows" in self.header and "Columns" in self.header

    @property
    def is_cut(self) -> bool:
        """True if rows or columns are missing in an object that has them, or of unknown kind."""
        name = self.sop_class.name if self.sop_class else ""
        is_image = "Image Storage" in name or name in _OTHER_IMAGES
        is_other = self.header.get("Modality") in _NO_IMAGES
        return not self.has_size and not is_other and (is_image or not name)

    @property
    def frames(self) -> int:
        """Number of frames; 1 if the header does not give it."""
        return int(self.header.get("NumberOfFrames") or 1)

    @property
    def transfer_syntax(self) -> pydicom.uid.UID:
        """UID of how the file is encoded."""
        return self.header.file_meta.TransferSyntaxUID

    @property
    def is_native(self) -> bool:
        """True if no image codec compresses the pixels."""
        return self.transfer_syntax in NATIVE_SYNTAXES

    @property
    def is_deflated(self) -> bool:
        """True if the whole data set is compressed by deflate."""
        return bool(self.transfer_syntax == DeflatedExplicitVRLittleEndian)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of the pixels without compression, as the header declares them."""
        header = self.header
        samples = int(header.get("SamplesPerPixel") or 1)
        numbers = int(header.Rows) * int(header.Columns) * self.frames * samples
        if header.get("PhotometricInterpretation") == "YBR_FULL_422":
            numbers = numbers // 3 * 2  # two pixels share their colour
        return (numbers * int(header.get("BitsAllocated") or 8) + 7) // 8


@dataclass(frozen=True, eq=False)
class DicomFolder:
    """DICOM files of one folder: images, segmentations, and damaged or incomplete files."""

    images: list[DicomFile]
    segmentations: list[DicomFile]
    damaged: list[DicomFile]


def is_dicom(path: Path) -> bool:
    """Return True if the file has "DICM" after its preamble, or begins with a DICOM element.

    Raises VolumeError for a file that the operating system does not give.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(_PREAMBLE + len(_MAGIC))
    except OSError as error:
        raise VolumeError(unreadable(path, error)) from error
    return start[_PREAMBLE:] == _MAGIC or _begins_with_element(start[:8])


def _begins_with_element(start: bytes) -> bool:
    """Return True for a first element of group 2 or 8, with or without its value representation."""
    if len(start) < 8:
        return False
    for order in "<>":
        group, element, length = struct.unpack(f"{order}HHI", start)
        if group not in _FIRST_GROUPS or element > 0xFF:
            continue
        if start[4:6].isalpha() and start[4:6].isupper():
            return True
        is_short = length % 2 == 0 and length <= _LONGEST_FIRST_VALUE
        return bool(order == "<" and group == 0x0008 and is_short)
    return False


def read_file(path: Path) -> DicomFile:
    """Read the header of a DICOM file. Raises VolumeError if it is not one."""
    check_not_empty(path)
    if not is_dicom(path):
        raise VolumeError(
            f"Expected a DICOM file, got {path.name}, which does not begin as one ('DICM' after "
            "128 bytes, or a first element)."
        )
    return DicomFile(path, _read_dataset(path, _HEADER, 0))


def read_pixels(file: DicomFile) -> pydicom.Dataset:
    """Read the data set of a file with its pixels and what describes them."""
    dataset = _read_dataset(file.path, [*_PIXEL_MODULE, *_PIXELS], file.pixel_bytes)
    if not any(keyword in dataset for keyword in _PIXELS):
        raise VolumeError(
            f"{file.path.name} could not be read as DICOM: expected {file.pixel_bytes} bytes of "
            "pixels, got none or not all of them; the file ends too early."
        )
    return dataset


def dicom_folder(folder: Path) -> DicomFolder:
    """Read the headers of all DICOM files of a folder, by name; litter is left out."""
    images, segmentations, damaged = [], [], []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if is_litter(path.name):
            continue
        if not is_dicom(path):
            if is_blank_slice(path):
                damaged.append(DicomFile(path, pydicom.Dataset()))
            continue
        file = read_file(path)
        if file.is_segmentation:
            segmentations.append(file)
        elif file.has_size:
            images.append(file)
        elif file.is_cut:
            damaged.append(file)
    return DicomFolder(images, segmentations, damaged)


def is_blank_slice(path: Path) -> bool:
    """Return True for a file that is empty or begins with zeros only, named as a slice may be.

    A copy that broke off leaves such files. Raises VolumeError for a file that cannot be opened.
    """
    suffix = path.suffix.lower()
    is_dicom_name = suffix in _SLICE_ENDINGS or suffix[1:].isdigit()
    if not is_dicom_name or not (suffix == ".dcm" or any(map(str.isdigit, path.name))):
        return False
    try:
        with path.open("rb") as stream:
            return not any(stream.read(_PREAMBLE + len(_MAGIC)))
    except OSError as error:
        raise VolumeError(unreadable(path, error)) from error


def _read_dataset(path: Path, keywords: Sequence[str | int], pixel_bytes: int) -> pydicom.Dataset:
    """Read these elements; without pixels if `pixel_bytes` is 0."""
    sentence = (
        f"{path.name} could not be read as DICOM: expected a sequence of DICOM elements, got a "
        "damaged or incomplete one."
    )
    with reading(path, "DICOM", sentence):
        inflated = _inflated(path, _HEADER_LIMIT + pixel_bytes)
        dataset = pydicom.dcmread(
            path if inflated is None else inflated,
            force=True,  # is_dicom accepts files without a preamble, which pydicom does not
            stop_before_pixels=not pixel_bytes,
            specific_tags=list(keywords),
        )
        if inflated is not None:
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        elif "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = _syntax_of(dataset)
    return dataset


def _syntax_of(dataset: pydicom.Dataset) -> pydicom.uid.UID:
    if dataset.is_implicit_VR:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if dataset.is_little_endian else ExplicitVRBigEndian


def _inflated(path: Path, limit: int) -> BinaryIO | None:
    """Return up to `limit` inflated bytes of the data set of a deflated file; None for others."""
    with path.open("rb") as stream:
        start = stream.read(_PREAMBLE + 1024)
        if str(DeflatedExplicitVRLittleEndian).encode() not in start:
            return None
        has_preamble = start[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC
        meta = _PREAMBLE + len(_MAGIC) if has_preamble else 0
        tag, length = start[meta : meta + 8], start[meta + 8 : meta + 12]
        if tag != b"\x02\0\0\0UL\x04\0":
            raise VolumeError(
                f"{path.name} is deflated DICOM without the length of its file meta information; "
                "expected the length (0002,0000) as its first element."
            )
        stream.seek(meta + 12 + struct.unpack("<I", length)[0])
        decoder = zlib.decompressobj(-zlib.MAX_WBITS)
        content = decoder.decompress(stream.read(), limit)
    items = content.count(_ITEM, 0, _HEADER_LIMIT)
    if items > _MOST_ITEMS:  # some kilobytes could hold millions, of a kilobyte of memory each
        raise VolumeError(
            f"{path.name}: expected a deflated header with at most {_MOST_ITEMS} items in its "
            f"sequences, got {items}."
        )
    return io.BytesIO(content)

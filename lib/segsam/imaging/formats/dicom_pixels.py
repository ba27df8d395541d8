"""Stored pixel values of a DICOM file: decoded, aligned to their bits, colours as RGB.

Native and run-length encoded pixels are read by pydicom. Images of JPEG's kinds are decoded by GDCM
(SimpleITK) from a temporary file that holds only the pixels and their description, because GDCM
would apply the rescale of the first frame to all, and would invert MONOCHROME1.

        15      11           0      bits stored 12, high bit 11: the usual case
        ...... [ stored value ]     above: zeros, copies of the sign, an old overlay, or anything

Bits outside of the stored ones are no part of a value (PS3.5, section 8.1.1) and are left out. Only
where they are evidently part of the numbers, so that Bits Stored is too small, all bits are read:

    one number        on several pixels, or the declared padding: what fills the surroundings
    many numbers      the bits count through more than the patterns of two overlays, and pixels
                      differ from their neighbours no more with them than without
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.pixel_data_handlers import apply_color_lut, convert_color_space
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage, generate_uid

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_codestreams import FrameHeader, check_frames
from segsam.imaging.formats.dicom_files import OVERLAY_BIT_POSITIONS, DicomFile, read_pixels
from segsam.imaging.formats.raw import check_data_size, reading
from segsam.imaging.voxels import shape_text

_DESCRIPTION = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip
_ALLOCATED = (1, 8, 16, 32, 64)
_PALETTE = "PALETTE COLOR"
_COSINE_BITS = (8, 12)
"""Bits of a pixel that the cosine transform of JPEG has."""
_NEWER = {
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression",
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 (Lossless Only)",
    "1.2.840.10008.1.2.4.202": "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)",
    "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000",
}
"""Transfer syntaxes that pydicom 2.4 does not know yet (PS3.6, table A-1); none is read."""
_YBR = ("YBR_FULL", "YBR_FULL_422")
_OVERLAY_PATTERNS = 3
"""Most numbers other than 0 that the bits of two overlays make."""
_ROUGHER = 2.0
"""How much rougher values may be with the unused bits than without, by their ranges."""


class UnusedBits(Enum):
    """Treatment of the bits outside of the stored ones."""

    NONE = "none"
    """They are 0, copies of the sign, a declared overlay or the declared padding."""
    LEFT_OUT = "left out"
    PADDING = "padding"
    """Read in one number that fills the surroundings, and is not declared."""
    READ = "read"
    """Read in all pixels, because they are part of the numbers."""


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """Stored values, and what became of the bits outside of them.

    `values` are (frames, rows, columns) of any real type, or (frames, rows, columns, 3) uint8.
    """

    values: NDArray[np.generic]
    unused_bits: UnusedBits = UnusedBits.NONE


def check_pixel_bytes(file: DicomFile) -> None:
    """Refuse a file too short for its native pixels, before they are read. Raises VolumeError."""
    if file.is_native and not file.is_deflated:
        available = file.path.stat().st_size
        check_data_size(file.pixel_bytes, available, file.path.name, compressed=False)


def stored_values(file: DicomFile, *, all_bits: bool = False) -> StoredPixels:
    """Decode the pixels of a file; with `all_bits`, bits outside of the stored ones are read too.

    Raises VolumeError.
    """
    dataset = _described(read_pixels(file), file.path.name)
    with reading(file.path, "DICOM", _failure(file)):
        is_simple = file.is_native or file.transfer_syntax == RLELossless
        if not is_simple:
            if not file.transfer_syntax.name.startswith("JPEG"):
                raise VolumeError(_failure(file))
            frame = check_frames(dataset, file.path.name)
            decoded = _decode_by_gdcm(dataset, frame)
        else:
            decoded = dataset.pixel_array
        expected = (file.frames, int(dataset.Rows), int(dataset.Columns))
        samples = int(dataset.SamplesPerPixel)
        shape = expected if samples == 1 else (*expected, samples)
        if decoded.size != np.prod(shape):
            raise VolumeError(
                f"{file.path.name}: expected {shape_text(shape)} frames x rows x columns as the "
                f"header declares, got {shape_text(decoded.shape)} decoded pixels."
            )
        pixels = decoded.reshape(shape)
        if dataset.PhotometricInterpretation == _PALETTE:
            indices = _aligned(pixels, dataset, is_packed=is_simple, all_bits=all_bits)
            return StoredPixels(_palette_colours(indices.values, dataset), indices.unused_bits)
        if samples == 1:
            return _aligned(pixels, dataset, is_packed=is_simple, all_bits=all_bits)
        _check_colour(pixels, file.path.name)
        return StoredPixels(_rgb(pixels, dataset, file.path.name) if is_simple else pixels)


def _failure(file: DicomFile) -> str:
    syntax = file.transfer_syntax
    name = _NEWER.get(str(syntax), "" if syntax.name == str(syntax) else syntax.name)
    if file.is_native:
        reason = f"expected {file.pixel_bytes} bytes of pixels that its header describes in full"
    else:
        reason = (
            "expected a complete image that is not compressed, or compressed as RLE, JPEG, "
            f"JPEG-LS or JPEG 2000; it is declared as {f'{name} ({syntax})' if name else syntax}"
        )
    return f"The pixels of {file.path.name} could not be read as DICOM: {reason}."


def _described(dataset: pydicom.Dataset, name: str) -> pydicom.Dataset:
    """Return the data set with the usual value of each missing attribute of its pixels."""
    allocated = int(dataset.get("BitsAllocated") or 0)
    if allocated not in _ALLOCATED:
        raise VolumeError(
            f"{name}: expected Bits Allocated (0028,0100) to be one of {_ALLOCATED}, got "
            f"{allocated or 'none'}."
        )
    samples = int(dataset.get("SamplesPerPixel") or 1)
    usual = {
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "MONOCHROME2" if samples == 1 else "RGB",
        "BitsStored": allocated,
        "HighBit": int(dataset.get("BitsStored") or allocated) - 1,
        "PixelRepresentation": 0,
        "NumberOfFrames": 1,
        **({"PlanarConfiguration": 0} if samples > 1 else {}),
    }
    for keyword, value in usual.items():
        if dataset.get(keyword) in {None, ""}:
            setattr(dataset, keyword, value)
    pixels = dataset.get("PixelData") or b""
    is_subsampled = dataset.PhotometricInterpretation == "YBR_FULL_422"
    numbers = int(dataset.Rows) * int(dataset.Columns) * int(dataset.NumberOfFrames) * samples
    if is_subsampled and len(pixels) * 8 >= numbers * allocated:
        dataset.PhotometricInterpretation = "YBR_FULL"  # its colours have the full resolution
    return dataset


def _decode_by_gdcm(dataset: pydicom.Dataset, frame: FrameHeader) -> NDArray[np.generic]:
    """Decode frames of JPEG's kinds; `frame` is the header of one of them.

    GDCM chooses the JPEG codec by Bits Allocated, and the cosine transform has one for 8 and one
    for 12 bits alone: with 16 it prints a complaint of libjpeg, tries the others, and fails if
    Bits Stored is 8. So it gets the bits of the frame.
    """
    bare = pydicom.Dataset()
    for keyword in _DESCRIPTION:
        if keyword in dataset:
            setattr(bare, keyword, dataset[keyword].value)
    bare["PixelData"] = dataset["PixelData"]
    if dataset.SamplesPerPixel == 1:
        bare.PhotometricInterpretation = "MONOCHROME2"
    if frame.bits < dataset.BitsStored:
        bare.PixelRepresentation = 0  # the sign bit is above the frame's
    if frame.is_cosine and frame.bits in _COSINE_BITS:
        bare.BitsAllocated, bare.BitsStored = frame.bits, min(frame.bits, bare.BitsStored)
        bare.HighBit = bare.BitsStored - 1
    bare.SOPClassUID, bare.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID
    bare.is_little_endian, bare.is_implicit_VR = True, False
    with tempfile.TemporaryDirectory(prefix="segsam-dicom-") as folder:
        path = Path(folder) / "pixels.dcm"
        bare.save_as(path, write_like_original=False)
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.SetImageIO("GDCMImageIO")
        values: NDArray[np.generic] = sitk.GetArrayFromImage(reader.Execute())
    return values


def _aligned(
    pixels: NDArray[np.generic], dataset: pydicom.Dataset, *, is_packed: bool, all_bits: bool
) -> StoredPixels:
    """Return values whose lowest bit is bit 0 and whose sign is that of their high bit.

    `is_packed` is True for pixels in words of Bits Allocated; an image codec aligns its values.
    """
    stored, size = int(dataset.BitsStored), 8 * pixels.dtype.itemsize
    if pixels.dtype.kind not in "iu" or not 0 < stored < size or size > 32:
        return StoredPixels(pixels)
    # Big-endian numbers would lose their order below, where results are native.
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    kind = np.dtype(f"u{pixels.dtype.itemsize}")
    words: NDArray[np.unsignedinteger[Any]] = pixels.view(kind)
    below = int(dataset.HighBit) + 1 - stored if is_packed else 0
    free, unused = size - stored, UnusedBits.NONE
    if 0 < below <= free:
        is_low_used = bool((words & ((1 << below) - 1)).any())
        # Values that fit into the lowest bits and use them show that the high bit is a wrong one.
        if not is_low_used or (words >> stored).any():
            words, free = words >> np.array(below, kind), free - below
            unused = UnusedBits.LEFT_OUT if is_low_used else unused
    if any((dataset[tag].value or 0) > 0 for tag in OVERLAY_BIT_POSITIONS if tag in dataset):
        words = words & np.array((1 << stored) - 1, kind)
    if all_bits:
        return StoredPixels(words.view(pixels.dtype), UnusedBits.READ)
    if pixels.dtype.kind == "u" and int(words.max()) < 1 << stored:
        return StoredPixels(words.view(pixels.dtype), unused)
    values = _by_stored_bits(words, pixels.dtype, stored)
    foreign = words >> stored != 0
    if pixels.dtype.kind == "i":  # copies of the sign are none
        foreign &= (values >= 0) | (words >> stored != (1 << free) - 1)
    found = _with_foreign_bits(words, values, foreign, stored, _padding(dataset, kind))
    return StoredPixels(found.values, unused) if found.unused_bits is UnusedBits.NONE else found


def _with_foreign_bits(
    words: NDArray[np.unsignedinteger[Any]],
    values: NDArray[Any],
    foreign: NDArray[np.bool_],
    stored: int,
    padding: NDArray[Any] | None,
) -> StoredPixels:
    """Decide whether unused bits, which are not 0 where `foreign` is True, are part of numbers.

    `values` are those of the stored bits alone.
    """
    if not foreign.any():
        return StoredPixels(values)
    as_words = words.view(values.dtype)
    if padding is not None:
        is_padding = foreign & (words == padding)
        values, foreign = np.where(is_padding, as_words, values), foreign & ~is_padding
        if not foreign.any():
            return StoredPixels(values)
    if _is_padding_without_a_word(words, foreign, stored):
        return StoredPixels(np.where(foreign, as_words, values), UnusedBits.PADDING)
    if _is_number(words, words[foreign] >> stored, stored):
        return StoredPixels(as_words, UnusedBits.READ)
    return StoredPixels(values, UnusedBits.LEFT_OUT)


def _by_stored_bits(
    words: NDArray[np.unsignedinteger[Any]], dtype: np.dtype[Any], stored: int
) -> NDArray[Any]:
    """Return the lowest bits of words as numbers of this type, by their own sign bit."""
    if dtype.kind == "u":
        return (words & np.array((1 << stored) - 1, words.dtype)).view(dtype)
    free = 8 * dtype.itemsize - stored
    signed: NDArray[Any] = (words << free).view(dtype)
    return np.asarray(signed >> free)


def _padding(dataset: pydicom.Dataset, kind: np.dtype[Any]) -> NDArray[Any] | None:
    """Return Pixel Padding Value as a word of this type; None for none that fits."""
    value = dataset.get("PixelPaddingValue")
    if isinstance(value, bytes):  # an implicit element whose sign pydicom does not know
        value = int.from_bytes(value[:2], "little")
    if not isinstance(value, int):
        return None
    return np.array(value & ((1 << 8 * kind.itemsize) - 1), kind)


def _is_padding_without_a_word(
    words: NDArray[np.unsignedinteger[Any]], foreign: NDArray[np.bool_], stored: int
) -> bool:
    """Return True if unused bits occur in one number only, which fills some pixels but not all.

    A line of an overlay lies on several numbers, or on air of 0.
    """
    count = int(foreign.sum())
    number = int(words[foreign][0])
    is_one = bool((words[foreign] == number).all())
    return is_one and 1 < count < words.size and number & ((1 << stored) - 1) != 0


def _is_number(words: NDArray[np.unsignedinteger[Any]], above: NDArray[Any], stored: int) -> bool:
    """Return True if the bits `above` the stored ones count on, and values are smooth with them."""
    if len(np.unique(above)) <= _OVERLAY_PATTERNS:
        return False
    with_them = _roughness(words) / float(1 << 8 * words.dtype.itemsize)
    without = _roughness(words & np.array((1 << stored) - 1, words.dtype)) / float(1 << stored)
    return with_them <= _ROUGHER * without


def _roughness(values: NDArray[Any]) -> float:
    """Return the mean difference of neighbouring pixels along the rows."""
    steps = [np.abs(np.diff(frame.astype(np.int64), axis=-1)).sum() for frame in values]
    return float(np.sum(steps)) / values.size


def _palette_colours(pixels: NDArray[np.generic], dataset: pydicom.Dataset) -> NDArray[np.generic]:
    colours: NDArray[Any] = apply_color_lut(pixels, dataset)[..., :3]
    has_16_bits = int(dataset.RedPaletteColorLookupTableDescriptor[2]) > 8
    # Some tables of 16 bits hold numbers up to 255.
    if has_16_bits and int(colours.max()) > 255:
        colours = colours // 256
    return np.asarray(colours, dtype=np.uint8)


def _check_colour(pixels: NDArray[np.generic], name: str) -> None:
    if pixels.shape[-1] != 3 or pixels.dtype != np.uint8:
        raise VolumeError(
            f"{name}: expected single numbers or 8-bit colour as voxels, got {pixels.shape[-1]} "
            f"{pixels.dtype} values each."
        )


def _rgb(pixels: NDArray[np.generic], dataset: pydicom.Dataset, name: str) -> NDArray[np.generic]:
    interpretation = dataset.PhotometricInterpretation
    if interpretation in _YBR:
        return np.asarray(convert_color_space(pixels, interpretation, "RGB", per_frame=True))
    if interpretation != "RGB":
        raise VolumeError(
            f"{name}: expected colours as RGB, YBR_FULL or YBR_FULL_422, got {interpretation}."
        )
    return pixels

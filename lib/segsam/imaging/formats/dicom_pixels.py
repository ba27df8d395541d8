"""Stored pixel values of a DICOM file: decoded, aligned to their bits, colours as RGB.

Native and run-length encoded pixels are read by pydicom. Images of JPEG's kinds are decoded by GDCM
(SimpleITK) from a temporary file that holds only the pixels and their description, because GDCM
would apply the rescale of the first frame to all, and would invert MONOCHROME1.

        15      11           0      bits stored 12, high bit 11: the usual case
        ...... [ stored value ]     above: zeros, copies of the sign, or an old overlay
"""

from __future__ import annotations

import tempfile
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
from segsam.imaging.formats.dicom_codestreams import check_frames
from segsam.imaging.formats.dicom_files import OVERLAY_BIT_POSITIONS, DicomFile, read_pixels
from segsam.imaging.formats.raw import check_data_size, reading
from segsam.imaging.voxels import shape_text

_DESCRIPTION = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip
_ALLOCATED = (1, 8, 16, 32, 64)
_PALETTE = "PALETTE COLOR"
_YBR = ("YBR_FULL", "YBR_FULL_422")


def check_pixel_bytes(file: DicomFile) -> None:
    """Refuse a file too short for its native pixels, before they are read. Raises VolumeError."""
    if file.is_native and not file.is_deflated:
        available = file.path.stat().st_size
        check_data_size(file.pixel_bytes, available, file.path.name, compressed=False)


def stored_values(file: DicomFile) -> NDArray[np.generic]:
    """Return (frames, rows, columns) of any real type, or (frames, rows, columns, 3) uint8.

    Raises VolumeError.
    """
    dataset = _described(read_pixels(file), file.path.name)
    with reading(file.path, "DICOM", _failure(file)):
        is_simple = file.is_native or file.transfer_syntax == RLELossless
        if not is_simple:
            if not file.transfer_syntax.name.startswith("JPEG"):
                raise VolumeError(_failure(file))
            check_frames(dataset, file.path.name)
        decoded = dataset.pixel_array if is_simple else _decode_by_gdcm(dataset)
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
            return _palette_colours(pixels, dataset)
        if samples == 1:
            return _aligned(pixels, dataset) if is_simple else pixels
        _check_colour(pixels, file.path.name)
        return _rgb(pixels, dataset, file.path.name) if is_simple else pixels


def _failure(file: DicomFile) -> str:
    syntax = file.transfer_syntax
    if syntax.is_private or syntax.name == str(syntax):
        reason = "its transfer syntax is not one of the standard's"
    elif file.is_native:
        reason = f"expected {file.pixel_bytes} bytes of pixels that its header describes in full"
    else:
        reason = (
            "expected a complete image that is not compressed, or compressed as RLE, JPEG, "
            f"JPEG-LS or JPEG 2000; it is declared as {syntax.name}"
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


def _decode_by_gdcm(dataset: pydicom.Dataset) -> NDArray[np.generic]:
    bare = pydicom.Dataset()
    for keyword in (*_DESCRIPTION, "PixelData"):
        if keyword in dataset:
            bare[keyword] = dataset[keyword]
    if dataset.SamplesPerPixel == 1:
        bare.PhotometricInterpretation = "MONOCHROME2"
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


def _aligned(pixels: NDArray[np.generic], dataset: pydicom.Dataset) -> NDArray[np.generic]:
    """Return values whose lowest bit is bit 0 and whose sign is that of their high bit.

    Bits outside of the stored ones are removed only where they are no part of a number: an old
    overlay, or signed values without copies of the sign. Other bits mean that Bits Stored is too
    small, and the values are kept.
    """
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    if pixels.dtype.kind not in "iu" or not 0 < stored < allocated or allocated not in (8, 16, 32):
        return pixels
    kind = f"{pixels.dtype.byteorder}u{pixels.dtype.itemsize}"
    unsigned: NDArray[np.unsignedinteger[Any]] = pixels.view(kind)
    below = int(dataset.HighBit) + 1 - stored
    mask = (1 << stored) - 1
    if 0 < below <= allocated - stored and not (unsigned & ((1 << below) - 1)).any():
        unsigned = unsigned >> np.array(below, kind)
    if any((dataset[tag].value or 0) > 0 for tag in OVERLAY_BIT_POSITIONS if tag in dataset):
        unsigned = unsigned & np.array(mask, kind)
    is_signed = pixels.dtype.kind == "i"
    if not is_signed or (unsigned >> stored).any():
        return unsigned.view(pixels.dtype)
    free = allocated - stored
    signed: NDArray[np.signedinteger[Any]] = (unsigned << free).view(pixels.dtype)
    return np.asarray(signed >> free)


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

"""NIfTI-1 and NIfTI-2 in one file, plain or gzip-compressed (nibabel).

A NIfTI header can hold two orientations. As in nibabel, the sform is used if its code is set,
otherwise the qform. With neither, voxel axes run along R, A, S around the origin with x flipped. A
note reports it if the two differ or both are missing.
See https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields
"""

from __future__ import annotations

import gzip
import io
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from nibabel.imageglobals import logger as nibabel_logger
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError

from segsam.errors import OutputError, VolumeError
from segsam.imaging.formats.nifti_names import EXTENSION_BYTES, label_table
from segsam.imaging.formats.raw import RawGrid, RawImage, check_data_size, reading
from segsam.imaging.formats.stored_voxels import StoredVoxels
from segsam.imaging.geometry import shear_of, validated_affine
from segsam.imaging.voxels import (
    check_declared_shape,
    planes_in_order,
    shape_text,
    squeeze_shape,
)
from segsam.types import Affine, Voxels

_HEADERS: dict[int, tuple[Any, int]] = {348: (nib.Nifti1Image, 344), 540: (nib.Nifti2Image, 4)}
"""Size of the header -> class of nibabel, and where the magic is."""
_LONGEST_HEADER = 540
_PAIR_MAGIC = (b"ni1\0", b"ni2\0")
_GZIP_MAGIC = b"\x1f\x8b"
_RGB: Any = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_AGREEMENT_MM = 1e-3
_EXACT_SHEAR = 1e-6
_LONGEST_SIDE = 32_767
_MOST_BETWEEN = 2**24
"""Most bytes of header extensions; those of real files have some kilobytes."""
_CHANNELS = 3


def read_nifti(path: Path) -> RawImage:
    """Read voxels in their stored type, or as float32 if the header scales them.

    Whole numbers of 32 bits and more become float64 then. Raises VolumeError.
    """
    with _opened(path) as (stream, is_compressed):
        image, grid = _read_header(stream, path.name)
        stored = _stored(image, grid.shape_ijk, path, is_compressed=is_compressed)
    with reading(path, "NIfTI", _damaged_voxels(path.name)):
        voxels = stored.unpacked().reshape(stored.shape, order="F")
    if voxels.ndim > len(grid.shape_ijk):
        voxels = np.moveaxis(voxels[:_CHANNELS], 0, 3)
    return RawImage(voxels, grid.affine_ras, None, grid.notes)


def stored_nifti(path: Path) -> StoredVoxels:
    """Read where the voxels of a file lie, and their type, from its header. Raises VolumeError."""
    with _opened(path) as (stream, is_compressed):
        image, grid = _read_header(stream, path.name)
        return _stored(image, grid.shape_ijk, path, is_compressed=is_compressed)


def read_nifti_grid(path: Path) -> RawGrid:
    """Read shape and affine from the header; no voxel is read. Raises VolumeError."""
    with _opened(path) as (stream, _):
        return _read_header(stream, path.name)[1]


def read_nifti_names(path: Path) -> dict[int, str]:
    """Read the names of label values from the header's extensions. Raises VolumeError.

    Programs such as TotalSegmentator and Connectome Workbench write them as a table in XML.
    """
    with _opened(path) as (stream, _):
        image, _ = _read_header(stream, path.name)
        begin = int(image.header.sizeof_hdr)
        stream.seek(begin)
        available = min(int(image.dataobj.offset) - begin, EXTENSION_BYTES)
        return label_table(stream.read(available), image.header.endianness)


def _read_header(stream: Any, name: str) -> tuple[Any, RawGrid]:
    """Return nibabel's image, its voxels still in the file, and its geometry."""
    start = stream.read(_LONGEST_HEADER)
    kind, magic, size = _kind(start, name)
    # The header alone: nibabel would read all that lies between it and the voxels.
    image = kind.from_file_map({"image": nib.FileHolder(fileobj=io.BytesIO(start[:size]))})
    shape = image.header.get_data_shape()
    check_declared_shape(shape, name)
    _check_one_file(image, magic, name)
    ijk = squeeze_shape(shape, name)
    affine = validated_affine(image.affine, name)
    return image, RawGrid(ijk, affine, _notes(image, name))


def _check_one_file(image: Any, magic: bytes, name: str) -> None:
    """Refuse a header whose voxels are elsewhere, or would lie within it."""
    if magic in _PAIR_MAGIC:
        raise VolumeError(
            f"{name} is the header of a pair of files (.hdr and .img); expected NIfTI in one file."
        )
    offset, first = int(image.dataobj.offset), int(image.header.single_vox_offset)
    if offset < first:
        raise VolumeError(
            f"{name}: expected its voxels from byte {first} on, got {offset} as their place "
            "(vox_offset)."
        )
    if offset > first + _MOST_BETWEEN:
        raise VolumeError(
            f"{name}: expected at most {_MOST_BETWEEN} bytes of header extensions before its "
            f"voxels, got {offset} as their place (vox_offset)."
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, bool]]:
    """Open a file, inflated if it is compressed; True for compressed. Raises VolumeError."""
    sentence = (
        f"{path.name} could not be read as NIfTI: expected a header with a known type of voxels "
        "and valid numbers, got a damaged or incomplete one."
    )
    with reading(path, "NIfTI", sentence), _quiet_nibabel(), path.open("rb") as file:
        is_compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        file.seek(0)
        if is_compressed != path.name.lower().endswith(".gz"):
            expected, found, ending = (
                ("plain NIfTI", "a file compressed by gzip", ".nii.gz")
                if is_compressed
                else ("a file compressed by gzip", "one that is not", ".nii")
            )
            raise VolumeError(
                f"{path.name} could not be read as NIfTI: expected {expected}, as its name says, "
                f"got {found}. If nothing else is wrong, a name that ends in {ending} makes it "
                "readable."
            )
        if is_compressed:
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                yield stream, True
        else:
            yield file, False


@contextmanager
def _quiet_nibabel() -> Iterator[None]:
    """Silence nibabel's log: unusual headers are either refused here or harmless."""

    def drop(_: logging.LogRecord) -> bool:
        return False

    nibabel_logger.addFilter(drop)
    try:
        yield
    finally:
        nibabel_logger.removeFilter(drop)


def _kind(start: bytes, name: str) -> tuple[Any, bytes, int]:
    """Return the class for the header size in the first four bytes, the magic, and that size.

    Another number is refused.
    """
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        size = int.from_bytes(start[:4], order)
        if size in _HEADERS:
            kind, magic_at = _HEADERS[size]
            return kind, start[magic_at : magic_at + 4], size
    raise VolumeError(
        f"{name} is not NIfTI: the file must begin with 348 or 540, the size of its header."
    )


def _stored(
    image: Any, ijk: tuple[int, int, int], path: Path, *, is_compressed: bool
) -> StoredVoxels:
    dtype, proxy = image.header.get_data_dtype(), image.dataobj
    if dtype.kind == "c":
        raise VolumeError(f"{path.name}: voxels must be real numbers; these are {dtype}.")
    begin = int(proxy.offset)
    available = path.stat().st_size - (0 if is_compressed else begin)
    declared = math.prod(ijk) * dtype.itemsize
    check_data_size(declared, available, path.name, compressed=is_compressed)
    offset, skipped = (0, begin) if is_compressed else (begin, 0)
    sentence = _damaged_voxels(path.name)
    if dtype.names:
        shape = (len(dtype.names), *ijk)
        return StoredVoxels(
            path, np.dtype(np.uint8), shape, offset, skipped, is_compressed, if_short=sentence
        )
    slope, intercept = float(proxy.slope), float(proxy.inter)
    return StoredVoxels(
        path, dtype, ijk, offset, skipped, is_compressed, slope, intercept, sentence
    )


def _damaged_voxels(name: str) -> str:
    return (
        f"{name} could not be read as NIfTI: expected all voxels that its header declares, got "
        "fewer, or damaged compressed data."
    )


def _notes(image: nib.Nifti1Image, name: str) -> tuple[str, ...]:
    header = image.header
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    notes = []
    if sform == 0 and qform == 0:
        notes.append(
            f"{name} states no orientation (its qform and sform codes are 0); its voxel axes were "
            "assumed to run left, anterior and superior, so left and right may be swapped."
        )
    elif sform > 0 and qform > 0 and not _forms_agree(image):
        notes.append(
            f"{name} holds two different orientations, qform and sform; the sform was used."
        )
    unit = header.get_xyzt_units()[0]
    if unit in ("meter", "micron"):
        notes.append(f"{name} gives its spacing in {unit}s; the numbers were read as millimetres.")
    return tuple(notes)


def _forms_agree(image: nib.Nifti1Image) -> bool:
    try:
        quaternion: Affine = image.header.get_qform()
    except (HeaderDataError, ValueError):  # the quaternion is not a rotation
        return False
    # Of a 2D image, one slice.
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array((*image.shape, 1, 1)[:3]) - 1)
    distances = apply_affine(quaternion - image.affine, corners)
    return bool(np.abs(distances).max() <= _AGREEMENT_MM * max(1.0, float(np.abs(corners).max())))


def write_nifti(path: Path, voxels: Voxels, affine_ras: Affine) -> None:
    """Write NIfTI-1 with equal sform and qform (code "scanner"), or only the sform if sheared.

    The qform is a rotation. For a slightly sheared affine it is left unset, so that a reader finds
    only the exact orientation. Raises OutputError for a side too long for NIfTI-1.
    """
    if max(voxels.shape[:3]) > _LONGEST_SIDE:
        raise OutputError(
            f"NIfTI holds sides up to {_LONGEST_SIDE} voxels; this volume has "
            f"{shape_text(voxels.shape[:3])}. Write .nrrd instead."
        )
    if voxels.ndim == 4:
        voxels = np.ascontiguousarray(voxels).view(_RGB)[..., 0]
    image = nib.Nifti1Image(voxels, affine_ras, dtype=voxels.dtype)
    exact = shear_of(affine_ras) <= _EXACT_SHEAR
    image.set_sform(affine_ras, code="scanner")
    image.set_qform(affine_ras, code="scanner" if exact else "unknown")
    header = image.header
    header.set_xyzt_units("mm")
    image.update_header()
    header.set_slope_inter(1, 0)
    with ImageOpener(str(path), "wb") as stream:
        header.write_to(stream)
        stream.writelines(planes_in_order(voxels))  # nibabel would copy all of them

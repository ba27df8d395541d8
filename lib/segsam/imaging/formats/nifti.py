"""NIfTI-1 and NIfTI-2 in one file, plain or gzip-compressed (nibabel).

A NIfTI header can hold two orientations. As in nibabel, the sform is used if its code is set,
otherwise the qform. With neither, voxel axes run along R, A, S around the origin with x flipped. A
note reports it if the two differ or both are missing.
See https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields
"""

from __future__ import annotations

import gzip
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
from nibabel.spatialimages import HeaderDataError

from segsam.errors import OutputError, VolumeError
from segsam.imaging.formats.raw import RawGrid, RawImage, check_data_size, reading
from segsam.imaging.formats.stored_voxels import StoredVoxels
from segsam.imaging.geometry import shear_of, validated_affine
from segsam.imaging.voxels import check_declared_shape, shape_text, squeeze_shape
from segsam.types import Affine, Voxels

_HEADER_SIZES = {348: nib.Nifti1Image, 540: nib.Nifti2Image}
_RGB: Any = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_AGREEMENT_MM = 1e-3
_EXACT_SHEAR = 1e-6
_CHANNELS = 3
_LONGEST_SIDE = 32_767


def read_nifti(path: Path) -> RawImage:
    """Read voxels in their stored type, or as float32 if the header scales them.

    Raises VolumeError.
    """
    with reading(path, "NIfTI"), _quiet_nibabel():
        image, grid = _read_header(path)
        stored = _stored(image, grid.shape_ijk, path)
        is_colour = len(stored.shape) > 3
        voxels = stored.unpacked().reshape(stored.shape, order="F")
        if is_colour:
            voxels = np.moveaxis(voxels[:_CHANNELS], 0, 3)
        return RawImage(voxels, grid.affine_ras, None, _notes(image, path.name))


def stored_nifti(path: Path) -> StoredVoxels:
    """Read where the voxels of a file lie, and their type, from its header. Raises VolumeError."""
    with reading(path, "NIfTI"), _quiet_nibabel():
        image, grid = _read_header(path)
        return _stored(image, grid.shape_ijk, path)


def read_nifti_grid(path: Path) -> RawGrid:
    """Read shape and affine from the header; no voxel is read. Raises VolumeError."""
    with reading(path, "NIfTI"), _quiet_nibabel():
        return _read_header(path)[1]


def _read_header(path: Path) -> tuple[Any, RawGrid]:
    """Return nibabel's image, its voxels still in the file, and its geometry."""
    image = _image_class(path).from_filename(path, mmap=False)
    shape = image.header.get_data_shape()
    check_declared_shape(shape, path.name)
    ijk = squeeze_shape(shape, path.name)
    return image, RawGrid(ijk, validated_affine(image.affine, path.name))


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


def _is_gzip_name(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _image_class(path: Path) -> Any:
    """Class for the header size in the first four bytes; another number is refused."""
    with gzip.open(path) if _is_gzip_name(path) else path.open("rb") as stream:
        start = stream.read(4)
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        if (size := int.from_bytes(start, order)) in _HEADER_SIZES:
            return _HEADER_SIZES[size]
    raise VolumeError(
        f"{path.name} is not NIfTI: the file must begin with 348 or 540, the size of its header."
    )


def _stored(image: Any, ijk: tuple[int, int, int], path: Path) -> StoredVoxels:
    dtype, proxy, is_gzip = image.header.get_data_dtype(), image.dataobj, _is_gzip_name(path)
    if dtype.kind == "c":
        raise VolumeError(f"{path.name}: voxels must be real numbers; these are {dtype}.")
    declared = math.prod(ijk) * dtype.itemsize
    check_data_size(declared, path.stat().st_size, path.name, compressed=is_gzip)
    offset, skipped = (0, int(proxy.offset)) if is_gzip else (int(proxy.offset), 0)
    if dtype.names:
        shape = (len(dtype.names), *ijk)
        return StoredVoxels(path, np.dtype(np.uint8), shape, offset, skipped, is_gzip)
    slope, intercept = float(proxy.slope), float(proxy.inter)
    return StoredVoxels(path, dtype, ijk, offset, skipped, is_gzip, slope, intercept)


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
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(image.shape[:3]) - 1)
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
    image.header.set_xyzt_units("mm")
    image.to_filename(path)

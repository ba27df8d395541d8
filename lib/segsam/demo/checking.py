"""Checks of a returned volume: is it on the voxels that were sent, and how well does it overlap?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from segsam.types import Affine, LabelArray

TOLERANCE_MM = 1e-3
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class GeometryCheck:
    """Comparison of a returned file's shape and affine, as one reader gives them, with the image's.

    The readers (nibabel, SimpleITK) are independent of SEG-SAM's own.
    """

    file: str
    reader: str
    ok: bool
    found: str


def geometry_of(path: Path, reader: str) -> tuple[tuple[int, ...], Affine]:
    """Return (shape (i, j, k), affine to RAS in mm) as nibabel or SimpleITK reads the file."""
    if reader == "nibabel":
        image = nib.load(path)
        return tuple(image.shape), np.asarray(image.affine, dtype=np.float64)
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return tuple(image.GetSize()), _LPS_TO_RAS @ affine


def check_geometry(path: Path, sent: Path) -> tuple[GeometryCheck, ...]:
    """Compare a returned file with the image that was sent, with each reader of its format."""
    shape, affine = geometry_of(sent, "nibabel")
    readers = ["SimpleITK", "nibabel"] if ".nii" in path.suffixes else ["SimpleITK"]
    return tuple(_compare(path, reader, shape, affine) for reader in readers)


def _compare(path: Path, reader: str, shape: tuple[int, ...], affine: Affine) -> GeometryCheck:
    found_shape, found_affine = geometry_of(path, reader)
    if found_shape != shape:
        found = f"shape {found_shape}, the image has {shape}"
        return GeometryCheck(path.name, reader, ok=False, found=found)
    difference = float(np.abs(found_affine - affine).max())
    found = f"{'x'.join(map(str, shape))} voxels, affine within {difference:.2g} mm"
    return GeometryCheck(path.name, reader, ok=difference <= TOLERANCE_MM, found=found)


def read_labels(path: Path) -> LabelArray:
    """Read the voxels (i, j, k) of a label file with SimpleITK."""
    voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    return np.asarray(voxels).transpose(2, 1, 0).astype(np.uint8)


def dice(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """Return the Dice overlap of two masks of one shape, 0 to 1; 1 if both are empty."""
    a, b = np.asarray(one) != 0, np.asarray(other) != 0
    total = int(a.sum()) + int(b.sum())
    return 1.0 if total == 0 else 2.0 * int((a & b).sum()) / total

"""Small study folder for the tests of the store, and labels that fit it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

SHAPE = (8, 9, 4)
AFFINE = np.array([[-1.5, 0, 0, 7], [0, -1.5, 0, -9], [0, 0, 4, 30], [0, 0, 0, 1]])


def write(path: Path, voxels: NDArray[Any], affine: NDArray[Any] = AFFINE) -> Path:
    """Write a NIfTI file with one orientation."""
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_sform(affine, code=1)
    nibabel.save(image, path)
    return path


def make_studies(folder: Path, cases: int) -> Path:
    """Write `cases` images of the same content: case0, case1, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    first = write(folder / "case0.nii.gz", np.arange(288, dtype=np.int16).reshape(SHAPE))
    for number in range(1, cases):
        (folder / f"case{number}.nii.gz").write_bytes(first.read_bytes())
    return folder


def label(value: int = 1, shape: tuple[int, ...] = SHAPE) -> NDArray[np.uint8]:
    """Return a label with `value` in its middle."""
    voxels = np.zeros(shape, np.uint8)
    voxels[2:6, 3:7] = value
    return voxels


def voxels_of(path: Path | str) -> NDArray[Any]:
    """Return the label in a file, read by nibabel."""
    return np.asarray(nibabel.load(path).dataobj)

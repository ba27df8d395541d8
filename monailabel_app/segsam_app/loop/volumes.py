"""Eight volumes with reference labels: of a data set's folder, or pieces of the sample CT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segsam.datasets.folder import load_case, open_dataset
from segsam.datasets.labelled_slices import large_objects, spread
from segsam.datasets.sample import fetch_sample
from segsam.demo.checking import read_labels
from segsam.errors import TrainingError
from segsam.imaging.slices import choose_axis
from segsam.imaging.volume import Volume
from segsam.prompting.prompts import Box, Point, Prompts
from segsam.types import Affine

Kind = Literal["box", "point"]

VOLUMES = 8
SLICES = 5
"""Of each object of a volume, evenly spread: what is prompted, and compared."""

_ORGANS = ("liver", "spleen", "stomach", "kidney_left", "kidney_right", "aorta", "vertebrae_L3")
_MARGIN = 0.1
"""How far a box lies outside of the object, as a share of its sides: nobody draws tight ones."""


KINDS: tuple[Kind, ...] = ("box", "point")


@dataclass(frozen=True)
class Question:
    """One prompt of `kind` for the object of label `value` on slice `index`."""

    kind: Kind
    value: int
    index: int
    prompts: Prompts


@dataclass(frozen=True, eq=False)
class Reference:
    """A volume and what is in it."""

    name: str
    voxels: NDArray[np.generic]
    affine_ras: Affine
    labels: NDArray[np.uint8]
    """(i, j, k): values of `names`."""
    names: Mapping[int, str]
    axis: int
    """Across which the server cuts it by itself."""

    def save(self, folder: Path) -> Path:
        """The image as the study folder has it."""
        return _save(self.voxels, self.affine_ras, folder / f"{self.name}.nii.gz")

    def save_labels(self, folder: Path, order: int) -> tuple[Path, dict[str, int]]:
        """The whole reference as an annotator would send it, and name -> value: the names take
        their values in another order for each case, as segments stand in another order in each
        scene.
        """
        found = [value for value in self.names if (self.labels == value).any()]
        turned = found[order % len(found) :] + found[: order % len(found)]
        sent = np.zeros_like(self.labels)
        for number, value in enumerate(turned, start=1):
            sent[self.labels == value] = number
        names = {self.names[value]: number for number, value in enumerate(turned, start=1)}
        return _save(sent, self.affine_ras, folder / f"{self.name}_label.nii.gz"), names

    def questions(self) -> Iterator[Question]:
        """A box and a point for each object on each of the slices that are asked about."""
        counts = {index: large_objects(self._plane(index)) for index in self._indices()}
        for value in self.names:
            for index in spread([at for at, large in counts.items() if value in large], SLICES):
                box, point = self._box(value, index), self._point(value, index)
                yield Question("box", value, index, Prompts(boxes=(box,)))
                yield Question("point", value, index, Prompts(points=(point,)))

    def plane(self, value: int, index: int) -> NDArray[np.bool_]:
        """Where the object is on a slice."""
        return np.asarray(self._plane(index) == value)

    def on_slice(self, mask: NDArray[np.bool_], index: int) -> NDArray[np.bool_]:
        """One slice of a mask (i, j, k)."""
        return np.asarray(mask.take(index, axis=self.axis))

    def _indices(self) -> range:
        return range(self.labels.shape[self.axis])

    def _plane(self, index: int) -> NDArray[np.uint8]:
        return np.asarray(self.labels.take(index, axis=self.axis))

    def _point(self, value: int, index: int) -> Point:
        """Where the object is thickest: where most would click."""
        depths = ndimage.distance_transform_cdt(np.pad(self.plane(value, index), 1))[1:-1, 1:-1]
        place = [int(at) for at in np.unravel_index(depths.argmax(), depths.shape)]
        place.insert(self.axis, index)
        return Point((place[0], place[1], place[2]))

    def _box(self, value: int, index: int) -> Box:
        low, high = [], []
        found = np.argwhere(self.plane(value, index))
        sides = iter(
            zip(found.min(axis=0), found.max(axis=0), self.plane(value, index).shape, strict=True)
        )
        for axis in range(3):
            if axis == self.axis:
                first = last = index
            else:
                first, last, size = map(int, next(sides))
                margin = max(1, round(_MARGIN * (last - first)))
                first, last = max(0, first - margin), min(size - 1, last + margin)
            low.append(first)
            high.append(last)
        return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def of_dataset(folder: Path) -> list[Reference]:
    """Eight volumes of a data set, evenly spread over its cases.

    Raises:
        TrainingError: no data set, or fewer than eight volumes with labels in it.
    """
    dataset = open_dataset(folder)
    found: list[Reference] = []
    for case in spread(dataset.cases, 3 * VOLUMES):
        volume, labels = load_case(dataset, case)
        if 1 not in volume.shape_ijk and labels.any() and len(found) < VOLUMES:
            found.append(_reference(case, volume, labels, dataset.labels))
    if len(found) < VOLUMES:
        raise TrainingError(
            f"{folder.name} has {len(found)} volumes with labels among its cases; the loop needs "
            f"{VOLUMES}."
        )
    return found


def of_sample() -> list[Reference]:
    """Eight pieces of the sample CT, one above the other. Raises SampleError."""
    sample = fetch_sample()
    volume, labels = Volume.load(sample.image), read_labels(sample.labels)
    names = {
        sample.organs[name]: name.replace("_", " ") for name in _ORGANS if name in sample.organs
    }
    known = np.where(np.isin(labels, list(names)), labels, 0).astype(np.uint8)
    filled = np.flatnonzero(known.any(axis=(0, 1)))
    pieces = np.array_split(np.arange(filled[0], filled[-1] + 1), VOLUMES)
    found = []
    for number, piece in enumerate(pieces):
        part = slice(int(piece[0]), int(piece[-1]) + 1)
        affine = volume.affine_ras.copy()
        affine[:3, 3] += affine[:3, 2] * part.start
        cut = Volume.from_array(volume.voxels[:, :, part], affine, name=f"piece{number}")
        found.append(_reference(f"piece{number}", cut, known[:, :, part], names))
    return found


def _reference(
    name: str, volume: Volume, labels: NDArray[np.uint8], names: Mapping[int, str]
) -> Reference:
    axis = choose_axis(volume, "auto")
    return Reference(name, volume.voxels, volume.affine_ras, labels, dict(names), axis)


def _save(voxels: NDArray[np.generic], affine_ras: Affine, path: Path) -> Path:
    image = nib.Nifti1Image(voxels, affine_ras)
    image.set_sform(affine_ras, code=1)
    nib.save(image, path)
    return path

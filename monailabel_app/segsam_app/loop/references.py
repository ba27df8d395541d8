"""Eight volumes with reference labels: cases of a data set, or pieces of the sample CT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
from segsam.types import Affine, VoxelIndex

Kind = Literal["box", "point"]
KINDS: tuple[Kind, ...] = ("box", "point")

VOLUMES = 8
SLICES = 5
"""Number of slices per object that are prompted and compared, evenly spread."""

_ORGANS = ("liver", "spleen", "stomach", "kidney_left", "kidney_right", "aorta", "vertebrae_L3")
_MARGIN = 0.1
"""Margin of a box around the object, as a share of its sides, since annotators draw loose boxes."""


@dataclass(frozen=True)
class SlicePrompt:
    """Prompt of `kind` for the object of label `value` on slice `index`."""

    kind: Kind
    value: int
    index: int
    prompts: Prompts


@dataclass(frozen=True, eq=False)
class Reference:
    """Volume with its reference labels."""

    name: str
    voxels: NDArray[np.generic]
    affine_ras: Affine
    labels: NDArray[np.uint8]
    """(i, j, k): values of `names`, 0 = background."""
    names: Mapping[int, str]
    axis: int
    """Voxel axis across which the server slices the volume by default."""

    def save(self, folder: Path) -> Path:
        """Write the image for the studies folder."""
        return _save(self.voxels, self.affine_ras, folder / f"{self.name}.nii.gz")

    def save_labels(self, folder: Path, order: int) -> tuple[Path, dict[str, int]]:
        """Write the labels as an annotator sends them; return the file and name -> value.

        The names get their values in another order for each case, as segments stand in another
        order in each scene. The server must go by the names.
        """
        found = [value for value in self.names if (self.labels == value).any()]
        rotated = found[order % len(found) :] + found[: order % len(found)]
        sent = np.zeros_like(self.labels)
        for number, value in enumerate(rotated, start=1):
            sent[self.labels == value] = number
        names = {self.names[value]: number for number, value in enumerate(rotated, start=1)}
        return _save(sent, self.affine_ras, folder / f"{self.name}_label.nii.gz"), names

    def slice_prompts(self) -> Iterator[SlicePrompt]:
        """Yield a box and a point for each object on each of its chosen slices."""
        slices = range(self.labels.shape[self.axis])
        visible = {index: large_objects(self._labels_on(index)) for index in slices}
        for value in self.names:
            for index in spread([at for at, large in visible.items() if value in large], SLICES):
                box, point = self._box(value, index), self._point(value, index)
                yield SlicePrompt("box", value, index, Prompts(boxes=(box,)))
                yield SlicePrompt("point", value, index, Prompts(points=(point,)))

    def object_on(self, value: int, index: int) -> NDArray[np.bool_]:
        """Return the mask of the object on a slice."""
        return np.asarray(self._labels_on(index) == value)

    def on_slice(self, mask: NDArray[np.bool_], index: int) -> NDArray[np.bool_]:
        """Return one slice of a mask (i, j, k)."""
        return np.asarray(mask.take(index, axis=self.axis))

    def _labels_on(self, index: int) -> NDArray[np.uint8]:
        return np.asarray(self.labels.take(index, axis=self.axis))

    def _point(self, value: int, index: int) -> Point:
        """Return the point farthest from the border of the object, where most people click."""
        padded = np.pad(self.object_on(value, index), 1)
        depths = ndimage.distance_transform_cdt(padded)[1:-1, 1:-1]
        deepest = np.unravel_index(depths.argmax(), depths.shape)
        return Point(self._voxel(deepest, index))

    def _box(self, value: int, index: int) -> Box:
        mask = self.object_on(value, index)
        inside = np.argwhere(mask)
        first, last = inside.min(axis=0), inside.max(axis=0)
        margin = np.maximum(1, np.round(_MARGIN * (last - first)).astype(int))
        low = np.maximum(first - margin, 0)
        high = np.minimum(last + margin, np.array(mask.shape) - 1)
        return Box(self._voxel(low, index), self._voxel(high, index))

    def _voxel(self, position: Any, index: int) -> VoxelIndex:
        """Return the (i, j, k) of a position on slice `index`."""
        i, j, k = (int(value) for value in np.insert(position, self.axis, index))
        return i, j, k


def references_from_dataset(folder: Path) -> list[Reference]:
    """Read eight volumes of a data set, evenly spread over its cases.

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
            f"The loop needs {VOLUMES} volumes with labels; {folder.name} has {len(found)}."
        )
    return found


def references_of(folder: Path, cases: Sequence[str]) -> list[Reference]:
    """Read some cases of a data set. Raises TrainingError for one that it does not have."""
    dataset = open_dataset(folder)
    missing = [case for case in cases if case not in dataset.cases]
    if missing:
        raise TrainingError(f"Expected cases of {folder.name}, got {', '.join(missing)}.")
    return [_reference(case, *load_case(dataset, case), dataset.labels) for case in cases]


def references_from_sample() -> list[Reference]:
    """Cut the sample CT into eight pieces along k. Raises SampleError."""
    sample = fetch_sample()
    volume, labels = Volume.load(sample.image), read_labels(sample.labels)
    names = {
        sample.organs[name]: name.replace("_", " ") for name in _ORGANS if name in sample.organs
    }
    known = np.where(np.isin(labels, list(names)), labels, 0).astype(np.uint8)
    labelled = np.flatnonzero(known.any(axis=(0, 1)))
    pieces = np.array_split(np.arange(labelled[0], labelled[-1] + 1), VOLUMES)
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

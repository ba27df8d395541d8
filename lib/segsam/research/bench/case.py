"""CT on which every contender is measured: the sample's liver, resampled to 512 x 512 slices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segsam.datasets.sample import Sample
from segsam.demo.checking import read_labels
from segsam.demo.prompting import organs_in
from segsam.imaging.volume import Volume
from segsam.prompting.prompts import Box, Prompts

SIDE_PX = 512
_ORGAN = "liver"


@dataclass(frozen=True)
class BenchCase:
    """Volume (512, 512, n) with one object that is visible in every slice."""

    path: Path
    box: Box
    """Box around the object."""

    @property
    def middle(self) -> int:
        """Index of the middle slice."""
        return (self.box.min_ijk[2] + self.box.max_ijk[2]) // 2

    def slice_prompt(self, index: int) -> Prompts:
        """Return the section of the box on one slice as a prompt."""
        return Prompts(boxes=(self.box.section(2, index),))

    @classmethod
    def make(cls, folder: Path, sample: Sample, slices: int) -> BenchCase:
        """Write the volume, interpolated linearly in every direction."""
        volume = Volume.load(sample.image)
        (organ,) = organs_in(read_labels(sample.labels), sample.organs, (_ORGAN,))
        low, high = (np.array(corner) for corner in (organ.box.min_ijk, organ.box.max_ijk))
        positions = np.linspace(low[2], high[2], slices)
        voxels = np.stack([_interpolated(volume.voxels, one) for one in positions], axis=2)
        scale = np.array(voxels.shape) / (*volume.shape_ijk[:2], high[2] - low[2] + 1)
        affine_ras = volume.affine_ras @ np.diag([*(1 / scale), 1.0])
        path = folder / f"ct{slices}.nii"
        Volume.from_array(voxels, affine_ras).save(path)
        first = (int(low[0] * scale[0]), int(low[1] * scale[1]), 0)
        last = (int(high[0] * scale[0]), int(high[1] * scale[1]), slices - 1)
        (folder / f"ct{slices}.json").write_text(json.dumps([first, last]), encoding="utf-8")
        return cls(path, Box(first, last))

    @classmethod
    def read(cls, folder: Path, slices: int) -> BenchCase:
        """Read the case that `make` wrote for this number of slices."""
        first, last = json.loads((folder / f"ct{slices}.json").read_text(encoding="utf-8"))
        return cls(folder / f"ct{slices}.nii", Box(tuple(first), tuple(last)))


def _interpolated(voxels: NDArray[np.generic], position: float) -> NDArray[np.int16]:
    """Return the slice at a position between two slices, resized to 512 x 512."""
    below = int(position)
    above = min(below + 1, voxels.shape[2] - 1)
    planes = voxels[..., [below, above]].astype(np.float32)
    plane = np.average(planes, axis=2, weights=[1 - position + below, position - below])
    size = (SIDE_PX, SIDE_PX)
    large = cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    rounded: NDArray[np.int16] = np.rint(large).astype(np.int16)
    return rounded

"""The CT that everybody is measured on: the sample's liver, drawn out to slices of 512 x 512."""

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
from segsam.prompting.prompts import Box

SIDE = 512
_ORGAN = "liver"


@dataclass(frozen=True)
class BenchCase:
    """A volume (512, 512, n) through whose slices one object goes from the first to the last."""

    path: Path
    box: Box
    """Around the object."""

    @property
    def middle(self) -> int:
        """A slice that shows it."""
        return (self.box.min_ijk[2] + self.box.max_ijk[2]) // 2

    def section(self, index: int) -> Box:
        """The box on one slice."""
        return self.box.section(2, index)

    @classmethod
    def make(cls, folder: Path, sample: Sample, slices: int) -> BenchCase:
        """Write the volume; linear in every direction."""
        volume = Volume.load(sample.image)
        (organ,) = organs_in(read_labels(sample.labels), sample.organs, (_ORGAN,))
        low, high = (np.array(corner) for corner in (organ.box.min_ijk, organ.box.max_ijk))
        places = np.linspace(low[2], high[2], slices)
        made = np.stack([_between(volume.voxels, place) for place in places], axis=2)
        scale = np.array(made.shape) / (*volume.shape_ijk[:2], high[2] - low[2] + 1)
        affine = volume.affine_ras @ np.diag([*(1 / scale), 1.0])
        path = folder / f"ct{slices}.nii"
        Volume.from_array(made, affine).save(path)
        first = (int(low[0] * scale[0]), int(low[1] * scale[1]), 0)
        last = (int(high[0] * scale[0]), int(high[1] * scale[1]), slices - 1)
        (folder / f"ct{slices}.json").write_text(json.dumps([first, last]), encoding="utf-8")
        return cls(path, Box(first, last))

    @classmethod
    def read(cls, folder: Path, slices: int) -> BenchCase:
        """What `make` wrote."""
        first, last = json.loads((folder / f"ct{slices}.json").read_text(encoding="utf-8"))
        return cls(folder / f"ct{slices}.nii", Box(tuple(first), tuple(last)))


def _between(voxels: NDArray[np.generic], place: float) -> NDArray[np.int16]:
    """The slice at a place between two, at the bench's size."""
    below = int(place)
    above = min(below + 1, voxels.shape[2] - 1)
    planes = voxels[..., [below, above]].astype(np.float32)
    plane = np.average(planes, axis=2, weights=[1 - place + below, place - below])
    large = cv2.resize(plane.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    rounded: NDArray[np.int16] = np.rint(large).astype(np.int16)
    return rounded

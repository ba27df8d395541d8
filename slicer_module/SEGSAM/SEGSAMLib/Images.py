"""Volumes and labels as the files that travel: NRRD, written from numpy without copying."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .Geometry import VolumeGrid


@dataclass(frozen=True, eq=False)
class ImageSource:
    """A volume on its way to the server: `array_kji` is a view of the scene's own memory, `key`
    changes whenever its voxels or geometry do, `image_id` names it when it came from the server.
    """

    array_kji: np.ndarray
    grid: VolumeGrid
    key: str
    image_id: str = ""


@dataclass(frozen=True, eq=False)
class LabelSource:
    """A label map to save: `names` are voxel value -> name, `overlaps` counts voxels that are in
    several segments, of which the last one has them here.
    """

    array_kji: np.ndarray
    grid: VolumeGrid
    names: dict
    overlaps: int = 0

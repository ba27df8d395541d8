"""A change of voxels in three parts: read and write in the GUI thread, compute in any thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from SEGSAMLib.Values.Layers import Layers

QUICK_VOXELS = 1 << 19
"""Most voxels that the GUI thread computes itself: that takes about 10 ms, less than a hand-over to
another thread.
"""
_COPY_SPEEDUP = 8
"""Ratio of the time to compute a voxel to the time to copy it."""


@dataclass(frozen=True, eq=False)
class VoxelEdit:
    """Change of the label maps of a segmentation.

    `compute(layers)` changes only the layers, and returns the argument of `finish`. `check` raises
    `NodeError` if the change is out of date. `voxels` is how many voxels `compute` reads.
    """

    layers: Layers
    voxels: int
    compute: Callable[[Layers], Any]
    check: Callable[[], None]
    finish: Callable[[Any], Any]

    @property
    def is_quick(self) -> bool:
        """True if the edit is small enough for the GUI thread."""
        return self.voxels + self.layers.voxels // _COPY_SPEEDUP <= QUICK_VOXELS

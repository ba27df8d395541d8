"""A change of voxels in three parts: what is looked at and what is written by the GUI's thread, at
once, and what is computed between them, in a worker's where it takes long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from SEGSAMLib.Values.Layers import Layers

QUICK_VOXELS = 1 << 19
"""That many are computed within about 10 ms, less than handing them to a thread takes."""
_COPIED = 8
"""A voxel that is only copied costs about so much less."""


@dataclass(frozen=True, eq=False)
class VoxelEdit:
    """`compute` changes the layers, and nothing else, and returns what `finish` is given. `check`
    raises `NodeError` when the change is not wanted any more. `voxels` is how many `compute` looks
    at.
    """

    layers: Layers
    voxels: int
    compute: Callable[[Layers], Any]
    check: Callable[[], None]
    finish: Callable[[Any], Any]

    @property
    def is_quick(self) -> bool:
        """Whether it may be computed in the GUI's thread."""
        return self.voxels + self.layers.voxels // _COPIED <= QUICK_VOXELS

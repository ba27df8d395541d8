"""Type names of arrays and options; each array type has a fixed axis order and unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

AxisName: TypeAlias = Literal["i", "j", "k"]
AxisChoice: TypeAlias = Literal["auto", "i", "j", "k", "all"]
DecoderName: TypeAlias = Literal["binary", "semantic"]
RuntimeName: TypeAlias = Literal["auto", "torch", "openvino"]
PropagateChoice: TypeAlias = bool | Literal["memory"]
"""True, or the host's own memory, follows an object from slice to slice."""
PrecisionName: TypeAlias = Literal["exact", "fast"]
PrecisionChoice: TypeAlias = Literal[PrecisionName, "auto"]
"""`auto`: fast where it was measured to be clearly faster, else exact."""

Affine: TypeAlias = NDArray[np.float64]
"""(4, 4), voxel index (i, j, k, 1) to world RAS in millimetres."""

Voxels: TypeAlias = NDArray[np.generic]
"""(i, j, k) scalar, or (i, j, k, 3) uint8 colour."""

LabelArray: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""(i, j, k), uint8 or uint16, 0 = background."""

VoxelIndex: TypeAlias = tuple[int, int, int]
"""(i, j, k), zero-based, at the voxel's centre."""

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called as (done, total, message) after each slice."""

Cancel: TypeAlias = Callable[[], bool]
"""Called before each slice; True stops with `CancelledError`."""


def no_progress(done: int, total: int, message: str) -> None:
    """Ignore the progress: the default of functions with an optional `Progress`."""

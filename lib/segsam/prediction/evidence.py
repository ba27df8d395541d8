"""Evidence of decoded slices for an object's name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsam.prediction.taught.position import Position


@dataclass(frozen=True, eq=False)
class SliceEvidence:
    """Evidence of one decoded slice for the object's name.

    Holds no mask: the masks of a deep volume together would need as much memory as the volume.
    """

    area: int
    """Pixels of the object."""
    class_scores: NDArray[np.float32] | None
    """Probabilities (K + 1,), 0 = no category; None without semantics."""
    distances: NDArray[np.float32] | None = None
    """(K,) to the nearest example of each category; None without a memory of examples."""
    agreement: float | None = None
    """Of the two decoders' masks, 0 to 1; None if it is not known."""
    is_blank: bool = False
    """True if every pixel of the slice has the same value."""
    description: NDArray[np.float32] | None = None
    """(D,) of the object; None without a memory of examples."""
    position: Position | None = None
    """(x, y) of the object in the body; None if it is not known."""
    shows_sides: bool = True
    """False if the slice does not tell left from right, see `sides.shows_sides`."""

"""Position of an object on a slice, relative to the body: it tells left from right, and what lies
above from what lies below.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DARK = 0.15
"""Share of the brightest values up to which a pixel is background."""
_LEAST_SHARE = 0.02
"""Share of a row or column that the body covers at least; less is noise."""

Position = tuple[float, float]


def position_in_body(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Position | None:
    """Return the centre (x, y) of an object, 0 and 1 at the ends of the body's box; None for an
    empty mask.

    Args:
        picture: (h_px, w_px, 3) of the slice, as the image encoder reads it.
        mask: (y, x) of the object, of any resolution.
    """
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return None
    grey = picture[..., :3].max(axis=2)
    body = grey > max(_DARK * float(np.percentile(grey, 99)), 1)
    x = _relative((columns.mean() + 0.5) / mask.shape[1], body.mean(axis=0))
    y = _relative((rows.mean() + 0.5) / mask.shape[0], body.mean(axis=1))
    return x, y


def _relative(share: float, profile: NDArray[np.float64]) -> float:
    """Return a place along a side, given as its share, relative to where the body lies on it."""
    filled = np.flatnonzero(profile >= _LEAST_SHARE)
    first, last = (filled[0], filled[-1] + 1) if len(filled) else (0, len(profile))
    return float((share * len(profile) - first) / (last - first))

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
    x, y = (columns.mean() + 0.5) / mask.shape[1], (rows.mean() + 0.5) / mask.shape[0]
    found = positions_in_body(picture, np.array([[x, y]]))[0]
    return float(found[0]), float(found[1])


def positions_in_body(
    picture: NDArray[np.uint8], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the positions (n, 2) x, y of points, as `position_in_body` gives them.

    Args:
        picture: (h_px, w_px, 3) of the slice, as the image encoder reads it.
        shares: (n, 2) x, y of the points as shares of the picture's sides.
    """
    body = body_of(picture)
    return np.stack([_relative(shares[:, axis], body.mean(axis=axis)) for axis in (0, 1)], axis=1)


def body_of(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return True (h_px, w_px) where a picture (h_px, w_px, 3) shows more than background."""
    grey = picture[..., :3].max(axis=2)
    return np.asarray(grey > max(_DARK * float(np.percentile(grey, 99)), 1))


def _relative(shares: NDArray[np.float64], profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return places along a side, given as shares, relative to where the body lies on it."""
    filled = np.flatnonzero(profile >= _LEAST_SHARE)
    first, last = (filled[0], filled[-1] + 1) if len(filled) else (0, len(profile))
    return (shares * len(profile) - first) / (last - first)

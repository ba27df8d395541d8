"""Sides: does a slice tell the patient's left from the right?

A model learns sides from pictures of whole cross-sections: what lies on the right of the picture is
a left kidney. A picture of one half of the body, or of a place inside it, has a kidney anywhere,
and a sagittal one has no left and right at all. No side is named there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsam.imaging.geometry import nearest_axes
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.prediction.taught.position import body_of

_EDGE_PX = 2
"""Width of an edge of the picture, in model pixels."""
_CUT, _MORE = 0.65, 0.3
"""Share of an edge that the body covers at least where the picture cuts it, and by how much more
than on the other side. Wide patients reach both sides: whole cross-sections of CT and MR had up to
0.56 on one side with 0.15 on the other, halves 0.88 with 0.32 (a table) or less."""
_NARROW = 0.8
"""Width of a cut body as a share of its height, in axial slices, below which it is a part of it."""
_INSIDE = 0.8
"""Share of all four edges that the body covers at least in a picture of a place inside it."""


def shows_sides(view: SliceView, volume: Volume, picture: NDArray[np.uint8]) -> bool:
    """Return True if a slice shows the body from its left to its right.

    Args:
        view: cuts the slice.
        volume: of it. Single pictures, such as X-rays, which often cut the body, are taken as they
            come.
        picture: (h_px, w_px, 3) of the slice, as the image encoder reads it.
    """
    axes, _ = nearest_axes(volume.affine_ras)
    if volume.is_flat:
        return True
    if view.axis == axes[0]:
        return False
    body = body_of(picture)
    rows, columns = body.any(axis=1), body.any(axis=0)
    if not rows.any():
        return True
    left, right = (_covered(body[rows], end, axis=1) for end in (0, -1))
    is_cut = max(left, right) >= _CUT
    if is_cut and abs(left - right) >= _MORE:
        return False
    if view.axis != axes[2]:
        return True
    top, bottom = (_covered(body[:, columns], end, axis=0) for end in (0, -1))
    is_narrow = is_cut and _extent(columns) < _NARROW * _extent(rows)
    return not is_narrow and min(left, right, top, bottom) < _INSIDE


def _extent(profile: NDArray[np.bool_]) -> int:
    """Return the length from the first to the last place of a side that is covered."""
    filled = np.flatnonzero(profile)
    return int(filled[-1] - filled[0] + 1)


def _covered(body: NDArray[np.bool_], end: int, *, axis: int) -> float:
    """Return the share of an edge that the body covers: the first (0) or last (-1) on an axis."""
    strip = slice(None, _EDGE_PX) if end == 0 else slice(-_EDGE_PX, None)
    edge = body[:, strip] if axis == 1 else body[strip]
    return float(edge.any(axis=axis).mean())

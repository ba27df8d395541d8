"""Simulated boxes: a tight one, a little off, loose, or as following makes it from a neighbour.

All boxes are (4,) x0, y0, x1, y1 in model pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsam.prediction.propagation import MARGIN_PX

_MOST_INWARDS = 0.45
"""Largest move of a side inwards, as a share of the box; below one half, so that a box never turns
inside out."""
_OUTWARDS = np.array([-1, -1, 1, 1])


def tight_box(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the tight box (4,) x0, y0, x1, y1 of a mask (y, x) that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], dtype=np.float64)


def jitter(
    box: NDArray[np.float64], rng: np.random.Generator, jitter_px: float
) -> NDArray[np.float64]:
    """Return a box (4,) with each side moved by up to `jitter_px`, at most half of the box."""
    reach = np.minimum(jitter_px, np.tile(box[2:] - box[:2], 2) / 2)
    return np.asarray(box + rng.uniform(-1, 1, 4) * reach)


def clip_box(box: NDArray[np.float64], size_px: tuple[int, int]) -> NDArray[np.float64]:
    """Return the part of a box (4,) inside a picture (height, width)."""
    limits = np.array([size_px[1] - 1, size_px[0] - 1], dtype=np.float64)
    return np.asarray(np.clip(box, 0, np.tile(limits, 2)))


def loosened(
    box: NDArray[np.float32],
    rng: np.random.Generator,
    most: float,
    size_px: tuple[int, int],
) -> NDArray[np.float32]:
    """Return a box (4,) with each side moved outwards by up to `most` of the box, inside a picture
    (height, width): on nearly every slice that it spans, the section of a 3D box is loose.
    """
    sides = np.tile(box[2:] - box[:2], 2)
    loose = box + rng.uniform(0, most, 4) * sides * _OUTWARDS
    return clip_box(loose, size_px).astype(np.float32)


def neighbours_box(
    box: NDArray[np.float32],
    rng: np.random.Generator,
    by: float,
    size_px: tuple[int, int],
) -> NDArray[np.float32]:
    """Return a tight box (4,) as propagation would make it from the neighbouring slice's mask,
    inside a picture (height, width).

    From one slice to the next, each side of an object's box moves by a Laplace-distributed share of
    the box, 0.1 on average, in hearts, hippocampi and tumours alike (`docs/training.md`);
    propagation then widens it.
    """
    sides = np.tile(box[2:] - box[:2], 2)
    shares = np.clip(rng.laplace(0, by, 4), -_MOST_INWARDS, 1)
    return clip_box(box + (shares * sides + MARGIN_PX) * _OUTWARDS, size_px).astype(np.float32)

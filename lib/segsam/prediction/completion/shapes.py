"""Shapes between confirmed slices, from the masks alone: what *Fill between slices* would draw.

A shape is a signed distance (y, x) in pixels, positive inside. Between two masks the distances are
mixed after each was moved to the centre that lies on the way from one to the other: a tube that
runs obliquely stays a tube. On sixteen structures of a CT and an MR this is as good as ITK's
morphological contour interpolator (`docs/lab/completion.md`).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FAR_PX = 20.0
"""Signed distances are cut at this value: farther from the edge nothing depends on them."""

Mask = NDArray[np.bool_]
Shape = NDArray[np.float32]


def signed_distance(mask: Mask) -> Shape:
    """Return the distance (y, x) of each pixel to the edge of a mask, positive inside; `-FAR_PX`
    everywhere for an empty mask.
    """
    if not mask.any():
        return np.full(mask.shape, -FAR_PX, dtype=np.float32)
    inside = _distance(mask)
    outside = _distance(~mask) if not mask.all() else np.zeros(mask.shape, np.float32)
    return np.clip(inside - outside, -FAR_PX, FAR_PX)


def between(first: Mask, second: Mask, share: float) -> Shape:
    """Return the shape at a share (0 to 1) of the way from the first mask to the second.

    If one of them is empty, the other one shrinks towards it.
    """
    distances = signed_distance(first), signed_distance(second)
    if not (first.any() and second.any()):
        return np.asarray((1 - share) * distances[0] + share * distances[1], dtype=np.float32)
    centres = np.array(ndimage.center_of_mass(first)), np.array(ndimage.center_of_mass(second))
    centre = (1 - share) * centres[0] + share * centres[1]
    moved = [_moved(each, centre - own) for each, own in zip(distances, centres, strict=True)]
    return np.asarray((1 - share) * moved[0] + share * moved[1], dtype=np.float32)


def _distance(mask: Mask) -> Shape:
    """Return the distance of the pixels in a mask to the nearest one that is not, else 0."""
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _moved(shape: Shape, by_px: NDArray[np.float64]) -> Shape:
    """Return a shape moved by (y, x) pixels; what comes in from outside is far from the object."""
    matrix = np.array([[1, 0, by_px[1]], [0, 1, by_px[0]]], dtype=np.float32)
    moved = cv2.warpAffine(
        shape,
        matrix,
        (shape.shape[1], shape.shape[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=-FAR_PX,
    )
    return np.asarray(moved, dtype=np.float32)

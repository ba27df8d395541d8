"""Augmented copies of labelled slices, by MONAI's transforms.

A copy is moved a little (turned, scaled, shifted) with its labels, and its greys are changed as
another device or exposure would change them. It is never mirrored: the left kidney of a mirrored
abdomen is a right one. Ranges are those of nnU-Net and SAM-Med2D, made milder, because a kept
embedding of an image no model will ever see is wasted.
"""

from __future__ import annotations

import hashlib
import math

import cv2
import numpy as np
import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import (
    RandAdjustContrastd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from monai.transforms.spatial.dictionary import RandAffined, RandSimulateLowResolutiond
from numpy.typing import NDArray
from scipy import ndimage

from segsam.datasets.cutting import Instance, LabelledSlice, large_objects, large_share
from segsam.imaging.intensity import CT_WINDOWS, DEFAULT_CT_WINDOW

MAX_TURN_DEG = 15.0
MAX_SCALE = 0.12
MAX_SHIFT = 0.06
"""Of the height and of the width."""
_TRIES = 4
_FAT_BETWEEN = (5, 45)
"""Percentiles of what is brighter than air, between which the fat of an abdomen's slice is."""
_FAT_HU, _HU_PER_GREY = -100.0, 5.5
"""Of BTCV's pictures: its livers, in the portal venous phase, are some 40 greys above fat."""
_COARSE = (0.35, 1.0)
"""Sides of a coarse copy before it is enlarged again, as shares of the slice's."""
_PICTURE, _LABELS = "picture", "labels"


def augmented(one: LabelledSlice, *, seed: int, copy: int, coarse: bool = False) -> LabelledSlice:
    """Another view of a slice, named `<name>#<copy>`; the same for the same three, in any order.

    With `coarse` half of the copies look as if the scanner had seen larger voxels.

    Picture (h_px, w_px, 3) uint8 and labels (h_px, w_px) keep their size; what moves out of the
    frame is lost, what comes in is black and background. Objects are prompted while they keep
    0.153 % of the slice. A movement that leaves none is drawn again, at last not made at all.
    """
    changes = _pipeline(*one.labels.shape, coarse=coarse)
    for attempt in range(_TRIES):
        moved = _copied(one, copy, _random_seed(seed, one.name, copy, attempt), changes)
        if moved.prompted:
            return moved
    still = Compose(changes.transforms[1:])
    return _copied(one, copy, _random_seed(seed, one.name, copy, _TRIES), still)


def upright(one: LabelledSlice) -> LabelledSlice:
    """A CT picture that lies spine up in flat contrast, as a CT volume shows it; `<name>^`.

    Mirrored top to bottom, which leaves right and left where they were, and shown in the window
    that CT volumes are shown in. Hounsfield units are told from the greys by where fat is.
    """
    fat = _grey_of_fat(one.picture[..., 0])
    centre, width = CT_WINDOWS[DEFAULT_CT_WINDOW]
    hounsfield = _FAT_HU + (one.picture.astype(np.float32) - fat) * _HU_PER_GREY
    shown = ((hounsfield - centre) / width + 0.5).clip(0, 1)
    picture = (shown * 255).round().astype(np.uint8)
    instances = tuple(
        Instance(each.value, np.ascontiguousarray(each.mask[::-1])) for each in one.instances
    )
    return LabelledSlice(
        f"{one.name}^",
        np.ascontiguousarray(picture[::-1]),
        np.ascontiguousarray(one.labels[::-1]),
        one.prompted,
        instances,
    )


def _grey_of_fat(grey: NDArray[np.uint8]) -> float:
    """The most frequent grey among the darker tissues of a slice (h, w)."""
    air, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    tissue = grey[grey > air]
    low, high = np.percentile(tissue, _FAT_BETWEEN).astype(int)
    counts = ndimage.gaussian_filter1d(np.bincount(tissue, minlength=256).astype(float), 1.5)
    return float(low + counts[low : high + 1].argmax())


def _copied(one: LabelledSlice, copy: int, random_seed: int, changes: Compose) -> LabelledSlice:
    grey = bool((one.picture == one.picture[..., :1]).all())
    channels = one.picture[..., :1] if grey else one.picture
    labels = np.stack([one.labels, *(instance.mask for instance in one.instances)])
    found = changes.set_random_state(random_seed)(
        {
            _PICTURE: torch.from_numpy(
                np.ascontiguousarray(channels.transpose(2, 0, 1), dtype=np.float32) / 255
            ),
            _LABELS: torch.from_numpy(labels.astype(np.float32)),
        }
    )
    picture = np.asarray(found[_PICTURE].numpy()).clip(0, 1)
    picture = (picture * 255).round().astype(np.uint8).transpose(1, 2, 0)
    layers = np.asarray(found[_LABELS].numpy()).round().astype(np.uint8)
    return _relabelled(one, f"{one.name}#{copy}", np.repeat(picture, 3 if grey else 1, 2), layers)


def _relabelled(
    one: LabelledSlice, name: str, picture: NDArray[np.uint8], layers: NDArray[np.uint8]
) -> LabelledSlice:
    """The slice with its moved labels: the map first, then the masks of the instances."""
    if not one.instances:
        values = tuple(value for value in large_objects(layers[0]) if value in one.prompted)
        return LabelledSlice(name, picture, layers[0], values)
    moved = (
        Instance(instance.value, layer > 0)
        for instance, layer in zip(one.instances, layers[1:], strict=True)
    )
    kept = tuple(instance for instance in moved if large_share(instance.mask))
    values = tuple(sorted({instance.value for instance in kept}))
    return LabelledSlice(name, picture, layers[0], values, kept)


def _pipeline(height: int, width: int, *, coarse: bool) -> Compose:
    """The movement first, then the greys."""
    affine = RandAffined(
        keys=(_PICTURE, _LABELS),
        prob=1.0,
        rotate_range=math.radians(MAX_TURN_DEG),
        scale_range=(MAX_SCALE, MAX_SCALE),
        translate_range=(MAX_SHIFT * height, MAX_SHIFT * width),
        mode=("bilinear", "nearest"),
        padding_mode="zeros",
    )
    greys = [
        RandAdjustContrastd(keys=_PICTURE, prob=0.5, gamma=(0.7, 1.5)),
        RandGaussianSmoothd(keys=_PICTURE, prob=0.15, sigma_x=(0.3, 0.9), sigma_y=(0.3, 0.9)),
        RandScaleIntensityd(keys=_PICTURE, prob=0.5, factors=0.12),
        RandShiftIntensityd(keys=_PICTURE, prob=0.5, offsets=0.06),
        RandGaussianNoised(keys=_PICTURE, prob=0.25, mean=0.0, std=0.03),
    ]
    if coarse:
        larger_voxels = RandSimulateLowResolutiond(
            keys=_PICTURE,
            prob=0.5,
            downsample_mode="area",
            upsample_mode="bilinear",
            zoom_range=_COARSE,
        )
        greys.insert(0, larger_voxels)
    return Compose([affine, *greys])


def _random_seed(seed: int, name: str, copy: int, attempt: int) -> int:
    """32 bits from all four, so that neighbours have nothing in common."""
    digest = hashlib.sha256(f"{seed} {name} {copy} {attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "little")

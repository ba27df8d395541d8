"""Augmented copies of labelled slices, by MONAI's transforms.

A copy is rotated, scaled and shifted a little with its labels, and its grey values change as with
another device or exposure. It is not mirrored, because the left kidney of a mirrored abdomen looks
like a right one; `mirrored` is for pictures without an orientation, and swaps such names. Ranges
are those of nnU-Net and SAM-Med2D, but milder: the embeddings of copies are cached, and unrealistic
images would waste that space.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

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

from segsam.datasets.labelled_slices import Instance, LabelledSlice, is_large, large_objects
from segsam.imaging.intensity import CT_WINDOWS, DEFAULT_CT_WINDOW

MAX_ROTATION_DEG = 15.0
MAX_SCALE = 0.12
MAX_SHIFT = 0.06
"""Share of the height and of the width."""
_ATTEMPTS = 4
_FAT_PERCENTILES = (5, 45)
"""Range that contains the fat of an abdominal slice, among pixels brighter than air."""
_FAT_HU, _HU_PER_GREY = -100.0, 5.5
"""Scale of BTCV's pictures: livers (portal venous phase) are about 40 grey values above fat."""
_COARSE_ZOOM = (0.35, 1.0)
"""Size of a coarse copy before it is enlarged again, as a share of the slice's sides."""
_PICTURE, _LABELS = "picture", "labels"


def augmented(
    original: LabelledSlice, *, seed: int, copy: int | str, coarse: bool = False
) -> LabelledSlice:
    """Return an augmented copy, named `<name>#<copy>`; it depends on name, `seed` and `copy` only.

    With `coarse`, half of the copies look like images of larger voxels.

    Picture (h_px, w_px, 3) uint8 and labels (h_px, w_px) keep their size. New pixels at the border
    are black background. Objects are prompted if they still cover 0.153 % of the slice. If a
    movement leaves none, another is drawn, and after some attempts the copy is not moved.
    """
    transforms = _transforms(*original.labels.shape, coarse=coarse)
    for attempt in range(_ATTEMPTS):
        random_seed = _random_seed(seed, original.name, copy, attempt)
        moved = _transformed(original, copy, random_seed, transforms)
        if moved.prompted or (moved.ended and not original.prompted):
            return moved
    random_seed = _random_seed(seed, original.name, copy, _ATTEMPTS)
    return _transformed(original, copy, random_seed, Compose(transforms.transforms[1:]))


def mirrored(original: LabelledSlice, values: Mapping[int, int]) -> LabelledSlice:
    """Return a slice with left and right exchanged, in picture and names; `<name>|`.

    Mirroring twice gives the same slice, bit by bit, but for its name.

    Args:
        original: slice of the data set.
        values: of `mirrored_values` of the data set: label value -> value in a mirrored picture.
    """
    table = np.arange(256, dtype=np.uint8)
    for value, other in values.items():
        table[value] = other
    instances = _each(original.instances, lambda mask: mask[:, ::-1], table)
    return LabelledSlice(
        f"{original.name}|",
        np.ascontiguousarray(original.picture[:, ::-1]),
        table[original.labels[:, ::-1]],
        tuple(sorted(int(table[value]) for value in original.prompted)),
        instances,
        _each(original.ended, lambda mask: mask[:, ::-1], table),
        tuple(np.ascontiguousarray(each[:, ::-1]) for each in original.beside),
    )


def _each(
    instances: Sequence[Instance],
    turn: Callable[[NDArray[np.bool_]], NDArray[np.bool_]],
    table: NDArray[np.uint8] | None = None,
) -> tuple[Instance, ...]:
    """Turn the masks of objects, and give them the values of a table (256,)."""
    values = np.arange(256, dtype=np.uint8) if table is None else table
    return tuple(
        Instance(int(values[one.value]), np.ascontiguousarray(turn(one.mask))) for one in instances
    )


def upright(original: LabelledSlice) -> LabelledSlice:
    """Return a CT picture stored spine up and in flat contrast as a CT volume is shown; `<name>^`.

    It is flipped top to bottom, which keeps right and left, and mapped to the default CT window.
    Its Hounsfield units are estimated from the grey value of fat.
    """
    fat = _grey_of_fat(original.picture[..., 0])
    centre, width = CT_WINDOWS[DEFAULT_CT_WINDOW]
    hounsfield = _FAT_HU + (original.picture.astype(np.float32) - fat) * _HU_PER_GREY
    windowed = ((hounsfield - centre) / width + 0.5).clip(0, 1)
    picture = (windowed * 255).round().astype(np.uint8)
    instances = _each(original.instances, lambda mask: mask[::-1])
    return LabelledSlice(
        f"{original.name}^",
        np.ascontiguousarray(picture[::-1]),
        np.ascontiguousarray(original.labels[::-1]),
        original.prompted,
        instances,
        _each(original.ended, lambda mask: mask[::-1]),
    )


def _grey_of_fat(grey: NDArray[np.uint8]) -> float:
    """Most frequent grey value among the darker tissues of a slice (h, w)."""
    air, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    tissue = grey[grey > air]
    low, high = np.percentile(tissue, _FAT_PERCENTILES).astype(int)
    counts = ndimage.gaussian_filter1d(np.bincount(tissue, minlength=256).astype(float), 1.5)
    return float(low + counts[low : high + 1].argmax())


def _transformed(
    original: LabelledSlice, copy: int | str, random_seed: int, transforms: Compose
) -> LabelledSlice:
    grey = bool((original.picture == original.picture[..., :1]).all())
    channels = original.picture[..., :1] if grey else original.picture
    masks = (each.mask for each in (*original.instances, *original.ended))
    labels = np.stack([original.labels, *masks])
    result = transforms.set_random_state(random_seed)(
        {
            _PICTURE: torch.from_numpy(
                np.ascontiguousarray(channels.transpose(2, 0, 1), dtype=np.float32) / 255
            ),
            _LABELS: torch.from_numpy(labels.astype(np.float32)),
        }
    )
    picture = np.asarray(result[_PICTURE].numpy()).clip(0, 1)
    picture = (picture * 255).round().astype(np.uint8).transpose(1, 2, 0)
    layers = np.asarray(result[_LABELS].numpy()).round().astype(np.uint8)
    picture = np.repeat(picture, 3 if grey else 1, 2)
    return _with_layers(original, f"{original.name}#{copy}", picture, layers)


def _with_layers(
    original: LabelledSlice, name: str, picture: NDArray[np.uint8], layers: NDArray[np.uint8]
) -> LabelledSlice:
    """Slice with moved labels; `layers` holds the label map, then the masks of the instances, then
    those of the objects that ended.
    """
    before = (*original.instances, *original.ended)
    moved = [
        Instance(each.value, layer > 0) for each, layer in zip(before, layers[1:], strict=True)
    ]
    count = len(original.instances)
    ended = tuple(each for each in moved[count:] if each.mask.any())
    if not original.instances:
        values = tuple(value for value in large_objects(layers[0]) if value in original.prompted)
        return LabelledSlice(name, picture, layers[0], values, ended=ended)
    large = tuple(each for each in moved[:count] if is_large(each.mask))
    values = tuple(sorted({each.value for each in large}))
    return LabelledSlice(name, picture, layers[0], values, large, ended)


def _transforms(height: int, width: int, *, coarse: bool) -> Compose:
    """Transforms of an augmented copy: the movement first, then the grey values."""
    affine = RandAffined(
        keys=(_PICTURE, _LABELS),
        prob=1.0,
        rotate_range=math.radians(MAX_ROTATION_DEG),
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
            zoom_range=_COARSE_ZOOM,
        )
        greys.insert(0, larger_voxels)
    return Compose([affine, *greys])


def _random_seed(seed: int, name: str, copy: int | str, attempt: int) -> int:
    """32 bits of a hash of all four, so that similar arguments give unrelated seeds."""
    digest = hashlib.sha256(f"{seed} {name} {copy} {attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "little")

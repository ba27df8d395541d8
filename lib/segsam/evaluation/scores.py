"""Scores of masks on a slice and in a volume, and counts of names.

Dice and surface Dice are MONAI's, called for one pair of masks at a time and never for two empty
ones, about which conventions differ.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from monai.metrics import compute_dice, compute_surface_dice
from numpy.typing import NDArray
from torch import Tensor

from segsam.imaging.slices import SliceView
from segsam.model import Decoded
from segsam.model.readout import predicted_category, resize_logits

NSD_TOLERANCE_MM = 2.0
"""Largest distance at which two surfaces agree."""


def dice(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Return 2 |A and B| / (|A| + |B|) of two masks of one shape, in [0, 1]; 1 if both are
    empty.
    """
    pair = [_batch(mask) for mask in (predicted, true)]
    return float(compute_dice(pair[0], pair[1], ignore_empty=False))


def surface_dice(
    predicted: NDArray[np.bool_],
    true: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float = NSD_TOLERANCE_MM,
) -> float:
    """Return the normalised surface Dice of two masks (i, j, k), in [0, 1]; 1 if both are empty, 0
    if one is.

    The surface is the voxels of a mask with one of their 6 neighbours outside it, and each counts
    1 (Nikolov et al., https://arxiv.org/abs/1809.04430, without its areas).
    """
    if not predicted.any() or not true.any():
        return float(predicted.any() == true.any())
    box = _common_box(predicted, true)
    pair = [_batch(mask[box]) for mask in (predicted, true)]
    with warnings.catch_warnings():
        # MONAI 1.6 calls a function of its own with an argument that it has deprecated.
        warnings.filterwarnings(
            "ignore", message=".*always_return_as_numpy", category=FutureWarning
        )
        score = compute_surface_dice(
            pair[0], pair[1], [tolerance_mm], include_background=True, spacing=spacing_mm
        )
    return float(score)


def labelled_plane(
    decoded: Decoded, prompt: int, category: int, view: SliceView, *, found: int = 0
) -> NDArray[np.bool_]:
    """Return the pixels (height, width) that the model itself labels with a category, for one
    prompt.

    For the head `maskcls` this is its mask if its most probable category is this one, else none;
    for `dense` the pixels whose most probable class at the model's input size it is.

    Args:
        decoded: with semantics.
        prompt: index of the prompt.
        category: k + 1 for category k.
        view: of the slice.
        found: the model's best guess of the category, k + 1; 0 for the decoder's alone.
    """
    if decoded.object_logits is not None:
        if (found or int(predicted_category(decoded)[prompt])) != category:
            return np.zeros((view.height, view.width), dtype=np.bool_)
        return mask_plane(decoded.object_logits[prompt, 0], view)
    if decoded.semantic_logits is None:
        raise ValueError("Expected a semantic mask, got none.")
    logits = resize_logits(decoded.semantic_logits[prompt][None], (view.input_size,) * 2)[0]
    others = torch.cat([logits[:category], logits[category + 1 :]]).amax(dim=0)
    return mask_plane(logits[category] - others, view)


def mask_plane(logits: Tensor, view: SliceView) -> NDArray[np.bool_]:
    """Return a mask (height, width) at the slice's own resolution from low-res logits (m, m)."""
    return np.asarray((view.logits_to_plane(logits) > 0).cpu().numpy(), dtype=np.bool_)


def _batch(mask: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(mask))[None, None]


def _common_box(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the part of a volume with both masks and a margin of one voxel: all that their
    surfaces depend on, and much faster than the whole volume.
    """
    either = first | second
    box = []
    for axis in range(either.ndim):
        others = tuple(other for other in range(either.ndim) if other != axis)
        filled = np.flatnonzero(either.any(axis=others))
        box.append(slice(max(int(filled[0]) - 1, 0), int(filled[-1]) + 2))
    return tuple(box)


def count_names(
    has_name: NDArray[np.bool_],
    category: NDArray[np.int64],
    found: NDArray[np.int64],
    named: NDArray[np.int64],
) -> dict[str, dict[str, int]]:
    """Count the objects whose names the checkpoint can give, and those whose it cannot: how many
    were named, as a user would see it, and how many of these right. Masks without a name do not
    count. Arguments: (N,) each, as the fields of `ObjectScore`.
    """
    known, unknown = has_name & (category > 0), has_name & (category == 0)
    given = named > 0
    return {
        "known": {
            "objects": int(known.sum()),
            "named": int((known & given).sum()),
            "right": int((known & given & (found == category)).sum()),
        },
        "unknown": {"objects": int(unknown.sum()), "named": int((unknown & given).sum())},
    }

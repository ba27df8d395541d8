"""Scores against independent computations: sets for Dice, distance transforms for surfaces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from segsam.evaluation import scores
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.model import Decoded
from segsam.model.readout import predicted_labels
from segsam.prediction.semantics import agreements, class_scores

SPACING = (1.5, 1.0, 4.0)


def ball(centre: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
    axes = np.ogrid[:20, :24, :9]
    apart = [
        (axis - middle) * step for axis, middle, step in zip(axes, centre, SPACING, strict=True)
    ]
    return np.asarray(sum(d * d for d in apart) <= radius**2)


def dice_of_sets(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    first, second = (set(map(tuple, np.argwhere(mask))) for mask in (found, wanted))
    return 2 * len(first & second) / (len(first) + len(second))


def nsd_by_distance_transform(
    found: NDArray[np.bool_], wanted: NDArray[np.bool_], spacing: Any, tolerance: float
) -> float:
    """Boundary voxels have a neighbour outside; distances are read from a dense transform."""
    cross = ndimage.generate_binary_structure(3, 1)
    edges = [
        mask & ~ndimage.binary_erosion(np.pad(mask, 1), cross)[1:-1, 1:-1, 1:-1]
        for mask in (found, wanted)
    ]
    to_found, to_wanted = (
        ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges
    )
    near = (to_wanted[edges[0]] <= tolerance).sum() + (to_found[edges[1]] <= tolerance).sum()
    return float(near / (edges[0].sum() + edges[1].sum()))


PAIRS = [
    (ball((9, 11, 4), 7), ball((9, 11, 4), 7)),
    (ball((9, 11, 4), 7), ball((10, 13, 4), 6)),
    (ball((9, 11, 4), 7), ball((9, 11, 5), 9)),
    (ball((3, 3, 1), 6), ball((5, 2, 2), 8)),  # cut by the border of the volume
    (ball((5, 5, 4), 4), ball((14, 18, 4), 4)),  # apart
    (ball((9, 11, 4), 7) & ~ball((9, 11, 4), 4), ball((9, 11, 4), 7)),  # a shell
]


@pytest.mark.parametrize("pair", PAIRS, ids=range(len(PAIRS)))
def test_dice_is_that_of_sets(pair: tuple[Any, Any]) -> None:
    assert 100 * scores.dice(*pair) == pytest.approx(100 * dice_of_sets(*pair), abs=0.01)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("pair", PAIRS, ids=range(len(PAIRS)))
def test_surface_dice_is_that_of_distance_transforms(
    pair: tuple[Any, Any], tolerance: float
) -> None:
    wanted = nsd_by_distance_transform(*pair, SPACING, tolerance)
    found = scores.surface_dice(*pair, SPACING, tolerance)
    assert 100 * found == pytest.approx(100 * wanted, abs=0.01)


def test_surface_dice_knows_which_axis_is_thick() -> None:
    still, moved = ball((9, 11, 4), 7), ball((9, 11, 5), 7)  # one voxel along k is 4 mm
    turned = [np.ascontiguousarray(mask.transpose(2, 0, 1)) for mask in (still, moved)]
    turned_spacing = (SPACING[2], SPACING[0], SPACING[1])
    along = scores.surface_dice(still, moved, SPACING)
    assert along == pytest.approx(scores.surface_dice(turned[0], turned[1], turned_spacing))
    assert along < scores.surface_dice(still, moved, (1.5, 1.0, 0.5))


def test_empty_masks_are_told_apart() -> None:
    nothing, something = np.zeros((4, 4, 4), dtype=bool), np.ones((4, 4, 4), dtype=bool)
    assert scores.dice(nothing, nothing) == 1
    assert scores.dice(nothing, something) == scores.dice(something, nothing) == 0
    assert scores.surface_dice(nothing, nothing, SPACING) == 1
    assert scores.surface_dice(nothing, something, SPACING) == 0
    assert scores.surface_dice(something, nothing, SPACING) == 0


MASKS = hnp.arrays(np.bool_, (5, 6, 4))
STEPS = st.tuples(*[st.sampled_from([0.5, 1.0, 2.5, 5.0])] * 3)


@given(first=MASKS, second=MASKS, spacing=STEPS)
@settings(max_examples=40, deadline=None)
def test_scores_are_fair(first: Any, second: Any, spacing: Any) -> None:
    for score in (scores.dice, lambda a, b: scores.surface_dice(a, b, spacing)):
        value = score(first, second)
        assert 0 <= value <= 1
        assert value == pytest.approx(score(second, first))
        assert score(first, first) == 1
    if first.any() and second.any():
        assert scores.surface_dice(first, second, spacing) == pytest.approx(
            nsd_by_distance_transform(first, second, spacing, 2.0), abs=1e-4
        )
        assert scores.dice(first, second) == pytest.approx(dice_of_sets(first, second))


def view(height: int = 12, width: int = 16) -> SliceView:
    return SliceView.of(Volume.from_array(np.zeros((width, height, 1), np.uint8)), 2, 32)


def semantics(head: str) -> Decoded:
    torch.manual_seed(3)
    binary, iou = torch.randn(3, 1, 8, 8), torch.rand(3, 1)
    class_logits = torch.randn(3, 5)
    if head == "maskcls":
        mask = torch.randn(3, 1, 8, 8)
        return Decoded(binary, iou, class_logits=class_logits, object_logits=mask)
    return Decoded(binary, iou, class_logits=class_logits, dense_logits=torch.randn(3, 5, 8, 8))


def test_a_wrong_name_labels_no_pixel() -> None:
    decoded = semantics("maskcls")
    assert decoded.class_logits is not None
    for prompt in range(3):
        named = int(decoded.class_logits[prompt, 1:].argmax()) + 1
        found = [scores.labelled_plane(decoded, prompt, k, view()) for k in range(1, 5)]
        assert [mask.any() for mask in found] == [k == named for k in range(1, 5)]
        stripped = decoded.stripped_logits()
        assert stripped is not None
        mask = scores.mask_plane(stripped[prompt, 0], view())
        np.testing.assert_array_equal(found[named - 1], mask)


@pytest.mark.parametrize("head", ["maskcls", "dense"])
def test_labelled_pixels_are_those_of_the_training_metric(head: str) -> None:
    decoded = semantics(head)
    square = view(32, 32)  # stored at the model's own size: nothing is resized after it
    wanted = predicted_labels(decoded, (32, 32)).numpy()
    for prompt in range(3):
        for category in range(1, 5):
            found = scores.labelled_plane(decoded, prompt, category, square)
            np.testing.assert_array_equal(found, wanted[prompt] == category)


def test_planes_are_at_the_slices_own_size() -> None:
    decoded = semantics("dense")
    for mask in (
        scores.mask_plane(decoded.binary_logits[0, 0], view()),
        scores.labelled_plane(decoded, 0, 1, view()),
    ):
        assert mask.shape == (12, 16)
        assert mask.dtype == np.bool_


@pytest.mark.parametrize("head", ["maskcls", "dense"])
def test_agreement_and_confidence_by_hand(head: str) -> None:
    decoded = semantics(head)
    stripped, class_logits = decoded.stripped_logits(), decoded.class_logits
    agreement = agreements(decoded)
    assert stripped is not None
    assert class_logits is not None
    assert agreement is not None
    for prompt in range(3):
        a = 1 / (1 + np.exp(-stripped[prompt].double().numpy()))
        b = 1 / (1 + np.exp(-decoded.binary_logits[prompt].double().numpy()))
        wanted = (a * b).sum() / (a + b - a * b).sum()
        assert float(agreement[prompt]) == pytest.approx(wanted, abs=1e-4)
        odds = np.exp(class_logits[prompt].double().numpy())
        one = replace(decoded, class_logits=class_logits[prompt][None])
        probabilities = class_scores(one)
        assert probabilities is not None
        assert probabilities.max() == pytest.approx((odds / odds.sum()).max(), abs=1e-4)


def test_without_semantics_nothing_is_named() -> None:
    alone = Decoded(torch.randn(1, 1, 8, 8), torch.rand(1, 1))
    assert agreements(alone) is None
    assert class_scores(alone) is None
    with pytest.raises(ValueError, match="semantic mask"):
        scores.labelled_plane(alone, 0, 1, view())

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segsam.prediction.completion.shapes import FAR_PX, between, signed_distance


def disc(y: float, x: float, radius: float) -> np.ndarray[Any, Any]:
    rows, columns = np.mgrid[:64, :80]
    return np.hypot(rows - y, columns - x) <= radius


def test_the_distance_is_positive_inside() -> None:
    distance = signed_distance(disc(30, 40, 10))
    assert distance[30, 40] == pytest.approx(10, abs=1)
    assert distance[30, 60] == pytest.approx(-10, abs=1)
    assert (distance > 0).sum() == disc(30, 40, 10).sum()


def test_nothing_and_everything() -> None:
    assert (signed_distance(np.zeros((4, 5), np.bool_)) == -FAR_PX).all()
    assert (signed_distance(np.ones((4, 5), np.bool_)) > 0).all()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_tube_that_runs_obliquely_stays_a_tube(share: float) -> None:
    """The discs do not overlap: without moving them, nothing would lie between."""
    found = between(disc(20, 15, 6), disc(40, 60, 10), share) > 0
    true = disc(20 + 20 * share, 15 + 45 * share, 6 + 4 * share)
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.94


def test_towards_an_empty_slice_an_object_shrinks() -> None:
    nothing = np.zeros((64, 80), np.bool_)
    areas = [(between(disc(30, 40, 12), nothing, share) > 0).sum() for share in (0, 0.3, 0.6, 1)]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] == disc(30, 40, 12).sum()
    assert areas[-1] == 0

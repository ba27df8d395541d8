from __future__ import annotations

import numpy as np
import torch

from segsam.model import ImageFeatures
from segsam.prediction.completion.adaptation import Lesson
from segsam.prediction.completion.likeness import Likeness

SIDE, GRID = 64, 16


def slice_of(seed: int, *, column: int = 8, rows: int = 40) -> Lesson:
    """A slice whose embedding differs under a square, in a picture that is padded at the bottom."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((rows, SIDE), np.bool_)
    mask[8:24, 4 * column : 4 * column + 16] = True
    cells = rng.normal(size=(6, GRID, GRID)).astype(np.float32)
    cells[:3, 2:6, column : column + 4] += 4
    return Lesson(ImageFeatures(torch.from_numpy(cells)[None]), mask, mask)


def test_the_object_elsewhere_is_known_again_and_nothing_else_is() -> None:
    likeness = Likeness.learnt([slice_of(0), slice_of(1)], SIDE)
    other = slice_of(2, column=2)
    assert likeness.of(other.features, other.mask) > 0.7
    assert likeness.of(other.features, slice_of(0).mask) < 0.15
    assert likeness.of(other.features, np.zeros_like(other.mask)) == 0


def test_an_object_smaller_than_a_cell() -> None:
    lesson = slice_of(0)
    small = np.zeros_like(lesson.mask)
    small[9:11, 33:35] = True
    likeness = Likeness.learnt([Lesson(lesson.features, small, small)], SIDE)
    assert np.isfinite(likeness.of(lesson.features, small))


def test_a_slice_without_the_object_teaches_what_it_is_not() -> None:
    lesson, empty = slice_of(0), slice_of(3, column=0)
    without = Lesson(empty.features, np.zeros_like(empty.mask), lesson.mask)
    before = Likeness.learnt([lesson], SIDE).of(empty.features, empty.mask)
    after = Likeness.learnt([lesson, without], SIDE).of(empty.features, empty.mask)
    assert after < before

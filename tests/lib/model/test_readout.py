"""Dice, and what the model itself says that a pixel is."""

from __future__ import annotations

import pytest
import torch

from segsam.model import Decoded
from segsam.model.readout import dice, predicted_category, predicted_labels, resize_logits


def decoded(**semantics: torch.Tensor) -> Decoded:
    return Decoded(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1), **semantics)


def test_dice() -> None:
    found = torch.zeros(3, 4, 4, dtype=torch.bool)
    wanted = found.clone()
    found[0, :2], wanted[0, 1:3] = True, True
    found[1, 0, 0] = True
    assert dice(found, wanted).tolist() == [0.5, 0.0, 1.0]


def test_a_mask_and_its_class() -> None:
    mask = torch.full((2, 1, 4, 4), -1.0)
    mask[0, 0, 1:3, 1:3] = 1
    names = torch.tensor([[9.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
    given = decoded(class_logits=names, object_logits=mask)
    assert predicted_category(given).tolist() == [2, 1]
    labels = predicted_labels(given, (4, 4))
    assert labels[0].unique().tolist() == [0, 2]
    assert int((labels[0] == 2).sum()) == 4
    assert not labels[1].any()


def test_a_class_for_each_pixel() -> None:
    logits = torch.zeros(2, 3, 4, 4)
    logits[:, 0] = 1
    logits[0, 2, :2] = 5
    labels = predicted_labels(decoded(dense_logits=logits), (8, 8))
    assert labels.shape == (2, 8, 8)
    assert labels[0].unique().tolist() == [0, 2]
    assert labels[0, 0, 0] == 2
    assert not labels[1].any()


def test_the_size_may_stay() -> None:
    logits = torch.ones(1, 1, 4, 4)
    assert resize_logits(logits, (4, 4)) is logits


def test_a_host_alone_names_nothing() -> None:
    with pytest.raises(ValueError, match="class logits of a semantic decoder"):
        predicted_category(decoded())
    with pytest.raises(ValueError, match="semantic mask, got none"):
        predicted_labels(decoded(), (4, 4))

"""Readings of the semantic decoder's logits, compared with explicit probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segsam.model import Decoded
from segsam.prediction.semantics import agreement, category_logits, class_scores

CHANCE = torch.Generator().manual_seed(0)
BINARY = torch.randn(2, 1, 3, 3, generator=CHANCE)
CLASSES = torch.randn(2, 5, generator=CHANCE)
MAP = torch.randn(2, 5, 3, 3, generator=CHANCE)
MASK = torch.randn(2, 1, 3, 3, generator=CHANCE)
IOU = torch.ones(2, 1)
DENSE = Decoded(BINARY, IOU, CLASSES, dense_logits=MAP)
APART = Decoded(BINARY, IOU, CLASSES, object_logits=MASK)
ALONE = Decoded(BINARY, IOU)


class TestOneCategory:
    @pytest.mark.parametrize("category", range(4))
    def test_a_map_gives_the_softmax_probability(self, category: int) -> None:
        expected = MAP.softmax(dim=1)[:, category + 1 : category + 2]
        torch.testing.assert_close(category_logits(DENSE, category).sigmoid(), expected)

    @pytest.mark.parametrize("temperature", [1.0, 2.5])
    def test_a_mask_gives_the_class_share(self, temperature: float) -> None:
        share = (CLASSES / temperature).softmax(dim=1)[:, 3, None, None, None]
        found = category_logits(APART, 2, temperature).sigmoid()
        torch.testing.assert_close(found, share * MASK.sigmoid())

    def test_certainty_stays_finite(self) -> None:
        certain = Decoded(
            BINARY, IOU, torch.tensor([[-99.0, 99.0]] * 2), object_logits=torch.full_like(MASK, 99)
        )
        assert torch.isfinite(category_logits(certain, 0)).all()
        assert (category_logits(certain, 0) > 0).all()

    def test_without_semantics_it_is_refused(self) -> None:
        with pytest.raises(ValueError, match="got a mask alone"):
            category_logits(ALONE, 0)
        with pytest.raises(ValueError, match="got neither"):
            category_logits(Decoded(BINARY, IOU, CLASSES), 0)


class TestClassScores:
    def test_they_are_probabilities_averaged_over_prompts(self) -> None:
        scores = class_scores(APART)
        assert scores is not None
        np.testing.assert_allclose(scores, CLASSES.softmax(dim=1).mean(dim=0), rtol=1e-5)
        assert scores.sum() == pytest.approx(1, abs=1e-6)

    def test_temperature_moves_confidence_and_not_the_name(self) -> None:
        sharp, plain, soft = (class_scores(DENSE, t) for t in (0.5, 1.0, 4.0))
        assert sharp is not None
        assert plain is not None
        assert soft is not None
        assert sharp.max() > plain.max() > soft.max()

    def test_a_host_alone_has_none(self) -> None:
        assert class_scores(ALONE) is None


class TestAgreement:
    def test_it_is_the_soft_iou(self) -> None:
        one, other = MASK.sigmoid(), BINARY.sigmoid()
        expected = (one * other).sum() / (one + other - one * other).sum()
        assert agreement(APART) == pytest.approx(float(expected), rel=1e-5)

    def test_labels_stripped_is_one_minus_background(self) -> None:
        one, other = 1 - MAP.softmax(dim=1)[:, :1], BINARY.sigmoid()
        expected = (one * other).sum() / (one + other - one * other).sum()
        assert agreement(DENSE) == pytest.approx(float(expected), rel=1e-5)

    def test_a_host_alone_has_none(self) -> None:
        assert agreement(ALONE) is None

"""What is read from the semantic decoder's logits, against the probabilities written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segsam.categories import Categories
from segsam.model import Decoded, Host, SegSam
from segsam.prediction.naming import present_categories
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
    def test_of_a_map_it_has_its_softmax_probability(self, category: int) -> None:
        wanted = MAP.softmax(dim=1)[:, category + 1 : category + 2]
        torch.testing.assert_close(category_logits(DENSE, category).sigmoid(), wanted)

    @pytest.mark.parametrize("temperature", [1.0, 2.5])
    def test_of_a_mask_it_has_its_share(self, temperature: float) -> None:
        share = (CLASSES / temperature).softmax(dim=1)[:, 3, None, None, None]
        found = category_logits(APART, 2, temperature).sigmoid()
        torch.testing.assert_close(found, share * MASK.sigmoid())

    def test_certainty_stays_finite(self) -> None:
        sure = Decoded(
            BINARY, IOU, torch.tensor([[-99.0, 99.0]] * 2), object_logits=torch.full_like(MASK, 99)
        )
        assert torch.isfinite(category_logits(sure, 0)).all()
        assert (category_logits(sure, 0) > 0).all()

    def test_without_semantics_there_is_none(self) -> None:
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
        wanted = (one * other).sum() / (one + other - one * other).sum()
        assert agreement(APART) == pytest.approx(float(wanted), rel=1e-5)

    def test_labels_stripped_is_one_minus_background(self) -> None:
        one, other = 1 - MAP.softmax(dim=1)[:, :1], BINARY.sigmoid()
        wanted = (one * other).sum() / (one + other - one * other).sum()
        assert agreement(DENSE) == pytest.approx(float(wanted), rel=1e-5)

    def test_a_host_alone_has_none(self) -> None:
        assert agreement(ALONE) is None


class TestPresent:
    @pytest.fixture
    def model(self, tiny_host: Host, five_categories: Categories) -> SegSam:
        return SegSam(tiny_host, five_categories)

    def decoded(self) -> Decoded:
        logits = torch.tensor([[1.0, -1.0, 4.0, 0.5, 2.0]])
        return Decoded(BINARY, IOU, CLASSES, presence_logits=logits)

    def test_the_likeliest_comes_first(self, model: SegSam) -> None:
        assert list(present_categories(self.decoded(), model)) == [
            "heart",
            "polyp",
            "liver",
            "nerve",
        ]

    def test_categories_without_examples_are_not_reported(self, model: SegSam) -> None:
        model.categories_seen = ("liver", "spleen", "polyp")
        assert list(present_categories(self.decoded(), model)) == ["polyp", "liver"]

    def test_what_a_modality_does_not_hold_or_the_card_keeps_back(self, model: SegSam) -> None:
        there = {item.name: item.modalities for item in model.categories.items}
        found = list(present_categories(self.decoded(), model, "CT"))
        assert found
        assert found == [
            name
            for name in present_categories(self.decoded(), model)
            if not there[name] or "CT" in there[name]
        ]
        model.unnamed_in = (f"CT: {found[0]}",)
        assert list(present_categories(self.decoded(), model, "CT")) == found[1:]
        assert list(present_categories(self.decoded(), model)) == [
            "heart",
            "polyp",
            "liver",
            "nerve",
        ]
        model.unnamed_in = ("CT",)
        assert present_categories(self.decoded(), model, "CT") == {}

    def test_presence_that_never_saw_absence_is_not_reported(self, model: SegSam) -> None:
        model.presence_is_trained = False
        assert present_categories(self.decoded(), model) == {}

    def test_without_a_presence_branch_nothing_is_said(self, model: SegSam) -> None:
        assert present_categories(APART, model) == {}

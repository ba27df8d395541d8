"""Names: when one is given, and which categories are reported as present."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from segsam.categories import Categories
from segsam.model import Card, Decoded, Host, SegSam
from segsam.prediction.naming import SliceEvidence, name_object, present_categories

BINARY, IOU = torch.zeros(1, 1, 3, 3), torch.ones(1, 1)


@pytest.fixture
def model(tiny_host: Host, five_categories: Categories) -> SegSam:
    return SegSam(tiny_host, five_categories, card=Card(semantic_is_trained=True))


def with_facts(model: SegSam, **facts: Any) -> SegSam:
    """Return the model with other facts on its card."""
    return model.with_card(replace(model.card, **facts))


def evidence(area: int, *scores: float) -> SliceEvidence:
    return SliceEvidence(area, np.array(scores, np.float32))


class TestNameObject:
    def test_slices_count_by_their_area(self, model: SegSam) -> None:
        slices = [evidence(300, 0, 0.9, 0.1, 0, 0, 0), evidence(100, 0, 0.1, 0.9, 0, 0, 0)]
        naming = name_object(model, slices, requested=None, modality=None)
        assert naming.name == model.categories.names[0]
        assert naming.confidence == pytest.approx(0.7)
        assert naming.segment is not None
        assert (naming.segment.name, naming.notes) == (naming.name, ())

    def test_a_requested_category_is_named_whatever_its_confidence(self, model: SegSam) -> None:
        slices = [evidence(1, 0, 0.9, 0.1, 0, 0, 0)]
        naming = name_object(model, slices, requested=1, modality=None)
        assert naming.name == model.categories.names[1]
        assert naming.confidence == pytest.approx(0.1)

    def test_there_is_no_name_without_pixels_or_scores(self, model: SegSam) -> None:
        for one in (evidence(0, 0, 1, 0, 0, 0, 0), SliceEvidence(5, None)):
            naming = name_object(model, [one], requested=None, modality=None)
            assert (naming.name, naming.confidence, naming.notes) == (None, None, ())


class TestPresentCategories:
    def decoded(self) -> Decoded:
        logits = torch.tensor([[1.0, -1.0, 4.0, 0.5, 2.0]])
        return Decoded(BINARY, IOU, presence_logits=logits)

    def test_the_most_probable_comes_first(self, model: SegSam) -> None:
        assert list(present_categories(self.decoded(), model)) == [
            "heart",
            "polyp",
            "liver",
            "nerve",
        ]

    def test_categories_without_examples_are_not_reported(self, model: SegSam) -> None:
        model = with_facts(model, categories_seen=("liver", "spleen", "polyp"))
        assert list(present_categories(self.decoded(), model)) == ["polyp", "liver"]

    def test_categories_of_other_modalities_and_withheld_names_are_left_out(
        self, model: SegSam
    ) -> None:
        there = {item.name: item.modalities for item in model.categories.items}
        found = list(present_categories(self.decoded(), model, "CT"))
        assert found
        assert found == [
            name
            for name in present_categories(self.decoded(), model)
            if not there[name] or "CT" in there[name]
        ]
        model = with_facts(model, unnamed_in=(f"CT: {found[0]}",))
        assert list(present_categories(self.decoded(), model, "CT")) == found[1:]
        assert list(present_categories(self.decoded(), model)) == [
            "heart",
            "polyp",
            "liver",
            "nerve",
        ]
        model = with_facts(model, unnamed_in=("CT",))
        assert present_categories(self.decoded(), model, "CT") == {}

    def test_presence_that_never_saw_absence_is_not_reported(self, model: SegSam) -> None:
        model = with_facts(model, presence_is_trained=False)
        assert present_categories(self.decoded(), model) == {}

    def test_without_a_presence_branch_nothing_is_reported(self, model: SegSam) -> None:
        assert present_categories(Decoded(BINARY, IOU), model) == {}

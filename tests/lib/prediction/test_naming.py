"""Names: when one is given, and which categories are reported as present."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from segsam.categories import Categories
from segsam.categories.terminology import Terminology
from segsam.model import Card, Decoded, Host, SegSam
from segsam.model.memory import ExampleMemory
from segsam.model.naming_rule import WITHOUT_MEMORY
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.naming import MEMORYLESS_NOTE, name_object, present_categories

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

    def test_a_version_that_lost_its_memory_says_so_with_each_name(self, model: SegSam) -> None:
        lost = with_facts(model, naming={WITHOUT_MEMORY: "the encoder is another one"})
        naming = name_object(
            lost, [evidence(1, 0, 0.9, 0.1, 0, 0, 0)], requested=None, modality=None
        )
        assert naming.name == model.categories.names[0]
        assert naming.notes == (MEMORYLESS_NOTE,)

    def test_there_is_no_name_without_pixels_or_scores(self, model: SegSam) -> None:
        for one in (evidence(0, 0, 1, 0, 0, 0, 0), SliceEvidence(5, None)):
            naming = name_object(model, [one], requested=None, modality=None)
            assert (naming.name, naming.confidence, naming.notes) == (None, None, ())


RULE = {
    "decoder_weight": 1.0, "distance_weight": 4.0, "known_at_zero": 4.0, "known_slope": 8.0,
    "limit": 0.6, "disease_limit": 0.97, "image_limit": 1.0,
}  # fmt: skip


def with_memory(model: SegSam) -> SegSam:
    """Return the model with one example of each category."""
    memory = ExampleMemory(
        *(torch.zeros(4), torch.ones(4), torch.eye(5)[:, :4], torch.arange(5), torch.ones(5)),
        *(torch.zeros(4), torch.ones(4), torch.zeros(1, 4), torch.ones(1, 5, dtype=torch.bool)),
    )
    return model.with_memory(memory, replace(model.card, naming={"rule": RULE}))


def seen(area: int, scores: Sequence[float], distances: Sequence[float]) -> SliceEvidence:
    return SliceEvidence(area, np.array(scores, np.float32), np.array(distances, dtype=np.float32))


class TestNamesByExamples:
    certain = (0.0, 0.96, 0.01, 0.01, 0.01, 0.01)

    def test_a_known_object_is_named(self, model: SegSam) -> None:
        one = seen(10, self.certain, [0.1, 1, 1, 1, 1])
        naming = name_object(with_memory(model), [one], requested=None, modality=None)
        assert naming.name == "liver"
        assert naming.confidence is not None
        assert 0.9 < naming.confidence < 1
        assert next(iter(naming.suggestions.items())) == ("liver", naming.confidence)

    def test_what_is_unlike_every_example_is_not_named_however_certain_the_decoder(
        self, model: SegSam
    ) -> None:
        one = seen(10, self.certain, [1.1, 1.2, 1.2, 1.2, 1.2])
        naming = name_object(with_memory(model), [one], requested=None, modality=None)
        assert naming.name is None
        assert naming.notes[0].startswith("Not named: unlike anything that this model")
        assert "liver" in naming.notes[0]
        assert name_object(model, [one], requested=None, modality=None).name == "liver"

    def test_the_name_of_a_disease_needs_more(self, model: SegSam) -> None:
        items = list(model.categories.items)
        code = ("SCT", "49755003", "Morphologically Altered Structure")
        terms = Terminology(code, ("SCT", "126851005", "Neoplasm of liver"))
        items[0] = replace(items[0], terminology=terms)
        named = copy.copy(with_memory(model))
        named.categories = Categories(tuple(items), model.categories.text_embeddings, "made up")
        one = seen(10, self.certain, [0.1, 1, 1, 1, 1])
        naming = name_object(named, [one], requested=None, modality=None)
        assert naming.name is None
        assert "the name of a disease needs 97%" in naming.notes[0]
        assert next(iter(naming.suggestions)) == "liver"

    def test_slices_count_by_their_area(self, model: SegSam) -> None:
        slices = [
            seen(300, self.certain, [0.1, 1, 1, 1, 1]),
            seen(100, [0.0, 0.2, 0.8, 0, 0, 0], [0.9, 0.5, 1, 1, 1]),
        ]
        naming = name_object(with_memory(model), slices, requested=None, modality=None)
        assert naming.name == "liver"

    def test_what_the_decoder_takes_for_none_is_not_named(self, model: SegSam) -> None:
        """Near to a liver, as a place beside it is; the share of the liver among names is 1."""
        near = [0.1, 1.0, 1.0, 1.0, 1.0]
        for none, name in ((0.6, "liver"), (0.75, None)):
            one = seen(10, [none, 1 - none, 0, 0, 0, 0], near)
            naming = name_object(with_memory(model), [one], requested=None, modality=None)
            assert naming.name == name
            assert next(iter(naming.suggestions)) == "liver"
        assert "none of the structures that it was taught (75%)" in naming.notes[0]

    def test_a_requested_category_is_named_all_the_same(self, model: SegSam) -> None:
        one = seen(10, self.certain, [3.0, 3, 3, 3, 3])
        naming = name_object(with_memory(model), [one], requested=1, modality=None)
        assert naming.name == "spleen"
        assert naming.confidence == pytest.approx(0, abs=1e-6)


class TestWhatSpeaksAgainstAName:
    def one(self, **facts: Any) -> SliceEvidence:
        return replace(evidence(10, 0, 0.9, 0.1, 0, 0, 0), **facts)

    def test_decoders_that_do_not_draw_the_same_object(self, model: SegSam) -> None:
        naming = name_object(model, [self.one(agreement=0.14)], requested=None, modality=None)
        assert naming.name is None
        assert "agreement 14%" in naming.notes[0]
        assert next(iter(naming.suggestions)) == "liver"
        agreed = name_object(model, [self.one(agreement=0.9)], requested=None, modality=None)
        assert agreed.name == "liver"
        both = [self.one(agreement=0.14), self.one(agreement=0.9, area=30)]
        assert name_object(model, both, requested=None, modality=None).name == "liver"

    def test_a_slice_without_anything_on_it(self, model: SegSam) -> None:
        naming = name_object(model, [self.one(is_blank=True)], requested=None, modality=None)
        assert (naming.name, naming.suggestions) == (None, {})
        assert "nothing to see" in naming.notes[0]

    def test_a_requested_name_that_is_unlikely_is_said_to_be_the_requests(
        self, model: SegSam
    ) -> None:
        naming = name_object(model, [self.one()], requested=1, modality=None)
        assert naming.name == "spleen"
        assert naming.notes == (
            "The name spleen is that of the request: the model itself finds it 10.0% probable.",
        )
        assert name_object(model, [self.one()], requested=0, modality=None).notes == ()


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

    def test_with_a_memory_only_near_images_tell(self, model: SegSam) -> None:
        near = np.array([0.5, 0.5, 2.0, 0.5, 0.5], dtype=np.float32)
        found = present_categories(self.decoded(), with_memory(model), None, near)
        assert list(found) == ["polyp", "liver", "nerve"]

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

"""When a taught name is given: near, nearer than others, and never against a conflict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from segsam.categories import Categories
from segsam.model import Card, Host, SegSam
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.naming import Naming, name_object
from segsam.prediction.taught.conflicts import conflicts
from segsam.prediction.taught.examples import TaughtExample, TaughtName, TaughtNames
from segsam.prediction.taught.matching import matches

from ...made_memory import with_distances

ENCODER = "encoder"
LIVER_LIKE = (0.0, 0.96, 0.01, 0.01, 0.01, 0.01)


@pytest.fixture
def model(tiny_host: Host, five_categories: Categories) -> SegSam:
    """A model whose checkpoint knows nothing like the objects here."""
    return made(SegSam(tiny_host, five_categories, card=Card(semantic_is_trained=True)), 1.2)


def made(model: SegSam, distance: float) -> SegSam:
    """Return the model with distances of 1 between descriptions one unit apart."""
    other = with_distances(model, {0: distance})
    assert other.memory is not None
    memory = replace(other.memory, scale=other.memory.scale * 0 + 1)
    return other.with_memory(memory, other.card)


def vector(model: SegSam, x: float) -> Any:
    found = np.zeros(2 * model.host.facts.embed_dim, np.float32)
    found[0], found[1] = 1.0, x
    return found


def taught(model: SegSam, name: str, x: float, **more: Any) -> TaughtName:
    where: dict[str, Any] = {"position": (0.5, 0.5), "case": "case7", "index": 41, **more}
    example = TaughtExample(
        vector(model, x), where["position"], ENCODER, where["case"], "k", where["index"], "anna"
    )
    return TaughtName(name[:12], name, (example,), (1, 2, 3))


def seen(model: SegSam, x: float, distance: float = 1.2, position: Any = (0.5, 0.5)) -> Any:
    distances = np.full(5, distance, np.float32)
    scores = np.array(LIVER_LIKE, np.float32)
    return SliceEvidence(10, scores, distances, 1.0, False, vector(model, x), position)


def named(model: SegSam, one: SliceEvidence, *names: TaughtName) -> Naming:
    found = matches(model, TaughtNames(names), ENCODER, [one])
    return name_object(model, [one], requested=None, modality=None, matches=found)


def test_what_is_near_gets_the_name_with_its_source(model: SegSam) -> None:
    naming = named(model, seen(model, 0.1), taught(model, "psoas", 0.0))
    assert (naming.name, naming.source) == ("psoas", "taught")
    assert naming.segment is not None
    assert naming.segment.colour_rgb == (1, 2, 3)
    assert naming.notes == ("Named psoas as anna named it in case7, slice k 41.",)
    assert next(iter(naming.suggestions)) == "psoas"
    assert naming.taught["psoas"].case == "case7"


def test_what_is_far_is_at_most_suggested(model: SegSam) -> None:
    near, far = (named(model, seen(model, x), taught(model, "psoas", 0.0)) for x in (0.8, 2.0))
    assert (near.name, list(near.suggestions)) == (None, ["psoas"])
    assert (far.name, far.taught) == (None, {})
    assert far.notes[0].startswith("Not named: unlike anything")


def test_elsewhere_in_the_body_it_is_another_structure(model: SegSam) -> None:
    left = taught(model, "left psoas", 0.0, position=(0.6, 0.5))
    right = taught(model, "right psoas", 0.0, position=(0.4, 0.5))
    naming = named(model, seen(model, 0.2, position=(0.38, 0.5)), left, right)
    assert naming.name == "right psoas"
    assert named(model, seen(model, 0.2, position=(0.5, 0.5)), left, right).name is None, "between"


def test_the_checkpoints_own_name_gives_way_to_what_is_nearer_only(model: SegSam) -> None:
    known = made(model, 0.1)
    own = named(known, seen(model, 0.2, 0.1), taught(model, "psoas", 0.0))
    assert (own.name, own.source) == ("liver", "checkpoint")
    assert "psoas" in own.suggestions
    instead = named(known, seen(model, 0.05, 0.1), taught(model, "psoas", 0.0))
    assert (instead.name, instead.source) == ("psoas", "taught")
    assert "The checkpoint takes it for liver" in instead.notes[0]


def test_two_names_of_one_object_are_shown_and_neither_is_given(model: SegSam) -> None:
    names = taught(model, "psoas", 0.0), taught(model, "iliopsoas", 0.01)
    naming = named(model, seen(model, 0.1), *names)
    assert naming.name is None
    assert "psoas (anna named it" in naming.notes[0]
    assert set(naming.suggestions) >= {"psoas", "iliopsoas"}
    (conflict,) = conflicts(TaughtNames(names))
    assert conflict.to_json()["names"] == ["psoas", "iliopsoas"]
    elsewhere = taught(model, "iliopsoas", 0.01, index=42)
    assert list(conflicts(TaughtNames((names[0], elsewhere)))) == []


def test_examples_of_another_encoder_and_blank_slices_count_for_nothing(model: SegSam) -> None:
    names, one = TaughtNames((taught(model, "psoas", 0.0),)), seen(model, 0.0)
    assert matches(model, names, "another", [one]) == ()
    assert named(model, replace(one, is_blank=True), *names).name is None
    assert matches(model.with_memory(None, model.card), names, ENCODER, [one]) == ()


def test_a_requested_name_stays(model: SegSam) -> None:
    found = matches(model, TaughtNames((taught(model, "psoas", 0.0),)), ENCODER, [seen(model, 0)])
    naming = name_object(model, [seen(model, 0)], requested=1, modality=None, matches=found)
    assert (naming.name, naming.source) == ("spleen", "request")


def test_it_is_not_given_beside_a_more_probable_guess_that_is_nearer(model: SegSam) -> None:
    """Though that guess is too unsure to be a name itself: the two contend."""
    unsure = made(model, 0.5)
    psoas, iliacus = taught(unsure, "psoas", 0.0), taught(unsure, "iliacus", 1.1)
    alone = named(unsure, seen(unsure, 0.51, 0.5))
    assert (alone.name, list(alone.suggestions)) == (None, ["liver"])
    found = named(unsure, seen(unsure, 0.51, 0.5), psoas, iliacus)
    assert found.name is None
    assert list(found.suggestions)[:2] == ["liver", "psoas"]
    assert found.notes[0].startswith("Not named: the best guess, liver,")


def test_a_more_probable_guess_that_is_farther_is_told(model: SegSam) -> None:
    unsure = made(model, 0.5)
    psoas, iliacus = taught(unsure, "psoas", 0.0), taught(unsure, "iliacus", 1.0)
    found = named(unsure, seen(unsure, 0.45, 0.5), psoas, iliacus)
    assert found.name == "psoas"
    assert found.suggestions["liver"] > found.suggestions["psoas"]
    assert found.notes[0].endswith("The checkpoint takes it for liver (48%).")

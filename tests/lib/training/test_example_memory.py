"""Memory and rule from described objects: what is unlike every example gets no name, and the limits
hold their error rates on objects that they were not chosen by.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from segsam.categories import Categories, Terminology
from segsam.errors import TrainingError
from segsam.model.memory import NOWHERE
from segsam.model.naming_rule import NamingRule
from segsam.training.described_objects import DescribedObjects
from segsam.training.example_memory import (
    EXAMPLES,
    UNKNOWN,
    UNKNOWN_NAMED,
    _Cases,
    _limit,
    _limits,
    _of_its_set,
    choose_examples,
    fit_naming,
)
from segsam.training.example_memory import KNOWN as KNOWN_OBJECTS
from segsam.training.targets import NO_CATEGORY

SIZE, KNOWN = 40, 4
"""Numbers of a description, and categories with objects; a fifth category has none."""


def objects(seed: int, count: int, *, unknown: int = 0) -> DescribedObjects:
    """Clusters of descriptions, one for each category, with a decoder that is right in 95 %, and
    objects from other clusters of which the decoder is as certain.
    """
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(KNOWN + 6, SIZE))
    clusters = np.r_[rng.integers(0, KNOWN, count), rng.integers(KNOWN, KNOWN + 6, unknown)]
    described = centres[clusters] + rng.normal(scale=0.35, size=(count + unknown, SIZE))
    classes = np.r_[clusters[:count] + 1, np.full(unknown, NO_CATEGORY)]
    said = np.where(rng.random(count + unknown) < 0.95, classes, rng.integers(1, KNOWN + 1))
    said = np.where(classes > 0, said, rng.integers(1, KNOWN + 1, count + unknown))
    logits = rng.normal(size=(count + unknown, 6))
    logits[np.arange(len(said)), said] += 6
    return DescribedObjects(
        descriptions=described.astype(np.float32),
        images=described.astype(np.float32),
        class_logits=logits.astype(np.float32),
        classes=classes.astype(np.int64),
        datasets=np.array([f"set{n % 2}" for n in range(count + unknown)]),
        patients=np.array([f"p{n // 3}" for n in range(count + unknown)]),
        image_names=np.array([f"i{n}" for n in range(count + unknown)]),
    )


def test_examples_are_objects_of_their_category_and_a_few_of_each() -> None:
    training = objects(0, 300)
    memory, origins = choose_examples(training, 5)
    assert len(memory.examples) == len(origins) <= KNOWN * EXAMPLES
    restored = memory.examples * memory.scale + memory.mean
    for one, category in zip(restored.numpy(), memory.categories.tolist(), strict=True):
        row = np.abs(training.descriptions - one).sum(axis=1).argmin()
        assert np.allclose(training.descriptions[row], one, atol=1e-4)
        assert training.classes[row] == category + 1
    found = memory.distances(torch.from_numpy(training.descriptions))
    assert (found[:, KNOWN] == NOWHERE).all()
    assert (found.argmin(dim=1).numpy() + 1 == training.classes).mean() > 0.99


def test_a_category_that_varies_more_reaches_farther() -> None:
    training = objects(0, 300)
    wide = training.classes == 1
    noise = np.random.default_rng(5).normal(scale=1.5, size=training.descriptions[wide].shape)
    training.descriptions[wide] += noise.astype(np.float32)
    memory, _ = choose_examples(training, 5)
    reaches = {
        number: float(memory.reaches[memory.categories == number].unique())
        for number in range(KNOWN)
    }
    assert reaches[0] > 1.2 * max(reaches[number] for number in range(1, KNOWN))


def test_of_an_unknown_data_set_every_category_is_hidden() -> None:
    """Of the only set, or of one that shows all categories, the object's own."""
    training = objects(0, 300)
    memory, _ = choose_examples(training, 5)
    some = training.select(training.classes <= 2)
    hidden = _of_its_set(some, memory)
    assert (hidden == [True, True, False, False, False]).all()
    own = np.eye(5, dtype=bool)[training.classes - 1]
    assert (_of_its_set(training, memory) == own).all()


def test_what_is_unlike_every_example_gets_no_name(five_categories: Categories) -> None:
    fit = fit_naming(objects(0, 400), objects(1, 400), five_categories)
    test = objects(2, 400, unknown=400)
    distances = fit.memory.distances(torch.from_numpy(test.descriptions)).numpy()
    scores = np.exp(test.class_logits - test.class_logits.max(axis=1, keepdims=True))
    scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float64)
    confidences = fit.rule.confidences(scores, distances.astype(np.float64))
    named, is_known = confidences.max(axis=1) >= fit.rule.limit, test.classes > 0
    right = confidences.argmax(axis=1) + 1 == test.classes
    assert named[~is_known].mean() <= UNKNOWN_NAMED
    assert named[is_known].mean() >= 0.9
    assert right[is_known & named].mean() >= 0.97
    by_decoder = scores[:, 1:].max(axis=1) >= 0.5
    assert by_decoder[~is_known].mean() > 0.9


def test_the_lowest_limit_within_a_goal() -> None:
    confidence = np.linspace(0.01, 1, 100)
    errors = np.zeros(100, dtype=np.bool_)
    errors[[10, 50, 90]] = True
    assert _limit(confidence, errors, 0.0499) == 0.0, "(3 + 1) of 101 is within it"
    limit = _limit(confidence, errors, 0.03)
    assert confidence[10] < limit
    assert ((confidence >= limit) & errors).sum() == 2
    assert _limit(confidence, errors, 0.001) > confidence[90], "too few objects: without an error"


def test_what_a_diseases_own_limit_withholds_does_not_raise_that_of_the_others(
    five_categories: Categories,
) -> None:
    """A fifth of the objects would be called a disease wrongly, none with 80 %."""
    items = list(five_categories.items)
    code = ("SCT", "49755003", "Morphologically Altered Structure")
    terms = Terminology(code, ("SCT", "126851005", "Neoplasm of liver"))
    items[1] = replace(items[1], terminology=terms)
    categories = Categories(tuple(items), five_categories.text_embeddings, "made up")
    scores = np.tile([0.0, 0.96, 0.01, 0.01, 0.01, 0.01], (200, 1))
    scores[:40] = [0.0, 0.22, 0.75, 0.01, 0.01, 0.01]
    cases = _Cases(scores, np.zeros((200, 5)), np.ones(200, np.int64), np.ones(200, np.bool_))
    none = cases.select(np.zeros(200, np.bool_))
    rule = NamingRule(1.0, 0.0, 50.0, 0.0, 1.0, 1.0, 1.0)
    assert _limits(rule, {KNOWN_OBJECTS: cases, UNKNOWN: none}, categories) == (0.0, 0.8)
    scores[:40] = [0.0, 0.12, 0.85, 0.01, 0.01, 0.01]
    limit, of_diseases = _limits(rule, {KNOWN_OBJECTS: cases, UNKNOWN: none}, categories)
    assert limit == 0.0, "its own limit withholds them all the same"
    assert of_diseases == pytest.approx(0.85), "the lowest above them"


def test_too_few_objects_are_refused(five_categories: Categories) -> None:
    with pytest.raises(TrainingError, match=r"20 validation objects of known categories .* got 5"):
        fit_naming(objects(0, 100), objects(1, 5), five_categories)


def test_patients_that_fill_only_one_half_are_refused(five_categories: Categories) -> None:
    one_patient = objects(1, 100)
    one_patient = replace(one_patient, patients=np.full(100, "p1"))
    with pytest.raises(TrainingError, match=r"in each half of the patients for a memory.* got 0"):
        fit_naming(objects(0, 100), one_patient, five_categories)

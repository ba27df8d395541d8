"""Memory of examples and naming rule of a model, from described objects.

    training objects    --examples--> `ExampleMemory`
    validation objects  --fit--> a, b, c, s of `NamingRule`      (one half of the patients)
                        --limits--> from which confidence a name is given    (the other half)

Unknown objects are not at hand, or they would be known. Their place is taken by validation objects
of a data set all of whose categories are hidden, examples and classes (each set in its turn; of the
only set, the object's own category), and by places without a label. Known objects from elsewhere
are imitated by hiding the examples of the same data set.

The limits are chosen by conformal risk control (Angelopoulos et al., ICLR 2024,
https://arxiv.org/abs/2208.02814): the lowest limit at which (errors + 1) / (objects + 1) stays
within its goal. Then the expected rate of errors on objects like these is within the goal, whatever
their distribution. It fits because each rate only falls as the limit rises, and because it bounds
the rates themselves, several at once, which a conformal set of names would not do.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor

from segsam.categories import Categories
from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.errors import TrainingError
from segsam.model import SegSam
from segsam.model.memory import NOWHERE, ExampleMemory, standardisation
from segsam.model.naming_rule import NamingRule, is_disease, log_posterior
from segsam.training.config import TrainConfig
from segsam.training.described_objects import (
    DescribedObjects,
    Rows,
    describe_samples,
    slices_showing,
)
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.samples import Sample
from segsam.training.targets import NO_CATEGORY
from segsam.training.validation import spread_evenly

EXAMPLES = 16
"""Largest number of examples of a category."""
IMAGES = 4
"""Largest number of images that stand for a category."""
_REACHED, _USUAL_REACH = 0.8, 0.4
"""Share of a category's training objects that lie within its reach of an example, and that distance
in most categories.
"""
_LEAST_REACH = 0.25
UNKNOWN_NAMED, KNOWN_NAMED_WRONG = 0.05, 0.025
"""Goals: share of unknown objects that are named, and of known ones that get a wrong name."""
UNKNOWN_CALLED_DISEASE, KNOWN_CALLED_DISEASE = 0.01, 0.01
"""Goals: share of unknown objects that get the name of a disease, and of known ones that get it
wrongly."""
_PRESENT_KEPT = 0.9
"""Share of the images with a category that are near enough to report it."""
LEAST_FOR_DISEASE = 0.8
"""Lowest confidence of a disease's name, however few errors were seen."""
LEAST_OBJECTS = 20
"""Number of objects of known categories without which there is no memory."""
KNOWN, ELSEWHERE, UNKNOWN = "known", "known from elsewhere", "unknown"


@dataclass(frozen=True, eq=False)
class NamingFit:
    """A memory, its rule, and what was measured when the limits were chosen."""

    memory: ExampleMemory
    rule: NamingRule
    counts: Mapping[str, int]
    """Objects by kind: examples, known, from elsewhere, unknown."""

    def to_card(self) -> dict[str, Any]:
        """Return what the card says of it."""
        goals = {
            "unknown_named": UNKNOWN_NAMED,
            "known_named_wrong": KNOWN_NAMED_WRONG,
            "unknown_called_disease": UNKNOWN_CALLED_DISEASE,
            "known_called_disease_wrongly": KNOWN_CALLED_DISEASE,
        }
        return {"rule": asdict(self.rule), "goals": goals, "objects": dict(self.counts)}


@dataclass(frozen=True, eq=False)
class _Cases(Rows):
    """Objects as the rule sees them."""

    scores: NDArray[np.float64]
    """(N, K + 1) of the decoder."""
    distances: NDArray[np.float64]
    """(N, K)."""
    classes: NDArray[np.int64]
    """(N,) k + 1; 0 for unknown."""
    is_first: NDArray[np.bool_]
    """(N,) True in the half of the patients that the rule is fitted to."""


def fit_naming(
    training: DescribedObjects,
    validation: DescribedObjects,
    categories: Categories,
    *,
    temperature: float = 1.0,
) -> NamingFit:
    """Choose examples among training objects, and fit the rule to validation objects.

    Raises:
        TrainingError: fewer than some twenty objects of known categories in either.
    """
    for part, (known, least) in _known_objects(training, validation).items():
        if known < least:
            raise TrainingError(f"Expected {least} {part} for a memory of examples, got {known}.")
    memory, origins = choose_examples(training, len(categories))
    kinds = _kinds(memory, origins, validation, temperature)
    first = {kind: cases.select(cases.is_first) for kind, cases in kinds.items()}
    second = {kind: cases.select(~cases.is_first) for kind, cases in kinds.items()}
    weights = _fit_posterior(_Cases.joined([first[KNOWN], first[ELSEWHERE]]))
    fitted = NamingRule(
        *weights, *_fit_known(weights, first), 1.0, 1.0, _image_limit(memory, validation)
    )
    limit, disease_limit = _limits(fitted, second, categories)
    rule = replace(fitted, limit=limit, disease_limit=disease_limit)
    counts = {kind: len(cases) for kind, cases in kinds.items()}
    return NamingFit(memory, rule, {"examples": len(memory.examples)} | counts)


def naming_of_run(
    model: SegSam,
    store: EmbeddingStore,
    samples: Mapping[str, Sequence[Sample]],
    config: TrainConfig,
) -> NamingFit | None:
    """Return memory and rule of a trained model, from the samples of its run by part; None for a
    model without semantics, or with too few objects to choose limits by.
    """
    if not config.example_slices or model.semantic_decoder is None:
        return None
    parts = [
        describe_samples(model, store, spread_evenly(samples[part], config.example_slices), config)
        for part in (TRAIN, VALIDATION)
    ]
    training, validation = parts
    if training is None or validation is None:
        return None
    if any(known < least for known, least in _known_objects(training, validation).values()):
        return None
    return fit_naming(training, validation, model.categories, temperature=model.card.temperature)


def _known_objects(
    training: DescribedObjects, validation: DescribedObjects
) -> dict[str, tuple[int, int]]:
    """Return what a memory needs objects of known categories in -> how many are there, and the
    lowest number. The rule is fitted to one half of the patients and its limits to the other.
    """
    what = "objects of known categories"
    of_validation, first = validation.classes > 0, _is_first_half(validation.patients)
    halves = [int((of_validation & rows).sum()) for rows in (first, ~first)]
    return {
        f"training {what}": (int((training.classes > 0).sum()), LEAST_OBJECTS),
        f"validation {what}": (sum(halves), LEAST_OBJECTS),
        f"validation {what} in each half of the patients": (min(halves), LEAST_OBJECTS // 2),
    }


def with_new_examples(
    memory: ExampleMemory,
    model: SegSam,
    store: EmbeddingStore,
    samples: Sequence[Sample],
    config: TrainConfig,
) -> ExampleMemory:
    """Return a memory with examples from samples, for the categories that have too few.

    Args:
        memory: of a model with the same embedding and categories.
        model: describes the objects.
        store: of the samples.
        samples: those of a training.
        config: the run.
    """
    lacking = np.flatnonzero(memory.counts().numpy() < EXAMPLES) + 1
    chosen, _ = slices_showing(samples, lacking.tolist())
    objects = describe_samples(model, store, chosen, config) if chosen else None
    if objects is None:
        return memory
    new = objects.select(np.isin(objects.classes, lacking))
    if not len(new):
        return memory
    added, _ = choose_examples(new, len(model.categories), like=memory)
    return memory.filled_up(added, examples=EXAMPLES, images=IMAGES)


def choose_examples(
    objects: DescribedObjects, categories: int, *, like: ExampleMemory | None = None
) -> tuple[ExampleMemory, NDArray[np.str_]]:
    """Return a memory of the objects nearest to the centres of each category's clusters (k-means),
    and the data set that each example is from.

    `like` is a memory whose standardisation is taken; by default it is that of the objects.
    """
    known = objects.select(objects.classes > 0)
    descriptions = torch.from_numpy(known.descriptions)
    mean, scale = standardisation(descriptions) if like is None else (like.mean, like.scale)
    standard = ((descriptions - mean) / scale).numpy()
    groups = [np.flatnonzero(known.classes == number) for number in np.unique(known.classes)]
    chosen = [_central(standard, members, EXAMPLES) for members in groups]
    reaches = [
        np.full(len(some), _reach(standard, members, some), np.float32)
        for members, some in zip(groups, chosen, strict=True)
    ]
    rows = np.concatenate(chosen)
    image_mean, image_scale, images, shown = _image_examples(known, categories, like)
    memory = ExampleMemory(
        mean=mean,
        scale=scale,
        examples=torch.from_numpy(standard[rows]),
        categories=torch.from_numpy(known.classes[rows] - 1),
        reaches=torch.from_numpy(np.concatenate(reaches)),
        image_mean=image_mean,
        image_scale=image_scale,
        images=images,
        images_show=shown,
    )
    return memory, known.datasets[rows]


def _image_examples(
    known: DescribedObjects, categories: int, like: ExampleMemory | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return mean, scale, some images (M, 2 C) for each category, and what they show (M, K)."""
    _, first, image_of = np.unique(known.image_names, return_index=True, return_inverse=True)
    images = torch.from_numpy(known.images[first])
    mean, scale = standardisation(images) if like is None else (like.image_mean, like.image_scale)
    standard = ((images - mean) / scale).numpy()
    shows = np.zeros((len(first), categories), dtype=np.bool_)
    shows[image_of, known.classes - 1] = True
    rows = np.unique(
        np.concatenate(
            [
                _central(standard, np.flatnonzero(column), IMAGES)
                for column in shows.T
                if column.any()
            ]
        )
    )
    return mean, scale, torch.from_numpy(standard[rows]), torch.from_numpy(shows[rows])


def _central(
    standard: NDArray[np.float32], members: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return up to `count` of the members, each the nearest to the centre of a cluster."""
    _, first = np.unique(standard[members], axis=0, return_index=True)
    members = members[np.sort(first)]  # k-means cannot start from points that are the same
    if len(members) <= count:
        return members
    centres, cluster_of = kmeans2(standard[members], count, minit="++", seed=0)
    nearest = [
        int(np.square(standard[members] - centres[each]).sum(axis=1).argmin())
        for each in np.unique(cluster_of)
    ]
    return np.asarray(members[np.unique(nearest)])


def _reach(
    standard: NDArray[np.float32], members: NDArray[np.int64], examples: NDArray[np.int64]
) -> float:
    """Return how far members lie from the nearest other example, halfway (as a geometric mean) to
    what is usual: the objects of a category with few are no measure of it.
    """
    distances = np.linalg.norm(standard[members][:, None] - standard[examples][None], axis=2)
    distances[members[:, None] == examples[None]] = np.inf
    nearest = distances.min(axis=1)
    found = nearest[np.isfinite(nearest)]
    if not len(found):
        return 1.0
    return max(math.sqrt(float(np.quantile(found, _REACHED)) / _USUAL_REACH), _LEAST_REACH)


def _kinds(
    memory: ExampleMemory,
    origins: NDArray[np.str_],
    objects: DescribedObjects,
    temperature: float,
) -> dict[str, _Cases]:
    """Return validation objects as known, as known from elsewhere, and as unknown ones."""
    logits = objects.class_logits.astype(np.float64) / temperature
    distances = memory.distances(torch.from_numpy(objects.descriptions)).numpy().astype(np.float64)
    is_first = _is_first_half(objects.patients)
    scores = np.exp(log_softmax(logits, axis=1))
    known = np.flatnonzero(objects.classes > 0)
    none = np.flatnonzero(objects.classes == NO_CATEGORY)
    own, elsewhere = objects.classes[known] - 1, _without_own(memory, origins, objects)
    is_elsewhere = elsewhere[known, own] < NOWHERE
    far = known[is_elsewhere]
    is_hidden = _of_its_set(objects.select(known), memory)
    hidden_logits, hidden = logits[known].copy(), distances[known].copy()
    hidden_logits[:, 1:][is_hidden] = -np.inf
    hidden[is_hidden] = NOWHERE
    unknown = _Cases.joined(
        [
            _Cases(
                np.exp(log_softmax(hidden_logits, axis=1)),
                hidden,
                np.zeros(len(known), np.int64),
                is_first[known],
            ),
            _Cases(scores[none], distances[none], np.zeros(len(none), np.int64), is_first[none]),
        ]
    )
    return {
        KNOWN: _Cases(scores[known], distances[known], objects.classes[known], is_first[known]),
        ELSEWHERE: _Cases(scores[far], elsewhere[far], objects.classes[far], is_first[far]),
        UNKNOWN: unknown,
    }


def _of_its_set(objects: DescribedObjects, memory: ExampleMemory) -> NDArray[np.bool_]:
    """Return the categories (N, K) of each object's data set; the object's own one alone if no
    other category has examples.
    """
    own = np.zeros((len(objects), memory.images_show.shape[1]), dtype=np.bool_)
    own[np.arange(len(objects)), objects.classes - 1] = True
    found, has_examples = own.copy(), memory.counts().numpy() > 0
    for dataset in np.unique(objects.datasets):
        rows = objects.datasets == dataset
        of_set = own[rows].any(axis=0)
        if (has_examples & ~of_set).any():
            found[rows] = of_set
    return found


def _without_own(
    memory: ExampleMemory, origins: NDArray[np.str_], objects: DescribedObjects
) -> NDArray[np.float64]:
    """Return the distances (N, K) to the examples of other data sets than the object's own."""
    found = np.full((len(objects), memory.images_show.shape[1]), NOWHERE)
    for dataset in np.unique(objects.datasets):
        rows, others = objects.datasets == dataset, torch.from_numpy(origins != dataset)
        if bool(others.any()):
            reduced = memory.without(~others)
            found[rows] = reduced.distances(torch.from_numpy(objects.descriptions[rows])).numpy()
    return found


def _fit_posterior(cases: _Cases) -> tuple[float, float]:
    """Return a and b with the least negative log-likelihood of the true category."""
    true = cases.classes - 1

    def loss(logarithms: NDArray[np.float64]) -> float:
        a, b = np.exp(logarithms)
        of_all = log_posterior(a, b, cases.scores, cases.distances)
        return float(-of_all[np.arange(len(true)), true].mean())

    a, b = np.exp(minimize(loss, [0.0, 1.0], method="Nelder-Mead").x)
    return float(a), float(b)


def _fit_known(weights: tuple[float, float], kinds: Mapping[str, _Cases]) -> tuple[float, float]:
    """Return c and s: a logistic regression of known against unknown, each kind of equal weight."""
    rule = NamingRule(*weights, 0.0, 1.0, 1.0, 1.0, NOWHERE)
    best = {
        kind: cases.distances[
            np.arange(len(cases)), rule.posterior(cases.scores, cases.distances).argmax(axis=1)
        ]
        for kind, cases in kinds.items()
        if len(cases)
    }

    def loss(values: NDArray[np.float64]) -> float:
        c, s = values[0], np.exp(values[1])
        losses = {
            kind: float(np.logaddexp(0, (1 if kind == UNKNOWN else -1) * (c - s * each)).mean())
            for kind, each in best.items()
        }
        known = [value for kind, value in losses.items() if kind != UNKNOWN]
        return losses[UNKNOWN] + float(np.mean(known))

    c, s = minimize(loss, [5.0, 1.5], method="Nelder-Mead").x
    return float(c), float(np.exp(s))


def _limits(
    rule: NamingRule, kinds: Mapping[str, _Cases], categories: Categories
) -> tuple[float, float]:
    """Return the lowest limit of all names, and of diseases' names, within the goals."""
    diseases = np.array([is_disease(item) for item in categories.items])
    known, unknown = kinds[KNOWN], kinds[UNKNOWN]
    named, confidence = rule.best(known.scores, known.distances)
    is_wrong = named != known.classes - 1
    false_name, false_confidence = rule.best(unknown.scores, unknown.distances)
    of_diseases = max(
        LEAST_FOR_DISEASE,
        _limit(false_confidence, diseases[false_name], UNKNOWN_CALLED_DISEASE),
        _limit(confidence, is_wrong & diseases[named], KNOWN_CALLED_DISEASE),
    )
    # A disease's name below its own limit is not given, so it is no error at a lower one.
    is_given = ~diseases[named] | (confidence >= of_diseases)
    is_false = ~diseases[false_name] | (false_confidence >= of_diseases)
    limit = max(
        _limit(false_confidence, is_false, UNKNOWN_NAMED),
        _limit(confidence, is_wrong & is_given, KNOWN_NAMED_WRONG),
    )
    return limit, max(limit, of_diseases)


def _limit(confidence: NDArray[np.float64], is_error: NDArray[np.bool_], goal: float) -> float:
    """Return the lowest limit at which errors of N objects with this confidence are within a goal
    (conformal risk control); with too few objects for the goal, the lowest without an error.
    """
    allowed = max(0, math.floor(goal * (len(confidence) + 1) - 1))
    errors = np.sort(confidence[is_error])[::-1]
    return 0.0 if len(errors) <= allowed else float(np.nextafter(errors[allowed], 2.0))


def _image_limit(memory: ExampleMemory, objects: DescribedObjects) -> float:
    """Return the distance within which most validation images lie of one with the category."""
    known = objects.select(objects.classes > 0)
    distances = memory.image_distances(torch.from_numpy(known.images)).numpy()
    own = distances[np.arange(len(known)), known.classes - 1]
    return float(np.quantile(own, _PRESENT_KEPT))


def _is_first_half(patients: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return True (N,) for the patients of one half, which a hash of the name draws."""
    halves = {name: zlib.crc32(name.encode()) % 2 == 0 for name in np.unique(patients).tolist()}
    return np.array([halves[name] for name in patients.tolist()], dtype=np.bool_)

"""Rule by which a taught name is given. It has no numbers that a study would have to calibrate.

    d        distance of an object to an example: d^2 = |x - x'|^2 + w |p - p'|^2, descriptions x
             standardised as those of the checkpoint's memory, positions p in the body; of a name,
             the nearest example counts; over slices, the mean by area
    P(known) of the checkpoint's own rule at d: from its many examples it knows how far apart
             objects of one structure lie in different patients
    given    if P(known) is large enough, no other taught name is as near, and the checkpoint's own
             examples are not much nearer

How w and the limits were chosen, and what they give: docs/lab/names.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from segsam.model import SegSam
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.taught.conflicts import is_of_one_object
from segsam.prediction.taught.examples import (
    StackedExamples,
    TaughtExample,
    TaughtName,
    TaughtNames,
)

POSITION_WEIGHT = 4.0
"""w."""
KNOWN_FROM = 0.4
"""Lowest P(known) of a taught name."""
NEARER_THAN_OTHERS = 0.9
"""Share of the distance to the next taught name that the best one may have at most."""
CHECKPOINT_NEARER = 1.5
"""Times the distance to the checkpoint's nearest example that a taught name may have at most."""
_SHARPNESS = 5.5
"""Of the share that each taught name has in the confidence: exp(-5.5 d^2)."""
_LEAST_SUGGESTED = 0.05
_SUGGESTIONS = 3


@dataclass(frozen=True, eq=False)
class Match:
    """Taught name that an object may have."""

    name: TaughtName
    example: TaughtExample
    """The nearest one."""
    distance: float
    confidence: float
    """P(known), divided among the taught names: 0 to 1."""
    is_given: bool = False
    """True if the object may have this name: it is near enough."""
    is_nearer: bool = False
    """True if nothing that the checkpoint was taught is as near."""
    rivals: tuple[Match, ...] = ()
    """Other names that were given to the same object as `example`."""

    @property
    def in_words(self) -> str:
        """The name with its source."""
        return f"{self.name.name} ({self.example.source_in_words})"


Compare: TypeAlias = Callable[[Sequence[SliceEvidence]], Sequence[Match]]
"""Returns the taught names that an object may have, the best first."""


def no_matches(evidence: Sequence[SliceEvidence]) -> Sequence[Match]:
    """Return no name: nothing was taught."""
    del evidence
    return ()


def matches(
    model: SegSam, taught: TaughtNames, embedding: str, evidence: Sequence[SliceEvidence]
) -> Sequence[Match]:
    """Return the taught names that an object may have, the nearest first.

    Args:
        model: supplies standardisation and rule; without a memory there are no matches.
        taught: all names.
        embedding: identifier of the model's image encoder; examples of others are passed over.
        evidence: of each slice.
    """
    examples, rule = taught.stacked(embedding), model.naming_rule
    seen = [one for one in evidence if one.description is not None and one.position is not None]
    if examples is None or rule is None or not seen:
        return ()
    areas = np.array([one.area for one in seen], dtype=np.float64)
    each = distances_to(model, examples, seen)
    numbers = examples.names.numpy()
    found = []
    for number in np.unique(numbers):
        own = np.flatnonzero(numbers == number)
        distance = float(np.average(each[:, own].min(axis=1), weights=areas))
        nearest = own[int(np.average(each[:, own], axis=0, weights=areas).argmin())]
        found.append((distance, taught.names[number], examples.examples[nearest]))
    found.sort(key=lambda one: one[0])
    distances = np.array([distance for distance, _, _ in found])
    shares = softmax(-_SHARPNESS * np.square(distances)) * rule.known(distances)
    known = [
        Match(name, example, distance, float(share))
        for (distance, name, example), share in zip(found, shares, strict=True)
    ]
    best = _judged(known, float(rule.known(distances[:1])[0]), _checkpoint_distance(seen, areas))
    likely = [one for one in known[1:_SUGGESTIONS] if one.confidence >= _LEAST_SUGGESTED]
    return (best, *likely) if best.is_given or best.confidence >= _LEAST_SUGGESTED else ()


def _judged(known: Sequence[Match], best_known: float, checkpoint: float) -> Match:
    """Return the nearest name, and whether it may be given; `best_known` is its P(known), and
    `checkpoint` the distance to the nearest of the checkpoint's examples.
    """
    best = known[0]
    rivals = tuple(one for one in known[1:] if is_of_one_object(best.example, one.example))
    others = [one.distance for one in known[1:] if one not in rivals]
    is_given = (
        best_known >= KNOWN_FROM
        and best.distance <= NEARER_THAN_OTHERS * min(others, default=np.inf)
        and best.distance <= CHECKPOINT_NEARER * checkpoint
    )
    is_nearer = best.distance < checkpoint
    return replace(best, is_given=is_given, is_nearer=is_nearer, rivals=rivals)


def distances_to(
    model: SegSam, examples: StackedExamples, seen: Sequence[SliceEvidence]
) -> NDArray[np.float64]:
    """Return the distances (S, N) of S slices of an object to N examples."""
    if model.memory is None:
        raise ValueError("Expected a model with a memory of examples, got one without.")
    rows = [one.description for one in seen if one.description is not None]
    described, positions = torch.from_numpy(np.stack(rows)), [one.position for one in seen]
    apart = torch.cdist(described / model.memory.scale, examples.descriptions / model.memory.scale)
    moved = torch.cdist(torch.tensor(positions), examples.positions)
    total = (apart.square() + POSITION_WEIGHT * moved.square()).sqrt()
    return np.asarray(total.numpy(), dtype=np.float64)


def _checkpoint_distance(seen: Sequence[SliceEvidence], areas: NDArray[np.float64]) -> float:
    """Return the distance to the nearest example of the category that is nearest on all slices."""
    distances = [one.distances for one in seen if one.distances is not None]
    if len(distances) < len(seen):
        return float("inf")
    return float(np.average(distances, axis=0, weights=areas).min())

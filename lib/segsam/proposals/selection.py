"""Which case to annotate next: by the decoders' disagreement, by distance from what is labelled, by
both, at random, or simply the first.

The model is not asked here: what is known of the cases comes in as numbers, what is not known is
None, and the choice says in a sentence what it rests on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Strategy: TypeAlias = Literal["agreement", "diversity", "mix", "random", "first"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@dataclass(frozen=True, eq=False)
class Case:
    """A case that may be annotated, or was.

    `doubt` is 0 to 1, the disagreement of both decoders; `place` is (C,), of length 1.
    """

    name: str
    labelled: bool = False
    doubt: float | None = None
    place: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Choice:
    """The case, in a sentence why, and what it scored among the others (higher is more urgent)."""

    name: str
    why: str
    score: float | None = None


def choose(strategy: Strategy, cases: Sequence[Case], *, seed: int = 0) -> Choice | None:
    """The unlabelled case that comes next, the same for the same arguments; None when all are
    labelled.

    A strategy that has nothing to go by yet falls back to a random choice and says so; one that
    knows some of the cases only chooses among those.
    """
    left = sorted((case for case in cases if not case.labelled), key=lambda case: case.name)
    if not left:
        return None
    return _CHOOSERS[strategy](left, [case for case in cases if case.labelled], seed)


def distances(places: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """From each of (n, C) to the nearest of (m, C), m > 0, (n,)."""
    apart = np.linalg.norm(places[:, None] - centres[None], axis=2)
    return np.asarray(apart.min(axis=1), dtype=np.float32)


def _first(left: Sequence[Case], labelled: Sequence[Case], seed: int) -> Choice:
    del labelled, seed
    return Choice(left[0].name, f"The first of {_images(left)} in the order of their names.")


def _random(left: Sequence[Case], labelled: Sequence[Case], seed: int) -> Choice:
    del labelled
    name = _drawn([case.name for case in left], seed)
    return Choice(name, f"Drawn at random from {_images(left)}.")


def _agreement(left: Sequence[Case], labelled: Sequence[Case], seed: int) -> Choice:
    scores = {case.name: case.doubt for case in left if case.doubt is not None}
    if not scores:
        return _instead(left, labelled, seed, "how far the two decoders agree")
    name = _highest(scores, seed)
    return Choice(
        name,
        f"The two decoders agree least on this one ({1 - scores[name]:.2f} of 1) of "
        f"{_images(left)}{_of_known(len(scores), len(left))}.",
        scores[name],
    )


def _diversity(left: Sequence[Case], labelled: Sequence[Case], seed: int) -> Choice:
    scores, by = _far(left, labelled)
    if not scores:
        return _instead(left, labelled, seed, "where the images lie among each other")
    name = _highest(scores, seed)
    return Choice(name, f"{by} {_images(left)}{_of_known(len(scores), len(left))}.", scores[name])


def _mix(left: Sequence[Case], labelled: Sequence[Case], seed: int) -> Choice:
    doubts = {case.name: case.doubt for case in left if case.doubt is not None}
    far, _ = _far(left, labelled)
    both = {name for name in doubts if name in far}
    if not both:
        known: Strategy = "diversity" if far else "agreement"
        found = _CHOOSERS[known](left, labelled, seed)
        return Choice(found.name, f"{found.why} (One half of the mix is not known.)", found.score)
    ranks = [_ranked({name: one[name] for name in both}) for one in (doubts, far)]
    scores = {name: ranks[0][name] * ranks[1][name] for name in both}
    name = _highest(scores, seed)
    return Choice(
        name,
        f"By the decoders' disagreement it is before {ranks[0][name]:.0%}, by its distance from "
        f"what is labelled before {ranks[1][name]:.0%} of {_images(left)}"
        f"{_of_known(len(both), len(left))}; no other has more of both.",
        scores[name],
    )


def _instead(left: Sequence[Case], labelled: Sequence[Case], seed: int, unknown: str) -> Choice:
    found = _random(left, labelled, seed)
    return Choice(found.name, f"It is not known yet {unknown}, so: {found.why}")


def _far(left: Sequence[Case], labelled: Sequence[Case]) -> tuple[dict[str, float], str]:
    """Greedy k-center: how far each case is from the nearest labelled one. With none labelled, how
    near it is to the middle of all, since the first one should be an ordinary one.
    """
    known = {case.name: case.place for case in left if case.place is not None}
    centres = [case.place for case in labelled if case.place is not None]
    if not known:
        return {}, ""
    places = np.stack(list(known.values()))
    if centres:
        scores = distances(places, np.stack(centres))
        by = "The most unlike all that is labelled of"
    else:
        scores = -distances(places, places.mean(axis=0, keepdims=True))
        by = "Nothing is labelled yet; this one is the most ordinary of"
    return dict(zip(known, map(float, scores), strict=True)), by


def _ranked(scores: Mapping[str, float]) -> dict[str, float]:
    """The share of the others that each is above or level with, 0 to 1."""
    values = np.array(list(scores.values()))
    others = max(len(values) - 1, 1)
    return {name: float(((values <= score).sum() - 1) / others) for name, score in scores.items()}


def _highest(scores: Mapping[str, float], seed: int) -> str:
    """Of equals, one that the seed draws."""
    most = max(scores.values())
    return _drawn([name for name, score in scores.items() if score == most], seed)


def _drawn(names: Sequence[str], seed: int) -> str:
    """One of them: whichever the seed likes best, whatever their order and the others are."""
    return min(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())


def _images(left: Sequence[Case]) -> str:
    return "one unlabelled image" if len(left) == 1 else f"{len(left)} unlabelled images"


def _of_known(known: int, left: int) -> str:
    return "" if known == left else f", {known} of which were looked at so far"


_Chooser: TypeAlias = Callable[[Sequence[Case], Sequence[Case], int], Choice]
_CHOOSERS: Mapping[Strategy, _Chooser] = MappingProxyType(
    {
        "agreement": _agreement,
        "diversity": _diversity,
        "mix": _mix,
        "random": _random,
        "first": _first,
    }
)

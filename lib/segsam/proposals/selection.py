"""Choice of the next case to annotate: by the decoders' disagreement, by distance from the labelled
cases, by both, at random, or in order.

No model runs here. What is known of the cases comes in as numbers, what is not known is None. Every
choice has a reason, a sentence for the annotator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Strategy: TypeAlias = Literal["agreement", "diversity", "mix", "random", "first"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@dataclass(frozen=True, eq=False)
class Case:
    """Case that may be annotated, or was.

    `disagreement` and `embedding` are those of its `Overview`; None if not known yet.
    """

    name: str
    labelled: bool = False
    disagreement: float | None = None
    embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Choice:
    """Chosen case, the reason as a sentence, and its score (higher is more urgent)."""

    name: str
    reason: str
    score: float | None = None


def choose(strategy: Strategy, cases: Sequence[Case], *, seed: int = 0) -> Choice | None:
    """Return the unlabelled case to annotate next; None if all are labelled.

    The same arguments give the same choice. A strategy that knows only some of the cases chooses
    among those. One that knows none draws at random, and its reason says so.
    """
    unlabelled = sorted((case for case in cases if not case.labelled), key=lambda case: case.name)
    if not unlabelled:
        return None
    return _CHOOSERS[strategy](unlabelled, [case for case in cases if case.labelled], seed)


def nearest_distances(
    embeddings: NDArray[np.float32], centres: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the distance (n,) from each of (n, C) to the nearest of (m, C), m > 0."""
    pairwise = np.linalg.norm(embeddings[:, None] - centres[None], axis=2)
    return np.asarray(pairwise.min(axis=1), dtype=np.float32)


def _first(unlabelled: Sequence[Case], labelled: Sequence[Case], seed: int) -> Choice:
    del labelled, seed
    return Choice(
        unlabelled[0].name, f"The first of {_images(unlabelled)} in the order of their names."
    )


def _random(unlabelled: Sequence[Case], labelled: Sequence[Case], seed: int) -> Choice:
    del labelled
    name = _draw([case.name for case in unlabelled], seed)
    return Choice(name, f"Drawn at random from {_images(unlabelled)}.")


def _agreement(unlabelled: Sequence[Case], labelled: Sequence[Case], seed: int) -> Choice:
    scores = _disagreements(unlabelled)
    if not scores:
        return _fallback(unlabelled, labelled, seed, "how far the two decoders agree")
    name = _highest(scores, seed)
    return Choice(
        name,
        f"The two decoders agree least on this one ({1 - scores[name]:.2f} of 1) of "
        f"{_images(unlabelled)}{_known_part(scores, unlabelled)}.",
        scores[name],
    )


def _diversity(unlabelled: Sequence[Case], labelled: Sequence[Case], seed: int) -> Choice:
    scores, reason = _differences(unlabelled, labelled)
    if not scores:
        return _fallback(unlabelled, labelled, seed, "how much the images differ")
    name = _highest(scores, seed)
    return Choice(
        name,
        f"{reason} {_images(unlabelled)}{_known_part(scores, unlabelled)}.",
        scores[name],
    )


def _mix(unlabelled: Sequence[Case], labelled: Sequence[Case], seed: int) -> Choice:
    """Choose by the product of two ranks, since disagreement and distance have different scales."""
    disagreements = _disagreements(unlabelled)
    differences, _ = _differences(unlabelled, labelled)
    both = disagreements.keys() & differences.keys()
    if not both:
        half: Strategy = "diversity" if differences else "agreement"
        found = _CHOOSERS[half](unlabelled, labelled, seed)
        return replace(found, reason=f"{found.reason} (One half of the mix is not known.)")
    by_disagreement, by_difference = (
        _ranks({name: scores[name] for name in both}) for scores in (disagreements, differences)
    )
    scores = {name: by_disagreement[name] * by_difference[name] for name in both}
    name = _highest(scores, seed)
    return Choice(
        name,
        f"It ranks above {by_disagreement[name]:.0%} of the others by the decoders' disagreement "
        f"and above {by_difference[name]:.0%} by the difference from the labelled images, and is "
        f"first by both together of {_images(unlabelled)}{_known_part(scores, unlabelled)}.",
        scores[name],
    )


def _fallback(
    unlabelled: Sequence[Case], labelled: Sequence[Case], seed: int, unknown: str
) -> Choice:
    found = _random(unlabelled, labelled, seed)
    return Choice(found.name, f"It is not known yet {unknown}, so: {found.reason}")


def _disagreements(cases: Sequence[Case]) -> dict[str, float]:
    return {case.name: case.disagreement for case in cases if case.disagreement is not None}


def _differences(
    unlabelled: Sequence[Case], labelled: Sequence[Case]
) -> tuple[dict[str, float], str]:
    """Return each case's distance from the nearest labelled one (greedy k-center), and the reason.

    Without labelled cases, return the nearness to the mean of all: the first annotated case should
    be an ordinary one.
    """
    known = {case.name: case.embedding for case in unlabelled if case.embedding is not None}
    centres = [case.embedding for case in labelled if case.embedding is not None]
    if not known:
        return {}, ""
    embeddings = np.stack(list(known.values()))
    if centres:
        scores = nearest_distances(embeddings, np.stack(centres))
        reason = "This one differs most from the labelled images, of"
    else:
        scores = -nearest_distances(embeddings, embeddings.mean(axis=0, keepdims=True))
        reason = "Nothing is labelled yet; this one is the most ordinary of"
    return dict(zip(known, map(float, scores), strict=True)), reason


def _ranks(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the share of the others, 0 to 1, that each case is above or equal to."""
    values = np.array(list(scores.values()))
    others = max(len(values) - 1, 1)
    return {name: float(((values <= score).sum() - 1) / others) for name, score in scores.items()}


def _highest(scores: Mapping[str, float], seed: int) -> str:
    """Return the name with the highest score; the seed decides among equal ones."""
    highest = max(scores.values())
    return _draw([name for name, score in scores.items() if score == highest], seed)


def _draw(names: Sequence[str], seed: int) -> str:
    """Return a pseudo-random name that does not depend on the order of the names.

    The smallest hash wins, so that adding or removing another case seldom changes the choice.
    """
    return min(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())


def _images(unlabelled: Sequence[Case]) -> str:
    count = len(unlabelled)
    return "one unlabelled image" if count == 1 else f"{count} unlabelled images"


def _known_part(known: Mapping[str, float], unlabelled: Sequence[Case]) -> str:
    if len(known) == len(unlabelled):
        return ""
    return f", {len(known)} of which have been analysed so far"


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

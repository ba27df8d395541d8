"""The curves of the simulated annotators as a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segsam.research.study.active.annotators import Curve
from segsam.research.study.active.plan import ActivePlan
from segsam.research.study.extras import Extra
from segsam.research.study.plots import Line

NAME = "active"
PICTURE = "active.png"
_FEWEST_SEEDS = 3
SCORES = (("dsc_point", "DSC, point"), ("dsc_box", "DSC, box"), ("mdsc_box", "mDSC, box"))


def values_of(curves: Sequence[Curve], strategy: str, score: str) -> NDArray[np.float64]:
    """(seeds, sizes), in percent."""
    rows = [
        [point.metrics[score] for point in curve.points]
        for curve in curves
        if curve.strategy == strategy
    ]
    return np.array(rows, dtype=float)


def cases_needed(sizes: Sequence[int], scores: Sequence[float], wanted: float) -> float | None:
    """How many cases reach a score, by straight lines between the sizes; None if it is not."""
    for place, score in enumerate(scores):
        if score < wanted:
            continue
        if place == 0:
            return float(sizes[0])
        low, high = scores[place - 1], score
        share = (wanted - low) / (high - low) if high > low else 1.0
        return sizes[place - 1] + share * (sizes[place] - sizes[place - 1])
    return None


def lines_of(plan: ActivePlan, curves: Sequence[Curve], score: str) -> list[Line]:
    """One line a strategy with its spread over the seeds."""
    lines = []
    for strategy in plan.strategies:
        values = values_of(curves, strategy, score)
        if len(values):
            spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(plan.sizes))
            means = values.mean(axis=0)
            lines.append(Line(strategy, tuple(plan.sizes), tuple(means), tuple(spread)))
    return lines


def verdict(plan: ActivePlan, curves: Sequence[Curve]) -> str:
    """In a sentence whether the mix needs fewer cases than random, for the Dice that random has at
    the end.
    """
    score = SCORES[0][0]
    # Of one seed both begin with the same cases, so that their difference counts.
    both = [{one.seed: one for one in curves if one.strategy == name} for name in ("random", "mix")]
    seeds = sorted(set(both[0]) & set(both[1]))
    if not seeds:
        return ""
    random, mix = (
        values_of([one[seed] for seed in seeds], name, score)
        for one, name in zip(both, ("random", "mix"), strict=True)
    )
    wanted = float(random.mean(axis=0)[-1])
    needed = cases_needed(plan.sizes, mix.mean(axis=0).tolist(), wanted)
    words = (
        f"the mix does not reach it with {plan.sizes[-1]} cases"
        if needed is None
        else f"the mix reaches it with {needed:.1f} cases"
    )
    apart = mix[:, -1] - random[:, -1]
    found = (
        f"Random choice comes to a DSC with points of {wanted:.1f} with {plan.sizes[-1]} cases; "
        f"{words}. At that size the mix is {apart.mean():+.1f} points from random"
    )
    if len(seeds) < _FEWEST_SEEDS:
        return f"{found}, over {len(seeds)} seed(s): too few to say anything."
    error = apart.std(ddof=1) / np.sqrt(len(seeds))
    claim = (
        "more than chance makes."
        if abs(apart.mean()) > 2 * error
        else "that is not to be told from chance, so no advantage is claimed."
    )
    return f"{found}, with a standard error of {error:.1f} over {len(seeds)} seeds: {claim}"


def active_table(plan: ActivePlan, curves: Sequence[Curve]) -> Extra:
    """As the page shows it."""
    rows = []
    for strategy in plan.strategies:
        for score, words in SCORES:
            values = values_of(curves, strategy, score)
            if len(values):
                cells = [_cell(values[:, place]) for place in range(len(plan.sizes))]
                rows.append((f"{strategy}, {words}", *cells))
    dataset = plan.dataset.rpartition("/")[2]
    seeds = {curve.seed for curve in curves}
    return Extra(
        section="Which case to annotate next",
        title=f"Scores on held-out cases of {dataset}, by strategy and labelled cases",
        notes=(
            "`segsam study active docs/benchmarks/active.yaml`: simulated annotators. The model "
            "begins as the host with untrained semantic parts and learns "
            f"{plan.sizes[0]} cases drawn at random ({plan.first_steps} steps); then each strategy "
            f"chooses from {plan.pool} cases, their labels are handed out, and the model learns "
            f"all that is labelled ({plan.steps} steps a round). Percent, mean ± standard "
            f"deviation over {len(seeds)} seeds, on {plan.held_out} slices of cases that nobody "
            "may choose. So few steps and cases show a tendency at most.",
            verdict(plan, curves),
        ),
        headings=("", *(f"{size} cases" for size in plan.sizes)),
        rows=tuple(rows),
        picture=PICTURE,
        alt="Scores against labelled cases, a line a strategy, bands of a standard deviation",
        record={"curves": [curve.to_json() for curve in curves]},
    )


def _cell(values: NDArray[np.float64]) -> str:
    if len(values) < 2:
        return f"{values.mean():.1f}"
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}"

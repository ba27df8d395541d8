"""Table and picture of the curves of simulated annotators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segsam.research.study.active.plan import ActivePlan
from segsam.research.study.active.simulation import Curve
from segsam.research.study.plots import Line
from segsam.research.study.stored_tables import StoredTable

NAME = "active"
PICTURE = "active.png"
SCORES = (("dsc_point", "DSC, point"), ("dsc_box", "DSC, box"), ("mdsc_box", "mDSC, box"))
_FEWEST_SEEDS = 3


def cases_needed(sizes: Sequence[int], scores: Sequence[float], goal: float) -> float | None:
    """Return the number of cases that reach a score, interpolated linearly; None if none does."""
    for index, score in enumerate(scores):
        if score < goal:
            continue
        if index == 0:
            return float(sizes[0])
        low, high = scores[index - 1], score
        share = (goal - low) / (high - low) if high > low else 1.0
        return sizes[index - 1] + share * (sizes[index] - sizes[index - 1])
    return None


def lines_of(plan: ActivePlan, curves: Sequence[Curve], score: str) -> list[Line]:
    """Return one line per strategy, with the standard deviation over the seeds."""
    lines = []
    for strategy in plan.strategies:
        values = _values(curves, strategy, score)
        if len(values):
            stds = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(plan.sizes))
            means = values.mean(axis=0)
            lines.append(Line(strategy, tuple(plan.sizes), tuple(means), tuple(stds)))
    return lines


def comparison(plan: ActivePlan, curves: Sequence[Curve]) -> str:
    """Return sentences that compare the strategy `mix` with random choice: the number of cases for
    the final score of random choice, and the difference at the end. Empty without common seeds.
    """
    score = SCORES[0][0]
    # With the same seed both start from the same cases, so the difference is paired.
    both = [{one.seed: one for one in curves if one.strategy == name} for name in ("random", "mix")]
    seeds = sorted(set(both[0]) & set(both[1]))
    if not seeds:
        return ""
    random, mix = (
        _values([one[seed] for seed in seeds], name, score)
        for one, name in zip(both, ("random", "mix"), strict=True)
    )
    goal, size = float(random.mean(axis=0)[-1]), plan.sizes[-1]
    needed = cases_needed(plan.sizes, mix.mean(axis=0).tolist(), goal)
    reached = (
        f"the mix does not reach it with {size} cases"
        if needed is None
        else f"the mix reaches it with {needed:.1f} cases"
    )
    gain = mix[:, -1] - random[:, -1]
    text = (
        f"Random choice reaches a DSC with points of {goal:.1f} with {size} cases; {reached}. "
        f"With {size} cases, the mix minus random choice is {gain.mean():+.1f} points"
    )
    if len(seeds) < _FEWEST_SEEDS:
        return f"{text}, over {len(seeds)} seed(s): too few for a conclusion."
    error = gain.std(ddof=1) / np.sqrt(len(seeds))
    claim = (
        "more than chance explains."
        if abs(gain.mean()) > 2 * error
        else "chance may explain it, so no advantage is claimed."
    )
    return f"{text}, with a standard error of {error:.1f} over {len(seeds)} seeds: {claim}"


def active_table(plan: ActivePlan, curves: Sequence[Curve]) -> StoredTable:
    """Return the table of the page."""
    rows = []
    for strategy in plan.strategies:
        for score, title in SCORES:
            values = _values(curves, strategy, score)
            if len(values):
                cells = [_cell(values[:, column]) for column in range(len(plan.sizes))]
                rows.append((f"{strategy}, {title}", *cells))
    dataset = plan.dataset.rpartition("/")[2]
    seeds = {curve.seed for curve in curves}
    return StoredTable(
        section="Which case to annotate next",
        title=f"Scores on held-out cases of {dataset}, by strategy and labelled cases",
        notes=(
            "`segsam study active docs/benchmarks/active.yaml`: simulated annotators. The model "
            "starts as the host with untrained semantic parts and is trained on "
            f"{plan.sizes[0]} random cases ({plan.first_steps} steps). Then each strategy chooses "
            f"from {plan.pool} cases, and the model is trained on all labelled cases "
            f"({plan.steps} steps per round). Percent, mean ± standard deviation over "
            f"{len(seeds)} seeds, on {plan.held_out} slices of cases that no strategy may choose. "
            "So few steps and cases show a tendency at most.",
            comparison(plan, curves),
        ),
        headings=("", *(f"{size} cases" for size in plan.sizes)),
        rows=tuple(rows),
        picture=PICTURE,
        alt="Scores by labelled cases, one line per strategy, with bands of a standard deviation",
        record={"curves": [curve.model_dump() for curve in curves]},
    )


def _values(curves: Sequence[Curve], strategy: str, score: str) -> NDArray[np.float64]:
    """Return a score (seeds, sizes) in percent."""
    rows = [
        [point.metrics[score] for point in curve.points]
        for curve in curves
        if curve.strategy == strategy
    ]
    return np.array(rows, dtype=float)


def _cell(values: NDArray[np.float64]) -> str:
    if len(values) < 2:
        return f"{values.mean():.1f}"
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}"

"""Accuracy of segmentation without prompts: Dice by category of each held-out case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segsam.evaluation.cases import OpenCase, Selection, open_case
from segsam.evaluation.features import FeatureSource, StoredEmbeddings
from segsam.evaluation.scores import dice
from segsam.model import SegSam
from segsam.prediction.predictor import Predictor
from segsam.proposals.automatic import Search, segment_automatically
from segsam.research.study.stored_tables import StoredTable
from segsam.types import Progress

NAME = "automatic"


@dataclass(frozen=True)
class AutomaticScore:
    """Score of one category of one case, with Dice in [0, 1] over the volume or the picture."""

    dataset: str
    case: str
    category: str
    dice: float
    certainty: float | None
    """None if the category was not found."""


@dataclass(frozen=True)
class AutomaticScores:
    """Result of one measurement."""

    scores: tuple[AutomaticScore, ...]
    false: dict[str, dict[str, int]]
    """Data set -> category that a case does not show -> number of cases in which it was found."""
    cases: dict[str, int]
    """Data set -> number of cases."""
    seconds: dict[str, float]
    """Data set -> mean seconds per case, with stored embeddings."""


def measure_automatic(
    model: SegSam,
    selections: Sequence[Selection],
    *,
    embeddings: Path | None = None,
    search: Search | None = None,
    progress: Progress | None = None,
) -> AutomaticScores:
    """Segment every case of the selections without a prompt, all categories competing.

    Raises:
        PromptError: a checkpoint whose semantics are not trained.
        TrainingError, VolumeError: a case that cannot be read.
    """
    stored = StoredEmbeddings(FeatureSource(model, embeddings))
    predictor = Predictor(model, embeddings=stored)
    side, categories = model.host.facts.input_size, model.categories
    scores: list[AutomaticScore] = []
    false: dict[str, Counter[str]] = {}
    seconds: dict[str, list[float]] = {}
    cases = [(one.dataset, case) for one in selections for case in one.cases]
    for done, (dataset, case) in enumerate(cases):
        if progress is not None:
            progress(done, len(cases), f"{dataset.name}/{case}")
        opened = open_case(dataset, case, input_size=side, categories=categories)
        stored.set_slices([opened.picture(index) for index in range(opened.view.depth)])
        predictor.set_volume(opened.volume)
        found = segment_automatically(predictor, search)
        seconds.setdefault(dataset.name, []).append(found.seconds["total"])
        certainty = {one.name: one.certainty for one in found.objects}
        visible = _visible_categories(opened, categories.names)
        for name, value in visible:
            score = dice(found.labels == found.label_names.get(name, -1), opened.labels == value)
            scores.append(AutomaticScore(dataset.name, case, name, score, certainty.get(name)))
        false.setdefault(dataset.name, Counter()).update(
            set(certainty) - {one for one, _ in visible}
        )
    return AutomaticScores(
        tuple(scores),
        {name: dict(counts) for name, counts in false.items()},
        {one.dataset.name: len(one.cases) for one in selections},
        {name: float(np.mean(values)) for name, values in seconds.items()},
    )


def _visible_categories(opened: OpenCase, names: Sequence[str]) -> list[tuple[str, int]]:
    """Return (category, label value) of everything that the labels of a case show."""
    return [
        (names[number - 1], value)
        for value, number in opened.classes.items()
        if number and (opened.labels == value).any()
    ]


def automatic_table(
    found: AutomaticScores, model: SegSam, *, checkpoint: str, search: Search
) -> StoredTable:
    """Return the table of the page; `checkpoint` is what it calls the model."""
    rows = []
    for dataset, cases in found.cases.items():
        own = [one for one in found.scores if one.dataset == dataset]
        for category in dict.fromkeys(one.category for one in own):
            rows.append(_row(dataset, [one for one in own if one.category == category]))
        wrong = sum(found.false[dataset].values())
        rows.append((f"{dataset}: absent categories", str(cases), "", f"{wrong} found", "", ""))
    return StoredTable(
        section="Without prompts",
        title="Dice of automatic segmentation, by category",
        notes=(
            f"`segsam study automatic` with the checkpoint {checkpoint}: cases of the part `test` "
            "(all, or some evenly spread) are segmented without a prompt and without a list of "
            "their objects, so that all categories of the checkpoint compete. Dice is over the "
            "whole volume, or over the picture; it is 0 if the category was not found. "
            f"{_how(model, search)} Lowest certainty: {search.min_certainty:g}.",
        ),
        headings=("", "cases", "Dice", "found, %", "Dice where found", "certainty"),
        rows=tuple(rows),
        record={
            "scores": [
                [one.dataset, one.case, one.category, one.dice, one.certainty]
                for one in found.scores
            ],
            "false": found.false,
            "seconds": found.seconds,
        },
    )


def _how(model: SegSam, search: Search) -> str:
    """Return how objects were searched for, as a sentence."""
    if model.dense_head is not None:
        return "The dense head boxed every object on every slice that it was read on."
    points = f"{search.slices} slices, {search.grid} x {search.grid} points"
    if model.card.presence_is_trained:
        return f"Presence, which the CO-tokens predict, chose categories and {points}."
    return (
        "Presence is not trained in this checkpoint, so the agreement of the two decoders decided "
        f"alone, on {points}."
    )


def _row(dataset: str, scores: Sequence[AutomaticScore]) -> tuple[str, ...]:
    """Return the cells of one category of a data set."""
    seen = [one for one in scores if one.certainty is not None]
    certainties = [one.certainty for one in scores if one.certainty is not None]
    return (
        f"{dataset}: {scores[0].category}",
        str(len(scores)),
        f"{100 * np.mean([one.dice for one in scores]):.1f}",
        f"{100 * len(seen) / len(scores):.0f}",
        f"{100 * np.mean([one.dice for one in seen]):.1f}" if seen else "—",
        f"{np.mean(certainties):.2f}" if certainties else "—",
    )

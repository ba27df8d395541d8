"""How good segmentation without prompts is: Dice of the categories of each held-out case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segsam.datasets.folder import Dataset
from segsam.evaluation.cases import Selection, open_case
from segsam.evaluation.features import FeatureSource, StoredEmbeddings
from segsam.evaluation.scores import dice
from segsam.model import SegSam
from segsam.prediction.predictor import Predictor
from segsam.proposals.automatic import Search, segment_automatically
from segsam.research.study.extras import Extra
from segsam.types import Progress

NAME = "automatic"


@dataclass(frozen=True)
class AutomaticScore:
    """One category of one case; Dice in [0, 1]: of the volume, or of the picture."""

    dataset: str
    case: str
    category: str
    dice: float
    certainty: float | None
    """None where it was not found."""


@dataclass(frozen=True)
class Automatic:
    """What came of one measurement."""

    scores: tuple[AutomaticScore, ...]
    false: dict[str, dict[str, int]]
    """Data set -> category that the case does not show -> cases in which it was found."""
    cases: dict[str, int]
    seconds: dict[str, float]
    """Data set -> mean over its cases, embeddings kept."""


def measure_automatic(
    model: SegSam,
    selections: Sequence[Selection],
    *,
    embeddings: Path | None = None,
    search: Search | None = None,
    progress: Progress | None = None,
) -> Automatic:
    """Every case of the selections, without a prompt and without telling what is in it.

    Raises:
        PromptError: a checkpoint whose semantics are not trained.
        TrainingError, VolumeError: a case that cannot be read.
    """
    return _Measurement(model, search, embeddings, progress).all(selections)


class _Measurement:
    """One call of `measure_automatic`."""

    def __init__(
        self,
        model: SegSam,
        search: Search | None,
        embeddings: Path | None,
        progress: Progress | None,
    ) -> None:
        self._model, self._search, self._progress = model, search, progress
        self._kept = StoredEmbeddings(FeatureSource(model, embeddings))
        self._predictor = Predictor(model, embeddings=self._kept)
        self._scores: list[AutomaticScore] = []
        self._false: dict[str, dict[str, int]] = {}
        self._seconds: dict[str, list[float]] = {}

    def all(self, selections: Sequence[Selection]) -> Automatic:
        """Measure everything."""
        cases = [(one.dataset, case) for one in selections for case in one.cases]
        for done, (dataset, case) in enumerate(cases):
            if self._progress is not None:
                self._progress(done, len(cases), f"{dataset.name}/{case}")
            self._case(dataset, case)
        counts = {one.dataset.name: len(one.cases) for one in selections}
        means = {name: float(np.mean(values)) for name, values in self._seconds.items()}
        return Automatic(tuple(self._scores), self._false, counts, means)

    def _case(self, dataset: Dataset, case: str) -> None:
        names = self._model.categories.names
        side, categories = self._model.host.facts.input_size, self._model.categories
        opened = open_case(dataset, case, input_size=side, categories=categories)
        self._kept.set_slices([opened.picture(index) for index in range(opened.view.depth)])
        self._predictor.set_volume(opened.volume)
        found = segment_automatically(self._predictor, self._search)
        self._seconds.setdefault(dataset.name, []).append(found.seconds["total"])
        labels, sure = found.labels, {one.name: one.certainty for one in found.objects}
        shown = set[str]()
        for value, number in opened.classes.items():
            wanted = opened.labels == value
            if number and wanted.any():
                name = names[number - 1]
                shown.add(name)
                score = dice(labels == found.label_names.get(name, -1), wanted)
                self._scores.append(AutomaticScore(dataset.name, case, name, score, sure.get(name)))
        wrong = self._false.setdefault(dataset.name, {})
        for name in set(sure) - shown:
            wrong[name] = wrong.get(name, 0) + 1


def automatic_table(found: Automatic, *, checkpoint: str, search: Search, alone: bool) -> Extra:
    """As the page shows it; `alone` says that agreement decided without presence."""
    rows = []
    for dataset, cases in found.cases.items():
        own = [one for one in found.scores if one.dataset == dataset]
        for category in dict.fromkeys(one.category for one in own):
            these = [one for one in own if one.category == category]
            seen = [one for one in these if one.certainty is not None]
            sure = [one.certainty for one in these if one.certainty is not None]
            rows.append(
                (
                    f"{dataset}: {category}",
                    str(len(these)),
                    f"{100 * np.mean([one.dice for one in these]):.1f}",
                    f"{100 * len(seen) / len(these):.0f}",
                    f"{100 * np.mean([one.dice for one in seen]):.1f}" if seen else "—",
                    f"{np.mean(sure):.2f}" if sure else "—",
                )
            )
        wrong = sum(found.false[dataset].values())
        rows.append((f"{dataset}: what is not there", str(cases), "", f"{wrong} found", "", ""))
    how = (
        "The card of this checkpoint says that presence is not trained, so the agreement of the "
        "two decoders decided alone."
        if alone
        else "Presence, as the CO-tokens tell it, chose slices and categories."
    )
    return Extra(
        section="Without prompts",
        title="Dice of automatic segmentation, by category",
        notes=(
            f"`segsam study automatic` with the checkpoint {checkpoint}: every case of the part "
            "`test` (or some, evenly spread) is segmented without a prompt, and without telling "
            "what is in it, all categories of the checkpoint competing. Dice is over the whole "
            f"volume (of a picture: over it), 0 where nothing was found. {how} "
            f"Searched: {search.slices} slices, {search.grid} x {search.grid} points, least "
            f"certainty {search.min_certainty:g}.",
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

"""One evaluation: every object of every case is prompted once, by itself, on its own slice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from segsam.datasets.folder import Dataset
from segsam.errors import EvaluationError
from segsam.evaluation.cases import Selection, known_classes, open_case
from segsam.evaluation.features import FeatureSource
from segsam.evaluation.prompting import PromptKind
from segsam.evaluation.records import DatasetFacts, Evaluation, ObjectScore, VolumeScore
from segsam.evaluation.slice_scoring import CaseInWork, SliceScorer
from segsam.evaluation.volumes import PropagationScorer, RebuiltVolumes
from segsam.model import SegSam
from segsam.types import Progress

DecoderChoice: TypeAlias = Literal["binary", "semantic", "both"]


@dataclass(frozen=True)
class Options:
    """How to measure."""

    prompt: PromptKind
    decoder: DecoderChoice = "both"
    seed: int = 0
    slices: int = 0
    """At most so many slices of a volume, evenly spread over those with an object; 0 for all."""
    propagated: bool = False
    """Also follow each object of a 3D case from its largest section through the volume."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured; raises EvaluationError."""
        if self.decoder not in get_args(DecoderChoice):
            raise EvaluationError(
                f"Expected binary, semantic or both as the decoder, got {self.decoder!r}."
            )
        if self.slices < 0:
            raise EvaluationError(
                f"Expected a number of slices that is not negative, got {self.slices}."
            )
        if self.propagated and (self.slices or self.decoder == "semantic"):
            raise EvaluationError(
                "Objects are followed through whole volumes and by the binary decoder: expected no "
                "limit of slices, and not the semantic decoder alone."
            )


def evaluate(
    model: SegSam,
    selections: Sequence[Selection],
    options: Options,
    *,
    embeddings: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model.

    Args:
        model: in evaluation mode.
        selections: of `cases.select`.
        options: how.
        embeddings: a folder of kept embeddings, read and added to.
        progress: called before the first and after each case.

    Raises:
        EvaluationError: the semantic decoder alone of a checkpoint where it is not trained.
        TrainingError, VolumeError: a case that cannot be read; the sentence names it.
        OutputError: embeddings that cannot be kept.
    """
    began, progress = time.monotonic(), progress or _silent
    scorer = CaseScorer(model, options, embeddings)
    total, done = sum(len(selection.cases) for selection in selections), 0
    found: list[CaseScores] = []
    for selection in selections:
        for case in selection.cases:
            progress(done, total, selection.dataset.name)
            found.append(scorer.score(selection.dataset, case))
            done += 1
    progress(total, total, "done")
    scores = joined(model, selections, options, found)
    return replace(scores, encoded=scorer.source.encoded, seconds=time.monotonic() - began)


@dataclass(frozen=True, eq=False)
class CaseScores:
    """What one case gave; `slices` of it have an object to prompt."""

    slices: int
    objects: tuple[ObjectScore, ...]
    volumes: tuple[VolumeScore, ...]


class CaseScorer:
    """Measures case after case with one model."""

    def __init__(self, model: SegSam, options: Options, embeddings: Path | None = None) -> None:
        """As `evaluate`, which raises the same."""
        if options.decoder == "semantic" and not model.semantic_is_trained:
            raise EvaluationError(
                "The semantic decoder was asked for, but that of this checkpoint is not trained; "
                "measure the binary decoder, or both."
            )
        self.model = model.eval()
        self.options = options
        self.source = FeatureSource(model, embeddings)
        self.scorer = SliceScorer(
            model,
            options.prompt,
            options.seed,
            binary=options.decoder != "semantic",
            semantic=model.semantic_is_trained and options.decoder != "binary",
        )
        self.follower = None
        if options.propagated:
            self.follower = PropagationScorer(model, self.source, options.prompt, options.seed)

    def score(self, dataset: Dataset, case: str) -> CaseScores:
        """Measure a case. Raises TrainingError, VolumeError; the sentence names it."""
        side, limit = self.model.host.facts.input_size, self.options.slices
        opened = open_case(dataset, case, input_size=side, limit=limit)
        work = CaseInWork(dataset, case, opened, known_classes(dataset, self.model.categories))
        whole = not opened.volume.is_flat and not limit and self.scorer.binary
        rebuilt = RebuiltVolumes(work) if whole else None
        objects: list[ObjectScore] = []
        for index, _ in opened.objects:
            features = self.source.of(opened.picture(index))
            for scored in self.scorer.score(work, index, features):
                objects.append(scored.score)
                if rebuilt is not None:
                    rebuilt.add(scored)
        volumes: list[VolumeScore] = []
        if rebuilt is not None:
            volumes += rebuilt.scores()
            if self.follower is not None:
                volumes += self.follower.scores(work)
        return CaseScores(len(opened.objects), tuple(objects), tuple(volumes))


def joined(
    model: SegSam, selections: Sequence[Selection], options: Options, found: Sequence[CaseScores]
) -> Evaluation:
    """The evaluation that the scores of all cases of `selections`, in their order, come to; what
    was encoded and how long it took is 0 in it.
    """
    facts, rest = [], iter(found)
    for selection in selections:
        dataset = selection.dataset
        slices = sum(next(rest).slices for _ in selection.cases)
        classes = known_classes(dataset, model.categories)
        counts = (len(selection.cases), slices)
        facts.append(DatasetFacts(dataset.name, dataset.modality, dataset.labels, classes, *counts))
    return Evaluation(
        prompt=options.prompt,
        decoder=options.decoder,
        seed=options.seed,
        semantics=model.semantic_is_trained and options.decoder != "binary",
        datasets=tuple(facts),
        objects=tuple(score for one in found for score in one.objects),
        volumes=tuple(score for one in found for score in one.volumes),
        categories=model.categories.names,
        encoded=0,
        seconds=0.0,
    )


def _silent(done: int, total: int, what: str) -> None:
    """Nobody wants to know."""

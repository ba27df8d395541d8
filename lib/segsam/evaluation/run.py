"""One evaluation: every object of every case is prompted once, by itself, on its own slice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from segsam.errors import EvaluationError
from segsam.evaluation.cases import Selection, known_classes, open_case
from segsam.evaluation.features import FeatureSource
from segsam.evaluation.prompting import PromptKind
from segsam.evaluation.records import DatasetFacts, Evaluation, ObjectScore, VolumeScore
from segsam.evaluation.slice_scoring import CaseInWork, SliceScorer
from segsam.evaluation.volumes import Follower, Rebuilt
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
    if options.decoder == "semantic" and not model.semantic_is_trained:
        raise EvaluationError(
            "The semantic decoder was asked for, but that of this checkpoint is not trained; "
            "measure the binary decoder, or both."
        )
    return _Run(model, options, embeddings, progress or _silent).all(selections)


class _Run:
    """One call of `evaluate`."""

    def __init__(
        self, model: SegSam, options: Options, embeddings: Path | None, progress: Progress
    ) -> None:
        self.began = time.monotonic()
        self.model = model.eval()
        self.options = options
        self.progress = progress
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
            self.follower = Follower(model, self.source, options.prompt, options.seed)
        self.objects: list[ObjectScore] = []
        self.volumes: list[VolumeScore] = []

    def all(self, selections: Sequence[Selection]) -> Evaluation:
        """Measure everything."""
        total, done = sum(len(selection.cases) for selection in selections), 0
        facts = []
        for selection in selections:
            dataset, slices = selection.dataset, 0
            classes = known_classes(dataset, self.model.categories)
            for case in selection.cases:
                self.progress(done, total, dataset.name)
                slices += self._case(selection, case, classes)
                done += 1
            counts = (len(selection.cases), slices)
            facts.append(
                DatasetFacts(dataset.name, dataset.modality, dataset.labels, classes, *counts)
            )
        self.progress(total, total, "done")
        return Evaluation(
            prompt=self.options.prompt,
            decoder=self.options.decoder,
            seed=self.options.seed,
            semantics=self.scorer.semantic,
            datasets=tuple(facts),
            objects=tuple(self.objects),
            volumes=tuple(self.volumes),
            categories=self.model.categories.names,
            encoded=self.source.encoded,
            seconds=time.monotonic() - self.began,
        )

    def _case(self, selection: Selection, case: str, classes: dict[int, int]) -> int:
        """Measure a case; how many slices with an object it has."""
        side, limit = self.model.host.facts.input_size, self.options.slices
        opened = open_case(selection.dataset, case, input_size=side, limit=limit)
        work = CaseInWork(selection.dataset, case, opened, classes)
        whole = not opened.volume.is_flat and not limit and self.scorer.binary
        rebuilt = Rebuilt(work) if whole else None
        for index, _ in opened.objects:
            features = self.source.of(opened.picture(index))
            for scored in self.scorer.score(work, index, features):
                self.objects.append(scored.score)
                if rebuilt is not None:
                    rebuilt.add(scored)
        if rebuilt is not None:
            self.volumes += rebuilt.scores()
            if self.follower is not None:
                self.volumes += self.follower.scores(work)
        return len(opened.objects)


def _silent(done: int, total: int, what: str) -> None:
    """Nobody wants to know."""

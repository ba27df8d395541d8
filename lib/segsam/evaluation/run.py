"""Run of an evaluation: each object on each slice of each case is prompted once, by itself."""

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
from segsam.evaluation.slice_scoring import SliceScorer
from segsam.evaluation.volumes import PropagationScorer, RebuiltVolumes
from segsam.model import SegSam
from segsam.model.runtimes import EncoderRunner
from segsam.types import Progress, no_progress

DecoderChoice: TypeAlias = Literal["binary", "semantic", "both"]


@dataclass(frozen=True)
class Options:
    """Options of an evaluation; raises EvaluationError for values that do not fit together."""

    prompt: PromptKind
    decoder: DecoderChoice = "both"
    seed: int = 0
    slices: int = 0
    """Most slices of a volume, evenly spread over those with an object; 0 for all."""
    propagated: bool = False
    """Also propagate each object of a 3D case from its largest section through the volume."""

    def __post_init__(self) -> None:
        """Check the values; raises EvaluationError."""
        if self.decoder not in get_args(DecoderChoice):
            raise EvaluationError(
                f"Expected binary, semantic or both as the decoder, got {self.decoder!r}."
            )
        if self.slices < 0:
            raise EvaluationError(f"Expected a number of slices of 0 or more, got {self.slices}.")
        if self.propagated and (self.slices or self.decoder == "semantic"):
            raise EvaluationError(
                "Expected the binary decoder and no limit of slices, because it propagates objects "
                f"through whole volumes, got {self.slices} slices and the decoder {self.decoder}."
            )


def evaluate(
    model: SegSam,
    selections: Sequence[Selection],
    options: Options,
    *,
    embeddings: Path | None = None,
    encoder: EncoderRunner | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model on labelled cases, and return the score of each object.

    Args:
        model: in evaluation mode.
        selections: data sets with their cases, from `cases.select`.
        options: prompt, decoder, seed and limits.
        embeddings: a folder of stored embeddings, read and added to.
        encoder: runner of the image encoder; PyTorch without it.
        progress: called before the first and after each case.

    Raises:
        EvaluationError: the semantic decoder alone of a checkpoint where it is not trained.
        TrainingError, VolumeError: a case that cannot be read; the sentence names it.
        OutputError: embeddings that cannot be stored.
    """
    began, progress = time.monotonic(), progress or no_progress
    scorer = CaseScorer(model, options, embeddings, encoder)
    total, done = sum(len(selection.cases) for selection in selections), 0
    scores: list[CaseScores] = []
    for selection in selections:
        for case in selection.cases:
            progress(done, total, selection.dataset.name)
            scores.append(scorer.score(selection.dataset, case))
            done += 1
    progress(total, total, "done")
    evaluation = joined(model, selections, options, scores)
    return replace(evaluation, encoded=scorer.source.encoded, seconds=time.monotonic() - began)


@dataclass(frozen=True, eq=False)
class CaseScores:
    """Scores of one case; `slices` is the number of slices with an object to prompt."""

    slices: int
    objects: tuple[ObjectScore, ...]
    volumes: tuple[VolumeScore, ...]


class CaseScorer:
    """Measures case after case with one model."""

    def __init__(
        self,
        model: SegSam,
        options: Options,
        embeddings: Path | None = None,
        encoder: EncoderRunner | None = None,
    ) -> None:
        """Prepare as `evaluate` does; raises EvaluationError for a semantic decoder that is not
        trained.
        """
        if options.decoder == "semantic" and not model.card.semantic_is_trained:
            raise EvaluationError(
                "Expected a checkpoint with a trained semantic decoder, got one that is not "
                "trained; measure the binary decoder, or both."
            )
        self.model = model.eval()
        self.options = options
        self.source = FeatureSource(model, embeddings, encoder)
        self.scorer = SliceScorer(
            model,
            options.prompt,
            options.seed,
            binary=options.decoder != "semantic",
            semantic=model.card.semantic_is_trained and options.decoder != "binary",
        )
        self.propagation = None
        if options.propagated:
            self.propagation = PropagationScorer(model, self.source, options.prompt, options.seed)

    def score(self, dataset: Dataset, case: str) -> CaseScores:
        """Measure a case; raises TrainingError or VolumeError with a sentence that names it."""
        opened = open_case(
            dataset,
            case,
            input_size=self.model.host.facts.input_size,
            categories=self.model.categories,
            limit=self.options.slices,
        )
        is_whole = self.scorer.binary and not self.options.slices and not opened.volume.is_flat
        rebuilt = RebuiltVolumes(opened) if is_whole else None
        objects: list[ObjectScore] = []
        for index, _ in opened.objects:
            features = self.source.features(opened.picture(index))
            for scored in self.scorer.score(opened, index, features):
                objects.append(scored.score)
                if rebuilt is not None:
                    rebuilt.add(scored)
        volumes: list[VolumeScore] = []
        if rebuilt is not None:
            volumes += rebuilt.scores()
            if self.propagation is not None:
                volumes += self.propagation.scores(opened)
        return CaseScores(len(opened.objects), tuple(objects), tuple(volumes))


def joined(
    model: SegSam, selections: Sequence[Selection], options: Options, scores: Sequence[CaseScores]
) -> Evaluation:
    """Return the evaluation made of the scores of all cases of `selections`, in their order.

    Its `encoded` and `seconds` are 0.
    """
    facts, remaining = [], iter(scores)
    for selection in selections:
        dataset = selection.dataset
        slices = sum(next(remaining).slices for _ in selection.cases)
        classes = known_classes(dataset, model.categories)
        counts = (len(selection.cases), slices)
        facts.append(DatasetFacts(dataset.name, dataset.modality, dataset.labels, classes, *counts))
    return Evaluation(
        prompt=options.prompt,
        decoder=options.decoder,
        seed=options.seed,
        semantics=model.card.semantic_is_trained and options.decoder != "binary",
        datasets=tuple(facts),
        objects=tuple(score for case in scores for score in case.objects),
        volumes=tuple(score for case in scores for score in case.volumes),
        categories=model.categories.names,
        encoded=0,
        seconds=0.0,
        empty_cases=sum(not one.slices for one in scores),
    )

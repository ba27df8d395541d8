"""One training, from labelled cases to a new version of the model.

It may be killed at any moment: the next training with the same plan continues from the last
checkpoint, any other one starts anew, and an incomplete version is never visible.

    <versions>/run/plan.json     parent, settings and cases; equal plans continue each other
    <versions>/run/shards/       the slices
    <versions>/run/learning/     the run of `segsam.training`, with its last checkpoint
    <versions>/embeddings/       embeddings of slices, for this training and later ones
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.errors import TrainingError
from segsam.model import SegSam, load_pretrained, save_checkpoint
from segsam.model.checkpoint import find_card
from segsam.prediction.embedding_files import EmbeddingFiles
from segsam.system.atomic import write_bytes
from segsam.training import loop
from segsam.training.class_rows import fit_class_rows, new_numbers
from segsam.training.config import TrainConfig
from segsam.training.dense_training import FINDING
from segsam.training.devices import choose_device
from segsam.training.distributed import Processes
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.run_data import RunData
from segsam.training.run_state import LAST
from segsam.training.samples import Sample
from segsam.training.validation import ValidationScore, score_objects, spread_evenly, summarise
from segsam.types import Progress
from segsam_app.storage.disk import output_errors
from segsam_app.training.cases import LabelledCase, usable_cases
from segsam_app.training.comparison import differences, weigh
from segsam_app.training.progress import (
    LEARNING,
    MEASURING,
    PREPARING,
    ProgressFile,
    last_checkpoint,
)
from segsam_app.training.promotion import Scores
from segsam_app.training.result import TrainingResult, average_weights
from segsam_app.training.settings import TrainSettings
from segsam_app.training.slice_cutting import CutSlices, SliceCutter
from segsam_app.training.starting_model import StartingModel, load_starting_model
from segsam_app.training.validation_split import split_cases
from segsam_app.training.version_naming import NamesBefore, VersionNaming
from segsam_app.versions.folder import VersionFolder
from segsam_app.versions.record import FIRST, LeftOutCase, VersionRecord

EMBEDDINGS_BYTES = 4 << 30
"""Size limit of the cached embeddings; the least recently used ones are removed first."""

_DENSE_STEPS, _DENSE_IMAGES = 240, 8
"""Most steps of the dense head, and slices in each: a minute or two on two cores."""
_FINDING_SHARE = 0.25
"""Share of a training's minutes for the dense head."""
_VALIDATION_SLICES = 32
"""Slices of the validations during a training, which choose its best step."""
_MEASURED_SLICES = 240
"""Most slices on which the versions before and after are compared."""
_VALIDATIONS = 4
_CHECKPOINT_STEPS = 20
_PROMPTS = 3
_POINT_SHARE = 0.6
"""More points than boxes: a single point holds less information, and a short training unlearns it
first (in `make loop` it lost 0.3 Dice with a share of 0.4, nothing with 0.6; boxes gain the
same)."""
_WARMUP_STEPS = 20
_WEIGHT_AVERAGE = 0.98
_LOSS = {"dice": 5.0, "focal": 10.0, "focal_alpha": 0.5}
"""Loss weights of the shipped checkpoint (docs/benchmarks/study.yaml). With the paper's weights
`make loop` lost 1.1 Dice by a single point, with these 0.3."""


@dataclass(frozen=True)
class _SplitCases:
    """Slices of one training, its cases with True for those held out, and the other cases."""

    slices: CutSlices
    held_out: Mapping[LabelledCase, bool]
    left_out: tuple[LeftOutCase, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Measured:
    """Scores of a model by object, and their means as `validate` returns them."""

    objects: Mapping[str, Sequence[ValidationScore]]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrainingRun:
    """One training: the labelled cases, the settings, and the folder that gets the new version."""

    versions: VersionFolder
    settings: TrainSettings
    cases: Sequence[LabelledCase]
    device: str
    progress: ProgressFile

    def run(self) -> VersionRecord:
        """Train, measure, and publish a version.

        Raises:
            ConflictError: another training runs.
            TrainingError, CategoryError, CheckpointError, OutputError: then nothing changed.
            KeyboardInterrupt: stopped by a signal; the next training continues from here.
        """
        with self.versions.training_lock():
            parent = self.versions.history().find(self.versions.current)
            usable, left_out = usable_cases(self.cases)
            self._check_any(usable, left_out)
            self._continue_or_clean(parent, usable)
            start = self._starting_model(usable)
            split = self._split_and_cut(start.model, parent, usable, left_out)
            config = self._config(start, split.slices)
            before = self._measure(start.before, config)
            names = NamesBefore.of(start.model, {} if start.card is None else start.card.naming)
            state = {name: tensor.clone() for name, tensor in start.model.state_dict().items()}
            trained = self._train_or_resume(start, config, usable)
            result = TrainingResult(
                self.settings, parent, start, split.held_out, split.left_out, split.notes
            )
            average_weights(trained, state, self.settings.keep)
            self._fit_new_names(start, trained, config)
            result = replace(result, naming=self._naming(names, result, trained, config))
            record = self._publish(result, trained, before, config)
            shutil.rmtree(self._folder, ignore_errors=True)
        return record

    @property
    def _folder(self) -> Path:
        return self.versions.folder / "run"

    @property
    def _shards(self) -> Path:
        return self._folder / "shards"

    @property
    def _embeddings(self) -> Path:
        return self.versions.folder / "embeddings"

    @property
    def _checkpoint(self) -> str | None:
        """Weights to start from; None for the checkpoint in the package."""
        version = self.versions.current if self.settings.pretrained else FIRST
        return self.versions.weights(version)

    def _check_any(self, usable: Sequence[LabelledCase], left_out: Sequence[LeftOutCase]) -> None:
        """Report the cases that are left out. Raises TrainingError if no other is there."""
        self.progress.add(left_out=[one.model_dump() for one in left_out])
        if not usable:
            reasons = "; ".join(f"{one.image}: {one.reason}" for one in left_out)
            raise TrainingError(f"No labelled slice to train on: {reasons}.")

    def _continue_or_clean(self, parent: VersionRecord, cases: Sequence[LabelledCase]) -> None:
        """Keep the files of a killed training if its plan was the same; else remove them."""
        plan = {
            "parent": [parent.id, parent.sha256, str(self._checkpoint)],
            "settings": self.settings.model_dump(exclude={"name", "tolerance"}),
            "cases": [[case.image, case.sha256] for case in cases],
        }
        path, text = self._folder / "plan.json", json.dumps(plan, indent=1, sort_keys=True)
        with output_errors("Preparing a training"):
            if path.is_file() and path.read_bytes() == text.encode():
                self.progress.add(resumed=last_checkpoint(self.versions.folder).is_file())
                return
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, text.encode())

    def _starting_model(self, cases: Sequence[LabelledCase]) -> StartingModel:
        names = {name for case in cases for name in case.names.values()}
        start = load_starting_model(self._checkpoint, names)
        if not self.settings.pretrained and self.versions.current != FIRST:
            current = load_starting_model(self.versions.checkpoint, names)
            return replace(start, before=current.before)
        return start

    def _split_and_cut(
        self,
        model: SegSam,
        parent: VersionRecord,
        cases: Sequence[LabelledCase],
        left_out: Sequence[LeftOutCase],
    ) -> _SplitCases:
        """Hold cases out and cut all into slices; cases without any are left out, and the others
        are split again, so that neither part is empty because of a few bad cases.
        """
        held_out = {case.image for case in parent.learnt if case.held_out}
        trained_on = parent.learnt if self.settings.pretrained else []
        earlier = {(case.image, case.label) for case in trained_on}
        while True:
            parts, notes = split_cases(cases, held_out, self.settings.val_split)
            cut = self._cut(model, cases, parts, earlier)
            left_out = [*left_out, *cut.left_out]
            cases = [case for case in cases if case.image in cut.used]
            self._check_any(cases, left_out)
            if not cut.left_out:
                by_case = {case: parts[case.image] == VALIDATION for case in cases}
                return _SplitCases(cut, by_case, tuple(left_out), notes)

    def _cut(
        self,
        model: SegSam,
        cases: Sequence[LabelledCase],
        parts: Mapping[str, str],
        trained_on: set[tuple[str, str]],
    ) -> CutSlices:
        earlier = {case.image for case in cases if (case.image, case.sha256) in trained_on}
        cutter = SliceCutter(cases, parts, earlier, self.settings, finds=model.config.dense_head)
        report = self.progress.phase(PREPARING, "cutting the labelled cases")
        shutil.rmtree(self._shards, ignore_errors=True)
        cut = cutter.write(self._shards, model.host.facts.input_size, report)
        EmbeddingFiles(self._embeddings, EMBEDDINGS_BYTES)  # removes what exceeds the limit
        return cut

    def _config(self, start: StartingModel, cut: CutSlices) -> TrainConfig:
        settings = self.settings
        batch = min(settings.train_batch_size, cut.count)
        steps = max(1, round(settings.max_epochs * cut.count / batch))
        finding = _FINDING_SHARE if start.finds_already else 0.0
        return TrainConfig(
            out=str(self._folder / "learning"),
            shards=str(self._shards),
            embeddings=str(self._embeddings),
            categories="all",
            steps=steps,
            minutes=settings.minutes * (1 - finding),
            images_per_step=batch,
            prompts_per_image=_PROMPTS,
            shares=cut.shares,
            learning_rate=settings.learning_rate,
            host_learning_rate=settings.learning_rate / 2,
            warmup_steps=min(_WARMUP_STEPS, steps // 10),
            weight_average=_WEIGHT_AVERAGE,
            loss=_LOSS,
            point_share=_POINT_SHARE,
            loose_share=0.3,
            validate_every=max(1, steps // _VALIDATIONS),
            validation_slices=_VALIDATION_SLICES,
            patience=max(0, settings.early_stop_patience),
            checkpoint_every=_CHECKPOINT_STEPS,
            dense_steps=min(steps, _DENSE_STEPS) if finding else 0,
            dense_minutes=settings.minutes * finding,
            dense_images=min(_DENSE_IMAGES, cut.count),
            example_slices=0,
            tensorboard=False,
            device=self.device,
            seed=settings.seed,
            **start.choices,
        )

    def _measure(self, model: SegSam, config: TrainConfig) -> _Measured:
        """Measure a model on the held-out slices; without any, on the training slices."""
        model = model.to(choose_device(config))
        store, found = self._samples(model, config)
        self.progress.phase(MEASURING, "measuring on the held-out slices")
        held_out = found[VALIDATION] or _without_copies(found[TRAIN])
        samples = spread_evenly(held_out, _MEASURED_SLICES)
        scores = score_objects(model, store, samples, config)
        return _Measured(scores, summarise(scores, samples))

    def _samples(
        self, model: SegSam, config: TrainConfig
    ) -> tuple[EmbeddingStore, Mapping[str, Sequence[Sample]]]:
        """Return a store of embeddings for a model, and the samples of each part."""
        report = self.progress.phase(PREPARING, "encoding slices")
        store = EmbeddingStore(self._embeddings, model)
        found = RunData.of(config).samples(model, store, processes=Processes(), progress=report)
        return store, found

    def _fit_new_names(self, start: StartingModel, trained: SegSam, config: TrainConfig) -> None:
        """Fit the class weights of the names that this site taught to the weights as they are now;
        with every training, because more cases tell more.
        """
        first = find_card(self.versions.weights(FIRST)) or start.card
        seen = () if first is None else first.categories_seen
        new = new_numbers(trained.categories.names, seen)
        if new:
            trained.to(choose_device(config))
            store, samples = self._samples(trained, config=config)
            fit_class_rows(trained, store, _without_copies(samples[TRAIN]), config, new)

    def _naming(
        self, names: NamesBefore, result: TrainingResult, trained: SegSam, config: TrainConfig
    ) -> VersionNaming:
        """Return the trained model's memory of examples."""
        if not result.start.semantics:
            return VersionNaming()
        card = result.card()
        taught = result.trained_names()
        return names.after(
            trained.to(choose_device(config)).with_card(card),
            partial(self._samples, config=config),
            config,
            seen={*(card.categories_seen or trained.categories.names), *taught},
            taught=taught,
        )

    def _train_or_resume(
        self, start: StartingModel, config: TrainConfig, cases: Sequence[LabelledCase]
    ) -> SegSam:
        """Train; a last checkpoint that cannot be used is discarded and training starts anew."""
        out, report = Path(config.out), self._training_progress()
        if (out / LAST).is_file():
            try:
                return self._train(start.model, config, report, resume=True)
            except TrainingError as error:
                self.progress.add(resumed=False, restarted=str(error))
                start = self._starting_model(cases)
        shutil.rmtree(out, ignore_errors=True)
        return self._train(start.model, config, report, resume=False)

    def _train(
        self, start: SegSam, config: TrainConfig, report: Progress, *, resume: bool
    ) -> SegSam:
        found = loop.train(config, resume=resume, start=start, progress=report)
        self.progress.add(steps=found.steps, seconds_learning=round(found.training_seconds))
        return load_pretrained(found.checkpoint)

    def _training_progress(self) -> Progress:
        """Return a callback for `loop.train`, which reports encoded slices, then the steps of the
        decoders, and then those of the dense head.
        """
        preparing = self.progress.phase(PREPARING, "encoding slices")
        # Empty before the first step, with which the phase begins.
        learning: list[Progress] = []
        finding: list[Progress] = []

        def step(done: int, total: int, what: str) -> None:
            if what.startswith("preparing"):
                preparing(done, total, what)
                return
            if what.startswith(FINDING):
                if not finding:
                    finding.append(self.progress.phase(LEARNING, FINDING))
                finding[0](done, total, what)
                return
            if not learning:
                learning.append(self.progress.learning(self.settings.max_epochs))
            learning[0](done, total, what)

        return step

    def _publish(
        self,
        result: TrainingResult,
        trained: SegSam,
        before: _Measured,
        config: TrainConfig,
    ) -> VersionRecord:
        """Save the model, measure what was saved, and add it to the versions."""
        candidate = self._folder / "candidate.safetensors"
        named = trained.with_memory(result.naming.memory, result.card())
        save_checkpoint(named, candidate, result.card())
        model = load_pretrained(candidate)
        after = self._measure(model, config)
        found = differences(before.objects, after.objects)
        evidence = weigh(found, held_out=any(result.held_out.values()))
        scores = Scores.compare(before.metrics, after.metrics, evidence)
        current = self.versions.history().current
        return self.versions.publish(
            lambda path: save_checkpoint(model, path, result.card(scores)),
            partial(result.record, scores, current),
        )


def _without_copies(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples that are not augmented copies."""
    return [sample for sample in samples if "#" not in sample.name]

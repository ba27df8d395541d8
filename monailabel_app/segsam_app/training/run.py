"""One training, from labelled cases to a version; killed anywhere, the next one goes on from there
or begins anew, and nobody ever sees half a version.

    <versions>/run/plan.json     what it is about: the next training with the same plan goes on
    <versions>/run/shards/       the slices
    <versions>/run/learning/     the run of `segsam.training`, with its last checkpoint
    <versions>/embeddings/       what the encoder said of slices, for this training and later ones
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.errors import TrainingError
from segsam.model import Card, SegSam, load_pretrained, save_checkpoint
from segsam.prediction.embedding_files import EmbeddingFiles
from segsam.system.atomic import write_bytes
from segsam.training import loop
from segsam.training.config import TrainConfig
from segsam.training.devices import choose_device
from segsam.training.distributed import Processes
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.run_data import RunData
from segsam.training.run_state import LAST
from segsam.training.samples import Sample
from segsam.training.validation import spread_evenly, validate
from segsam.types import Progress
from segsam_app.storage.durable import disk
from segsam_app.training.beginning import Beginning, begin
from segsam_app.training.cases import Case
from segsam_app.training.holding_out import parts
from segsam_app.training.outcome import Figures, Outcome, kept_in_part
from segsam_app.training.progress import MEASURING, PREPARING, Journal
from segsam_app.training.settings import TrainSettings
from segsam_app.training.slicing import Cut, Cutter
from segsam_app.versions.record import FIRST, VersionRecord
from segsam_app.versions.shelf import Versions

EMBEDDINGS_BYTES = 4 << 30
"""Of kept embeddings; those not used for longest go first."""

_VALIDATION_SLICES = 32
_VALIDATIONS = 4
_CHECKPOINT_STEPS = 20
_PROMPTS = 3
_POINT_SHARE = 0.6
"""More than boxes: a lone point says less, and is what a short training unlearns first (in `make
loop` 0.3 Dice with 0.4, nothing with 0.6; boxes gain the same)."""
_WARMUP_STEPS = 20
_WEIGHT_AVERAGE = 0.98
_LOSS = {"dice": 5.0, "focal": 10.0, "focal_alpha": 0.5}
"""As the shipped checkpoint learnt (docs/benchmarks/study.yaml): with the paper's weights `make
loop` lost 1.1 Dice by a lone point, with these 0.3."""


@dataclass(frozen=True)
class Run:
    """What one training is given."""

    versions: Versions
    settings: TrainSettings
    cases: Sequence[Case]
    device: str
    journal: Journal

    def version(self) -> VersionRecord:
        """Learn, measure, publish.

        Raises:
            ConflictError: another training runs.
            TrainingError, CategoryError, CheckpointError, OutputError: nothing changed then.
            KeyboardInterrupt: asked to stop, by a signal; the next training goes on from here.
        """
        with self.versions.training():
            parent = self.versions.look().find(self.versions.current)
            held_out = {one.image for one in parent.learnt if one.held_out}
            chosen, notes = parts(self.cases, held_out, self.settings.val_split)
            self._continue_or_clean(parent, chosen)
            beginning = self._begin()
            learnt = parent.learnt if self.settings.pretrained else []
            cut = self._cut(beginning.model, chosen, {(one.image, one.label) for one in learnt})
            config = self._config(beginning, cut)
            before = self._measured(beginning.before, config)
            state = {name: one.clone() for name, one in beginning.model.state_dict().items()}
            trained = self._learnt(beginning, config)
            outcome = Outcome(
                self.settings, parent, beginning, self._took_part(cut, chosen), (*notes, *cut.notes)
            )
            record = self._published(outcome, trained, state, before, config)
            shutil.rmtree(self._folder, ignore_errors=True)
        return record

    @property
    def _folder(self) -> Path:
        return self.versions.folder / "run"

    @property
    def _start(self) -> str | None:
        version = self.versions.current if self.settings.pretrained else FIRST
        return self.versions.weights(version)

    def _continue_or_clean(self, parent: VersionRecord, chosen: Mapping[str, str]) -> None:
        """Keep what a killed training left when it was about the very same; else sweep it away."""
        plan = {
            "parent": [parent.id, parent.sha256, str(self._start)],
            "settings": self.settings.model_dump(exclude={"name", "tolerance"}),
            "cases": [[case.image, case.sha256, chosen[case.image]] for case in self.cases],
        }
        path, text = self._folder / "plan.json", json.dumps(plan, indent=1, sort_keys=True)
        with disk("Preparing a training"):
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                self.journal.knows(resumed=(self._folder / "learning" / LAST).is_file())
                return
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, text.encode())

    def _begin(self) -> Beginning:
        names = {name for case in self.cases for name in case.names.values()}
        beginning = begin(self._start, names)
        if not self.settings.pretrained and self.versions.current != FIRST:
            before = begin(self.versions.checkpoint, names).before
            return beginning.held_against(before)
        return beginning

    def _cut(self, model: SegSam, chosen: Mapping[str, str], known: set[tuple[str, str]]) -> Cut:
        earlier = {case.image for case in self.cases if (case.image, case.sha256) in known}
        cutter = Cutter(self.cases, chosen, earlier, self.settings)
        heard = self.journal.phase(PREPARING, "cutting the labelled cases")
        shutil.rmtree(self._shards, ignore_errors=True)
        cut = cutter.write(self._shards, model.host.facts.input_size, heard)
        EmbeddingFiles(self._embeddings, EMBEDDINGS_BYTES)
        return cut

    @property
    def _shards(self) -> Path:
        return self._folder / "shards"

    @property
    def _embeddings(self) -> Path:
        return self.versions.folder / "embeddings"

    def _config(self, beginning: Beginning, cut: Cut) -> TrainConfig:
        settings = self.settings
        batch = min(settings.train_batch_size, cut.slices)
        steps = max(1, round(settings.max_epochs * cut.slices / batch))
        return TrainConfig(
            out=str(self._folder / "learning"),
            shards=str(self._shards),
            embeddings=str(self._embeddings),
            categories="all",
            steps=steps,
            minutes=settings.minutes,
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
            tensorboard=False,
            device=self.device,
            seed=settings.seed,
            **beginning.choices,
        )

    def _measured(self, model: SegSam, config: TrainConfig) -> dict[str, float]:
        """Scores of a model on the slices that are held out; on those learnt from where none is."""
        model = model.to(choose_device(config))
        heard = self.journal.phase(PREPARING, "encoding slices")
        store = EmbeddingStore(self._embeddings, model)
        found = RunData.of(config).samples(model, store, processes=Processes(), progress=heard)
        self.journal.phase(MEASURING, "measuring on what is held out")
        held_out = found[VALIDATION] or _as_they_are(found[TRAIN])
        samples = spread_evenly(held_out, config.validation_slices)
        return dict(validate(model, store, samples, config))

    def _learnt(self, beginning: Beginning, config: TrainConfig) -> SegSam:
        """The model that learning left; a state that cannot be gone on from is begun again."""
        out, heard = Path(config.out), self._heard()
        if (out / LAST).is_file():
            try:
                return self._trained(beginning.model, config, heard, resume=True)
            except TrainingError as error:
                self.journal.knows(resumed=False, restarted=str(error))
                beginning = self._begin()
        shutil.rmtree(out, ignore_errors=True)
        return self._trained(beginning.model, config, heard, resume=False)

    def _trained(
        self, start: SegSam, config: TrainConfig, heard: Progress, *, resume: bool
    ) -> SegSam:
        report = loop.train(config, resume=resume, start=start, progress=heard)
        self.journal.knows(steps=report.steps, seconds_learning=round(report.training_seconds))
        return load_pretrained(report.checkpoint)

    def _heard(self) -> Progress:
        """Preparation tells how many slices it has encoded, learning how many steps it made."""
        preparing = self.journal.phase(PREPARING, "encoding slices")
        learning: list[Progress] = []

        def told(done: int, total: int, what: str) -> None:
            if what.startswith("preparing"):
                preparing(done, total, what)
                return
            if not learning:
                learning.append(self.journal.learning(self.settings.max_epochs))
            learning[0](done, total, what)

        return told

    def _took_part(self, cut: Cut, chosen: Mapping[str, str]) -> dict[Case, bool]:
        """The cases of which there were slices, and whether each was held out."""
        used = [case for case in self.cases if case.image in cut.used]
        return {case: chosen[case.image] == VALIDATION for case in used}

    def _published(
        self,
        outcome: Outcome,
        trained: SegSam,
        state: Mapping[str, Tensor],
        before: Mapping[str, float],
        config: TrainConfig,
    ) -> VersionRecord:
        """Average, save, measure what was saved, and add it to the versions."""
        kept_in_part(trained, state, self.settings.keep)
        candidate = self._folder / "candidate.safetensors"
        save_checkpoint(trained, candidate, outcome.card())
        model = load_pretrained(candidate)
        figures = Figures.of(before, self._measured(model, config))
        current = self.versions.look().current
        return self.versions.publish(
            partial(_save, model, outcome.card(figures)),
            partial(outcome.record, figures, current),
        )


def _as_they_are(samples: Sequence[Sample]) -> list[Sample]:
    """Slices without their changed copies."""
    return [one for one in samples if "#" not in one.name]


def _save(model: SegSam, card: Card, path: Path) -> None:
    save_checkpoint(model, path, card)

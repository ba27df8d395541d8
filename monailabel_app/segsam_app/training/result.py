"""Result of a training: averaged weights, scores, model card and version record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from segsam.model import SegSam
from segsam.model.card import Card
from segsam_app.storage.label_record import now
from segsam_app.training.cases import LabelledCase, left_out_text
from segsam_app.training.promotion import Scores, decide
from segsam_app.training.settings import TrainSettings
from segsam_app.training.starting_model import StartingModel
from segsam_app.training.version_naming import VersionNaming
from segsam_app.versions.record import LeftOutCase, Metrics, TrainedCase, VersionRecord

_SITE = "labels of this site"
_DENSE_HEAD = "dense_head."
"""What the names of its weights begin with."""


@torch.no_grad()
def average_weights(model: SegSam, before: Mapping[str, Tensor], share: float) -> None:
    """Move the weights of `model` towards those in `before` by `share`, where both have them.

    The average of a model and the one that it was fine-tuned from keeps most of what either can do
    (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022). It needs none of the data
    that the model was first trained on, which a hospital does not have.

    What did not change stays bit for bit: the memory of examples belongs to an image encoder with
    exactly these bits, and a sum would make 0.0 of -0.0. The dense head stays as it was trained: it
    was held to what it said before, and of a new name it knew nothing.
    """
    for name, value in model.state_dict().items():
        old = None if name.startswith(_DENSE_HEAD) else before.get(name)
        if old is None or old.shape != value.shape or not value.is_floating_point():
            continue
        if not torch.equal(old := old.to(value), value):
            value.lerp_(old, share)


@dataclass(frozen=True)
class TrainingResult:
    """Facts of a training that has ended, except its scores.

    `held_out` maps the cases that took part to True if they were held out; `left_out` are the
    others.
    """

    settings: TrainSettings
    parent: VersionRecord
    start: StartingModel
    held_out: Mapping[LabelledCase, bool]
    left_out: tuple[LeftOutCase, ...]
    notes: tuple[str, ...]
    naming: VersionNaming = field(default_factory=VersionNaming)

    def card(self, scores: Scores | None = None) -> Card:
        """Return the card of the version before, changed by what this training added."""
        host = self.start.model.host.facts.name
        old = self.start.card or Card(host, presence_is_trained=False)
        seen = (*old.categories_seen, *self.trained_names()) if old.categories_seen else ()
        return replace(
            old,
            name=old.name if _SITE in old.name else f"{old.name}, tuned on {_SITE}",
            semantic_is_trained=self.start.semantics,
            training_data=tuple(dict.fromkeys((*old.training_data, _SITE))),
            licence=old.licence if _SITE in old.licence else f"{old.licence}; {_SITE}: their owner",
            metrics={} if scores is None else dict(scores.after),
            parent=f"version {self.parent.id}",
            prompts_trained=tuple(dict.fromkeys((*old.prompts_trained, "box", "point"))),
            categories_seen=tuple(dict.fromkeys(seen)),
            training=self.settings.model_dump(),
            data={},
            results={},
            calibration={},
            naming=self.naming.record,
            failures=(),
            split="by case; version.json beside the weights lists the cases that were held out",
            seed=self.settings.seed,
        )

    def record(self, scores: Scores, current: str, version: str, sha256: str) -> VersionRecord:
        """Return the version's record, and decide whether it replaces the `current` version."""
        promoted, why = self._decide(scores, current)
        return VersionRecord(
            id=version,
            created=now(),
            parent=self.parent.id,
            name=self.settings.name or "",
            promoted=promoted,
            why=why,
            cases=sum(not held_out for held_out in self.held_out.values()),
            metrics=Metrics(before=dict(scores.before), after=dict(scores.after)),
            categories=self._categories(),
            notes=[*self._notes(), *map(left_out_text, self.left_out)],
            learnt=[
                TrainedCase(image=case.image, label=case.sha256, held_out=held_out)
                for case, held_out in self.held_out.items()
            ],
            left_out=list(self.left_out),
            evidence=scores.evidence,
            sha256=sha256,
        )

    def _decide(self, scores: Scores, current: str) -> tuple[bool, str]:
        """(promoted, reason)."""
        parent = self.parent.id
        if current != parent:
            return False, f"during the training from {parent}, somebody chose version {current}"
        return decide(scores, self.settings.tolerance, parent, self._new_names())

    def _new_names(self) -> list[str]:
        """Return the names that the version can give, and the one before could not."""
        seen = () if self.start.card is None else self.start.card.categories_seen
        untaught = (name for name in self.trained_names() if seen and name not in seen)
        new = {*self.start.added, *untaught}
        memory = self.naming.memory
        if memory is None:
            return sorted(new)
        counts = dict(zip(self.start.model.categories.names, memory.counts().tolist(), strict=True))
        return sorted(name for name in new if counts[name])

    def trained_names(self) -> list[str]:
        """Return the names among the labels, as the model has them."""
        own = self.start.model.categories
        names = {name for case in self.held_out for name in case.names.values() if name}
        return sorted({own.names[own.index(name)] for name in names})

    def _notes(self) -> tuple[str, ...]:
        return (*self.start.notes, *self.notes, *self.naming.notes)

    def _categories(self) -> list[str]:
        """Names of the categories that the new version can name."""
        if not self.start.semantics:
            return []
        card = self.start.card
        seen = card.categories_seen if card is not None else ()
        own = (*seen, *self.start.added) if seen else self.start.model.categories.names
        return list(dict.fromkeys((*self.parent.categories, *own)))

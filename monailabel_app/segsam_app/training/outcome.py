"""What a training comes to: an average with what was there before, figures, card and record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from segsam.model import SegSam
from segsam.model.card import Card
from segsam_app.storage.versions import now
from segsam_app.training.beginning import Beginning
from segsam_app.training.cases import Case
from segsam_app.training.settings import TrainSettings
from segsam_app.versions.record import Learnt, Metrics, VersionRecord

SCORE = "score"
_SCORED = ("dsc_box", "dsc_point", "mdsc_box")
"""What "better" means: the mean of those that both models have (as in training itself)."""
_SITE = "labels of this site"


@torch.no_grad()
def kept_in_part(model: SegSam, before: Mapping[str, Tensor], share: float) -> None:
    """Move the weights of `model` back to those before by `share`, where both have them.

    A weight average between a model and what it was tuned from keeps most of what was learnt and
    most of what was known (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022). It
    needs none of the data that the model was first trained on, which no hospital has.
    """
    for name, value in model.state_dict().items():
        old = before.get(name)
        if old is not None and old.shape == value.shape and value.is_floating_point():
            value.lerp_(old.to(value), share)


@dataclass(frozen=True)
class Figures:
    """Scores in percent before and after, on the same slices with the same prompts."""

    before: Mapping[str, float]
    after: Mapping[str, float]

    @classmethod
    def of(cls, before: Mapping[str, float], after: Mapping[str, float]) -> Figures:
        """Of what `validate` found, with the mean of what can be compared as `score`."""
        names = [name for name in _SCORED if name in before and name in after]
        return cls(_scored(before, names), _scored(after, names))

    @property
    def gain(self) -> float | None:
        """By how many percent points the score rose; None when nothing could be compared."""
        if SCORE not in self.before or SCORE not in self.after:
            return None
        return round(self.after[SCORE] - self.before[SCORE], 2)


@dataclass(frozen=True)
class Outcome:
    """What is known of a training when it has learnt."""

    settings: TrainSettings
    parent: VersionRecord
    beginning: Beginning
    cases: Mapping[Case, bool]
    """Who took part -> whether it was held out."""
    notes: tuple[str, ...]

    def card(self, figures: Figures | None = None) -> Card:
        """The card of the version before, as far as it still holds, and what was added."""
        old = self.beginning.card or Card(self.beginning.host, presence_is_trained=False)
        seen = (*old.categories_seen, *self._names()) if old.categories_seen else ()
        return replace(
            old,
            name=old.name if _SITE in old.name else f"{old.name}, tuned on {_SITE}",
            semantic_is_trained=self.beginning.semantics,
            training_data=tuple(dict.fromkeys((*old.training_data, _SITE))),
            licence=old.licence if _SITE in old.licence else f"{old.licence}; {_SITE}: their owner",
            metrics={} if figures is None else dict(figures.after),
            parent=f"version {self.parent.id}",
            prompts_trained=tuple(dict.fromkeys((*old.prompts_trained, "box", "point"))),
            categories_seen=tuple(dict.fromkeys(seen)),
            training=self.settings.model_dump(),
            data={},
            results={},
            calibration={},
            failures=(),
            split="by case; version.json beside the weights says who was held out",
            seed=self.settings.seed,
        )

    def record(self, figures: Figures, current: str, version: str, sha256: str) -> VersionRecord:
        """The version's record, with the decision whether it takes the place of the `current`
        one.
        """
        promoted, why = self._decision(figures, current)
        return VersionRecord(
            id=version,
            created=now(),
            parent=self.parent.id,
            name=self.settings.name or "",
            promoted=promoted,
            why=why,
            cases=sum(not held_out for held_out in self.cases.values()),
            metrics=Metrics(before=dict(figures.before), after=dict(figures.after)),
            categories=self._categories(),
            notes=[*self.beginning.notes, *self.notes],
            learnt=[
                Learnt(image=case.image, label=case.sha256, held_out=held_out)
                for case, held_out in self.cases.items()
            ],
            sha256=sha256,
        )

    def _decision(self, figures: Figures, current: str) -> tuple[bool, str]:
        gain, may_fall = figures.gain, self.settings.tolerance
        if current != self.parent.id:
            return False, f"while it learnt from {self.parent.id}, somebody chose version {current}"
        if gain is None:
            return False, "nothing could be measured, so the version before stays current"
        scores = f"{figures.before[SCORE]:.1f} before, {figures.after[SCORE]:.1f} after"
        if gain >= -may_fall:
            return True, f"the mean score is not worse than that of {self.parent.id}: {scores}"
        allowed = f" (it may fall by {may_fall:g})" if may_fall else ""
        return False, f"the mean score is worse than that of {self.parent.id}: {scores}{allowed}"

    def _names(self) -> list[str]:
        own = self.beginning.model.categories
        names = {name for case in self.cases for name in case.names.values() if name}
        return sorted({own.names[own.index(name)] for name in names})

    def _categories(self) -> list[str]:
        """What the new version can name."""
        if not self.beginning.semantics:
            return []
        return list(dict.fromkeys((*self.parent.categories, *self._own())))

    def _own(self) -> tuple[str, ...]:
        card = self.beginning.card
        seen = card.categories_seen if card is not None else ()
        return (*seen, *self.beginning.added) if seen else self.beginning.model.categories.names


def _scored(metrics: Mapping[str, float], names: list[str]) -> dict[str, float]:
    found = {name: value for name, value in metrics.items() if "/" not in name}
    if not names:
        return found
    return {SCORE: round(sum(metrics[name] for name in names) / len(names), 3), **found}

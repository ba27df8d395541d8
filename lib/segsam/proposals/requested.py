"""Names that a search was asked for, and what is said of those that it did not find.

names --read_requested--> Requested     a category; or why the model cannot look for it
search --Rejected-------> NotFound      what came nearest, why it was left out, how sure that is
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segsam.errors import CategoryError, PromptError
from segsam.imaging.volume import Volume
from segsam.model import SegSam
from segsam.prediction.naming import may_be_named
from segsam.prediction.taught.examples import TaughtNames
from segsam.proposals.probing import require_semantics

UNSEEN_REASON = "the model had no example of it in training"
MODALITY_REASON = "the model does not name it in {modality} images"
ABSENT_REASON = "none of the slices that were read seems to show it"
OTHER_ENCODER_REASON = "its examples are of another image encoder than that of the model"
MEMORYLESS_REASON = "the model has no memory of examples, with which taught names are compared"
UNCERTAIN_REASON = "nothing was certain enough"
RENAMED_REASON = "what looked like it would be named {name}"
UNNAMED_REASON = "what looked like it would get no name"


@dataclass(frozen=True)
class Requested:
    """Name that a search was asked for. `reason` tells why it cannot be looked for, if so."""

    text: str
    """As it was asked for."""
    name: str
    """Of the category, or as it was taught."""
    category: int | None = None
    """Index into the checkpoint's categories; None for a taught name."""
    taught: int | None = None
    """Position in the taught names; None for a category."""
    reason: str | None = None


@dataclass(frozen=True)
class NotFound:
    """Requested name that no object got."""

    requested: str
    """As it was asked for."""
    name: str
    """Of the category, or as it was taught."""
    reason: str
    """Why, as the end of a sentence."""
    presence: float | None = None
    """Highest probability, over the slices that were read, that it is there; None if not known."""
    certainty: float | None = None
    """Highest certainty of what might have been it and was left out; None if nothing was."""

    @property
    def probability(self) -> float | None:
        """Probability that it is there after all, by presence and by what was left out, 0 to 1.

        None if the model could not look for it.
        """
        known = [value for value in (self.presence, self.certainty) if value is not None]
        return max(known) if known else None

    @property
    def in_words(self) -> str:
        """The name with reason and probability, as a sentence."""
        name = self.name if self.requested == self.name else f"{self.name} ({self.requested})"
        likely = self.probability
        end = "" if likely is None else f" (that it is there after all: {likely:.0%})"
        return f"Not found: {name}, because {self.reason}{end}."

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "requested": self.requested,
            "name": self.name,
            "reason": self.reason,
            "probability": self.probability,
            "presence": self.presence,
            "certainty": self.certainty,
            "sentence": self.in_words,
        }


@dataclass
class Rejected:
    """Candidates that a search left out: of each name the most certain one, and why."""

    _best: dict[str, tuple[float, str]] = field(default_factory=dict)

    def add(self, name: str, certainty: float, *, given: str | None = None) -> None:
        """Note a candidate for a name.

        Args:
            name: what it was a candidate for.
            certainty: 0 to 1.
            given: the name that it would get instead, "" for none; None if it was not certain
                enough.
        """
        reason = UNCERTAIN_REASON
        if given is not None:
            reason = RENAMED_REASON.format(name=given) if given else UNNAMED_REASON
        if name not in self._best or certainty > self._best[name][0]:
            self._best[name] = (certainty, reason)

    def not_found(
        self,
        requested: Iterable[Requested],
        found: Iterable[str],
        presence: Mapping[int, Mapping[int, float]],
        *,
        present_from: float,
    ) -> tuple[NotFound, ...]:
        """Return the requested names that no object got.

        Args:
            requested: all of them.
            found: names of the objects.
            presence: slice -> category -> probability; empty if it is not known.
            present_from: lowest probability at which a slice was searched for a category.
        """
        names = frozenset(found)
        return tuple(
            self._one(each, _presences(presence, each.category), present_from)
            for each in requested
            if each.name not in names
        )

    def _one(
        self, requested: Requested, presences: Sequence[float], present_from: float
    ) -> NotFound:
        if requested.reason is not None:
            return NotFound(requested.text, requested.name, requested.reason)
        certainty, reason = self._best.get(requested.name, (None, UNCERTAIN_REASON))
        highest = max(presences, default=None)
        if highest is not None and max(highest, certainty or 0.0) < present_from:
            reason = ABSENT_REASON
        if highest is None and certainty is None:
            certainty = 0.0  # the slices were searched, and nothing was a candidate
        return NotFound(requested.text, requested.name, reason, highest, certainty)


def read_requested(
    model: SegSam,
    volume: Volume,
    names: Iterable[str],
    taught: TaughtNames,
    embedding: str,
) -> tuple[Requested, ...]:
    """Return what requested names stand for, each once.

    A name that is a category and was taught as well stands for the category if the model can look
    for it.

    Raises:
        CategoryError: an unknown name; the message lists the nearest ones.
    """
    return tuple(
        _requested(model, volume, name, taught, embedding) for name in dict.fromkeys(names)
    )


def allowed_categories(
    model: SegSam, volume: Volume, requested: Sequence[Requested]
) -> tuple[int, ...]:
    """Return the indices of the categories to search for.

    These are the requested ones, or all, that have examples in training and occur in the modality.

    Raises:
        PromptError: no trained semantics, or the card withholds all names in this modality.
    """
    require_semantics(model)
    if requested:
        able = (each.category for each in requested if each.reason is None)
        return tuple(sorted({index for index in able if index is not None}))
    if volume.modality is not None and volume.modality in model.card.unnamed_in:
        raise PromptError(
            f"Nothing can be segmented without prompts in {volume.modality} volumes: the names of "
            "this checkpoint are not reliable there, as its model card says; mark the object."
        )
    items = model.categories.items
    return tuple(
        index for index in range(len(items)) if _reason_against(model, volume, index) is None
    )


def _requested(
    model: SegSam, volume: Volume, text: str, taught: TaughtNames, embedding: str
) -> Requested:
    index, known = model.categories.find(text), taught.find(text)
    reason = None if index is None else _reason_against(model, volume, index)
    if known is not None and (index is None or reason is not None):
        unable = None
        if model.memory is None:
            unable = MEMORYLESS_REASON
        elif all(example.embedding != embedding for example in known.examples):
            unable = OTHER_ENCODER_REASON
        return Requested(text, known.name, None, taught.names.index(known), unable)
    if index is None:
        others = tuple(one.name for one in taught)
        nearest = ", ".join(map(repr, model.categories.nearest(text, others)))
        kinds = "category and no taught name" if others else "category"
        raise CategoryError(f"There is no {kinds} {text!r}; the nearest are {nearest}.")
    return Requested(text, model.categories.names[index], index, None, reason)


def _reason_against(model: SegSam, volume: Volume, index: int) -> str | None:
    """Return why a category cannot be looked for in a volume; None if it can."""
    category = model.categories.items[index]
    if category.name not in model.card.categories_seen:
        return UNSEEN_REASON
    if not may_be_named(model, category, volume.modality):
        return MODALITY_REASON.format(modality=volume.modality)
    return None


def _presences(
    presence: Mapping[int, Mapping[int, float]], category: int | None
) -> Sequence[float]:
    if category is None:
        return ()
    return [each[category] for each in presence.values() if category in each]

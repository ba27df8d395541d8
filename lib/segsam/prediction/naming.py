"""Names of objects: when one is given, and which categories may be reported at all.

The semantic decoder gives every object a probability for each category. A name is shown only if the
checkpoint's card allows it in this modality and it is more likely right than wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsam.categories import Category
from segsam.imaging.volume import Segment
from segsam.model import Decoded, SegSam

NAMED_FROM = 0.5
"""Lowest probability at which an object is named. The checkpoint's temperature calibrates the
probabilities, so a name at or above this value is more often right than wrong. Below it, the best
guess only appears in a note."""

PRESENT_ABOVE = 0.5
"""Lowest probability at which a category of unprompted objects is reported as present."""

UNSURE_NOTE = "Not named: the best guess, {name}, has a probability of {confidence:.0%} only."
UNRELIABLE_NOTE = (
    "Not named: the names of this checkpoint are not reliable in {modality} volumes; its model "
    "card says why."
)
UNRELIABLE_NAME_NOTE = (
    "Not named: it looks most like {name}, a name that this checkpoint does not give reliably in "
    "{modality} volumes."
)


@dataclass(frozen=True, eq=False)
class SliceEvidence:
    """Evidence of one decoded slice for the object's name.

    Holds no mask: the masks of a deep volume together would need as much memory as the volume.
    """

    area: int
    """Pixels of the object."""
    class_scores: NDArray[np.float32] | None
    """Probabilities (K + 1,), 0 = no category; None without semantics."""


@dataclass(frozen=True)
class Naming:
    """Decision about an object's name; `notes` explain to the user why there is no name."""

    name: str | None = None
    confidence: float | None = None
    segment: Segment | None = None
    """The category with its colour and code."""
    notes: tuple[str, ...] = ()


def name_object(
    model: SegSam,
    evidence: Sequence[SliceEvidence],
    *,
    requested: int | None,
    modality: str | None,
) -> Naming:
    """Decide on the name of an object.

    Args:
        model: supplies the categories and the rules of its card.
        evidence: of each slice; class scores are averaged by area.
        requested: the category (index from 0) that the caller asked for, if any; it is always
            named.
        modality: of the volume, if known.
    """
    scored = [(one.class_scores, one.area) for one in evidence if one.class_scores is not None]
    if not model.card.semantic_is_trained or not sum(area for _, area in scored):
        return Naming()
    mean = np.average(
        [scores for scores, _ in scored], axis=0, weights=[area for _, area in scored]
    )
    index = int(mean[1:].argmax()) if requested is None else requested
    category, confidence = model.categories.items[index], float(mean[1 + index])
    note = (
        None
        if requested is not None
        else _reason_against(model, category.name, confidence, modality)
    )
    if note is not None:
        return Naming(notes=(note,))
    segment = Segment(category.name, category.colour, category.snomed)
    return Naming(category.name, confidence, segment)


def _reason_against(
    model: SegSam, name: str, confidence: float, modality: str | None
) -> str | None:
    """Return the note for the user if the name must not be given."""
    if modality is not None and modality in model.card.unnamed_in:
        return UNRELIABLE_NOTE.format(modality=modality)
    if _is_withheld(model, name, modality):
        return UNRELIABLE_NAME_NOTE.format(name=name, modality=modality)
    if confidence < NAMED_FROM:
        return UNSURE_NOTE.format(name=name, confidence=confidence)
    return None


def may_be_named(model: SegSam, category: Category, modality: str | None) -> bool:
    """Return True if a category occurs in a modality and the card does not withhold its name there.

    Without a known modality, every category may be named.
    """
    if modality is None:
        return True
    occurs = not category.modalities or modality in category.modalities
    withheld = modality in model.card.unnamed_in or _is_withheld(model, category.name, modality)
    return occurs and not withheld


def present_categories(
    decoded: Decoded, model: SegSam, modality: str | None = None
) -> dict[str, float]:
    """Return category -> probability that an unprompted object of it is on the slice.

    The most probable category comes first. Left out are categories without training examples (the
    output of an untrained token is noise), those that do not occur in the modality, and names that
    the card withholds there. Empty if the presence branch never saw absent categories in training.
    """
    if decoded.presence_logits is None or not model.card.presence_is_trained:
        return {}
    scores = decoded.presence_logits[0].sigmoid().tolist()
    seen = frozenset(model.card.categories_seen)
    likely = {
        item.name: score
        for item, score in zip(model.categories.items, scores, strict=True)
        if score >= PRESENT_ABOVE and item.name in seen and may_be_named(model, item, modality)
    }
    return dict(sorted(likely.items(), key=lambda item: -item[1]))


def _is_withheld(model: SegSam, name: str, modality: str | None) -> bool:
    """Return True if the card withholds this one name in volumes of a modality."""
    return f"{modality}: {name}" in model.card.unnamed_in

"""Names of objects: when one is given, and which categories may be reported at all.

The semantic decoder gives every object a probability for each category, and the memory of examples
its distance to what the model was taught (`NamingRule` joins both to one confidence). A name is
shown only if the confidence reaches the limit that was chosen on held-out data, and the
checkpoint's card allows it in this modality. A checkpoint without a memory names from `NAMED_FROM`
on, and cannot tell what it has never seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from segsam.categories import Category
from segsam.datasets.sides import has_side, other_side
from segsam.imaging.volume import Segment
from segsam.model import Decoded, SegSam
from segsam.model.naming_rule import WITHOUT_MEMORY
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.taught.examples import NameSource, TaughtExample
from segsam.prediction.taught.matching import Match

NAMED_FROM = 0.5
"""Lowest probability at which an object is named. The checkpoint's temperature calibrates the
probabilities, so a name at or above this value is more often right than wrong. Below it, the best
guess only appears in a note."""

_KNOWN_FROM = 0.5
"""Probability that an object is known under which a note says that it is unlike everything."""

PRESENT_ABOVE = 0.5
"""Lowest probability at which a category of unprompted objects is reported as present."""

AGREEING_FROM = 0.4
"""Lowest agreement of the two decoders' masks with which a name is given. Of right names on
held-out patients 1 to 3 % lie below it, of names of unknown structures 9 to 24 %
(docs/lab/names.md)."""

NONE_FROM = 0.7
"""Probability of "none of the categories", by the semantic decoder, from which no name is given. Of
places without a label on held-out patients 3 % are named with it and 9 % without; of the known
objects 0.4 % fewer (docs/lab/names.md)."""

SIDE_NOTE = (
    "Not named: it looks like {name}, but this image shows a part of the body only, or shows it "
    "from the side, and does not tell left from right."
)
BLANK_NOTE = "Not named: every pixel of the slice has the same value, so there is nothing to see."
DISAGREEMENT_NOTE = (
    "Not named: the two decoders do not draw the same object (agreement {agreement:.0%}); the best "
    "guess is {name}."
)
NONE_NOTE = (
    "Not named: the semantic decoder takes it for none of the structures that it was taught "
    "({none:.0%}); the nearest is {name}."
)
REQUESTED_NOTE = (
    "The name {name} is that of the request: the model itself finds it {confidence:.1%} probable."
)
UNSURE_NOTE = "Not named: the best guess, {name}, has a probability of {confidence:.0%} only."
UNLIKE_NOTE = "Not named: unlike anything that this model has been taught."
NEAREST = " The nearest is {name} ({confidence:.0%})."
DISEASE_NOTE = (
    "Not named: {name} has a probability of {confidence:.0%}, and the name of a disease needs "
    "{limit:.0%}."
)
UNRELIABLE_NOTE = (
    "Not named: the names of this checkpoint are not reliable in {modality} volumes; its model "
    "card says why."
)
UNRELIABLE_NAME_NOTE = (
    "Not named: it looks most like {name}, a name that this checkpoint does not give reliably in "
    "{modality} volumes."
)
MEMORYLESS_NOTE = (
    "This version has no memory of examples, so it may also name what it was never taught; its "
    "model card says why."
)
TAUGHT_NOTE = "Named {name} as {source}."
INSTEAD_OF = " The checkpoint takes it for {name} ({confidence:.0%})."
CONFLICT_NOTE = "Not named: it was taught under several names: {named}. Choose one of them."
_SUGGESTIONS = 3
_LEAST_SUGGESTED = 0.005


@dataclass(frozen=True)
class Naming:
    """Decision about an object's name; `notes` explain to the user why there is no name."""

    name: str | None = None
    confidence: float | None = None
    segment: Segment | None = None
    """The category with its colour and code."""
    notes: tuple[str, ...] = ()
    suggestions: Mapping[str, float] = field(default_factory=dict)
    """The nearest guesses with their probabilities, the most probable first."""
    source: NameSource | None = None
    """Who gave the name; None without a name."""
    taught: Mapping[str, TaughtExample] = field(default_factory=dict)
    """Taught names among the name and the suggestions, and the nearest example of each."""


@dataclass(frozen=True, eq=False)
class _Guesses:
    """Confidence (K,) of each category as the name, and what may speak against all of them."""

    confidences: NDArray[np.float64]
    is_known: bool
    """False if the best guess is farther from its examples than a known object would be."""
    none: float
    """Probability of "none of the categories", by the decoder."""
    agreement: float
    """Of the two decoders' masks; 1 if it is not known."""
    is_blank: bool
    """True if no slice shows anything."""
    shows_sides: bool = True
    """False if most of the object lies on slices that do not tell left from right."""


def name_object(
    model: SegSam,
    evidence: Sequence[SliceEvidence],
    *,
    requested: int | None,
    modality: str | None,
    matches: Sequence[Match] = (),
) -> Naming:
    """Decide on the name of an object.

    A taught name is given where the object is nearer to what the user taught than to anything that
    the checkpoint was taught, or where the checkpoint gives none and thinks none more probable. A
    note says what the checkpoint takes it for, if that is the more probable.

    Args:
        model: supplies the categories and the rules of its card and memory.
        evidence: of each slice; class scores and distances are averaged by area.
        requested: the category (index from 0) that the caller asked for, if any; it is always
            named.
        modality: of the volume, if known.
        matches: taught names that the object may have, the best first.
    """
    naming = _by_checkpoint(model, evidence, requested=requested, modality=modality)
    if requested is not None or all(one.is_blank for one in evidence):
        return naming
    return _with_taught(naming, matches, shows_sides=_shows_sides(evidence))


def _by_checkpoint(
    model: SegSam,
    evidence: Sequence[SliceEvidence],
    *,
    requested: int | None,
    modality: str | None,
) -> Naming:
    """Return the name by the checkpoint alone; arguments as of `name_object`."""
    seen = [one for one in evidence if one.class_scores is not None and one.area]
    if not model.card.semantic_is_trained or not seen:
        return Naming()
    guesses = _guesses(model, seen)
    index = int(guesses.confidences.argmax()) if requested is None else requested
    category, confidence = model.categories.items[index], float(guesses.confidences[index])
    suggestions = {} if guesses.is_blank else _suggestions(model, guesses, modality)
    if not guesses.shows_sides:
        suggestions = _with_both_sides(suggestions, model)
    note = _reason_against(model, category, guesses, confidence, modality)
    if note is not None and requested is None:
        return Naming(notes=(note,), suggestions=suggestions)
    asked = REQUESTED_NOTE.format(name=category.name, confidence=confidence)
    notes = () if note is None else (asked,)
    if WITHOUT_MEMORY in model.card.naming and requested is None:
        notes = (MEMORYLESS_NOTE,)
    segment = Segment(category.name, category.colour, category.snomed)
    source: NameSource = "checkpoint" if note is None else "request"
    return Naming(category.name, confidence, segment, notes, suggestions, source)


def _with_taught(naming: Naming, matches: Sequence[Match], *, shows_sides: bool) -> Naming:
    """Return a decision with the taught names that the object may have."""
    if not matches:
        return naming
    own, shares = naming.suggestions, {one.name.name: one.confidence for one in matches}
    suggestions = dict(sorted({**naming.suggestions, **shares}.items(), key=lambda one: -one[1]))
    taught = {one.name.name: one.example for one in matches}
    naming = replace(naming, suggestions=suggestions, taught=taught)
    best = matches[0]
    is_likelier = naming.name is None and best.confidence > _most(own)
    if not best.is_given or not (best.is_nearer or is_likelier):
        return naming
    if not shows_sides and other_side(best.name.name.casefold()) != best.name.name.casefold():
        note = SIDE_NOTE.format(name=best.name.name)
        return replace(naming, name=None, confidence=None, segment=None, notes=(note,), source=None)
    if best.rivals:
        named = " and ".join(one.in_words for one in (best, *best.rivals))
        note = CONFLICT_NOTE.format(named=named)
        return replace(naming, name=None, confidence=None, segment=None, notes=(note,), source=None)
    note = TAUGHT_NOTE.format(name=best.name.name, source=best.example.source_in_words)
    if naming.name is not None or _most(own) > best.confidence:
        likely = next(iter(own))
        note += INSTEAD_OF.format(name=likely, confidence=own[likely])
    segment = best.name.segment
    return replace(
        naming,
        name=best.name.name,
        confidence=best.confidence,
        segment=segment,
        notes=(note,),
        source="taught",
    )


def _most(guesses: Mapping[str, float]) -> float:
    """Return the highest probability among guesses; 0 for none."""
    return max(guesses.values(), default=0.0)


def is_named(
    model: SegSam, evidence: SliceEvidence, modality: str | None
) -> tuple[int, float, bool]:
    """Return the best category (index from 0) of an object on one slice, its confidence, and True
    if a user would be shown the name.
    """
    guesses = _guesses(model, [evidence])
    index = int(guesses.confidences.argmax())
    category, confidence = model.categories.items[index], float(guesses.confidences[index])
    note = _reason_against(model, category, guesses, confidence, modality)
    return index, confidence, note is None


def name_confidences(
    model: SegSam, class_scores: NDArray[np.float32], distances: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """Return the confidence (P, K) of each category as the name of P objects, by the checkpoint's
    rule; without a memory, those are the decoder's probabilities.

    Args:
        model: supplies the rule.
        class_scores: (P, K + 1), 0 = no category.
        distances: (P, K) to the nearest example of each category; None without a memory.
    """
    scores, rule = class_scores.astype(np.float64), model.naming_rule
    if rule is None or distances is None:
        return scores[:, 1:]
    return rule.confidences(scores, distances.astype(np.float64))


def _guesses(model: SegSam, seen: Sequence[SliceEvidence]) -> _Guesses:
    areas = [one.area for one in seen]
    each = [one.class_scores for one in seen if one.class_scores is not None]
    scores = np.average(each, axis=0, weights=areas).astype(np.float64)
    agreements = [1.0 if one.agreement is None else one.agreement for one in seen]
    distances = [one.distances for one in seen if one.distances is not None]
    rule, confidences, is_known = model.naming_rule, scores[1:], True
    if rule is not None and len(distances) == len(seen):
        mean = np.average(distances, axis=0, weights=areas).astype(np.float64)
        confidences = rule.confidences(scores[None], mean[None])[0]
        is_known = bool(rule.known(mean[int(confidences.argmax())]) >= _KNOWN_FROM)
    return _Guesses(
        confidences,
        is_known,
        none=float(scores[0]),
        agreement=float(np.average(agreements, weights=areas)),
        is_blank=all(one.is_blank for one in seen),
        shows_sides=_shows_sides(seen),
    )


def _shows_sides(evidence: Sequence[SliceEvidence]) -> bool:
    """Return True if half of an object or more lies on slices that tell left from right."""
    areas = np.array([max(one.area, 1) for one in evidence])
    return bool(areas @ np.array([one.shows_sides for one in evidence]) >= areas.sum() / 2)


def _with_both_sides(suggestions: Mapping[str, float], model: SegSam) -> dict[str, float]:
    """Return guesses in which a structure's two sides are as probable as the more probable one."""
    both = dict(suggestions)
    for name, probability in suggestions.items():
        twin = other_side(name)
        if twin in model.categories.names and _is_sided(model, name):
            both[twin] = both[name] = max(probability, both.get(twin, 0.0))
    return dict(sorted(both.items(), key=lambda one: -one[1]))


def _is_sided(model: SegSam, name: str) -> bool:
    return has_side(model.categories.items[model.categories.index(name)])


def without_sides(names: Mapping[str, float], model: SegSam) -> dict[str, float]:
    """Return names without those of structures on one side."""
    return {name: value for name, value in names.items() if not _is_sided(model, name)}


def _suggestions(model: SegSam, guesses: _Guesses, modality: str | None) -> dict[str, float]:
    """Return the most probable categories that may be named at all."""
    order = np.argsort(-guesses.confidences, kind="stable")[:_SUGGESTIONS]
    return {
        model.categories.items[index].name: float(guesses.confidences[index])
        for index in order.tolist()
        if guesses.confidences[index] >= _LEAST_SUGGESTED
        and not _is_withheld(model, model.categories.items[index].name, modality)
    }


def _reason_against(
    model: SegSam, category: Category, guesses: _Guesses, confidence: float, modality: str | None
) -> str | None:
    """Return the note for the user if the name must not be given."""
    name, rule = category.name, model.naming_rule
    if guesses.is_blank:
        return BLANK_NOTE
    if modality is not None and modality in model.card.unnamed_in:
        return UNRELIABLE_NOTE.format(modality=modality)
    if _is_withheld(model, name, modality):
        return UNRELIABLE_NAME_NOTE.format(name=name, modality=modality)
    limit = NAMED_FROM if rule is None else rule.limit_of(category)
    if confidence >= limit and not guesses.shows_sides and has_side(category):
        return SIDE_NOTE.format(name=category.name)
    if confidence >= limit and guesses.none >= NONE_FROM:
        return NONE_NOTE.format(name=name, none=guesses.none)
    if confidence >= limit and guesses.agreement < AGREEING_FROM:
        return DISAGREEMENT_NOTE.format(name=name, agreement=guesses.agreement)
    if confidence >= limit:
        return None
    if not guesses.is_known:
        nearest = NEAREST.format(name=name, confidence=confidence)
        return UNLIKE_NOTE + (nearest if confidence >= _LEAST_SUGGESTED else "")
    if rule is not None and confidence >= rule.limit:
        return DISEASE_NOTE.format(name=name, confidence=confidence, limit=limit)
    return UNSURE_NOTE.format(name=name, confidence=confidence)


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
    decoded: Decoded,
    model: SegSam,
    modality: str | None = None,
    image_distances: NDArray[np.float32] | None = None,
) -> dict[str, float]:
    """Return category -> probability that an unprompted object of it is on the slice.

    The most probable category comes first. Left out are categories without training examples (the
    output of an untrained token is noise), those that do not occur in the modality, names that the
    card withholds there, and, with a memory of examples, those of which no image is near. Empty if
    the presence branch never saw absent categories in training.

    Args:
        decoded: of one image.
        model: supplies the categories and the rules of its card and memory.
        modality: of the volume, if known.
        image_distances: (K,) of `ExampleMemory.image_distances`; None without a memory.
    """
    if decoded.presence_logits is None or not model.card.presence_is_trained:
        return {}
    scores = decoded.presence_logits[0].sigmoid().tolist()
    seen, is_near = frozenset(model.card.categories_seen), near_categories(model, image_distances)
    likely = {
        item.name: score
        for item, score, near in zip(model.categories.items, scores, is_near.tolist(), strict=True)
        if near
        and score >= PRESENT_ABOVE
        and item.name in seen
        and may_be_named(model, item, modality)
    }
    return dict(sorted(likely.items(), key=lambda item: -item[1]))


def near_categories(
    model: SegSam, image_distances: NDArray[np.float32] | None
) -> NDArray[np.bool_]:
    """Return True (K,) for the categories that may be present by the images of the memory: all
    without one; arguments as of `present_categories`.
    """
    rule = model.naming_rule
    if rule is None or image_distances is None:
        return np.ones(len(model.categories), dtype=np.bool_)
    return np.asarray(image_distances <= rule.image_limit)


def _is_withheld(model: SegSam, name: str, modality: str | None) -> bool:
    """Return True if the card withholds this one name in volumes of a modality."""
    return f"{modality}: {name}" in model.card.unnamed_in

"""What the semantic decoder says about a prompted object, read from its logits: how sure of which
category, which pixels are that category's, whether both decoders agree, and what else is there.

None of it draws a map of all classes where the head does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from segsam.categories import Category
from segsam.model import Decoded, SegSam
from segsam.prediction.result import UNRELIABLE_NAME_NOTE, UNRELIABLE_NOTE, UNSURE_NOTE

NAMED_FROM = 0.5
"""An object is named from this probability on, as the card's temperature has calibrated it: from
here a name is more often right than wrong. Below it the best guess is only mentioned."""

PRESENT_ABOVE = 0.5
"""Categories of unprompted objects are reported from this probability on."""

_ALMOST_SURE = -1e-6
_SMALLEST = 1e-6
"""The greatest log-probability whose complement single precision still tells from nothing."""


def category_logits(decoded: Decoded, category: int, temperature: float = 1.0) -> Tensor:
    """(P, 1, m, m): log-odds that a pixel belongs to one category (index from 0).

    Of a head that draws mask and class apart, the class's share of the mask: no map of all classes
    is made for it.

    Raises:
        ValueError: without semantics.
    """
    if decoded.class_logits is None:
        raise ValueError("Expected what a semantic decoder says, got a mask alone.")
    if decoded.dense_logits is not None:
        logits, place = decoded.dense_logits, category + 1
        others = torch.cat([logits[:, :place], logits[:, place + 1 :]], dim=1)
        return logits[:, place : place + 1] - others.logsumexp(dim=1, keepdim=True)
    if decoded.object_logits is None:
        raise ValueError("Expected a map or a mask of the semantic decoder, got neither.")
    share = (decoded.class_logits / temperature).log_softmax(dim=1)[:, category + 1]
    inside = functional.logsigmoid(decoded.object_logits) + share[:, None, None, None]
    return inside - torch.log(-torch.expm1(inside.clamp(max=_ALMOST_SURE)))


def class_scores(decoded: Decoded, temperature: float = 1.0) -> NDArray[np.float32] | None:
    """(K + 1,) probabilities of the prompted object's category, averaged over the prompts; None
    without semantics.

    Index 0, "no object", keeps its share: nothing is ever named so, and what the model takes for
    nothing gets no confident name.
    """
    if decoded.class_logits is None:
        return None
    scores = (decoded.class_logits / temperature).softmax(dim=1).mean(dim=0)
    return np.asarray(scores.cpu().numpy(), dtype=np.float32)


def named(
    model: SegSam,
    scored: Sequence[tuple[NDArray[np.float32] | None, int]],
    *,
    wanted: int | None,
    modality: str | None,
) -> tuple[str | None, float | None, tuple[str, ...]]:
    """An object's name, its probability, and what to say when there is no name.

    Args:
        model: whose names they are.
        scored: of each slice the class scores and the area of the mask, by which they are averaged.
        wanted: the category (index from 0) that was looked for, if any.
        modality: of the volume, where it is known.
    """
    told = [(scores, area) for scores, area in scored if scores is not None]
    if not model.card.semantic_is_trained or not sum(area for _, area in told):
        return None, None, ()
    mean = np.average([scores for scores, _ in told], axis=0, weights=[area for _, area in told])
    index = int(mean[1:].argmax()) if wanted is None else wanted
    name, confidence = model.categories.names[index], float(mean[1 + index])
    if wanted is None and modality is not None and modality in model.card.unnamed_in:
        return None, None, (UNRELIABLE_NOTE.format(modality=modality),)
    if wanted is None and is_unreliable(model, name, modality):
        return None, None, (UNRELIABLE_NAME_NOTE.format(name=name, modality=modality),)
    if wanted is None and confidence < NAMED_FROM:
        return None, None, (UNSURE_NOTE.format(name=name, confidence=confidence),)
    return name, confidence, ()


def is_unreliable(model: SegSam, name: str, modality: str | None) -> bool:
    """Whether the checkpoint's card keeps this one name back in volumes of a modality."""
    return f"{modality}: {name}" in model.card.unnamed_in


def may_be_in(model: SegSam, category: Category, modality: str | None) -> bool:
    """Whether a category occurs in a modality, and the card does not keep its name back there;
    always, where the modality is not known.
    """
    if modality is None:
        return True
    occurs = not category.modalities or modality in category.modalities
    kept_back = modality in model.card.unnamed_in or is_unreliable(model, category.name, modality)
    return occurs and not kept_back


def agreement(decoded: Decoded) -> float | None:
    """Soft IoU, 0 to 1, of the binary mask and the semantic one with its labels stripped off (the
    paper's alignment, section 3.3), over all prompts; None without semantics.
    """
    sums = _both_and_either(decoded)
    if sums is None:
        return None
    both, either = (one.sum() for one in sums)
    return float(both / either.clamp(min=_SMALLEST))


def agreements(decoded: Decoded) -> Tensor | None:
    """The same for each prompt, (P,)."""
    sums = _both_and_either(decoded)
    return None if sums is None else sums[0] / sums[1].clamp(min=_SMALLEST)


def _both_and_either(decoded: Decoded) -> tuple[Tensor, Tensor] | None:
    """Soft intersection and union of the two decoders' masks, (P,) each; None without semantics."""
    stripped = decoded.stripped_logits()
    if stripped is None:
        return None
    semantic, binary = stripped.float().sigmoid(), decoded.binary_logits.float().sigmoid()
    both = semantic * binary
    return both.flatten(1).sum(1), (semantic + binary - both).flatten(1).sum(1)


def present(decoded: Decoded, model: SegSam, modality: str | None = None) -> dict[str, float]:
    """Category -> probability that one of its objects is on the slice, likeliest first, for one
    image of a modality, where it is known.

    Only of categories that the checkpoint has seen, what an untrained token says is noise, and that
    occur in this modality, and whose names the card does not keep back there. Nothing when the card
    says that presence was learnt without absence.
    """
    if decoded.presence_logits is None or not model.card.presence_is_trained:
        return {}
    scores = decoded.presence_logits[0].sigmoid().tolist()
    seen = frozenset(model.card.categories_seen)
    likely = {
        item.name: score
        for item, score in zip(model.categories.items, scores, strict=True)
        if score >= PRESENT_ABOVE and item.name in seen and may_be_in(model, item, modality)
    }
    return dict(sorted(likely.items(), key=lambda item: -item[1]))

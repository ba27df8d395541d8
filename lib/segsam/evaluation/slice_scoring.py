"""Scores of one slice: its objects are prompted together, and each is scored by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.evaluation import scores
from segsam.evaluation.cases import OpenCase
from segsam.evaluation.prompting import PromptKind, object_rng, prompt_tensors
from segsam.evaluation.records import ObjectScore
from segsam.imaging.slices import SliceView
from segsam.model import Decoded, ImageFeatures, SegSam
from segsam.model.memory import describe_images, describe_objects
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.naming import is_named
from segsam.prediction.semantics import agreements, example_distances
from segsam.prediction.sides import shows_sides

_PROMPTS_AT_ONCE = 16
"""Prompts that are decoded together; more would only cost memory."""


@dataclass(frozen=True, eq=False)
class ScoredObject:
    """An object's scores, and the binary decoder's mask (height, width) if it is scored."""

    score: ObjectScore
    mask: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class SliceScorer:
    """Prompts and scores the objects of slices; `binary` and `semantic` choose the decoders whose
    masks are scored.
    """

    model: SegSam
    prompt: PromptKind
    seed: int
    binary: bool
    semantic: bool

    @torch.inference_mode()
    def score(self, opened: OpenCase, index: int, features: ImageFeatures) -> list[ScoredObject]:
        """Score the objects to prompt on slice `index` of a case.

        The model decodes as in prediction, semantics included if they are trained, whichever masks
        are scored: text then changes the binary decoder's prompt.
        """
        values = dict(opened.objects)[index]
        starts = range(0, len(values), _PROMPTS_AT_ONCE)
        parts = (values[start : start + _PROMPTS_AT_ONCE] for start in starts)
        return [one for part in parts for one in self._together(opened, index, part, features)]

    def _together(
        self, opened: OpenCase, index: int, values: tuple[int, ...], features: ImageFeatures
    ) -> list[ScoredObject]:
        """Score some objects of a slice, decoded in one call."""
        plane, view = opened.plane(index), opened.view
        true_masks = [plane == value for value in values]
        rngs = [object_rng(self.seed, f"{opened.name}/{index}", value) for value in values]
        prompts = prompt_tensors(self.prompt, true_masks, rngs, view)
        decoded = self.model.decode(features, prompts, semantic=self.model.card.semantic_is_trained)
        has_sides = shows_sides(view, opened.volume, opened.picture(index))
        modality = opened.volume.modality
        statements = _statements(self.model, features, decoded, modality, has_sides=has_sides)
        categories = [opened.classes[value] for value in values]
        found = [one.get("found", 0) for one in statements]
        semantic = self._semantic_scores(decoded, true_masks, categories, found, view)
        masks = [
            scores.mask_plane(logits[0], view) if self.binary else None
            for logits in decoded.binary_logits
        ]
        return [
            ScoredObject(
                ObjectScore(
                    prompt=self.prompt,
                    dsc=None if mask is None else scores.dice(mask, true_masks[row]),
                    **opened.object_facts(index, value),
                    **semantic[row],
                    **statements[row],
                ),
                mask,
            )
            for row, (value, mask) in enumerate(zip(values, masks, strict=True))
        ]

    def _semantic_scores(
        self,
        decoded: Decoded,
        true_masks: list[NDArray[np.bool_]],
        categories: list[int],
        found: list[int],
        view: SliceView,
    ) -> list[dict[str, Any]]:
        """Return Dice of the semantic decoder's masks of P objects, without their category and with
        it, by the names of `ObjectScore`; `found` are the model's best guesses.
        """
        stripped = decoded.stripped_logits() if self.semantic else None
        if stripped is None:
            return [{} for _ in true_masks]
        rows: list[dict[str, Any]] = []
        for row, (true, category) in enumerate(zip(true_masks, categories, strict=True)):
            mask = scores.mask_plane(stripped[row, 0], view)
            rows.append({"semantic_dsc": scores.dice(mask, true)})
            if category:
                labelled = scores.labelled_plane(decoded, row, category, view, found=found[row])
                rows[-1]["mdsc"] = scores.dice(labelled, true)
        return rows


def _statements(
    model: SegSam,
    features: ImageFeatures,
    decoded: Decoded,
    modality: str | None,
    *,
    has_sides: bool,
) -> list[dict[str, Any]]:
    """Return the model's own estimates of each of P objects, by the names of `ObjectScore`, on a
    slice that tells left from right or does not.
    """
    rows: list[dict[str, Any]] = [
        {"predicted_iou": value} for value in decoded.predicted_iou[:, 0].tolist()
    ]
    agreement = agreements(decoded)
    if decoded.class_logits is None or agreement is None:
        return rows
    logits = decoded.class_logits.float()
    probabilities = (logits / model.card.temperature).softmax(dim=1).cpu().numpy()
    distances = example_distances(model, features, decoded.binary_logits)
    descriptions = describe_objects(features, decoded.binary_logits).cpu().numpy()
    image = describe_images(features)[0].cpu().numpy()
    for row, one in enumerate(rows):
        of_object = None if distances is None else distances[row]
        evidence = SliceEvidence(
            1, probabilities[row], of_object, float(agreement[row]), shows_sides=has_sides
        )
        best, confidence, is_shown = is_named(model, evidence, modality)
        one["found"] = best + 1
        one["named"] = int(is_shown)
        one["confidence"] = confidence
        one["agreement"] = float(agreement[row])
        one["class_logits"] = logits[row].cpu().numpy()
        one["description"] = descriptions[row]
        one["image_description"] = image
    return rows

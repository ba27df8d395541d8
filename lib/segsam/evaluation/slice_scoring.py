"""One slice: its objects prompted together, each scored by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.datasets.folder import Dataset
from segsam.datasets.splits import patient_of
from segsam.evaluation import scores
from segsam.evaluation.cases import OpenCase
from segsam.evaluation.prompting import PromptKind, object_rng, prompt_tensors
from segsam.evaluation.records import ObjectScore
from segsam.imaging.slices import SliceView
from segsam.model import Decoded, ImageFeatures, SegSam
from segsam.model.readout import predicted_category
from segsam.prediction.semantics import agreements

_AT_ONCE = 16
"""Prompts decoded together; more would only cost memory."""


@dataclass(frozen=True, eq=False)
class CaseInWork:
    """A case, and how its data set's labels are called by the model."""

    dataset: Dataset
    case: str
    opened: OpenCase
    classes: Mapping[int, int]
    """Label value -> k + 1, 0 for a label that the checkpoint does not know."""


@dataclass(frozen=True, eq=False)
class ScoredObject:
    """An object's row, and the binary decoder's mask (height, width) if that was asked for."""

    score: ObjectScore
    mask: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class SliceScorer:
    """Prompts and scores the objects of slices; `binary` and `semantic` say whose masks count."""

    model: SegSam
    prompt: PromptKind
    seed: int
    binary: bool
    semantic: bool

    @torch.inference_mode()
    def score(self, work: CaseInWork, index: int, features: ImageFeatures) -> list[ScoredObject]:
        """The objects to prompt on slice `index` of a case.

        Masks are drawn as the predictor draws them: with semantics where they are trained, since
        text then enters the binary decoder's prompt.
        """
        values = dict(work.opened.objects)[index]
        parts = (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
        return [one for part in parts for one in self._together(work, index, part, features)]

    def _together(
        self, work: CaseInWork, index: int, values: tuple[int, ...], features: ImageFeatures
    ) -> list[ScoredObject]:
        """Some objects of a slice, decoded in one call."""
        plane, view = work.opened.plane(index), work.opened.view
        wanted = [plane == value for value in values]
        rngs = [object_rng(self.seed, f"{work.opened.name}/{index}", value) for value in values]
        prompts = prompt_tensors(self.prompt, wanted, rngs, view)
        decoded = self.model.decode(features, prompts, semantic=self.model.card.semantic_is_trained)
        said = _said(decoded, self.model.card.temperature)
        drawn = self._drawn(decoded, wanted, [work.classes[value] for value in values], view)
        masks = [
            scores.mask_plane(logits[0], view) if self.binary else None
            for logits in decoded.binary_logits
        ]
        return [
            ScoredObject(
                ObjectScore(
                    dataset=work.dataset.name,
                    modality=work.dataset.modality,
                    prompt=self.prompt,
                    case=work.case,
                    patient=patient_of(work.case),
                    slice=index,
                    label=value,
                    name=work.dataset.labels[value],
                    category=work.classes[value],
                    share=float(wanted[row].mean()),
                    dsc=None if mask is None else scores.dice(mask, wanted[row]),
                    **drawn[row],
                    **said[row],
                ),
                mask,
            )
            for row, (value, mask) in enumerate(zip(values, masks, strict=True))
        ]

    def _drawn(
        self,
        decoded: Decoded,
        wanted: list[NDArray[np.bool_]],
        categories: list[int],
        view: SliceView,
    ) -> list[dict[str, Any]]:
        """Dice of what the semantic decoder draws of each of P objects, with the category that it
        gives and without, by the names of `ObjectScore`.
        """
        stripped = decoded.stripped_logits() if self.semantic else None
        if stripped is None:
            return [{} for _ in wanted]
        drawn: list[dict[str, Any]] = []
        for row, (mask, category) in enumerate(zip(wanted, categories, strict=True)):
            found = scores.mask_plane(stripped[row, 0], view)
            drawn.append({"semantic_dsc": scores.dice(found, mask)})
            if category:
                labelled = scores.labelled_plane(decoded, row, category, view)
                drawn[-1]["mdsc"] = scores.dice(labelled, mask)
        return drawn


def _said(decoded: Decoded, temperature: float) -> list[dict[str, Any]]:
    """What the model itself says of each of P objects, by the names of `ObjectScore`."""
    said: list[dict[str, Any]] = [
        {"predicted_iou": value} for value in decoded.predicted_iou[:, 0].tolist()
    ]
    agreement = agreements(decoded)
    confidence = scores.confidence(decoded, temperature)
    if decoded.class_logits is None or agreement is None or confidence is None:
        return said
    names = predicted_category(decoded).tolist()
    logits = decoded.class_logits.float().cpu().numpy()
    for row, one in enumerate(said):
        one["found"] = names[row]
        one["confidence"] = float(confidence[row])
        one["agreement"] = float(agreement[row])
        one["class_logits"] = logits[row]
    return said

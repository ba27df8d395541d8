"""Scores of whole 3D cases: from the masks of all prompted slices, and from propagation.

Each category is scored by itself, so no rule for overlaps is needed. A category counts in a case if
one of its sections was prompted; sections too small to prompt belong to its truth and are missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsam.evaluation.cases import OpenCase
from segsam.evaluation.features import FeatureSource, StoredEmbeddings
from segsam.evaluation.prompting import PromptKind, object_rng, volume_prompt
from segsam.evaluation.records import VolumeScore
from segsam.evaluation.scores import dice, surface_dice
from segsam.evaluation.slice_scoring import ScoredObject
from segsam.model import SegSam
from segsam.prediction.predictor import Predictor
from segsam.prompting.prompts import Box, Prompts


class RebuiltVolumes:
    """Masks (i, j, k) of one case by label value, filled slice by slice."""

    def __init__(self, opened: OpenCase) -> None:
        self._opened = opened
        self._masks: dict[int, NDArray[np.bool_]] = {}

    def add(self, scored: ScoredObject) -> None:
        """Put the mask of a prompted section into its slice."""
        if scored.mask is None:
            return
        shape = self._opened.volume.shape_ijk
        whole = self._masks.setdefault(scored.score.label, np.zeros(shape, dtype=np.bool_))
        self._opened.view.cut(whole, scored.score.slice)[...] = scored.mask

    def scores(self) -> list[VolumeScore]:
        """Score every category that was prompted in the case."""
        return [
            _score(self._opened, label, mask, propagated=False)
            for label, mask in sorted(self._masks.items())
        ]


@dataclass(frozen=True)
class _Seed:
    """The largest section of a category."""

    label: int
    index: int
    area: int


class PropagationScorer:
    """Propagates objects from one prompted slice through their volume, as the predictor does."""

    def __init__(self, model: SegSam, source: FeatureSource, prompt: PromptKind, seed: int) -> None:
        self._embeddings = StoredEmbeddings(source)
        self._predictor = Predictor(model, encoder=source.encoder, embeddings=self._embeddings)
        self._prompt: PromptKind = prompt
        self._seed = seed

    def scores(self, opened: OpenCase) -> list[VolumeScore]:
        """Score every category of a case that has a section to prompt, each propagated alone."""
        self._embeddings.set_slices([opened.picture(index) for index in range(opened.view.depth)])
        self._predictor.set_volume(opened.volume)
        found = []
        for seed in _seeds(opened):
            rng = object_rng(self._seed, f"{opened.name}/{seed.index}", seed.label)
            mask = opened.plane(seed.index) == seed.label
            drawn = volume_prompt(self._prompt, mask, rng, opened.view, seed.index)
            prompts = (
                Prompts(boxes=(drawn,)) if isinstance(drawn, Box) else Prompts(points=(drawn,))
            )
            axis = "ijk"[opened.view.axis]
            result = self._predictor.predict(prompts, axis=axis, propagate=True)  # type: ignore[arg-type]
            found.append(_score(opened, seed.label, result.labels > 0, propagated=True))
        self._predictor.reset()
        return found


def _seeds(opened: OpenCase) -> list[_Seed]:
    """Return the slice of each category where it is largest."""
    best: dict[int, _Seed] = {}
    for index, values in opened.objects:
        plane = opened.plane(index)
        for label in values:
            area = int((plane == label).sum())
            if label not in best or area > best[label].area:
                best[label] = _Seed(label, index, area)
    return [best[label] for label in sorted(best)]


def _score(
    opened: OpenCase, label: int, mask: NDArray[np.bool_], *, propagated: bool
) -> VolumeScore:
    true = opened.labels == label
    return VolumeScore(
        **opened.label_facts(label),
        dice=dice(mask, true),
        nsd=surface_dice(mask, true, opened.volume.spacing_mm),
        propagated=propagated,
    )

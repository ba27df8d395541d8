"""3D cases as a whole: masks of slices put back together, and objects followed through a volume.

Each category is scored by itself, so that no rule for overlaps is needed. A category counts in a
case if one of its sections was prompted; sections too small to prompt are part of its truth and are
missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsam.datasets.splits import patient_of
from segsam.evaluation.features import FeatureSource, StoredEmbeddings
from segsam.evaluation.prompting import PromptKind, object_rng, volume_prompt
from segsam.evaluation.records import VolumeScore
from segsam.evaluation.scores import dice, surface_dice
from segsam.evaluation.slice_scoring import CaseInWork, ScoredObject
from segsam.model import SegSam
from segsam.prediction.predictor import Predictor
from segsam.prompting.prompts import Box, Prompts


class RebuiltVolumes:
    """Masks (i, j, k) of one case by label value, filled slice by slice."""

    def __init__(self, work: CaseInWork) -> None:
        self._work = work
        self._masks: dict[int, NDArray[np.bool_]] = {}

    def add(self, scored: ScoredObject) -> None:
        """Put the mask of a prompted section into its place."""
        if scored.mask is None:
            return
        shape = self._work.opened.volume.shape_ijk
        whole = self._masks.setdefault(scored.score.label, np.zeros(shape, dtype=np.bool_))
        self._work.opened.view.cut(whole, scored.score.slice)[...] = scored.mask

    def scores(self) -> list[VolumeScore]:
        """Of every category that was prompted in the case."""
        return [
            _score(self._work, label, mask, propagated=False)
            for label, mask in sorted(self._masks.items())
        ]


@dataclass(frozen=True)
class _Seed:
    """The largest section of a category."""

    label: int
    index: int
    area: int


class PropagationScorer:
    """Follows objects from one prompted slice through their volume, as the predictor does."""

    def __init__(self, model: SegSam, source: FeatureSource, prompt: PromptKind, seed: int) -> None:
        self._embeddings = StoredEmbeddings(source)
        self._predictor = Predictor(model, embeddings=self._embeddings)
        self._prompt: PromptKind = prompt
        self._seed = seed

    def scores(self, work: CaseInWork) -> list[VolumeScore]:
        """Of every category of a case that has a section to prompt, each followed by itself."""
        opened = work.opened
        self._embeddings.announce([opened.picture(index) for index in range(opened.view.depth)])
        self._predictor.set_volume(opened.volume)
        found = []
        for seed in _seeds(work):
            rng = object_rng(self._seed, f"{opened.name}/{seed.index}", seed.label)
            mask = opened.plane(seed.index) == seed.label
            drawn = volume_prompt(self._prompt, mask, rng, opened.view, seed.index)
            prompts = (
                Prompts(boxes=(drawn,)) if isinstance(drawn, Box) else Prompts(points=(drawn,))
            )
            axis = "ijk"[opened.view.axis]
            result = self._predictor.predict(prompts, axis=axis, propagate=True)  # type: ignore[arg-type]
            found.append(_score(work, seed.label, result.labels > 0, propagated=True))
        self._predictor.reset()
        return found


def _seeds(work: CaseInWork) -> list[_Seed]:
    """The slice of each category where it is largest."""
    best: dict[int, _Seed] = {}
    for index, values in work.opened.objects:
        plane = work.opened.plane(index)
        for label in values:
            area = int((plane == label).sum())
            if label not in best or area > best[label].area:
                best[label] = _Seed(label, index, area)
    return [best[label] for label in sorted(best)]


def _score(
    work: CaseInWork, label: int, mask: NDArray[np.bool_], *, propagated: bool
) -> VolumeScore:
    wanted = work.opened.labels == label
    return VolumeScore(
        dataset=work.dataset.name,
        case=work.case,
        patient=patient_of(work.case),
        label=label,
        name=work.dataset.labels[label],
        dice=dice(mask, wanted),
        nsd=surface_dice(mask, wanted, work.opened.volume.spacing_mm),
        propagated=propagated,
    )

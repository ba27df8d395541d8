"""A first label volume of a volume that nobody has touched.

    slices --presence--> which categories, where        (all of them where presence is not trained)
      |                        |
      v                        v
    points: a grid, and where the CO-tokens look --probe--> masks, names, agreement
                                                      |  the best of each category and slice
                                                      v
    boxes --the ordinary prompt path--> kept where both decoders agree and the name is the same
                                                      |  those that lie behind each other
                                                      v
    Predictor.predict, followed from slice to slice --> one label volume, with certainties

At most one object of a category is found on a slice.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from segsam.datasets.labelled_slices import spread
from segsam.errors import PromptError, VolumeError
from segsam.imaging.slices import choose_axis
from segsam.imaging.volume import Volume
from segsam.model import SegSam
from segsam.prediction.job import Job
from segsam.prediction.predictor import Predictor
from segsam.prediction.semantics import PRESENT_ABOVE, may_be_in
from segsam.prompting.prompts import Prompts, SlicePrompts
from segsam.proposals.boxes import Proposal, box_of, chain_of, inner_of, inner_slices
from segsam.proposals.first_labels import (
    NOTHING_NOTE,
    UNSEEN_PRESENCE_NOTE,
    FirstLabels,
    FoundObject,
)
from segsam.proposals.probing import (
    Probe,
    attention_points,
    best_of,
    certainty,
    check_semantics,
    grid_points,
    probe,
)
from segsam.types import AxisName, Cancel, Progress

_MOST_LOOKED_FOR_PRESENCE = 32
"""Slices whose presence is read; an encoded slice costs more than all that is asked of it."""
_SLICES_A_CATEGORY = 3
_PROBE_SHARE = 0.4
"""A click answers less surely than a box: from this share of the wanted certainty on, a probe is
worth a box."""
_NAMES: tuple[AxisName, ...] = ("i", "j", "k")


@dataclass(frozen=True)
class Search:
    """How to look: `categories` to look for, by name or synonym (all that the checkpoint has seen
    when empty), across `axis`, on about so many `slices`, with `grid` x `grid` points on each;
    objects below the certainty `least` are left out.
    """

    axis: AxisName | Literal["auto"] = "auto"
    categories: tuple[str, ...] = ()
    slices: int = 5
    grid: int = 8
    least: float = 0.4

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; raises PromptError."""
        if self.axis not in ("auto", "i", "j", "k"):
            raise PromptError(f"Automatic segmentation wants one axis; got {self.axis!r}.")
        if not 1 <= self.slices <= 1000 or not 1 <= self.grid <= 32:
            raise PromptError(
                f"Expected 1 to 1000 slices and a grid of 1 to 32 points a side; got {self.slices} "
                f"and {self.grid}."
            )
        if not 0 <= self.least <= 1:
            raise PromptError(f"A certainty is 0 to 1; got {self.least}.")


def segment_automatically(
    predictor: Predictor,
    search: Search | None = None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FirstLabels:
    """The objects of the volume that `predictor` has in work, without any prompt.

    Args:
        predictor: after `set_volume`.
        search: how to look.
        progress: called after each slice as (done, planned so far, what).
        cancel: asked before each slice.

    Raises:
        PromptError: a checkpoint without trained semantics, or one whose names its card calls
            unreliable in such volumes; an axis that cannot be meant.
        CategoryError: an unknown category.
        CancelledError: `cancel` said so.
        VolumeError: no volume was set.
    """
    return _Finder(predictor, search or Search(), Job(progress, cancel)).all()


class _Finder:
    """One call of `segment_automatically`."""

    def __init__(self, predictor: Predictor, search: Search, job: Job) -> None:
        self._began = time.perf_counter()
        self._predictor, self._search, self._job = predictor, search, job
        self._model = predictor.model
        if predictor.volume is None:
            raise VolumeError("No volume is set: call set_volume before segment_automatically.")
        self._volume = predictor.volume
        self._allowed = allowed_categories(self._model, self._volume, search.categories)
        self._axis = choose_axis(self._volume, search.axis)
        self._slices = predictor.slices(self._axis, job.stopwatch)
        decoder = self._model.semantic_decoder
        has_branch = decoder is not None and decoder.presence is not None
        self._by_presence = has_branch and self._model.presence_is_trained
        self._presence: dict[int, dict[int, float]] = {}

    def all(self) -> FirstLabels:
        """Look, propose, follow."""
        looked_at = self._where()
        self._job.planned = self._job.done + len(looked_at)
        proposals: list[Proposal] = []
        for index in looked_at:
            proposals += self._on_slice(index)
        objects = [found for chain in self._chains(proposals) if (found := self._follow(chain))]
        objects.sort(key=lambda one: self._model.categories.index(one.name))
        numbered = tuple(replace(one, value=value) for value, one in enumerate(objects, start=1))
        said = (
            (UNSEEN_PRESENCE_NOTE, not self._by_presence),
            (NOTHING_NOTE, not numbered),
        )
        seconds = {**self._job.stopwatch.seconds, "total": time.perf_counter() - self._began}
        return FirstLabels(
            self._volume,
            _NAMES[self._axis],
            numbered,
            looked_at,
            tuple(note for note, holds in said if holds),
            seconds,
            self._job.stopwatch.encoded,
        )

    def _where(self) -> tuple[int, ...]:
        """The slices to search: where the CO-tokens say that something is, or evenly spread."""
        depth = self._slices.view.depth
        if not self._by_presence:
            return inner_slices(depth, self._search.slices)
        looked = spread(tuple(range(depth)), _MOST_LOOKED_FOR_PRESENCE)
        self._job.planned = len(looked)
        for index in looked:
            self._job.before_slice()
            self._presence[index] = self._present(index)
            self._job.looked(self._axis, index, "read the presence on")
        places = [
            [i for i in looked if self._presence[i].get(category, 0.0) >= PRESENT_ABOVE]
            for category in self._allowed
        ]
        found = sorted({i for where in places for i in inner_of(where, _SLICES_A_CATEGORY)})
        return spread(tuple(found), max(self._search.slices, sum(map(bool, places))))

    def _present(self, index: int) -> dict[int, float]:
        """Category -> probability on a slice."""
        logits = self._slices.features(index).presence_logits
        if logits is None:
            return {}
        scores = logits[0].sigmoid().tolist()
        return {category: scores[category] for category in self._allowed}

    def _on_slice(self, index: int) -> list[Proposal]:
        """The best box of each category that both decoders agree on."""
        self._job.before_slice()
        wanted = self._allowed
        features, view = self._slices.features(index), self._slices.view
        points = grid_points(view.size_px, self._search.grid)
        if self._by_presence:
            present = self._presence[index]
            wanted = tuple(k for k in wanted if present.get(k, 0.0) >= PRESENT_ABOVE)
            looks = attention_points(self._model, features, wanted, view.size_px)
            points = np.concatenate([points, looks])
        probes = probe(self._model, features, points)
        least = _PROBE_SHARE * self._search.least
        best = best_of((one for one in probes if one.category in wanted), least=least)
        boxed = [self._boxed(index, one) for one in best.values()]
        self._job.looked(self._axis, index, "searched")
        return [one for one in boxed if one is not None]

    def _boxed(self, index: int, found: Probe) -> Proposal | None:
        """The probe's mask as a box on the ordinary path, if that confirms it."""
        box = box_of(self._slices.view, found.mask, index)
        if box is None:
            return None
        mask = self._slices.decode(index, SlicePrompts(boxes=(box,)))
        if mask.class_scores is None or not mask.area:
            return None
        named = int(mask.class_scores[1:].argmax())
        sure = certainty(
            float(mask.class_scores[1 + named]),
            mask.report.agreement or 0.0,
            mask.report.predicted_iou,
        )
        if named != found.category or sure < self._search.least:
            return None
        return Proposal(named, index, box, sure)

    def _chains(self, proposals: Sequence[Proposal]) -> list[tuple[Proposal, ...]]:
        """Of each category, the surest proposal and those that lie behind it, slice by slice."""
        view = self._slices.view
        categories = sorted({one.category for one in proposals})
        return [
            chain_of([one for one in proposals if one.category == category], view)
            for category in categories
        ]

    def _follow(self, chain: Sequence[Proposal]) -> FoundObject | None:
        """The category's object, if it is still called so when all of its slices have spoken."""
        before = self._job.done

        def forward(done: int, total: int, what: str) -> None:
            self._job.done, self._job.planned = before + done, before + total
            if self._job.progress is not None:
                self._job.progress(self._job.done, self._job.planned, what)

        category = chain[0].category
        result = self._predictor.predict(
            Prompts(boxes=tuple(one.box for one in chain)),
            axis=_NAMES[self._axis],
            propagate=not self._volume.is_flat,
            progress=forward,
            cancel=self._job.cancel,
        )
        for name in ("encode", "decode"):
            self._job.stopwatch.seconds[name] += result.seconds[name]
        self._job.stopwatch.encoded += result.encoded
        name = self._model.categories.names[category]
        if result.region.is_empty or result.category != name or result.confidence is None:
            return None
        presence = {i: one[category] for i, one in self._presence.items() if category in one}
        found = FoundObject(0, name, result.confidence, result, presence)
        return found if found.certainty >= self._search.least else None


def allowed_categories(model: SegSam, volume: Volume, wanted: Collection[str]) -> tuple[int, ...]:
    """Indices of the categories to look for: `wanted`, or those that the checkpoint has seen and
    that occur in the volume's modality.

    Raises:
        PromptError: no trained semantics, or names that the card calls unreliable in this modality.
        CategoryError: an unknown name in `wanted`.
    """
    check_semantics(model)
    if volume.modality is not None and volume.modality in model.unnamed_in:
        raise PromptError(
            f"Nothing can be segmented without prompts in {volume.modality} volumes: the names of "
            "this checkpoint are not reliable there, as its model card says; mark the object."
        )
    categories = model.categories
    if wanted:
        return tuple(sorted({categories.index(name) for name in wanted}))
    seen = frozenset(model.categories_seen or categories.names)
    return tuple(
        index
        for index, item in enumerate(categories.items)
        if item.name in seen and may_be_in(model, item, volume.modality)
    )

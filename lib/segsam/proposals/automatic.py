"""Automatic segmentation: a first label volume without any prompt.

    slices --presence--> categories, and the slices that show them
      |                  (without trained presence: all categories, evenly spread slices)
      v
    points: a grid, and the peaks of presence attention --probe--> masks, names, agreement
      |  the best probe of each category and slice
      v
    boxes --decoded as drawn boxes--> kept if both decoders agree and the name is the same
      |  those that continue one object from slice to slice
      v
    Predictor.predict with propagation --> one label volume, with certainties

At most one object of a category is found on a slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from segsam.datasets.labelled_slices import spread
from segsam.errors import PromptError, VolumeError
from segsam.imaging.slices import choose_axis
from segsam.prediction.job import Job
from segsam.prediction.naming import (
    PRESENT_ABOVE,
    name_confidences,
    near_categories,
)
from segsam.prediction.predictor import Predictor
from segsam.prediction.semantics import image_distances
from segsam.prediction.taught.examples import TaughtNames
from segsam.prompting.prompts import Prompts, SlicePrompts
from segsam.proposals.boxes import Proposal, box_of_mask, centres_of_shares, chain_of
from segsam.proposals.first_labels import (
    NOTHING_NOTE,
    UNNAMED_NOTE,
    UNSEEN_PRESENCE_NOTE,
    FirstLabels,
    FoundObject,
)
from segsam.proposals.probing import (
    Probe,
    attention_points,
    best_by_category,
    certainty,
    grid_points,
    probe,
)
from segsam.proposals.requested import Rejected, allowed_categories, read_requested
from segsam.proposals.taught_search import TaughtSearch
from segsam.types import AxisName, Cancel, Progress

_MAX_PRESENCE_SLICES = 32
"""Most slices whose presence is read, because each has to be encoded, which takes longer than all
decoding on it."""
_SLICES_PER_CATEGORY = 3
"""Slices that are searched for each category that presence finds."""
_PROBE_SHARE = 0.4
"""Share of the required certainty that a probe needs. A click gives a less certain mask than a box,
so a probe well below the requirement may still lead to a box that meets it."""
_AXIS_NAMES: tuple[AxisName, ...] = ("i", "j", "k")


@dataclass(frozen=True)
class Search:
    """Settings of the automatic segmentation. Raises PromptError for invalid ones."""

    axis: AxisName | Literal["auto"] = "auto"
    """The voxel axis to slice across; "auto" is that of `choose_axis`."""
    categories: tuple[str, ...] = ()
    """Names or synonyms; empty for all categories with examples in training."""
    slices: int = 5
    """About how many slices are searched."""
    grid: int = 8
    """Points per side on each slice."""
    min_certainty: float = 0.4
    """Objects with a lower certainty are left out."""

    def __post_init__(self) -> None:
        """Refuse invalid settings; raises PromptError."""
        if self.axis not in ("auto", "i", "j", "k"):
            raise PromptError(f"Expected one axis auto, i, j or k, got {self.axis!r}.")
        if not 1 <= self.slices <= 1000 or not 1 <= self.grid <= 32:
            raise PromptError(
                f"Expected 1 to 1000 slices and a grid of 1 to 32 points a side, got {self.slices} "
                f"and {self.grid}."
            )
        if not 0 <= self.min_certainty <= 1:
            raise PromptError(f"Expected a certainty of 0 to 1, got {self.min_certainty}.")


def segment_automatically(
    predictor: Predictor,
    search: Search | None = None,
    *,
    taught: TaughtNames | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FirstLabels:
    """Segment the objects of the predictor's current volume without any prompt.

    Args:
        predictor: after `set_volume`.
        search: settings.
        taught: names that users taught, which may be requested like categories.
        progress: called after each slice as (done, planned so far, message).
        cancel: called before each slice; True cancels.

    Raises:
        PromptError: a checkpoint without trained semantics, or whose card withholds its names in
            this modality.
        CategoryError: an unknown category.
        CancelledError: `cancel` returned True.
        VolumeError: no volume was set.
    """
    job, names = Job(progress, cancel), taught or TaughtNames()
    return _AutomaticSegmentation(predictor, search or Search(), names, job).run()


class _AutomaticSegmentation:
    """One call of `segment_automatically`."""

    def __init__(self, predictor: Predictor, search: Search, taught: TaughtNames, job: Job) -> None:
        if predictor.volume is None:
            raise VolumeError("No volume is set: call set_volume before segment_automatically.")
        self._predictor, self._search, self._taught, self._job = predictor, search, taught, job
        self._model = predictor.model
        self._volume = predictor.volume
        self._requested = read_requested(self._model, self._volume, search.categories, taught)
        self._categories = allowed_categories(self._model, self._volume, self._requested)
        self._rejected = Rejected()
        self._axis = choose_axis(self._volume, search.axis)
        self._slices = predictor.slices(self._axis, job)
        decoder = self._model.semantic_decoder
        has_branch = decoder is not None and decoder.presence is not None
        self._uses_presence = has_branch and self._model.card.presence_is_trained
        self._presence: dict[int, dict[int, float]] = {}
        """Slice -> category -> probability."""
        self._searched: set[int] = set()
        """Slices that were searched."""
        self._unnamed: list[str] = []
        """Categories of objects that were followed and then got no name."""

    def run(self) -> FirstLabels:
        """Choose slices, propose boxes on them, and follow each category's object."""
        slices = self._slices_to_search() if self._categories else ()
        self._job.planned = self._job.done + len(slices)
        proposals = [proposal for index in slices for proposal in self._proposals_on(index)]
        found, names = [], self._model.categories.names
        for category in sorted({proposal.category for proposal in proposals}):
            of_category = [proposal for proposal in proposals if proposal.category == category]
            chain = chain_of(of_category, self._axis)
            found.append(self._follow(names[category], chain, self._presences(category)))
        found += self._taught_objects()
        objects = tuple(
            replace(each, value=value)
            for value, each in enumerate((each for each in found if each is not None), start=1)
        )
        conditions = (
            (UNSEEN_PRESENCE_NOTE, bool(self._categories) and not self._uses_presence),
            (NOTHING_NOTE, not objects),
        )
        notes = [note for note, holds in conditions if holds]
        if self._unnamed:
            notes.append(UNNAMED_NOTE.format(names=", ".join(self._unnamed)))
        return FirstLabels(
            self._volume,
            _AXIS_NAMES[self._axis],
            objects,
            tuple(sorted(self._searched.union(slices))),
            tuple(notes),
            self._job.times,
            self._job.encoded,
            self._rejected.not_found(
                self._requested,
                (one.name for one in objects),
                self._presence,
                present_from=PRESENT_ABOVE,
            ),
        )

    def _slices_to_search(self) -> tuple[int, ...]:
        """Return the slices on which presence finds a category, or evenly spread ones."""
        depth = self._slices.view.depth
        if not self._uses_presence:
            return centres_of_shares(range(depth), self._search.slices)
        sampled = spread(tuple(range(depth)), _MAX_PRESENCE_SLICES)
        self._job.planned = len(sampled)
        for index in sampled:
            self._presence[index] = self._presence_on(index)
            self._job.report("read the presence on", self._axis, index)
        slices_by_category = [
            [i for i in sampled if self._presence[i].get(category, 0.0) >= PRESENT_ABOVE]
            for category in self._categories
        ]
        chosen = {
            i
            for indices in slices_by_category
            for i in centres_of_shares(indices, _SLICES_PER_CATEGORY)
        }
        count = max(self._search.slices, sum(map(bool, slices_by_category)))
        return spread(tuple(sorted(chosen)), count)

    def _presence_on(self, index: int) -> dict[int, float]:
        """Return category -> probability on a slice; 0 if no image of the memory is near that shows
        the category.
        """
        features = self._slices.features(index)
        if features.presence_logits is None:
            return {}
        scores = features.presence_logits[0].sigmoid().tolist()
        is_near = near_categories(self._model, image_distances(self._model, features))
        return {k: scores[k] if is_near[k] else 0.0 for k in self._categories}

    def _proposals_on(self, index: int) -> list[Proposal]:
        """Return, for each category on a slice, the best box on which both decoders agree."""
        features, view = self._slices.features(index), self._slices.view
        categories = self._categories
        points = grid_points(view.size_px, self._search.grid)
        if self._uses_presence:
            present = self._presence[index]
            categories = tuple(k for k in categories if present.get(k, 0.0) >= PRESENT_ABOVE)
            peaks = attention_points(self._model, features, categories, view.size_px)
            points = np.concatenate([points, peaks])
        probes = probe(self._model, features, points)
        best = best_by_category(one for one in probes if one.category in categories)
        proposals = [self._confirmed(index, found) for found in best.values()]
        self._job.report("searched", self._axis, index)
        return [proposal for proposal in proposals if proposal is not None]

    def _confirmed(self, index: int, found: Probe) -> Proposal | None:
        """Decode the box of a probe's mask like a drawn box; None if that does not confirm it.

        It is confirmed by the same category with the required certainty.
        """
        names = self._model.categories.names
        if found.certainty < _PROBE_SHARE * self._search.min_certainty:
            self._rejected.add(names[found.category], found.certainty)
            return None
        box = box_of_mask(self._slices.view, found.mask, index)
        if box is None:
            return None
        mask = self._slices.decode(index, SlicePrompts(boxes=(box,)))
        if mask.class_scores is None or not mask.area:
            return None
        distances = None if mask.distances is None else mask.distances[None]
        confidences = name_confidences(self._model, mask.class_scores[None], distances)[0]
        category = int(confidences.argmax())
        mask_certainty = certainty(
            float(confidences[category]),
            mask.report.agreement or 0.0,
            mask.report.predicted_iou,
        )
        if category != found.category:
            self._rejected.add(names[found.category], found.certainty, given=names[category])
            return None
        if mask_certainty < self._search.min_certainty:
            self._rejected.add(names[category], mask_certainty)
            return None
        return Proposal(category, index, box, mask_certainty)

    def _taught_objects(self) -> Iterator[FoundObject | None]:
        """Yield the object of each taught name that was requested; None for one that is unsure."""
        sought = [
            each.taught
            for each in self._requested
            if each.taught is not None and each.reason is None
        ]
        if not sought:
            return
        search = TaughtSearch(self._predictor, self._slices, self._taught, sought, self._rejected)
        proposals = search.proposals(self._search.slices)
        self._searched.update(search.searched)
        for number in dict.fromkeys(sought):
            of_name = [proposal for proposal in proposals if proposal.category == number]
            if of_name:
                chain = chain_of(of_name, self._axis)
                yield self._follow(self._taught.names[number].name, chain, {}, self._taught)

    def _follow(
        self,
        name: str,
        chain: Sequence[Proposal],
        presence: Mapping[int, float],
        taught: TaughtNames | None = None,
    ) -> FoundObject | None:
        """Segment an object from its boxes; None if it gets another name or too little certainty
        over all slices.
        """
        result = self._predictor.predict(
            Prompts(boxes=tuple(proposal.box for proposal in chain)),
            axis=_AXIS_NAMES[self._axis],
            propagate=not self._volume.is_flat,
            taught=taught,
            progress=self._job.progress_of_part(),
            cancel=self._job.cancel,
        )
        self._job.add(result.seconds, result.encoded)
        if result.category is None and not result.region.is_empty:
            self._unnamed.append(name)
        if result.region.is_empty or result.category != name or result.confidence is None:
            best = max(proposal.certainty for proposal in chain)
            self._rejected.add(name, best, given=result.category or "")
            return None
        found = FoundObject(0, name, result.confidence, result, presence)
        if found.certainty < self._search.min_certainty:
            self._rejected.add(name, found.certainty)
            return None
        return found

    def _presences(self, category: int) -> dict[int, float]:
        """Return slice -> probability that a category is there; empty if it is not known."""
        return {i: one[category] for i, one in self._presence.items() if category in one}

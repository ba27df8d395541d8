"""Proposals by points, for checkpoints without a dense head.

    slices --presence--> categories, and the slices that show them
      |                  (without trained presence: all categories, evenly spread slices)
      v
    points: a grid, and the peaks of presence attention --probe--> masks, names, agreement
      |  the best probe of each category and slice
      v
    boxes --decoded as drawn boxes--> kept if both decoders agree and the name is the same

At most one object of a category is found on a slice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segsam.datasets.labelled_slices import spread
from segsam.model import SegSam
from segsam.prediction.decoding import SliceDecoder
from segsam.prediction.naming import PRESENT_ABOVE, name_confidences, near_categories
from segsam.prediction.semantics import image_distances
from segsam.prompting.prompts import SlicePrompts
from segsam.proposals.boxes import Proposal, box_of_mask, centres_of_shares
from segsam.proposals.probing import (
    Probe,
    attention_points,
    best_by_category,
    certainty,
    grid_points,
    probe,
)
from segsam.proposals.requested import Rejected
from segsam.proposals.search import Search

_MAX_PRESENCE_SLICES = 32
"""Most slices whose presence is read, because each has to be encoded, which takes longer than all
decoding on it."""
_SLICES_PER_CATEGORY = 3
"""Slices that are searched for each category that presence finds."""
_PROBE_SHARE = 0.4
"""Share of the required certainty that a probe needs. A click gives a less certain mask than a box,
so a probe well below the requirement may still lead to a box that meets it."""


class PointSearch:
    """Search of some categories on the slices of one volume; `proposals` is called once."""

    def __init__(
        self,
        model: SegSam,
        slices: SliceDecoder,
        categories: Sequence[int],
        search: Search,
        rejected: Rejected,
    ) -> None:
        """Prepare for a model with trained semantics; what is left out is added to `rejected`."""
        self._model, self._slices, self._search = model, slices, search
        self._categories, self._rejected = tuple(categories), rejected
        self._axis, self._job = slices.view.axis, slices.encoder.job
        decoder = model.semantic_decoder
        has_branch = decoder is not None and decoder.presence is not None
        self._uses_presence = has_branch and model.card.presence_is_trained
        self.presence: dict[int, dict[int, float]] = {}
        """Slice -> category -> probability; empty if presence is not trained."""
        self.searched: tuple[int, ...] = ()
        """Slices on which points were tried."""

    def proposals(self) -> list[Proposal]:
        """Return the best box of each category on each slice that was searched."""
        self.searched = self._slices_to_search()
        self._job.planned = self._job.done + len(self.searched)
        return [proposal for index in self.searched for proposal in self._proposals_on(index)]

    def _slices_to_search(self) -> tuple[int, ...]:
        """Return the slices on which presence finds a category, or evenly spread ones."""
        depth = self._slices.view.depth
        if not self._uses_presence:
            return centres_of_shares(range(depth), self._search.slices)
        sampled = spread(tuple(range(depth)), _MAX_PRESENCE_SLICES)
        self._job.planned = len(sampled)
        for index in sampled:
            self.presence[index] = self._presence_on(index)
            self._job.report("read the presence on", self._axis, index)
        slices_by_category = [
            [i for i in sampled if self.presence[i].get(category, 0.0) >= PRESENT_ABOVE]
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
            present = self.presence[index]
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

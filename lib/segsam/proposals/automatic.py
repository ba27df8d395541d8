"""Automatic segmentation: a first label volume without any prompt.

    slices --DenseMaps, or PointSearch--> boxes of each category
           --Predictor.predict--> masks and names; kept if the name is the category's
           --with a dense head: the mean of its mask and the prompted one--> one label volume,
             with certainties

A dense head (`segsam.model.dense_head`) reads every slice and boxes every object on it. Without
one, points are tried on a few slices, and what they find is followed from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from segsam.errors import VolumeError
from segsam.imaging.slices import choose_axis
from segsam.prediction.job import Job
from segsam.prediction.labels import fuse_axes
from segsam.prediction.naming import PRESENT_ABOVE
from segsam.prediction.predictor import Predictor
from segsam.prediction.result import Result
from segsam.prediction.taught.examples import TaughtNames
from segsam.prompting.prompts import Box, Prompts
from segsam.proposals.boxes import Proposal, chain_of
from segsam.proposals.dense import DenseMaps, DenseObject
from segsam.proposals.first_labels import (
    NOTHING_NOTE,
    UNNAMED_NOTE,
    UNSEEN_PRESENCE_NOTE,
    FirstLabels,
    FoundObject,
)
from segsam.proposals.point_search import PointSearch
from segsam.proposals.requested import Rejected, allowed_categories, read_requested
from segsam.proposals.search import Search
from segsam.proposals.taught_search import TaughtSearch
from segsam.types import AxisName, Cancel, Progress

__all__ = ["Search", "segment_automatically"]
REQUESTED_SHARE, SEEN_SHARE = 0.5, 0.75
"""Shares of the required certainty that are enough for a requested name, and for one that the dense
head and the prompted decoders gave alike (docs/lab/finding.md)."""
_AXIS_NAMES: tuple[AxisName, ...] = ("i", "j", "k")


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
        self._requested = read_requested(
            self._model,
            self._volume,
            search.categories,
            taught,
            predictor.encoder.embedding_id,
        )
        self._categories = allowed_categories(self._model, self._volume, self._requested)
        self._rejected = Rejected()
        self._axis = choose_axis(self._volume, search.axis)
        self._slices = predictor.slices(self._axis, job)
        self._presence: dict[int, dict[int, float]] = {}
        """Slice -> category -> probability."""
        self._searched: set[int] = set()
        """Slices that were searched."""
        self._unnamed: list[str] = []
        """Categories of objects that were followed and then got no name."""

    def run(self) -> FirstLabels:
        """Find boxes of each category and taught name, and segment what they hold."""
        found = [*self._category_objects(), *self._taught_objects()]
        objects = tuple(
            replace(each, value=value)
            for value, each in enumerate((each for each in found if each is not None), start=1)
        )
        conditions = (
            (UNSEEN_PRESENCE_NOTE, bool(self._categories) and not self._presence),
            (NOTHING_NOTE, not objects),
        )
        notes = [note for note, holds in conditions if holds]
        if self._unnamed:
            notes.append(UNNAMED_NOTE.format(names=", ".join(self._unnamed)))
        return FirstLabels(
            self._volume,
            _AXIS_NAMES[self._axis],
            objects,
            tuple(sorted(self._searched)),
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

    def _category_objects(self) -> Iterator[FoundObject | None]:
        """Yield the object of each category that was found; None for what gets another name."""
        if self._categories and self._model.dense_head is not None:
            yield from self._by_maps()
        elif self._categories:
            yield from self._by_points()

    def _by_maps(self) -> Iterator[FoundObject | None]:
        """Yield what the dense head finds; None for what gets another name."""
        maps = DenseMaps(self._model, self._slices, self._categories)
        self._job.planned = len(maps.indices)
        self._slices.encoder.prefetch(maps.indices)
        for index in maps.indices:
            maps.read(index)
            self._presence[index] = maps.presence(index)
            self._job.report("searched", self._axis, index)
        self._searched.update(maps.indices)
        yield from map(self._refined, maps.objects())

    def _refined(self, one: DenseObject) -> FoundObject | None:
        """Segment what the dense head found by its boxes; the mean of both masks is the result,
        because each is wrong elsewhere.
        """
        found = self._segment(
            self._model.categories.names[one.category],
            one.boxes,
            one.probability,
            self._presences(one.category),
            follow=False,
        )
        if found is None:
            return None
        region = fuse_axes([one.region, found.result.region])
        return replace(found, result=replace(found.result, region=region))

    def _by_points(self) -> Iterator[FoundObject | None]:
        """Yield what is followed from the boxes that points gave; None for what gets another
        name.
        """
        names = self._model.categories.names
        search = PointSearch(
            self._model, self._slices, self._categories, self._search, self._rejected
        )
        proposals = search.proposals()
        self._presence = search.presence
        self._searched.update(search.searched)
        for category in sorted({proposal.category for proposal in proposals}):
            of_category = [proposal for proposal in proposals if proposal.category == category]
            yield self._followed(names[category], of_category, self._presences(category))

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
                yield self._followed(self._taught.names[number].name, of_name, {}, self._taught)

    def _followed(
        self,
        name: str,
        proposals: Sequence[Proposal],
        presence: Mapping[int, float],
        taught: TaughtNames | None = None,
    ) -> FoundObject | None:
        """Segment an object from the proposals that belong together, and follow it from there."""
        chain = chain_of(proposals, self._axis)
        best = max(one.certainty for one in chain)
        boxes, follow = [one.box for one in chain], not self._volume.is_flat
        return self._segment(name, boxes, best, presence, follow=follow, taught=taught)

    def _segment(
        self,
        name: str,
        boxes: Sequence[Box],
        certainty: float,
        presence: Mapping[int, float],
        *,
        follow: bool,
        taught: TaughtNames | None = None,
    ) -> FoundObject | None:
        """Segment an object from its boxes, of this certainty; None if it gets another name or too
        little certainty over all slices.
        """
        is_requested = bool(self._requested) and taught is None
        result = self._predictor.predict(
            Prompts(boxes=tuple(boxes)),
            axis=_AXIS_NAMES[self._axis],
            propagate=follow,
            category=name if is_requested else None,
            taught=taught,
            progress=self._job.progress_of_part(),
            cancel=self._job.cancel,
        )
        self._job.add(result.seconds, result.encoded)
        given = _given_name(result)
        is_guess = not result.suggestions or name in _best_guesses(result)
        if given is None and is_guess and not result.region.is_empty:
            self._unnamed.append(name)
        if result.region.is_empty or given != name or result.confidence is None:
            self._rejected.add(name, certainty, given=given or "")
            return None
        found = FoundObject(0, name, result.confidence, result, presence)
        if found.certainty < self._least_certainty(is_requested=is_requested):
            self._rejected.add(name, found.certainty)
            return None
        return found

    def _least_certainty(self, *, is_requested: bool) -> float:
        is_seen = self._model.dense_head is not None
        share = REQUESTED_SHARE if is_requested else SEEN_SHARE if is_seen else 1.0
        return share * self._search.min_certainty

    def _presences(self, category: int) -> dict[int, float]:
        """Return slice -> probability that a category is there; empty if it is not known."""
        return {i: one[category] for i, one in self._presence.items() if category in one}


def _given_name(result: Result) -> str | None:
    """Return the name that the model gives, or its best guess where a name was requested: who asks
    for a mandible expects one, so that it needs less evidence than a name out of the blue.
    """
    if result.name_source == "request":
        names = _best_guesses(result)
        return names[0] if len(names) == 1 else None
    return result.category


def _best_guesses(result: Result) -> list[str]:
    """Return the most probable name; both sides' where the image does not tell them apart."""
    best = max(result.suggestions.values(), default=0.0)
    return [name for name, value in result.suggestions.items() if value == best]

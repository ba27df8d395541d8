"""Automatic segmentation: a first label volume without any prompt.

    slices --DenseMaps, or PointSearch--> boxes of each category
           --Predictor.predict--> masks and names; kept if the name is the category's
           --with a dense head: the mean of its mask and the prompted one--> one label volume,
             with certainties

A dense head (`segsam.model.dense_head`) reads every slice and boxes every object on it. Without
one, points are tried on a few slices, and what they find is followed from there. So are names that
users taught: those that were requested, and without a request those about which something was
learnt in other cases, by which they are then drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from segsam.errors import VolumeError
from segsam.imaging.slices import choose_axis
from segsam.prediction.completion.carried import CarriedState, FindCarried
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
    LEARNT_NOTE,
    NOTHING_NOTE,
    OTHER_CHECKPOINT_NOTE,
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
EXPECTED_SHARE = 0.5
"""Share of the required certainty that is enough for a requested name, and for one that the dense
head and the prompted decoders gave alike (docs/lab/finding.md)."""
_AXIS_NAMES: tuple[AxisName, ...] = ("i", "j", "k")


def segment_automatically(
    predictor: Predictor,
    search: Search | None = None,
    *,
    taught: TaughtNames | None = None,
    carried: FindCarried = lambda _: None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> FirstLabels:
    """Segment the objects of the predictor's current volume without any prompt.

    Args:
        predictor: after `set_volume`.
        search: settings.
        taught: names that users taught, which may be requested like categories.
        carried: returns what was learnt about a taught name in other cases, by which it is drawn.
            Such names are also looked for if none is requested.
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
    return _AutomaticSegmentation(predictor, search or Search(), names, carried, job).run()


class _AutomaticSegmentation:
    """One call of `segment_automatically`."""

    def __init__(
        self,
        predictor: Predictor,
        search: Search,
        taught: TaughtNames,
        carried: FindCarried,
        job: Job,
    ) -> None:
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
        self._notes: list[str] = []
        """About what was learnt in other cases."""
        self._learnt = self._usable(carried)
        """Position of a taught name -> what was learnt about it with this checkpoint."""

    def run(self) -> FirstLabels:
        """Find boxes of each category and taught name, and segment what they hold."""
        objects = tuple(self._objects())
        conditions = (
            (UNSEEN_PRESENCE_NOTE, bool(self._categories) and not self._presence),
            (NOTHING_NOTE, not objects),
        )
        notes = [*self._notes, *(note for note, holds in conditions if holds)]
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

    def _objects(self) -> Iterator[FoundObject]:
        """Yield each object that was found, with its label value. Its region is packed: the memory
        of a search must not grow with names times voxels.
        """
        value = 0
        for each in itertools.chain(self._category_objects(), self._taught_objects()):
            if each is not None:
                value += 1
                yield replace(each, value=value, result=each.result.packed())

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
        for one in maps.objects():
            yield self._refined(one, maps)

    def _refined(self, one: DenseObject, maps: DenseMaps) -> FoundObject | None:
        """Segment what the dense head found by its boxes; the mean of both masks is the result,
        because each is wrong elsewhere. Only voxels that both show can be above half.
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
        region = found.result.region
        region = fuse_axes([maps.region(one, region.box), region])
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
        """Yield the object of each taught name that is looked for; None for one that is unsure."""
        sought = self._sought()
        if not sought:
            return
        drawn_by = {
            number: self._predictor.drawing_with(state.learnt)
            for number, state in self._learnt.items()
            if number in sought
        }
        search = TaughtSearch(
            self._predictor,
            self._slices,
            self._taught,
            sought,
            self._rejected,
            drawn_by=drawn_by,
        )
        proposals = search.proposals(self._search.slices)
        self._searched.update(search.searched)
        for number in sought:
            of_name = [proposal for proposal in proposals if proposal.category == number]
            if of_name:
                name, predictor = self._taught.names[number].name, drawn_by.get(number)
                found = self._followed(name, of_name, {}, taught=self._taught, predictor=predictor)
                yield None if found is None else self._with_source(found, number)

    def _sought(self) -> tuple[int, ...]:
        """Return the positions of the taught names to look for: the requested ones; without a
        request, those about which something was learnt, unless they are categories.
        """
        if self._requested:
            able = (each.taught for each in self._requested if each.reason is None)
            return tuple(dict.fromkeys(number for number in able if number is not None))
        names, categories = self._taught.names, self._model.categories
        own = {categories.names[index] for index in self._categories}
        found = {number: categories.find(names[number].name) for number in self._learnt}
        return tuple(
            number
            for number, index in found.items()
            if index is None or categories.names[index] not in own
        )

    def _usable(self, carried: FindCarried) -> dict[int, CarriedState]:
        """Return what was learnt about the requested taught names, or all without a request."""
        names = list(enumerate(self._taught))
        if self._requested:
            asked = {each.taught for each in self._requested}
            names = [(number, name) for number, name in names if number in asked]
        if self._model.memory is None:
            return {}
        states = {number: carried(name.name) for number, name in names}
        own, found = self._predictor.encoder.weights_id, dict[int, CarriedState]()
        for number, state in states.items():
            if state is not None and state.parent == own:
                found[number] = state
            elif state is not None:
                self._notes.append(OTHER_CHECKPOINT_NOTE.format(source=state.in_words))
        return found

    def _with_source(self, found: FoundObject, number: int) -> FoundObject:
        """Return an object with the cases by what was learnt from which it was drawn."""
        state = self._learnt.get(number)
        if state is None:
            return found
        self._notes.append(LEARNT_NOTE.format(name=found.name, source=state.in_words))
        return replace(found, learnt_in=state.cases)

    def _followed(
        self,
        name: str,
        proposals: Sequence[Proposal],
        presence: Mapping[int, float],
        *,
        taught: TaughtNames | None = None,
        predictor: Predictor | None = None,
    ) -> FoundObject | None:
        """Segment an object from the proposals that belong together, and follow it from there."""
        chain = chain_of(proposals, self._axis)
        best = max(one.certainty for one in chain)
        boxes, follow = [one.box for one in chain], not self._volume.is_flat
        return self._segment(
            name, boxes, best, presence, follow=follow, taught=taught, predictor=predictor
        )

    def _segment(
        self,
        name: str,
        boxes: Sequence[Box],
        certainty: float,
        presence: Mapping[int, float],
        *,
        follow: bool,
        taught: TaughtNames | None = None,
        predictor: Predictor | None = None,
    ) -> FoundObject | None:
        """Segment an object from its boxes, of this certainty; None if it gets another name or too
        little certainty over all slices. A taught name may have a `predictor` of its own.
        """
        is_requested = bool(self._requested) and taught is None
        result = (predictor or self._predictor).predict(
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
        is_expected = is_requested or self._model.dense_head is not None
        return (EXPECTED_SHARE if is_expected else 1.0) * self._search.min_certainty

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

"""Writing of a server's reply into the label maps: what is added, what is removed, and the undo
step.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Mapping

import numpy as np

from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.ConfirmedSlices import NOTHING_CONFIRMED, ConfirmedSlices
from SEGSAMLib.Values.Layers import Layers
from SEGSAMLib.Values.Masks import PackedRegion, Region, VoxelChange, bounding_region, part_of
from SEGSAMLib.Values.Prompts import NO_PROMPTS, PromptSet
from SEGSAMLib.Values.Replies import InferReply, NotFound
from SEGSAMLib.Values.UndoStack import Completed, SegmentState, UndoStep

PROTECTIONS = OVERWRITE, KEEP_OTHERS, ALLOW_OVERLAP = ("overwrite", "keep others", "allow overlap")
"""Modes for voxels that another segment has."""


@dataclass(frozen=True)
class PendingRequest:
    """Request that waits for its reply. The result goes to its segment, whichever is selected."""

    request_id: str
    segment_id: str
    prompts: PromptSet = NO_PROMPTS
    protection: str = KEEP_OTHERS
    slice_limits: tuple[int, int] | None = None
    """First and last slice to keep, of the axis that the reply names."""
    previous: PackedRegion | None = None
    """The previous result of the model for this segment, which the new one replaces."""
    replaces_slices: bool = False
    """True if the previous result is unknown because the scene was loaded from a file. Then the new
    result replaces all voxels of the segment on the slices that the reply covers.
    """
    confirmed: Mapping[str, ConfirmedSlices] = field(default_factory=dict)
    """Segment id -> its confirmed slices, which no result changes."""
    completes: bool = False
    """True if the result replaces the whole segment, apart from its confirmed slices."""


@dataclass(frozen=True)
class AppliedResult:
    """Result that was written: voxels added to and removed from the segment, and the category that
    the model gave it (empty if the user's choice was kept). `suggestions` are the nearest guesses
    (category, probability) for an object that the model did not name; `taught` maps names that a
    user taught to their case.
    """

    segment_id: str
    added: int
    removed: int
    category: str = ""
    confidence: float | None = None
    notes: tuple[str, ...] = ()
    suggestions: tuple[tuple[str, float], ...] = ()
    taught: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AppliedSearch:
    """Search by name whose objects were written into segments: their names with their certainty,
    and the names that were not found.
    """

    found: tuple[tuple[str, float | None], ...]
    not_found: tuple[NotFound, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ResultEdit:
    """Undo step of a result in the layers, and how many voxels its segment gained and lost."""

    step: UndoStep
    added: int
    removed: int


def voxels_to_read(layers: Layers, pending: PendingRequest, reply: InferReply) -> int:
    """Return how many voxels `write_result` reads."""
    if pending.completes and pending.segment_id in layers.ids:
        return int(layers.label_of(pending.segment_id).layer.labels.size)
    before = 0 if pending.previous is None else int(np.prod(pending.previous.size_ijk))
    return before + (0 if reply.region is None else reply.region.values.size)


def write_result(layers: Layers, pending: PendingRequest, reply: InferReply) -> ResultEdit:
    """Write a reply into its segment. Other segments only lose voxels, and only in the mode
    `overwrite`; no segment gains or loses any on its confirmed slices. Runs in any thread. Raises
    `NodeError` if the segment was removed.
    """
    target = pending.segment_id
    if target not in layers.ids:
        raise NodeError(_("The segment was removed before the result came; nothing was changed."))
    confirmed = pending.confirmed.get(target, NOTHING_CONFIRMED).plus(reply.confirmed)
    found = _kept_region(pending, reply, confirmed)
    others = [each for each in layers.ids if each != target]
    changes: dict[str, VoxelChange | None] = {}
    if found is not None and pending.protection == KEEP_OTHERS:
        for other in others:
            found = Region(found.min_ijk, found.values & ~layers.read(other, found))
    if found is not None and pending.protection == OVERWRITE:
        for other in set(others) & set(pending.confirmed):
            kept = pending.confirmed[other].part_of(
                Region(found.min_ijk, layers.read(other, found))
            )
            found = Region(found.min_ijk, found.values & ~kept.values)
        for other in others:
            changes[other] = layers.erase(other, found)
    obsolete = _obsolete_region(layers, pending, reply, found)
    obsolete = None if obsolete is None else confirmed.removed_from(obsolete)
    if found is not None:
        changes[target] = layers.write(target, found, obsolete)
    elif obsolete is not None:
        changes[target] = layers.erase(target, obsolete)
    packed = None if found is None else PackedRegion.pack(found)
    before, after = _states(pending, reply, packed)
    step = UndoStep(
        target,
        _("completion") if pending.completes else _("result"),
        before,
        after,
        {each: change for each, change in changes.items() if change is not None},
    )
    change = step.changes.get(target)
    removed = 0 if change is None else change.lost
    return ResultEdit(step, 0 if change is None else change.count - removed, removed)


def _states(
    pending: PendingRequest, reply: InferReply, result: PackedRegion | None
) -> tuple[SegmentState, SegmentState]:
    """Return the states of the segment before and after a result, without its name."""
    before = SegmentState(pending.prompts, pending.previous)
    if not pending.completes:
        return before, SegmentState(pending.prompts, result)
    confirmed = pending.confirmed[pending.segment_id]
    return replace(before, confirmed=confirmed), SegmentState(
        pending.prompts,
        confirmed=confirmed.plus(reply.confirmed),
        completed=Completed(reply.state, result),
    )


def _kept_region(
    pending: PendingRequest, reply: InferReply, confirmed: ConfirmedSlices
) -> Region | None:
    """Return the reply's region within the slice limits and lassos and outside of the confirmed
    slices, None if nothing is left.
    """
    region = None if reply.region is None else pending.prompts.kept(reply.region)
    if region is not None and pending.slice_limits is not None and len(reply.axes) == 1:
        region = region.within(reply.axes[0], *pending.slice_limits)
    region = None if region is None else confirmed.removed_from(region)
    return None if region is None or region.is_empty else region


def _obsolete_region(
    layers: Layers, pending: PendingRequest, reply: InferReply, found: Region | None
) -> Region | None:
    """Return what the previous result, or the whole segment, had and the new one has not."""
    before = None if pending.previous is None else pending.previous.unpack()
    if pending.completes:
        before = layers.whole(pending.segment_id)
        if before is not None and pending.slice_limits is not None and len(reply.axes) == 1:
            before = before.within(reply.axes[0], *pending.slice_limits)
    elif before is None and pending.replaces_slices:
        before = _on_slices(layers.whole(pending.segment_id), reply)
    if before is None or found is None:
        return before
    box = bounding_region([before, found])
    return Region(box.min_ijk, part_of(before, box) & ~part_of(found, box))


def _on_slices(region: Region | None, reply: InferReply) -> Region | None:
    """Return the part of a region on the slices that a reply covers."""
    if region is None or len(reply.axes) != 1:
        return region
    axis = reply.axes[0]
    values = np.zeros_like(region.values)
    place: list[slice | int] = [slice(None)] * 3
    for of_axis, index in reply.slices:
        inside = index - region.min_ijk[axis]
        if of_axis == axis and 0 <= inside < values.shape[axis]:
            place[axis] = inside
            values[tuple(place)] = region.values[tuple(place)]
    return Region(region.min_ijk, values)

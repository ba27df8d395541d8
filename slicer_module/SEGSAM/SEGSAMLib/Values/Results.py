"""A reply becomes part of a segment: what of it is taken, what gives way, what is kept for undo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Values.Layers import Layers
from SEGSAMLib.Values.Masks import PackedRegion, Region, VoxelChange, covering, part_of
from SEGSAMLib.Values.Prompts import NO_PROMPTS, PromptSet
from SEGSAMLib.Values.Replies import InferReply
from SEGSAMLib.Values.UndoStack import Step

PROTECTIONS = OVERWRITE, KEEP_OTHERS, ALLOW_OVERLAP = ("overwrite", "keep others", "allow overlap")


@dataclass(frozen=True)
class PendingRequest:
    """What a request was about: the answer belongs there, whatever is selected by then."""

    request_id: str
    segment_id: str
    prompts: PromptSet = NO_PROMPTS
    protection: str = KEEP_OTHERS
    limits: tuple[int, int] | None = None
    """First and last slice to keep, of the axis that the answer names."""
    previous: PackedRegion | None = None
    """What the model had found before for this segment, which the answer replaces."""
    replaces_slices: bool = False
    """What it had found before is not known (the scene was opened): the answer replaces all that
    the segment has on the slices that it is about.
    """


@dataclass(frozen=True)
class AppliedResult:
    """What an answer did, for the panel: voxels added to and removed from the segment, and the
    category that it has from the model (nothing when the user's own choice stands).
    """

    segment_id: str
    added: int
    removed: int
    category: str = ""
    confidence: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Written:
    """What was done to the layers: the step for undo, and voxels that the segment got and lost."""

    step: Step
    added: int
    removed: int


def voxels_of(asked: PendingRequest, reply: InferReply) -> int:
    """How many have to be looked at to write an answer."""
    before = 0 if asked.previous is None else int(np.prod(asked.previous.size_ijk))
    return before + (0 if reply.region is None else reply.region.values.size)


def written(layers: Layers, asked: PendingRequest, reply: InferReply) -> Written:
    """`write`, and what that was."""
    step = write(layers, asked, reply)
    change = step.changes.get(asked.segment_id)
    lost = 0 if change is None else change.lost
    return Written(step, 0 if change is None else change.count - lost, lost)


def write(layers: Layers, asked: PendingRequest, reply: InferReply) -> Step:
    """Write an answer into its segment, and only there, but for voxels that others lose in the
    mode `overwrite`. In any thread. Raises `NodeError` when the segment is gone.
    """
    if asked.segment_id not in layers.ids:
        raise NodeError("The segment was removed before the answer came; nothing was changed.")
    found = _wanted(asked, reply)
    others = [each for each in layers.ids if each != asked.segment_id]
    changes: dict[str, VoxelChange | None] = {}
    if found is not None and asked.protection == KEEP_OTHERS:
        for other in others:
            found = Region(found.min_ijk, found.values & ~layers.read(other, found))
    if found is not None and asked.protection == OVERWRITE:
        for other in others:
            changes[other] = layers.take(other, found)
    remove = _given_up(layers, asked, reply, found)
    if found is not None:
        changes[asked.segment_id] = layers.put(asked.segment_id, found, remove)
    elif remove is not None:
        changes[asked.segment_id] = layers.take(asked.segment_id, remove)
    return Step(
        asked.segment_id,
        "result",
        asked.prompts,
        asked.prompts,
        {each: change for each, change in changes.items() if change is not None},
        asked.previous,
        None if found is None else PackedRegion.of(found),
    )


def _wanted(asked: PendingRequest, reply: InferReply) -> Region | None:
    region = reply.region
    if region is not None and asked.limits is not None and len(reply.axes) == 1:
        region = region.within(reply.axes[0], *asked.limits)
    return None if region is None or region.is_empty else region


def _given_up(
    layers: Layers, asked: PendingRequest, reply: InferReply, found: Region | None
) -> Region | None:
    """What the model had found before and finds no more."""
    before = None if asked.previous is None else asked.previous.region
    if before is None and asked.replaces_slices:
        before = _on_slices(layers.all_of(asked.segment_id), reply)
    if before is None or found is None:
        return before
    whole = covering([before, found])
    return Region(whole.min_ijk, part_of(before, whole) & ~part_of(found, whole))


def _on_slices(region: Region | None, reply: InferReply) -> Region | None:
    """The part of a segment on the slices that a reply is about."""
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

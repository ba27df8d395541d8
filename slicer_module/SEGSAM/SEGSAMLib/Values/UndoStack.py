"""Undo stack of prompts, results and names, with bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Mapping

from SEGSAMLib.Values.ConfirmedSlices import ConfirmedSlices
from SEGSAMLib.Values.Masks import PackedRegion, VoxelChange
from SEGSAMLib.Values.Prompts import NO_PROMPTS, PromptSet
from SEGSAMLib.Values.Terminology import Identity

MAX_STEPS = 200
MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Completed:
    """Newest completion of a segment: the id of what the server learnt for it, and the region that
    it returned, without the confirmed slices. Empty before the first one.
    """

    state: str = ""
    result: PackedRegion | None = None


NOT_COMPLETED = Completed()


@dataclass(frozen=True)
class SegmentState:
    """State of a segment besides its voxels, before or after a step."""

    prompts: PromptSet = NO_PROMPTS
    result: PackedRegion | None = None
    """The region that the model returned for these prompts."""
    identity: Identity | None = None
    """None if the step did not name the segment."""
    confirmed: ConfirmedSlices | None = None
    """None if the step confirmed no slice."""
    completed: Completed | None = None
    """None if the step did not complete the segment."""


@dataclass(frozen=True)
class UndoStep:
    """One user action on a segment: changed prompts, a result, a name, or several of them together.

    `description` is shown in the tool tip of the button: "point", "box", "result", ...
    """

    segment_id: str
    description: str
    before: SegmentState
    after: SegmentState
    changes: Mapping[str, VoxelChange] = field(default_factory=dict)
    """Segment id -> its changed voxels, in the order in which they were written; in the mode
    `overwrite` other segments lose voxels too.
    """

    @property
    def cost_bytes(self) -> int:
        """Memory that the step takes, in bytes (an estimate)."""
        states = (self.before, self.after)
        results = [each.result for each in states]
        results += [each.completed.result for each in states if each.completed is not None]
        voxels = sum(change.cost_bytes for change in self.changes.values())
        return 1024 + voxels + sum(len(each.bits) for each in results if each is not None)

    def with_result(self, result: UndoStep) -> UndoStep:
        """Return this step of prompts joined with the result that the prompts led to."""
        return replace(
            self,
            changes=result.changes,
            before=replace(result.before, prompts=self.before.prompts),
            after=replace(result.after, prompts=self.after.prompts),
        )


class UndoStack:
    """Steps of one segmentation, newest last. The oldest are dropped when there are too many."""

    def __init__(self, max_steps: int = MAX_STEPS, max_bytes: int = MAX_BYTES) -> None:
        self._max_steps, self._max_bytes = max_steps, max_bytes
        self._done: list[UndoStep] = []
        self._undone: list[UndoStep] = []

    def push(self, step: UndoStep) -> None:
        """Add a step. Steps that were undone cannot be redone any more."""
        self._undone.clear()
        self._done.append(step)
        self._drop_oldest()

    def push_result(self, step: UndoStep) -> None:
        """Add a result. It joins the newest step if that holds the prompts of this result, so that
        one undo takes back both.
        """
        last = self.next_undo
        if last is not None and _is_answer(step, last):
            self._done.pop()
            step = last.with_result(step)
        self.push(step)

    def undo(self) -> UndoStep | None:
        """Move one step back and return the step to revert, None if there is none."""
        if not self._done:
            return None
        self._undone.append(self._done.pop())
        return self._undone[-1]

    def redo(self) -> UndoStep | None:
        """Move one step forward and return the step to apply again, None if there is none."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return self._done[-1]

    @property
    def next_undo(self) -> UndoStep | None:
        """The step that `undo` would return."""
        return self._done[-1] if self._done else None

    @property
    def next_redo(self) -> UndoStep | None:
        """The step that `redo` would return."""
        return self._undone[-1] if self._undone else None

    @property
    def cost_bytes(self) -> int:
        """Memory that all steps take, in bytes."""
        return sum(step.cost_bytes for step in (*self._done, *self._undone))

    def forget_segment(self, segment_id: str) -> None:
        """Drop the steps of a segment that was removed."""
        self._done = [step for step in self._done if step.segment_id != segment_id]
        self._undone = [step for step in self._undone if step.segment_id != segment_id]

    def _drop_oldest(self) -> None:
        while len(self._done) > 1 and (
            len(self._done) > self._max_steps or self.cost_bytes > self._max_bytes
        ):
            self._done.pop(0)


def _is_answer(result: UndoStep, last: UndoStep) -> bool:
    """Return True if `last` changed the prompts that `result` was computed from."""
    return (
        last.segment_id == result.segment_id
        and last.after.prompts == result.after.prompts
        and last.before.prompts != last.after.prompts
        and not last.changes
    )

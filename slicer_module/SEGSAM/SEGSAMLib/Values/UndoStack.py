"""Undo and redo of prompts and results: a stack with bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Mapping

from SEGSAMLib.Values.Masks import PackedRegion, VoxelChange
from SEGSAMLib.Values.Prompts import NO_PROMPTS, PromptSet

MOST_STEPS = 200
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Identity:
    """What a segment is called: name, colour (0 to 1), terminology entry and who chose it."""

    name: str = ""
    colour: tuple[float, float, float] = (0.5, 0.5, 0.5)
    terminology: str = ""
    chosen_by: str = ""
    """`model`, `user`, or nothing yet."""


@dataclass(frozen=True)
class Step:
    """One thing that the user did to a segment: other prompts, a result, or both together.

    `what` is for the tool tip of the button: "point", "box", "result", ...
    """

    segment_id: str
    what: str
    prompts_before: PromptSet = NO_PROMPTS
    prompts_after: PromptSet = NO_PROMPTS
    changes: Mapping[str, VoxelChange] = field(default_factory=dict)
    """Segment id -> its changed voxels, in the order in which they were written; other segments
    lose voxels in the mode `overwrite`.
    """
    result_before: PackedRegion | None = None
    result_after: PackedRegion | None = None
    """What the model had found for these prompts."""
    identity_before: Identity | None = None
    identity_after: Identity | None = None
    """None where the step did not name the segment."""

    @property
    def cost_bytes(self) -> int:
        kept = [each.bits for each in (self.result_before, self.result_after) if each is not None]
        voxels = sum(change.cost_bytes for change in self.changes.values())
        return 1024 + voxels + sum(len(bits) for bits in kept)

    def with_result(self, result: Step) -> Step:
        """This step of prompts together with the result that came of it."""
        return replace(
            self,
            changes=result.changes,
            result_before=result.result_before,
            result_after=result.result_after,
            identity_before=result.identity_before,
            identity_after=result.identity_after,
        )


class History:
    """The steps of one segmentation, newest last. The oldest go when there are too many."""

    def __init__(self, most_steps: int = MOST_STEPS, most_bytes: int = MOST_BYTES) -> None:
        self._most_steps, self._most_bytes = most_steps, most_bytes
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def push(self, step: Step) -> None:
        """A new step; what was undone can be redone no more."""
        self._undone.clear()
        self._done.append(step)
        self._forget()

    def push_result(self, step: Step) -> None:
        """A result: it joins the newest step when that is the prompt that it answers, so that one
        undo takes back both.
        """
        last = self._done[-1] if self._done else None
        answers = (
            last is not None
            and last.segment_id == step.segment_id
            and last.prompts_after == step.prompts_after
            and last.prompts_before != last.prompts_after
            and not last.changes
        )
        if answers and last is not None:
            self._undone.clear()
            self._done[-1] = last.with_result(step)
            self._forget()
        else:
            self.push(step)

    def undo(self) -> Step | None:
        """The step to take back, or None."""
        if not self._done:
            return None
        self._undone.append(self._done.pop())
        return self._undone[-1]

    def redo(self) -> Step | None:
        """The step to do again, or None."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return self._done[-1]

    @property
    def newest(self) -> Step | None:
        """What `undo` would take back."""
        return self._done[-1] if self._done else None

    @property
    def undone(self) -> Step | None:
        """What `redo` would do again."""
        return self._undone[-1] if self._undone else None

    @property
    def undo_text(self) -> str:
        """What `undo` would take back, or nothing."""
        return self._done[-1].what if self._done else ""

    @property
    def redo_text(self) -> str:
        return self._undone[-1].what if self._undone else ""

    @property
    def cost_bytes(self) -> int:
        return sum(step.cost_bytes for step in (*self._done, *self._undone))

    def forget_segment(self, segment_id: str) -> None:
        """A segment was removed: its steps cannot be undone any more."""
        self._done = [step for step in self._done if step.segment_id != segment_id]
        self._undone = [step for step in self._undone if step.segment_id != segment_id]

    def clear(self) -> None:
        self._done.clear()
        self._undone.clear()

    def _forget(self) -> None:
        while len(self._done) > 1 and (
            len(self._done) > self._most_steps or self.cost_bytes > self._most_bytes
        ):
            self._done.pop(0)

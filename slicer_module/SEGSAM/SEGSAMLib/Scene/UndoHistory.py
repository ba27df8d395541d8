"""Undo and redo of prompts, results and names in the scene."""

from __future__ import annotations

import numpy as np

from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Scene import SegmentTags
from SEGSAMLib.Scene.SceneNodes import SceneNodes
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.UndoStack import SegmentState, UndoStack, UndoStep
from SEGSAMLib.Values.VoxelEdit import VoxelEdit


class UndoHistory:
    """Undo history of each segmentation that was worked on."""

    def __init__(self, nodes: SceneNodes) -> None:
        self._nodes = nodes
        self._stacks: dict[str, UndoStack] = {}

    @property
    def stack(self) -> UndoStack:
        """Undo stack of the current segmentation."""
        segmentation = self._nodes.segmentation
        key = "" if segmentation is None else segmentation.GetID()
        return self._stacks.setdefault(key, UndoStack())

    @property
    def undo_text(self) -> str:
        """Description of the step that undo would revert, empty if there is none."""
        step = self.stack.next_undo
        return "" if step is None else step.description

    @property
    def redo_text(self) -> str:
        """Description of the step that redo would apply again, empty if there is none."""
        step = self.stack.next_redo
        return "" if step is None else step.description

    def clear(self) -> None:
        """Forget all steps."""
        self._stacks.clear()

    def undo_edit(self) -> VoxelEdit | None:
        """Return the change that reverts the newest step, None if there is none. Raises
        `NodeError`.
        """
        step = self.stack.next_undo
        return None if step is None else self._edit(step, is_undo=True)

    def redo_edit(self) -> VoxelEdit | None:
        """Return the change that applies the step again that was undone last, None if there is
        none. Raises `NodeError`.
        """
        step = self.stack.next_redo
        return None if step is None else self._edit(step, is_undo=False)

    def _edit(self, step: UndoStep, *, is_undo: bool) -> VoxelEdit:
        stack = self.stack
        move = stack.undo if is_undo else stack.redo
        layers = self._nodes.segments().layers()
        if not layers.match(step.changes):
            move()  # else this step would block all others
            sentence = _(
                "The segmentation has another voxel grid than at this step, so it cannot be undone."
            )
            raise NodeError(sentence)

        def check() -> None:
            if (stack.next_undo if is_undo else stack.next_redo) is not step:
                raise NodeError(_("Another step was made meanwhile; nothing was changed."))

        def finish(_computed: object) -> None:
            move()
            self._restore(step.segment_id, step.before if is_undo else step.after)

        voxels = sum(int(np.prod(each.size_ijk)) for each in step.changes.values())
        return VoxelEdit(
            layers,
            voxels,
            lambda now: now.undo(step.changes) if is_undo else now.redo(step.changes),
            check,
            finish,
        )

    def _restore(self, segment_id: str, state: SegmentState) -> None:
        """Set what a segment has besides voxels."""
        if segment_id not in self._nodes.segment_ids:
            return
        self._nodes.pending_request = None
        segment = self._nodes.segment(segment_id)
        SegmentTags.set_prompts(segment, state.prompts)
        self._nodes.results[segment_id] = state.result
        if state.confirmed is not None:
            SegmentTags.set_confirmed(segment, state.confirmed)
        if state.completed is not None:
            self._nodes.completed[segment_id] = state.completed
        if state.identity is not None:
            SegmentTags.set_identity(segment, state.identity)
        self._nodes.select_segment(segment_id)

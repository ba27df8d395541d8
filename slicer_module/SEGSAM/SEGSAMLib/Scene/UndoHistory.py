"""Undo and redo, and how changes of voxels get into the scene. The part of `Logic` above `Work`."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from SEGSAMLib.Errors import NodeError, StaleError
from SEGSAMLib.Scene import SegmentTags
from SEGSAMLib.Scene.SceneNodes import Work
from SEGSAMLib.Values.Layers import Layers
from SEGSAMLib.Values.Masks import PackedRegion
from SEGSAMLib.Values.Prompts import PromptSet
from SEGSAMLib.Values.UndoStack import Identity, Step
from SEGSAMLib.Values.VoxelEdit import VoxelEdit


class Undoing(Work):
    """Of all prompts and results since the segmentation was chosen."""

    @property
    def undo_text(self) -> str:
        """What `undo` would take back, nothing when there is nothing."""
        return self._history().undo_text

    @property
    def redo_text(self) -> str:
        return self._history().redo_text

    def undo(self) -> bool:
        """Take back the newest prompt, or result, or both together. Raises `NodeError`."""
        edit = self.undoing()
        return edit is not None and bool(self.at_once(edit))

    def redo(self) -> bool:
        """Do again what was taken back last."""
        edit = self.redoing()
        return edit is not None and bool(self.at_once(edit))

    def undoing(self) -> VoxelEdit | None:
        """What `undo` would do, None when there is nothing. Raises `NodeError`."""
        history = self._history()
        step = history.newest
        if step is None:
            return None
        before = (step.prompts_before, step.identity_before, step.result_before)
        return self._stepping(
            step,
            history.undo,
            lambda: history.newest,
            lambda layers: layers.undo(step.changes),
            before,
        )

    def redoing(self) -> VoxelEdit | None:
        """What `redo` would do, None when there is nothing. Raises `NodeError`."""
        history = self._history()
        step = history.undone
        if step is None:
            return None
        after = (step.prompts_after, step.identity_after, step.result_after)
        return self._stepping(
            step,
            history.redo,
            lambda: history.undone,
            lambda layers: layers.redo(step.changes),
            after,
        )

    def at_once(self, edit: VoxelEdit) -> Any:
        """Compute and write a change of voxels in this thread. Raises `NodeError`."""
        return self.carry_out(edit, edit.compute(edit.layers))

    def carry_out(self, edit: VoxelEdit, computed: Any) -> Any:
        """Write what was computed; when the segmentation was changed meanwhile, such as with the
        Segment Editor, it is computed again from what is there now. Raises `NodeError`.
        """
        edit.check()
        segments = self._segments()
        try:
            segments.commit(edit.layers)
        except StaleError:
            layers = segments.look()
            computed = edit.compute(layers)
            segments.commit(layers)
        return edit.finish(computed)

    def _stepping(
        self,
        step: Step,
        move: Callable[[], Any],
        next_step: Callable[[], Step | None],
        change: Callable[[Layers], None],
        state: tuple[PromptSet, Identity | None, PackedRegion | None],
    ) -> VoxelEdit:
        """One step back or forth: `move` does it in the history."""
        layers = self._segments().look()
        if not layers.fit(step.changes):
            move()  # or it would be in the way of all others
            raise NodeError(
                "The segmentation has other voxels than when this was done, so it cannot be undone."
            )

        def check() -> None:
            if next_step() is not step:
                raise NodeError("Something else was done meanwhile; nothing was changed.")

        def finish(_: Any) -> bool:
            move()
            self._restore(step, *state)
            return True

        voxels = sum(int(np.prod(each.size_ijk)) for each in step.changes.values())
        return VoxelEdit(layers, voxels, change, check, finish)

    def _restore(
        self, step: Step, prompts: PromptSet, identity: Identity | None, result: PackedRegion | None
    ) -> None:
        """Undo or redo what a step says besides voxels."""
        if step.segment_id not in self.segment_ids:
            return
        self._asked = None
        self._keep(step.segment_id, prompts)
        self._results[step.segment_id] = result
        if identity is not None:
            SegmentTags.set_identity(self._segment(step.segment_id), identity)
        self.select_segment(step.segment_id)

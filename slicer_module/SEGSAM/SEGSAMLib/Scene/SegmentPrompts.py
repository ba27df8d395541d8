"""Prompts of the current segment: stored with the segment, and shown as markups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from SEGSAMLib.Scene import Frames, SegmentTags, Views
from SEGSAMLib.Scene.PromptNodes import PromptNodes, roi_corners
from SEGSAMLib.Scene.SceneNodes import SceneNodes
from SEGSAMLib.Scene.UndoHistory import UndoHistory
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Geometry import box_in_volume, box_on_slice, reduced_scribble
from SEGSAMLib.Values.Outlines import lasso_on_slice
from SEGSAMLib.Values.Prompts import NO_PROMPTS, Point, Prompt, PromptSet, Scribble
from SEGSAMLib.Values.UndoStack import SegmentState, UndoStep


class SegmentPrompts:
    """Prompts of the current segment. Each change is an undo step.

    `note` is a sentence about the last change, such as that a box was clipped, or empty.
    """

    def __init__(self, nodes: SceneNodes, history: UndoHistory) -> None:
        self._nodes = nodes
        self._history = history
        self.markups = PromptNodes(nodes.scene)
        self.note = ""
        self._view_axes: dict[tuple[str, str], int] = {}
        """Axis of the view of the newest prompt, by segment and volume."""

    @property
    def view_axis(self) -> int | None:
        """The axis across the slices of the view in which the newest prompt was made; None if it is
        not known, or if a rectangle says it.
        """
        lassos = [lasso for lasso in self.current.lassos if lasso.positive]
        if lassos:
            return lassos[-1].axis
        says_it = any(box.is_flat and box.positive for box in self.current.boxes)
        if self._nodes.volume is None or says_it:
            return None
        return self._view_axes.get((self._nodes.segment_id, self._nodes.volume.GetID()))

    @property
    def current(self) -> PromptSet:
        """The prompts. Raises `PromptError` if a newer version of the module wrote them."""
        return (
            SegmentTags.prompts_of(self._nodes.segment()) if self._nodes.segment_id else NO_PROMPTS
        )

    def add_point(self, world_ras: Any, *, positive: bool = True, view: Any = None) -> None:
        """Add a click, in the slice view of the node `view`. Raises `PositionError` outside the
        volume.
        """
        voxel = self._nodes.need_grid().voxel(self._nodes.to_volume_ras(world_ras))
        self._add(Point(voxel, positive), _("point"), view=view)

    def add_box_on_slice(
        self, slice_node: Any, first_xy: Any, last_xy: Any, *, positive: bool = True
    ) -> None:
        """Add a rectangle between two pixels of a slice view. Raises `PositionError`."""
        corners_world = Frames.rectangle_on_view(slice_node, first_xy, last_xy)
        corners_ras = self._nodes.to_volume_ras(corners_world)
        box, note = box_on_slice(self._nodes.need_grid(), corners_ras)
        self._add(replace(box, positive=positive), _("box"), note)

    def add_box_from_roi(self, roi: Any, *, positive: bool = True, view: Any = None) -> None:
        """Add the 3D box of a region of interest, drawn in `view`. Raises `PositionError`."""
        corners_ras = self._nodes.to_volume_ras(Frames.to_world(roi_corners(roi), roi))
        box, note = box_in_volume(self._nodes.need_grid(), corners_ras)
        self._add(replace(box, positive=positive), _("box"), note, view=view)

    def add_scribble(self, path_world_ras: Any, *, positive: bool = True, view: Any = None) -> None:
        """Add a stroke (n, 3), reduced to some points. Raises `PositionError`."""
        path_ras = self._nodes.to_volume_ras(path_world_ras)
        path_ijk = reduced_scribble(self._nodes.need_grid(), path_ras)
        self._add(Scribble(path_ijk, positive), _("scribble"), view=view)

    def add_lasso(self, path_world_ras: Any, *, positive: bool = True) -> None:
        """Add a freehand outline (n, 3) on a slice. Raises `PositionError`."""
        path_ras = self._nodes.to_volume_ras(path_world_ras)
        lasso = lasso_on_slice(self._nodes.need_grid(), path_ras, positive=positive)
        self._add(lasso, _("lasso"))

    def remove(self, number: int) -> None:
        """Remove one prompt, by its number in `current`; does nothing if there is none."""
        before = self.current
        if 0 <= number < len(before.items):
            self._set(before.without(number), _("removal of a prompt"))

    def clear(self) -> None:
        """Remove all prompts of the segment. Its voxels stay, and the next result adds to them."""
        before = self.current
        if before.is_empty:
            return
        segment_id = self._nodes.segment_id
        state = SegmentState(before, self._nodes.results.get(segment_id))
        SegmentTags.set_prompts(self._nodes.segment(), NO_PROMPTS)
        self._nodes.results[segment_id] = None
        step = UndoStep(segment_id, _("removal of all prompts"), state, SegmentState())
        self._history.stack.push(step)
        self.show()

    def read_markups(self) -> bool:
        """Take over markups that the user placed, moved or deleted in the views. Return True if the
        prompts changed. `note` says what was not taken over.
        """
        if self._nodes.volume is None:
            self.note = ""
            return False
        before = self.current
        after, self.note = self.markups.read(before, self._nodes.need_grid())
        if after == before:
            if self.note:
                self.show()
            return False
        if not self._nodes.segment_id:
            self._nodes.add_segment()
        has_new_point = len(after.points) > len(before.points)
        self._set(after, _("point") if has_new_point else _("change of a prompt"))
        return True

    def show(self) -> None:
        """Show the prompts as markups, or no markups without a volume."""
        volume = self._nodes.volume
        if volume is None:
            self.markups.remove()
        else:
            transform_id = volume.GetTransformNodeID() or ""
            self.markups.show(self.current, self._nodes.need_grid(), transform_id)

    def _add(self, item: Prompt, description: str, note: str = "", view: Any = None) -> None:
        if not self._nodes.segment_id:
            self._nodes.add_segment()
        if view is not None:
            volume = self._nodes.volume
            axis, _index = Views.axis_and_slice(view, volume)
            self._view_axes[self._nodes.segment_id, volume.GetID()] = axis
        self._set(self.current.plus(item), description)
        self.note = note

    def _set(self, prompts: PromptSet, description: str) -> None:
        before, segment_id = self.current, self._nodes.segment_id
        if prompts != before:
            SegmentTags.set_prompts(self._nodes.segment(), prompts)
            result = self._nodes.results.get(segment_id)
            states = SegmentState(before, result), SegmentState(prompts, result)
            self._history.stack.push(UndoStep(segment_id, description, *states))
        self.show()

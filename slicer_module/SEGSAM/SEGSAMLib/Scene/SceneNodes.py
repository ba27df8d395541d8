"""What is worked on: the current volume and segmentation, and the prompts of the current segment.
The lowest part of `Logic`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import slicer
from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Scene import Frames, SegmentTags
from SEGSAMLib.Scene.PromptNodes import PromptNodes, roi_corners
from SEGSAMLib.Scene.Segments import Segments
from SEGSAMLib.Values.Geometry import Box, VolumeGrid, box_in_volume, box_on_slice, reduced_scribble
from SEGSAMLib.Values.Masks import PackedRegion
from SEGSAMLib.Values.Prompts import NO_PROMPTS, Point, PromptSet, Scribble
from SEGSAMLib.Values.Results import PendingRequest
from SEGSAMLib.Values.SlicePredictions import SlicePredictions
from SEGSAMLib.Values.UndoStack import History, Step


class Work:
    """For one scene; the widget uses `Logic`, which is this and more."""

    def __init__(self, scene: Any = None) -> None:
        self.scene = scene if scene is not None else slicer.mrmlScene
        self.volume: Any = None
        self.segmentation: Any = None
        self.segment_id = ""
        self.note = ""
        self.markups = PromptNodes(self.scene)
        self._histories: dict[str, History] = {}
        self._results: dict[str, PackedRegion | None] = {}
        self._findings: dict[str, SlicePredictions] = {}
        self._asked: PendingRequest | None = None

    # -- what is worked on

    def set_nodes(self, volume: Any, segmentation: Any = None) -> None:
        """Work on a volume, and a segmentation of it; without one, one is made when it is needed.
        The segment that was selected stays so where it can, else the first one is.
        """
        if volume is not self.volume or segmentation is not self.segmentation:
            self._asked = None
        self.volume, self.segmentation = volume, segmentation
        ids = self.segment_ids
        self.select_segment(self.segment_id if self.segment_id in ids else next(iter(ids), ""))

    def close(self) -> None:
        """Let go of the scene: it is about to be closed, or the panel is."""
        self.markups.remove()
        self.volume = self.segmentation = self._asked = None
        self.segment_id = ""
        for kept in (self._histories, self._results, self._findings):
            kept.clear()

    @property
    def grid(self) -> VolumeGrid | None:
        """The voxels of the current volume, None without one."""
        return None if self.volume is None else Frames.grid_of(self.volume)

    def to_volume_ras(self, points_world: Any) -> np.ndarray:
        """(n, 3) points of the world in the frame of the current volume, below its transform."""
        return Frames.to_node(points_world, self.volume)

    def to_world_ras(self, points_ras: Any) -> np.ndarray:
        """(n, 3) points in the frame of the current volume in the world."""
        return Frames.to_world(points_ras, self.volume)

    @property
    def segment_ids(self) -> tuple[str, ...]:
        if self.segmentation is None:
            return ()
        return tuple(self.segmentation.GetSegmentation().GetSegmentIDs())

    def make_segmentation(self) -> Any:
        """A segmentation node of the current volume, under the same transform."""
        self._need_grid()
        node = self.scene.AddNewNodeByClass(
            "vtkMRMLSegmentationNode", f"{self.volume.GetName()} segmentation"
        )
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        node.SetAndObserveTransformNodeID(self.volume.GetTransformNodeID())
        self.segmentation = node
        return node

    def add_segment(self, name: str = "", category: str = "") -> str:
        """A new, empty segment, selected. A name or a category that is given is the user's choice;
        of a category the segment takes colour and code as well.
        """
        if self.segmentation is None:
            self.make_segmentation()
        segmentation = self.segmentation.GetSegmentation()
        segment_id = str(segmentation.AddEmptySegment())
        segment = segmentation.GetSegment(segment_id)
        SegmentTags.code_as_tissue(segment)
        if category:
            SegmentTags.set_identity(segment, SegmentTags.named(category, chosen_by="user"))
        if name:
            segment.SetName(name)
        self.select_segment(segment_id)
        return segment_id

    def select_segment(self, segment_id: str) -> None:
        """The segment that prompts and results belong to; its prompts are shown."""
        self.segment_id = segment_id if segment_id in self.segment_ids else ""
        self._show()

    def remove_segment(self, segment_id: str) -> None:
        """Remove a segment with its prompts; this cannot be undone here."""
        self._history().forget_segment(segment_id)
        self._results.pop(segment_id, None)
        self._findings.pop(segment_id, None)
        self.segmentation.GetSegmentation().RemoveSegment(segment_id)
        if segment_id == self.segment_id:
            self.select_segment(next(iter(self.segment_ids), ""))

    # -- prompts

    @property
    def prompts(self) -> PromptSet:
        """Of the current segment. Raises `PromptError` for what another version has written."""
        if not self.segment_id:
            return NO_PROMPTS
        text = SegmentTags.tag(self._segment(), SegmentTags.PROMPTS_TAG)
        return PromptSet.from_text(text) if text else NO_PROMPTS

    def add_point(self, world_ras: Any, *, positive: bool = True) -> None:
        """A click. Raises `PositionError` outside the volume."""
        voxel = self._need_grid().voxel(self.to_volume_ras(world_ras))
        self._add(Point(voxel, positive), "point")

    def add_box_on_slice(self, slice_node: Any, first_xy: Any, last_xy: Any) -> str:
        """A rectangle dragged in a slice view, between two of its pixels; returns a note, or
        nothing. Raises `PositionError`.
        """
        corners = Frames.rectangle_on_view(slice_node, first_xy, last_xy)
        return self._add_box(*box_on_slice(self._need_grid(), self.to_volume_ras(corners)))

    def add_box_from_roi(self, roi: Any) -> str:
        """The 3D box of a region of interest; returns a note, or nothing. Raises `PositionError`."""
        corners = Frames.to_world(roi_corners(roi), roi)
        return self._add_box(*box_in_volume(self._need_grid(), self.to_volume_ras(corners)))

    def add_scribble(self, path_world_ras: Any, *, positive: bool = True) -> None:
        """A stroke (n, 3), reduced to some points. Raises `PositionError`."""
        path = reduced_scribble(self._need_grid(), self.to_volume_ras(path_world_ras))
        self._add(Scribble(path, positive), "scribble")

    def remove_prompt(self, item: Point | Box | Scribble) -> None:
        self._set_prompts(self.prompts.minus(item), "removal")

    def clear_prompts(self) -> None:
        """Take the prompts of the segment away; what they have found stays, and the next ones add
        to it.
        """
        if self.prompts.is_empty:
            return
        step = Step(
            self.segment_id,
            "removal of all prompts",
            self.prompts,
            NO_PROMPTS,
            result_before=self._results.get(self.segment_id),
        )
        self._keep(self.segment_id, NO_PROMPTS)
        self._results[self.segment_id] = None
        self._history().push(step)
        self._show()

    def read_markups(self) -> bool:
        """Take over what the user placed, moved or deleted in the shown markups; whether that
        changed the prompts. `note` says what was not taken over, and why.
        """
        if self.volume is None:
            return False
        before = self.prompts
        after, self.note = self.markups.read(before, self._need_grid())
        if after == before:
            if self.note:
                self._show()
            return False
        if not self.segment_id:
            self.add_segment()
        grown = len(after.points) > len(before.points)
        self._set_prompts(after, "point" if grown else "change of a prompt")
        return True

    def _add_box(self, box: Box, note: str) -> str:
        self._add(box, "box")
        return note

    def _add(self, item: Point | Box | Scribble, what: str) -> None:
        if not self.segment_id:
            self.add_segment()
        self._set_prompts(self.prompts.plus(item), what)

    def _set_prompts(self, prompts: PromptSet, what: str) -> None:
        before = self.prompts
        if prompts != before:
            self._keep(self.segment_id, prompts)
            result = self._results.get(self.segment_id)
            step = Step(
                self.segment_id, what, before, prompts, result_before=result, result_after=result
            )
            self._history().push(step)
        self._show()

    def _keep(self, segment_id: str, prompts: PromptSet) -> None:
        text = "" if prompts.is_empty else prompts.to_text()
        SegmentTags.set_tag(self._segment(segment_id), SegmentTags.PROMPTS_TAG, text)

    def _show(self) -> None:
        if self.volume is None:
            self.markups.remove()
            return
        transform_id = self.volume.GetTransformNodeID() or ""
        self.markups.show(self.prompts, self._need_grid(), transform_id)

    def _history(self) -> History:
        key = "" if self.segmentation is None else self.segmentation.GetID()
        return self._histories.setdefault(key, History())

    def _segment(self, segment_id: str = "") -> Any:
        wanted = segment_id or self.segment_id
        if self.segmentation is None or wanted not in self.segment_ids:
            raise NodeError("Choose a segment first.")
        return self.segmentation.GetSegmentation().GetSegment(wanted)

    def _segments(self) -> Segments:
        if self.segmentation is None:
            raise NodeError("Choose a segmentation first.")
        self._need_grid()
        between = Frames.between(self.volume, self.segmentation)
        return Segments(self.segmentation, self._need_grid(), between)

    def _need_grid(self) -> VolumeGrid:
        """Raises `NodeError` without a volume."""
        return Frames.grid_of(self.volume)

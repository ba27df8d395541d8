"""Current volume, segmentation and segment of a scene."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

import slicer
from SEGSAMLib.Errors import NodeError, StaleError
from SEGSAMLib.Scene import Frames, SegmentTags
from SEGSAMLib.Scene.Segments import Segments
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Geometry import VolumeGrid
from SEGSAMLib.Values.Masks import PackedRegion
from SEGSAMLib.Values.Results import PendingRequest
from SEGSAMLib.Values.Terminology import Identity
from SEGSAMLib.Values.UndoStack import Completed
from SEGSAMLib.Values.VoxelEdit import VoxelEdit


class SceneNodes:
    """Nodes that the module works on, shared by the parts of `Logic`.

    `results` holds the last result of the model for prompts by segment id, `completed` the last
    completion from confirmed slices, `pending_request` the newest request without a reply.
    `on_segment_selected` is called after each selection of a segment.
    """

    def __init__(self, scene: Any = None) -> None:
        self.scene = scene if scene is not None else slicer.mrmlScene
        self.volume: Any = None
        self.segmentation: Any = None
        self._segment_id = ""
        self.results: dict[str, PackedRegion | None] = {}
        self.completed: dict[str, Completed] = {}
        self.pending_request: PendingRequest | None = None
        self.on_segment_selected: Callable[[], None] = lambda: None

    def select(self, volume: Any, segmentation: Any = None) -> None:
        """Work on a volume and a segmentation of it; without one, it is made when it is needed. The
        selected segment stays selected if it is still there, else the first one is selected.
        """
        if volume is not self.volume or segmentation is not self.segmentation:
            self.pending_request = None
        self.volume, self.segmentation = volume, segmentation
        ids = self.segment_ids
        self.select_segment(self.segment_id if self.segment_id in ids else next(iter(ids), ""))

    def select_remaining(self) -> None:
        """Select the first segment if the selected one was removed by another module."""
        if self._segment_id and not self.segment_id:
            self.select_segment(next(iter(self.segment_ids), ""))

    def release(self) -> None:
        """Forget all nodes, because the scene or the panel is about to be closed."""
        self.volume = self.segmentation = self.pending_request = None
        self._segment_id = ""
        self.results.clear()
        self.completed.clear()

    # -- volume

    @property
    def grid(self) -> VolumeGrid | None:
        """Voxel grid of the current volume, None without a volume."""
        return None if self.volume is None else self.need_grid()

    def need_grid(self) -> VolumeGrid:
        """Return the voxel grid of the current volume. Raises `NodeError` without a volume."""
        return Frames.grid_of(self.volume)

    def to_volume_ras(self, points_world: Any) -> np.ndarray:
        """Return points (n, 3) of the world in the frame of the current volume."""
        return Frames.to_node(points_world, self.volume)

    # -- segments

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """Ids of all segments of the current segmentation."""
        if self.segmentation is None:
            return ()
        return tuple(self.segmentation.GetSegmentation().GetSegmentIDs())

    @property
    def segment_id(self) -> str:
        """Id of the current segment, empty without one: another module may have removed it."""
        return self._segment_id if self._segment_id in self.segment_ids else ""

    @property
    def identity(self) -> Identity | None:
        """Name, colour and code of the current segment, None without one."""
        return SegmentTags.identity_of(self.segment()) if self.segment_id else None

    def segment(self, segment_id: str = "") -> Any:
        """Return a segment, the current one by default. Raises `NodeError` if there is none."""
        segment_id = segment_id or self.segment_id
        if self.segmentation is None or segment_id not in self.segment_ids:
            raise NodeError(_("Choose a segment first."))
        return self.segmentation.GetSegmentation().GetSegment(segment_id)

    def make_segmentation(self) -> Any:
        """Make a segmentation node for the current volume, under the same transform."""
        self.need_grid()
        node = self.scene.AddNewNodeByClass(
            "vtkMRMLSegmentationNode", f"{self.volume.GetName()} segmentation"
        )
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        node.SetAndObserveTransformNodeID(self.volume.GetTransformNodeID())
        self.segmentation = node
        return node

    def add_segment(self, name: str = "", category: str = "") -> str:
        """Add an empty segment and select it. A name or category that is given counts as the user's
        choice; a category sets colour and code too.
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
        """Select the segment that prompts and results belong to."""
        self._segment_id = segment_id if segment_id in self.segment_ids else ""
        self.on_segment_selected()

    def toggle_visibility(self) -> None:
        """Show or hide the current segment in all views; does nothing without one."""
        display = None if self.segmentation is None else self.segmentation.GetDisplayNode()
        if display is not None and self.segment_id:
            is_visible = display.GetSegmentVisibility(self.segment_id)
            display.SetSegmentVisibility(self.segment_id, not is_visible)

    # -- voxels

    def segments(self) -> Segments:
        """Return the label maps of the segmentation. Raises `NodeError` without one."""
        if self.segmentation is None:
            raise NodeError(_("Choose a segmentation first."))
        grid = self.need_grid()
        volume_to_node = Frames.between(self.volume, self.segmentation)
        return Segments(self.segmentation, grid, volume_to_node)

    def run_edit(self, edit: VoxelEdit) -> Any:
        """Compute and write a change of voxels in this thread. Raises `NodeError`."""
        return self.commit_edit(edit, edit.compute(edit.layers))

    def commit_edit(self, edit: VoxelEdit, computed: Any) -> Any:
        """Write a computed change of voxels. If the segmentation was changed meanwhile, for example
        in the Segment Editor, the change is computed again. Raises `NodeError`.
        """
        edit.check()
        segments = self.segments()
        try:
            segments.commit(edit.layers)
        except StaleError:
            layers = segments.layers()
            computed = edit.compute(layers)
            segments.commit(layers)
        return edit.finish(computed)

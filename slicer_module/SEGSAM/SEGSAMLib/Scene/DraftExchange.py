"""Exchange of unsaved work between the scene and drafts."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Callable, Hashable

from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Scene import SegmentTags
from SEGSAMLib.Scene.SceneNodes import SceneNodes
from SEGSAMLib.Scene.Segments import LABELMAP, modified_time
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Draft import Draft
from SEGSAMLib.Values.Layers import Layers
from SEGSAMLib.Values.Masks import PackedRegion
from SEGSAMLib.Values.VoxelEdit import VoxelEdit


class DraftExchange:
    """Drafts of the current segmentation. Reads and writes nothing else of the scene."""

    def __init__(self, nodes: SceneNodes) -> None:
        self._nodes = nodes

    def state(self) -> Hashable:
        """Return a value that changes with each change of segments: of voxels, prompts, names. None
        without segments, or if they are surfaces, which only their user may convert.
        """
        node = self._nodes.segmentation
        if node is None or self._nodes.volume is None:
            return None
        segmentation = node.GetSegmentation()
        if segmentation.GetSourceRepresentationName() != LABELMAP:
            return None
        states = []
        for segment_id in segmentation.GetSegmentIDs():
            segment = segmentation.GetSegment(segment_id)
            image = segment.GetRepresentation(LABELMAP)
            time_of_image = 0 if image is None else modified_time(image)
            states.append((segment_id, int(segment.GetMTime()), time_of_image))
        return (node.GetID(), *states) if states else None

    def builder(self) -> Callable[[], Draft]:
        """Return a function that any thread may call: it packs all segments, as they are now. Here
        only references are copied. Raises `NodeError` without a segmentation.
        """
        nodes, saved = self._nodes, time.time()
        grid, layers = nodes.need_grid(), nodes.segments().layers()
        ids = tuple(layers.ids)
        segments = [nodes.segment(each) for each in ids]
        facts = [SegmentTags.draft_of(each) for each in segments]
        results = [nodes.results.get(each) for each in ids]
        selected = ids.index(nodes.segment_id) if nodes.segment_id in ids else 0

        def build() -> Draft:
            rows = []
            for segment_id, fact, result in zip(ids, facts, results):
                whole = layers.whole(segment_id)
                inside = None if whole is None else whole.inside(grid.shape_ijk)
                voxels = None if inside is None else PackedRegion.pack(inside)
                rows.append(replace(fact, voxels=voxels, result=result))
            return Draft(grid, tuple(rows), selected, saved)

        return build

    def restore_edit(self, draft: Draft) -> VoxelEdit:
        """Add the segments of a draft to the scene, without voxels, and return the voxel edit that
        adds these. A segmentation that has segments stays as it is, and the draft gets one of its
        own. Raises `NodeError` without a volume.
        """
        nodes = self._nodes
        if nodes.segmentation is None or nodes.segment_ids:
            nodes.make_segmentation()
        node = nodes.segmentation
        ids = [str(node.GetSegmentation().AddEmptySegment()) for _segment in draft.segments]
        for segment_id, segment in zip(ids, draft.segments):
            SegmentTags.set_draft(nodes.segment(segment_id), segment)

        def check() -> None:
            if nodes.segmentation is not node:
                raise NodeError(_("Another segmentation was chosen; the unsaved work waits."))

        def write(layers: Layers) -> None:
            for segment_id, segment in zip(ids, draft.segments):
                if segment.voxels is not None:
                    layers.write(segment_id, segment.voxels.unpack(), None)

        def finish(_done: None) -> int:
            for segment_id, segment in zip(ids, draft.segments):
                nodes.results[segment_id] = segment.result
            nodes.select_segment(ids[draft.selected] if ids else "")
            return len(ids)

        return VoxelEdit(nodes.segments().layers(), draft.voxels, write, check, finish)

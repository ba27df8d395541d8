"""The scene: current volume and segmentation, prompts of the current segment, results. MRML only.

All positions that come in are of the scene's world (RAS, mm) or pixels of a slice view; all that
goes out to the server are voxels of the current volume. `Work` has nodes, prompts and undo,
`Files` volumes and labels.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import numpy as np

from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Parameters import Parameters
from SEGSAMLib.Scene import SegmentTags
from SEGSAMLib.Scene.FileExchange import Files
from SEGSAMLib.Scene.Surfaces import Drawing, Surfaces
from SEGSAMLib.Values.Layers import Layers
from SEGSAMLib.Values.Replies import InferReply
from SEGSAMLib.Values.Results import AppliedResult, PendingRequest, Written, voxels_of, written
from SEGSAMLib.Values.SlicePredictions import NO_PREDICTIONS, SlicePredictions
from SEGSAMLib.Values.UndoStack import Identity, Step
from SEGSAMLib.Values.VoxelEdit import VoxelEdit

_LATE = "An answer came that nobody waits for any more; nothing was changed."


class Logic(Files):
    """For one scene; the widget holds one, and calls it in the GUI thread only."""

    def __init__(self, scene: Any = None) -> None:
        super().__init__(scene)
        self._surfaces: dict[str, Surfaces] = {}

    def close(self) -> None:
        """Let go of the scene: it is about to be closed, or the panel is."""
        super().close()
        self._surfaces.clear()

    def request(self, parameters: Parameters) -> dict[str, Any]:
        """The JSON of a request for the current segment. Raises `PromptError`, `NodeError`."""
        prompts = self.prompts
        body = self._body(prompts.to_request(), parameters)
        limits = (parameters.first_slice, parameters.last_slice)
        self._asked = PendingRequest(
            body["request_id"],
            self.segment_id,
            prompts,
            parameters.protection,
            limits if parameters.limit_slices else None,
            self._results.get(self.segment_id),
            replaces_slices=self.segment_id not in self._results and self._is_reopened(),
        )
        return body

    def request_category(
        self, category: str, axis: int, index: int, parameters: Parameters
    ) -> dict[str, Any]:
        """The JSON of a request for what the model sees of another category on a slice, for a new
        segment of that name, which is selected.
        """
        self.add_segment(category=category)
        low, high = [0, 0, 0], [side - 1 for side in self._need_grid().shape_ijk]
        low[axis] = high[axis] = index
        box = {"min_ijk": low, "max_ijk": high}
        body = self._body({"points": [], "boxes": [box]}, parameters)
        body.update(axis="ijk"[axis], propagate=False, decoder="semantic", category=category)
        self._asked = PendingRequest(
            body["request_id"], self.segment_id, protection=parameters.protection
        )
        return body

    def apply(self, reply: InferReply) -> AppliedResult:
        """Write the answer to the newest request into its segment: only changed voxels, as the
        protection mode says; the segment takes the model's category unless the user chose one.

        Raises `NodeError` when the answer is out of date, or its segment is gone.
        """
        applied: AppliedResult = self.at_once(self.applying(reply))
        return applied

    def applying(self, reply: InferReply) -> VoxelEdit:
        """What `apply` would do. Raises `NodeError` when the answer is out of date."""
        asked = self._asked
        if asked is None or reply.request_id != asked.request_id:
            raise NodeError(_LATE)

        def check() -> None:
            if self._asked is not asked:
                raise NodeError(_LATE)

        def compute(layers: Layers) -> Written:
            return written(layers, asked, reply)

        return VoxelEdit(
            self._segments().look(),
            voxels_of(asked, reply),
            compute,
            check,
            lambda found: self._applied(asked, reply, found),
        )

    def _applied(self, asked: PendingRequest, reply: InferReply, found: Written) -> AppliedResult:
        """What is to be done once the voxels are written."""
        self._asked = None
        before = SegmentTags.identity_of(self._segment(asked.segment_id))
        after = self._named(before, reply.category)
        if after != before:
            SegmentTags.set_identity(self._segment(asked.segment_id), after)
        step = replace(found.step, identity_before=before, identity_after=after)
        if found.added:
            SegmentTags.say_who_drew(self._segment(asked.segment_id))
        if step.changes or after != before:
            self._history().push_result(step)
        self._results[asked.segment_id] = step.result_after
        self._keep_findings(asked.segment_id, reply.findings)
        category = after.name if after.chosen_by == "model" else ""
        return AppliedResult(
            asked.segment_id,
            found.added,
            found.removed,
            category,
            reply.confidence,
            reply.notes,
        )

    def forget_request(self) -> None:
        """The newest request was cancelled: an answer that comes all the same is dropped."""
        self._asked = None

    def choose_category(self, category: str) -> None:
        """The user's own choice for the current segment: it wins from now on."""
        segment = self._segment()
        before = SegmentTags.identity_of(segment)
        after = SegmentTags.named(category, chosen_by="user")
        SegmentTags.set_identity(segment, after)
        prompts = self.prompts
        self._history().push(
            Step(
                self.segment_id,
                "choice of a category",
                prompts,
                prompts,
                result_before=self._results.get(self.segment_id),
                result_after=self._results.get(self.segment_id),
                identity_before=before,
                identity_after=after,
            )
        )

    @property
    def identity(self) -> Identity | None:
        """Name, colour and code of the current segment and who chose them, None without one."""
        return SegmentTags.identity_of(self._segment()) if self.segment_id else None

    @property
    def findings(self) -> SlicePredictions:
        """What the model said about the slices of the current segment."""
        if self.segment_id not in self._findings and self.segment_id:
            text = SegmentTags.tag(self._segment(), SegmentTags.CERTAINTY_TAG)
            self._findings[self.segment_id] = SlicePredictions.from_text(text)
        return self._findings.get(self.segment_id, NO_PREDICTIONS)

    def certainty_strip(self, axis: int) -> np.ndarray:
        """(n,) float32, 0 to 1, of all slices of an axis; NaN where nothing is known."""
        return self.findings.strip(axis, self._need_grid().shape_ijk[axis])

    def worst_slice(self, axis: int) -> int | None:
        """The slice of an axis to look at first, None where nothing is known."""
        return self.findings.worst(axis)

    def also_present(self, axis: int, index: int) -> tuple[tuple[str, float], ...]:
        """(category, probability) of what else is on a slice, without what this segment is."""
        own = self._segment().GetName() if self.segment_id else ""
        found = self.findings.present.get((axis, index), ())
        return tuple((name, value) for name, value in found if name != own)

    def drawing(self) -> Drawing | None:
        """The surfaces that are out of date, None when nothing is to be shown in 3D: as Slicer
        needs long for them, call it when the user has stopped clicking.
        """
        if self.segmentation is None:
            return None
        surfaces = self._surfaces.setdefault(self.segmentation.GetID(), Surfaces(self.segmentation))
        if not surfaces.are_shown:
            return None
        drawing = surfaces.drawing(self._segments().look())
        return drawing if drawing.places else None

    def _is_reopened(self) -> bool:
        """The segment came with voxels of a model's from an earlier time: nobody knows which."""
        identity = SegmentTags.identity_of(self._segment())
        return bool(SegmentTags.tag(self._segment(), SegmentTags.CERTAINTY_TAG)) or (
            identity.chosen_by == "model"
        )

    def _body(self, prompts: dict[str, Any], parameters: Parameters) -> dict[str, Any]:
        return {
            "prompts": prompts,
            "axis": parameters.axis,
            "propagate": parameters.follows,
            "decoder": parameters.decoder,
            "category": parameters.category or None,
            "window": parameters.window or None,
            "result": "region",
            "request_id": uuid.uuid4().hex,
        }

    def _named(self, now: Identity, category: str) -> Identity:
        """The user's choice stands; else the model's, if it has one."""
        if not category or now.chosen_by == "user":
            return now
        return SegmentTags.named(category, chosen_by="model")

    def _keep_findings(self, segment_id: str, findings: SlicePredictions) -> None:
        self._findings[segment_id] = findings
        SegmentTags.set_tag(
            self._segment(segment_id), SegmentTags.CERTAINTY_TAG, findings.to_text()
        )

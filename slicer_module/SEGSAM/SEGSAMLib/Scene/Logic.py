"""Logic of the module in the scene: requests for the current segment, and their results. MRML only.

Positions that come in are in the world of the scene (RAS, mm) or pixels of a slice view. Positions
that go to the server are voxels of the current volume.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial
from typing import Any

from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Parameters import Parameters
from SEGSAMLib.Scene import SegmentTags
from SEGSAMLib.Scene.DraftExchange import DraftExchange
from SEGSAMLib.Scene.FileExchange import FileExchange
from SEGSAMLib.Scene.SceneNodes import SceneNodes
from SEGSAMLib.Scene.SegmentPrompts import SegmentPrompts
from SEGSAMLib.Scene.Segments import SURFACE
from SEGSAMLib.Scene.Surfaces import Surfaces, SurfaceUpdate
from SEGSAMLib.Scene.UndoHistory import UndoHistory
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Completions import Completion, drawn_axis
from SEGSAMLib.Values.ConfirmedSlices import NOTHING_CONFIRMED, ConfirmedSlices
from SEGSAMLib.Values.Layers import Layers
from SEGSAMLib.Values.Masks import VoxelChange
from SEGSAMLib.Values.Prompts import NO_PROMPTS
from SEGSAMLib.Values.Replies import FoundObject, InferReply
from SEGSAMLib.Values.Results import (
    ALLOW_OVERLAP,
    AppliedResult,
    PendingRequest,
    ResultEdit,
    voxels_to_read,
    write_result,
)
from SEGSAMLib.Values.SlicePredictions import NO_PREDICTIONS, SlicePredictions
from SEGSAMLib.Values.UndoStack import NOT_COMPLETED, SegmentState, UndoStep
from SEGSAMLib.Values.VoxelEdit import VoxelEdit


class Logic:
    """Logic of one scene, for the GUI thread only.

    Its parts: `nodes` (the current volume, segmentation and segment), `prompts` of the current
    segment, `history` (undo and redo), `files` (exchange of volumes and labels with files),
    `drafts` (unsaved work).
    """

    def __init__(self, scene: Any = None) -> None:
        self.nodes = SceneNodes(scene)
        self.history = UndoHistory(self.nodes)
        self.prompts = SegmentPrompts(self.nodes, self.history)
        self.files = FileExchange(self.nodes)
        self.drafts = DraftExchange(self.nodes)
        self.nodes.on_segment_selected = self.prompts.show
        self._predictions: dict[str, SlicePredictions] = {}
        self._surfaces: dict[str, Surfaces] = {}

    def close(self) -> None:
        """Release the scene, because it or the panel is about to be closed."""
        self.prompts.markups.remove()
        self.nodes.release()
        self.history.clear()
        self._predictions.clear()
        self._surfaces.clear()

    def remove_segment(self, segment_id: str) -> None:
        """Remove a segment with its prompts. `history` cannot undo this."""
        self.history.stack.forget_segment(segment_id)
        self.nodes.results.pop(segment_id, None)
        self.nodes.completed.pop(segment_id, None)
        self._predictions.pop(segment_id, None)
        self.nodes.segmentation.GetSegmentation().RemoveSegment(segment_id)
        if segment_id == self.nodes.segment_id:
            self.nodes.select_segment(next(iter(self.nodes.segment_ids), ""))

    # -- requests and results

    def request(self, parameters: Parameters) -> dict[str, Any]:
        """Return the JSON of a request for the current segment. Raises `PromptError`,
        `NodeError`.
        """
        body = _request_body(self.prompts.current.to_request(), parameters)
        if parameters.axis == "auto" and self.prompts.view_axis is not None:
            body["axis"] = "ijk"[self.prompts.view_axis]  # the annotator means the slice they see
        self.nodes.pending_request = self._pending(body["request_id"], parameters)
        return body

    def completion(self, parameters: Parameters) -> Completion:
        """Return the request to complete the current segment from its confirmed slices. Raises
        `NodeError`.
        """
        segment_id, confirmed = self.nodes.segment_id, self.confirmed
        before = self.nodes.completed.get(segment_id, NOT_COMPLETED)
        request_id = uuid.uuid4().hex
        points = self.prompts.current.all_points
        known = [axis for axis, _index in self.predictions.certainty]
        axes = known if confirmed.axis is None else [confirmed.axis]
        pending = self._pending(request_id, parameters)
        self.nodes.pending_request = replace(pending, completes=True)
        return Completion(
            self.nodes.segments().layers(),
            segment_id,
            confirmed,
            {
                "prompts": {
                    "points": [
                        {"ijk": list(point.ijk), "positive": point.positive}
                        for point in points
                        if not any(point.ijk[axis] == index for axis, index in confirmed.slices)
                    ]
                },
                "previous": before.state or None,
                "window": parameters.window or None,
                "result": "region",
                "request_id": request_id,
            },
            axes[0] if axes else None,
            tuple(each for each in (before.result, pending.previous) if each is not None),
            pending.replaces_slices and before.result is None,
            parameters.protection != ALLOW_OVERLAP,
        )

    def _pending(self, request_id: str, parameters: Parameters) -> PendingRequest:
        """Return the request for the current segment that is about to be sent."""
        segment_id, results = self.nodes.segment_id, self.nodes.results
        is_completed = self._is_completed(segment_id) and results.get(segment_id) is None
        is_unknown = segment_id not in results and self._has_stored_result()
        limits = (parameters.first_slice, parameters.last_slice)
        return PendingRequest(
            request_id,
            segment_id,
            self.prompts.current,
            parameters.protection,
            limits if parameters.limit_slices else None,
            results.get(segment_id),
            replaces_slices=is_completed or is_unknown,
            confirmed=self._all_confirmed(),
        )

    def request_category(
        self, category: str, axis: int, index: int, parameters: Parameters
    ) -> dict[str, Any]:
        """Return the JSON of a request for another category on a slice. The result goes to a new
        segment of that name, which is selected.
        """
        segment_id = self.nodes.add_segment(category=category)
        low, high = [0, 0, 0], [side - 1 for side in self.nodes.need_grid().shape_ijk]
        low[axis] = high[axis] = index
        box = {"min_ijk": low, "max_ijk": high}
        body = _request_body({"points": [], "boxes": [box]}, parameters)
        body.update(axis="ijk"[axis], propagate=False, decoder="semantic", category=category)
        self.nodes.pending_request = PendingRequest(
            body["request_id"],
            segment_id,
            protection=parameters.protection,
            confirmed=self._all_confirmed(),
        )
        return body

    def find_request(self, name: str, parameters: Parameters) -> dict[str, Any]:
        """Return the JSON of a request for the objects of a name."""
        return {
            "find": [name],
            "axis": parameters.axis if parameters.axis != "all" else "auto",
            "window": parameters.window or None,
            "result": "region",
            "request_id": uuid.uuid4().hex,
        }

    def found_edit(self, found: FoundObject, parameters: Parameters) -> VoxelEdit:
        """Return the voxel edit that writes an object into the segment of its name, which is
        selected; it is made if there is none. Raises `NodeError`.
        """
        nodes = self.nodes
        named = (each for each in nodes.segment_ids if nodes.segment(each).GetName() == found.name)
        segment_id = next(named, "")
        if segment_id:
            nodes.select_segment(segment_id)
        else:
            nodes.add_segment()
        nodes.pending_request = self._pending(uuid.uuid4().hex, parameters)
        request_id = nodes.pending_request.request_id
        reply = InferReply(request_id, found.region, found.name, found.certainty, ())
        return self.result_edit(reply)

    def forget_request(self) -> None:
        """Forget the newest request: its reply will be refused."""
        self.nodes.pending_request = None

    def withdrawal_edit(self) -> VoxelEdit | None:
        """Return the voxel edit that takes back the result of prompts that were removed since, None
        without a result. Raises `NodeError`.
        """
        prompts, segment_id = self.prompts.current, self.nodes.segment_id
        previous = self.nodes.results.get(segment_id)
        if previous is None:
            return None
        pending = PendingRequest(
            uuid.uuid4().hex,
            segment_id,
            prompts,
            previous=previous,
            confirmed=self._all_confirmed(),
        )
        self.nodes.pending_request = pending
        return self.result_edit(InferReply(pending.request_id, None, "", None, ()))

    def reset_edit(self) -> VoxelEdit:
        """Return the voxel edit that removes all prompts and voxels of the current segment. Raises
        `NodeError`.
        """
        segment, segment_id = self.nodes.segment(), self.nodes.segment_id
        before = SegmentState(
            self.prompts.current,
            self.nodes.results.get(segment_id),
            confirmed=self.confirmed,
            completed=self.nodes.completed.get(segment_id, NOT_COMPLETED),
        )
        nothing = SegmentState(confirmed=replace(self.confirmed, slices=frozenset()))
        nothing = replace(nothing, completed=NOT_COMPLETED)
        self.forget_request()
        layers = self.nodes.segments().layers()

        def compute(now: Layers) -> VoxelChange | None:
            region = now.whole(segment_id)
            return None if region is None else now.erase(segment_id, region)

        def finish(change: VoxelChange | None) -> None:
            SegmentTags.set_prompts(segment, NO_PROMPTS)
            SegmentTags.set_tag(segment, SegmentTags.CERTAINTY_TAG, "")
            SegmentTags.set_confirmed(segment, NOTHING_CONFIRMED)
            self.nodes.results[segment_id] = None
            self.nodes.completed.pop(segment_id, None)
            self._predictions.pop(segment_id, None)
            changes = {} if change is None else {segment_id: change}
            if changes or before != nothing:
                text = _("reset of the segment")
                step = UndoStep(segment_id, text, before, nothing, changes)
                self.history.stack.push(step)
            self.prompts.show()

        voxels = int(layers.label_of(segment_id).layer.labels.size)
        check = partial(self.nodes.segment, segment_id)  # it raises if the segment was removed
        return VoxelEdit(layers, voxels, compute, check, finish)

    def result_edit(self, reply: InferReply) -> VoxelEdit:
        """Return the voxel edit that writes a reply into the segment of its request.

        The edit changes only voxels that differ, and other segments as the request's protection
        mode allows. It gives the segment the model's category unless the user chose one, and
        returns an `AppliedResult`. Raises `NodeError` if the reply is not to the newest request;
        the edit raises it if the segment was removed meanwhile.
        """
        pending = self.nodes.pending_request
        if pending is None or reply.request_id != pending.request_id:
            raise _out_of_date()

        def check() -> None:
            if self.nodes.pending_request is not pending:
                raise _out_of_date()

        layers = self.nodes.segments().layers()
        return VoxelEdit(
            layers,
            voxels_to_read(layers, pending, reply),
            lambda layers: write_result(layers, pending, reply),
            check,
            lambda edit: self._finish(pending, reply, edit),
        )

    def _finish(
        self, pending: PendingRequest, reply: InferReply, edit: ResultEdit
    ) -> AppliedResult:
        """Set name, undo step and predictions after the voxels of a result were written."""
        self.nodes.pending_request = None
        segment = self.nodes.segment(pending.segment_id)
        before = SegmentTags.identity_of(segment)
        after = before
        if reply.category and before.chosen_by != "user":
            after = SegmentTags.named(reply.category, chosen_by="model")
        elif reply.suggestions and before.chosen_by == "model":
            after = SegmentTags.unnamed()  # seen with more prompts, the model withdraws the name
        if after != before:
            SegmentTags.set_identity(segment, after)
        if edit.added:
            SegmentTags.set_algorithm(segment)
        step = replace(
            edit.step,
            before=replace(edit.step.before, identity=before),
            after=replace(edit.step.after, identity=after),
        )
        predictions = reply.predictions
        if pending.completes:
            self.history.stack.push(self._completed(step))
        elif step.changes or after != before:
            self.history.stack.push_result(step)
        if not pending.completes and self._is_completed(pending.segment_id):
            predictions = self._predictions_of(pending.segment_id).updated(predictions)
        self.nodes.results[pending.segment_id] = step.after.result
        self._predictions[pending.segment_id] = predictions
        SegmentTags.set_tag(segment, SegmentTags.CERTAINTY_TAG, predictions.to_text())
        return AppliedResult(
            pending.segment_id,
            edit.added,
            edit.removed,
            after.name if after.chosen_by == "model" else "",
            reply.confidence,
            reply.notes,
            () if reply.category else reply.suggestions,
            reply.taught,
        )

    def _is_completed(self, segment_id: str) -> bool:
        """Return True if the segment has a completion whose region is known."""
        return self.nodes.completed.get(segment_id, NOT_COMPLETED).result is not None

    def _completed(self, step: UndoStep) -> UndoStep:
        """Store what a completion brought besides voxels; return its step with the state before."""
        segment_id, after = step.segment_id, step.after
        before = self.nodes.completed.get(segment_id, NOT_COMPLETED)
        if after.confirmed is not None and after.completed is not None:
            SegmentTags.set_confirmed(self.nodes.segment(segment_id), after.confirmed)
            self.nodes.completed[segment_id] = after.completed
        return replace(step, before=replace(step.before, completed=before))

    def _has_stored_result(self) -> bool:
        """Return True if the segment has voxels of an earlier result that was loaded with the
        scene; which voxels they are is not known.
        """
        segment = self.nodes.segment()
        has_certainty = bool(SegmentTags.tag(segment, SegmentTags.CERTAINTY_TAG))
        return has_certainty or SegmentTags.identity_of(segment).chosen_by == "model"

    # -- confirmed slices

    @property
    def confirmed(self) -> ConfirmedSlices:
        """Confirmed slices of the current segment."""
        if not self.nodes.segment_id:
            return NOTHING_CONFIRMED
        return SegmentTags.confirmed_of(self.nodes.segment(), self.nodes.need_grid().shape_ijk)

    def drawn_axis(self) -> int | None:
        """Return the axis across which the current segment was drawn by hand, None without one."""
        segment_id = self.nodes.segment_id
        return drawn_axis(self.nodes.segments().layers(), segment_id) if segment_id else None

    def confirm(self, axis: int, index: int) -> bool:
        """Confirm a slice of the current segment as it is, or withdraw that; return True if it is
        confirmed now. Raises `NodeError`.
        """
        segment, segment_id = self.nodes.segment(), self.nodes.segment_id
        before, after = self.confirmed, self.confirmed.toggled(axis, index)
        SegmentTags.set_confirmed(segment, after)
        state = SegmentState(self.prompts.current, self.nodes.results.get(segment_id))
        states = replace(state, confirmed=before), replace(state, confirmed=after)
        self.history.stack.push(UndoStep(segment_id, _("confirmation of a slice"), *states))
        return (axis, index) in after.slices

    def _all_confirmed(self) -> dict[str, ConfirmedSlices]:
        """Return the confirmed slices of every segment by its id."""
        shape_ijk = self.nodes.need_grid().shape_ijk
        return {
            each: SegmentTags.confirmed_of(self.nodes.segment(each), shape_ijk)
            for each in self.nodes.segment_ids
        }

    # -- names and predictions

    def choose_category(self, category: str) -> None:
        """Set the user's choice of category for the current segment. Results do not change it. An
        empty one leaves the choice to the model again.
        """
        segment, segment_id = self.nodes.segment(), self.nodes.segment_id
        before = SegmentTags.identity_of(segment)
        chosen = SegmentTags.named(category, chosen_by="user")
        after = chosen if category else SegmentTags.unnamed()
        SegmentTags.set_identity(segment, after)
        prompts, result = self.prompts.current, self.nodes.results.get(segment_id)
        states = SegmentState(prompts, result, before), SegmentState(prompts, result, after)
        self.history.stack.push(UndoStep(segment_id, _("choice of a category"), *states))

    @property
    def predictions(self) -> SlicePredictions:
        """Predictions of the model for the slices of the current segment."""
        return self._predictions_of(self.nodes.segment_id)

    def _predictions_of(self, segment_id: str) -> SlicePredictions:
        if segment_id and segment_id not in self._predictions:
            text = SegmentTags.tag(self.nodes.segment(segment_id), SegmentTags.CERTAINTY_TAG)
            self._predictions[segment_id] = SlicePredictions.from_text(text)
        return self._predictions.get(segment_id, NO_PREDICTIONS)

    def also_present(self, axis: int, index: int) -> tuple[tuple[str, float], ...]:
        """Return (category, probability) of other categories on a slice, without the name of the
        current segment.
        """
        segment_name = self.nodes.segment().GetName() if self.nodes.segment_id else ""
        present = self.predictions.present.get((axis, index), ())
        return tuple((name, value) for name, value in present if name != segment_name)

    # -- 3D view

    @property
    def shows_surfaces(self) -> bool:
        """True if the segmentation has surfaces."""
        node = self.nodes.segmentation
        return node is not None and node.GetSegmentation().ContainsRepresentation(SURFACE)

    def surface_update(self) -> SurfaceUpdate | None:
        """Return the update of the surfaces that are out of date, None if there are none. It takes
        long: call it when the user has stopped clicking.
        """
        segmentation = self.nodes.segmentation
        if segmentation is None:
            return None
        surfaces = self._surfaces.setdefault(segmentation.GetID(), Surfaces(segmentation))
        if not surfaces.are_shown:
            return None
        update = surfaces.update(self.nodes.segments().layers())
        return update if update.labels else None


def _out_of_date() -> NodeError:
    return NodeError(_("The reply belongs to an earlier request; nothing was changed."))


def _request_body(prompts: dict[str, Any], parameters: Parameters) -> dict[str, Any]:
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

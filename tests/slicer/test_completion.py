"""Completion from confirmed slices in Slicer's own scene, in the panel, and with a real server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel import connect, is_segmenting, label, until, voxels
from SEGSAMLib.Parameters import Parameters
from SEGSAMLib.Scene import Frames
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Values.Masks import Region
from SEGSAMLib.Values.Replies import InferReply
from SEGSAMLib.Values.SlicePredictions import SlicePredictions
from serving import ball
from volumes import apply, oblique, put, redo, segment_voxels, undo, volume

import slicer

FULL = os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0")
SHAPE = (30, 26, 10)
KEEP, OVERWRITE = Parameters(protection="keep others"), Parameters(protection="overwrite")
BLOCK = Region((4, 4, 2), np.ones((6, 6, 5), bool))
LARGER = Region((3, 3, 1), np.ones((9, 9, 8), bool))


@pytest.fixture
def logic(scene: Any) -> Iterator[Logic]:
    """A segment with slices 3 and 5 drawn by hand."""
    found = Logic(scene)
    found.nodes.select(volume(scene, oblique(), np.zeros(SHAPE, np.int16)))
    found.nodes.add_segment()
    drawn = np.zeros((6, 6, 3), bool)
    drawn[..., [0, 2]] = True
    put(found, found.nodes.segment_id, Region((4, 4, 3), drawn))
    yield found
    found.close()


def now(logic: Logic, segment_id: str = "") -> np.ndarray:
    return segment_voxels(
        logic.nodes.segmentation, segment_id or logic.nodes.segment_id, logic.nodes.volume
    )


def completed(logic: Logic, region: Region, parameters: Parameters = KEEP) -> dict[str, Any]:
    """Complete with an answer that a server could have given; the request."""
    request = logic.completion(parameters).request()
    sent = tuple(("ijk".index(each["axis"]), each["index"]) for each in request["confirmed"])
    slices = tuple((2, k) for k in range(region.min_ijk[2], region.max_ijk[2] + 1))
    certainty = SlicePredictions(dict.fromkeys(slices, 0.8), proposed=(2, 7))
    reply = InferReply(request["request_id"], region, "", None, (2,), slices, certainty)
    apply(logic, replace(reply, confirmed=sent, state="s1"))
    return request


def clicked(logic: Logic, region: Region, parameters: Parameters = KEEP) -> None:
    """Segment a point with an answer that a server could have given."""
    point = logic.nodes.need_grid().ras((6, 6, region.min_ijk[2]))[0]
    logic.prompts.add_point(Frames.to_world(point, logic.nodes.volume)[0])
    request = logic.request(parameters)
    slices = tuple((2, k) for k in range(region.min_ijk[2], region.max_ijk[2] + 1))
    apply(logic, InferReply(request["request_id"], region, "", None, (2,), slices))


class TestConfirming:
    def test_it_is_kept_with_the_scene_and_undone(self, logic: Logic, tmp_path: Path) -> None:
        assert logic.confirm(2, 3) is True
        assert logic.confirm(2, 5) is True
        assert logic.confirm(2, 3) is False
        assert undo(logic)
        assert logic.confirmed.along(2) == (3, 5)
        logic.history.clear()
        file = tmp_path / "scene.mrb"
        assert logic.nodes.scene.WriteToMRB(str(file))
        logic.nodes.scene.Clear(False)
        assert logic.nodes.scene.ReadFromMRB(str(file))
        (image,) = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        (segmentation,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        again = Logic(logic.nodes.scene)
        again.nodes.select(image, segmentation)
        assert again.confirmed.along(2) == (3, 5)

    def test_reset_withdraws_it_and_undo_brings_it_back(self, logic: Logic) -> None:
        logic.confirm(2, 3)
        logic.nodes.run_edit(logic.reset_edit())
        assert not logic.confirmed.slices
        assert undo(logic)
        assert logic.confirmed.along(2) == (3,)


class TestCompletion:
    def test_confirmed_slices_stay_bit_by_bit_and_undo_is_one_step(self, logic: Logic) -> None:
        before = now(logic)
        request = completed(logic, LARGER)
        assert [each["index"] for each in request["confirmed"]] == [3, 5]
        assert request["previous"] is None
        after = now(logic)
        assert np.array_equal(after[..., [3, 5]], before[..., [3, 5]])
        assert after[3:12, 3:12, [1, 2, 4, 6, 7, 8]].all()
        assert logic.confirmed.along(2) == (3, 5)
        assert completed(logic, LARGER)["previous"] == "s1"
        assert undo(logic)
        assert undo(logic)
        assert np.array_equal(now(logic), before)
        assert not logic.confirmed.slices
        assert completed(logic, LARGER)["previous"] is None
        assert undo(logic)
        assert redo(logic)
        assert np.array_equal(now(logic), after)

    def test_a_correction_by_hand_is_confirmed_with_the_next_one(self, logic: Logic) -> None:
        completed(logic, LARGER)
        erased = np.ones((4, 4, 1), bool)
        layers = logic.nodes.segments().layers()
        layers.erase(logic.nodes.segment_id, Region((3, 3, 7), erased))
        logic.nodes.segments().commit(layers)
        corrected = now(logic)[..., 7]
        request = completed(logic, BLOCK)
        assert [each["index"] for each in request["confirmed"]] == [3, 5, 7]
        assert np.array_equal(now(logic)[..., 7], corrected)
        assert not now(logic)[..., 8].any()  # the new answer replaces the one before

    def test_a_click_afterwards_changes_its_slice_alone(self, logic: Logic) -> None:
        completed(logic, LARGER)
        before = now(logic)
        clicked(logic, Region((4, 4, 6), np.ones((2, 2, 1), bool)))
        after = now(logic)
        assert after[..., 6].sum() == 4
        kept = [k for k in range(SHAPE[2]) if k != 6]
        assert np.array_equal(after[..., kept], before[..., kept])
        assert logic.predictions.certainty[2, 8] == 0.8
        request = logic.completion(KEEP).request()
        assert [each["index"] for each in request["confirmed"]] == [3, 5]

    def test_neither_clicks_nor_following_change_a_confirmed_slice(self, logic: Logic) -> None:
        logic.confirm(2, 3)
        before = now(logic)
        clicked(logic, LARGER)
        assert np.array_equal(now(logic)[..., 3], before[..., 3])
        assert now(logic)[3:12, 3:12, 5].all()
        clicked(logic, Region((8, 8, 1), np.ones((1, 1, 8), bool)))  # much less
        assert np.array_equal(now(logic)[..., 3], before[..., 3])

    def test_no_other_segment_takes_voxels_of_a_confirmed_slice(self, logic: Logic) -> None:
        first = logic.nodes.segment_id
        logic.confirm(2, 3)
        before = now(logic)
        logic.nodes.add_segment()
        clicked(logic, LARGER, OVERWRITE)
        assert np.array_equal(now(logic, first)[..., 3], before[..., 3])
        assert not now(logic, first)[..., 5].any()
        assert not (now(logic) & now(logic, first)).any()

    def test_the_proposed_slice(self, logic: Logic) -> None:
        completed(logic, LARGER)
        assert logic.predictions.proposed == (2, 7)
        assert logic.predictions.worst(2, (1, 2)) == 3


def outlined(module: Any, server: Any) -> np.ndarray:
    """Connect, and outline the ball on slice 4 by hand; bool (i, j, k)."""
    from SEGSAMLib.Scene.Views import show_slice

    connect(module, server)
    session = module.panel.session
    session.logic.nodes.add_segment()
    drawn = np.zeros(ball().shape, bool)
    drawn[..., 4] = ball()[..., 4]
    drawn[40:44, 4:8, 4] = True  # another part, which no model would draw
    put(session.logic, session.logic.nodes.segment_id, Region((0, 0, 0), drawn))
    session.notify_changed()
    show_slice(module.volume, 2, 4)
    return drawn


class TestPanel:
    def test_confirm_start_and_cancel(self, module: Any, server: Any) -> None:
        """With a real server, which is learning when it is cancelled."""
        ui, session = module.ui, module.panel.session
        assert not ui.completeButton.isVisibleTo(ui.promptsSection)
        drawn = outlined(module, server)
        assert ui.completeButton.isVisibleTo(ui.promptsSection)
        ui.confirmButton.click()
        assert label(module, "statusLabel").startswith("Slice 4 is confirmed")
        assert label(module, "certaintyLabel") == "axial slice 4: confirmed"
        ui.completeButton.click()
        until(lambda: "learning from your slices" in label(module, "statusLabel"), "learning")
        ui.cancelButton.click()
        until(lambda: not is_segmenting(module), "the end")
        assert label(module, "statusLabel") == "Cancelled; nothing was changed."
        assert np.array_equal(voxels(module).transpose(2, 1, 0) > 0, drawn)
        assert session.logic.confirmed.along(2) == (4,)

    @pytest.mark.skipif(not FULL, reason="half a minute of learning: SEGSAM_TEST_FULL=1")
    def test_the_whole_way_with_a_real_server(self, module: Any, server: Any) -> None:
        ui, session = module.ui, module.panel.session
        drawn = outlined(module, server)
        ui.completeButton.click()
        until(lambda: not is_segmenting(module), "the completion")
        after = voxels(module).transpose(2, 1, 0)
        assert np.array_equal(after[..., 4] > 0, drawn[..., 4])
        assert after[..., 3].any(), label(module, "statusLabel")
        assert session.logic.confirmed.along(2) == (4,)
        proposed = session.logic.predictions.proposed[1]
        assert ui.proposalButton.text() == f"Slice {proposed} would help most"
        ui.undoButton.click()
        until(lambda: not session.workflow.worker.is_busy, "undo")
        assert np.array_equal(voxels(module).transpose(2, 1, 0) > 0, drawn)
        assert not session.logic.confirmed.slices

    def test_the_proposed_slice_is_a_click_away(self, module: Any) -> None:
        """An answer as the server sends it, put through the real logic."""
        ui, logic = module.ui, module.panel.session.logic
        logic.nodes.add_segment()
        drawn = Region((17, 17, 4), np.ones((20, 20, 1), bool))
        put(logic, logic.nodes.segment_id, drawn)
        completed(logic, Region((17, 17, 2), np.ones((20, 20, 5), bool)))
        module.panel.refresh()
        assert ui.proposalButton.text() == "Slice 7 would help most"
        ui.proposalButton.click()
        assert ui.sliceSlider.value() == 7
        assert ui.certaintyStrip.pixmap().toImage().pixelColor(4, 0).blue() == 217
        module.panel.result.confirm()
        assert logic.confirmed.along(2) == (4, 7)
        assert not ui.proposalButton.isVisibleTo(ui.resultSection)

"""Completion from confirmed slices in Slicer's own scene, in the panel, and with a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel import connect, is_segmenting, label, until, voxels
from SEGSAMLib.Parameters import Parameters
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Values.Masks import Region
from SEGSAMLib.Values.Replies import InferReply
from SEGSAMLib.Values.SlicePredictions import SlicePredictions
from serving import ball
from volumes import apply, oblique, put, redo, segment_voxels, undo, volume

import slicer

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
    logic.prompts.markups.show(logic.prompts.current, logic.nodes.need_grid(), "")
    point = logic.nodes.need_grid().ras((6, 6, region.min_ijk[2]))[0]
    from SEGSAMLib.Scene import Frames

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


class TestPanel:
    def test_from_a_drawn_slice_with_a_real_server(self, module: Any, server: Any) -> None:
        """Draw one slice by hand, confirm it (C), complete, go to the proposed slice, undo."""
        from SEGSAMLib.Scene.Views import show_slice

        ui, session = module.ui, module.panel.session
        assert not ui.completeButton.isVisibleTo(ui.promptsSection)
        connect(module, server)
        session.logic.nodes.add_segment()
        drawn = np.zeros(ball().shape, bool)
        drawn[..., 4] = ball()[..., 4]
        drawn[40:44, 4:8, 4] = True  # another part, which no model would draw
        put(session.logic, session.logic.nodes.segment_id, Region((0, 0, 0), drawn))
        session.notify_changed()
        assert ui.completeButton.isVisibleTo(ui.promptsSection)
        show_slice(module.volume, 2, 4)
        ui.confirmButton.click()
        assert label(module, "statusLabel").startswith("Slice 4 is confirmed")
        assert label(module, "certaintyLabel") == "axial slice 4: confirmed"
        before = voxels(module)
        ui.completeButton.click()
        until(lambda: not is_segmenting(module), "the completion")
        after = voxels(module).transpose(2, 1, 0)
        assert np.array_equal(after[..., 4] > 0, drawn[..., 4])
        assert after[..., 3].any()
        proposed = session.logic.predictions.proposed[1]
        assert proposed != 4
        assert ui.proposalButton.text() == f"Slice {proposed} would help most"
        ui.proposalButton.click()
        assert ui.sliceSlider.value() == proposed
        ui.confirmButton.click()
        assert not ui.proposalButton.isVisibleTo(ui.resultSection)
        ui.undoButton.click()
        ui.undoButton.click()
        until(lambda: not session.workflow.worker.is_busy, "undo")
        assert np.array_equal(voxels(module), before)
        assert session.logic.confirmed.along(2) == (4,)

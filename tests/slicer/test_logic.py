"""Prompts, undo, results and names in Slicer's own scene; the server's answers are made here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from SEGSAMLib.Errors import NodeError, PositionError, PromptError
from SEGSAMLib.Parameters import Parameters
from SEGSAMLib.Scene import Frames
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Values.Geometry import Box
from SEGSAMLib.Values.Masks import Region
from SEGSAMLib.Values.Prompts import Point
from SEGSAMLib.Values.Replies import InferReply
from SEGSAMLib.Values.SlicePredictions import SlicePredictions
from SEGSAMLib.Values.Terminology import TISSUE
from volumes import (
    ORDERS,
    apply,
    bent,
    oblique,
    pixel,
    put,
    redo,
    segment_voxels,
    slice_view,
    stored,
    under_transform,
    undo,
    volume,
)

import slicer

SHAPE = (30, 26, 10)
KEEP = Parameters(protection="keep others")
OVERWRITE = Parameters(protection="overwrite")
OVERLAP = Parameters(protection="allow overlap")


def made(scene: Any, matrix: np.ndarray | None = None) -> Logic:
    logic = Logic(scene)
    logic.nodes.select(
        volume(scene, oblique() if matrix is None else matrix, np.zeros(SHAPE, np.int16))
    )
    return logic


def world(logic: Logic, voxel: Any) -> np.ndarray:
    assert logic.nodes.grid is not None
    return Frames.to_world(logic.nodes.grid.ras(voxel), logic.nodes.volume)[0]


def block(low: tuple[int, int, int], size: tuple[int, int, int]) -> Region:
    return Region(low, np.ones(size, dtype=bool))


def answered(
    logic: Logic, region: Region | None, parameters: Parameters = KEEP, category: str = ""
) -> Any:
    """Ask, and apply an answer that a server could have given."""
    request = logic.request(parameters)
    k = range(SHAPE[2]) if region is None else range(region.min_ijk[2], region.max_ijk[2] + 1)
    slices = tuple((2, index) for index in k)
    predictions = SlicePredictions(
        {at: 0.5 + at[1] / 100 for at in slices}, {(2, 4): (("spleen", 0.7),)}
    )
    confidence = 0.9 if category else None
    return apply(
        logic,
        InferReply(request["request_id"], region, category, confidence, (2,), slices, predictions),
    )


def voxels(logic: Logic, segment_id: str = "") -> np.ndarray:
    return segment_voxels(
        logic.nodes.segmentation, segment_id or logic.nodes.segment_id, logic.nodes.volume
    )


def axis_views(logic: Logic, scene: Any, voxel: Any) -> list[Any]:
    """A slice view across each voxel axis, through a voxel."""
    origin = world(logic, voxel)
    steps = [world(logic, np.array(voxel) + np.eye(3)[axis]) - origin for axis in range(3)]
    return [
        slice_view(scene, origin, steps[across], steps[along])
        for across, along in ((1, 2), (0, 2), (0, 1))
    ]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_clicks_and_boxes_in_all_48_orders(scene: Any, order: Any) -> None:
    logic = made(scene, stored(order))
    low, high = (4, 5, 2), (20, 18, 7)
    logic.prompts.add_point(world(logic, (11, 12, 4)))
    for axis, view in enumerate(axis_views(logic, scene, (11, 12, 4))):
        logic.prompts.add_box_on_slice(
            view, pixel(view, world(logic, low)), pixel(view, world(logic, high))
        )
        box = logic.prompts.current.boxes[-1]
        expected_low, expected_high = list(low), list(high)
        expected_low[axis] = expected_high[axis] = (11, 12, 4)[axis]
        assert box == Box(tuple(expected_low), tuple(expected_high))  # type: ignore[arg-type]
    assert logic.prompts.current.points == (Point((11, 12, 4)),)
    assert logic.prompts.read_markups() is False  # the markups show the same prompts


@pytest.mark.parametrize("order", ORDERS[::5], ids=str)
def test_a_click_is_answered_on_the_view_where_it_was_made(scene: Any, order: Any) -> None:
    logic = made(scene, stored(order))
    where = world(logic, (11, 12, 4))
    assert logic.prompts.view_axis is None
    for axis, view in enumerate(axis_views(logic, scene, (11, 12, 4))):
        logic.prompts.clear()
        logic.prompts.add_point(where, view=view)
        assert logic.request(KEEP)["axis"] == "ijk"[axis]
        assert logic.request(replace(KEEP, axis="all"))["axis"] == "all"
    logic.nodes.add_segment()
    logic.prompts.add_point(where)
    assert logic.request(KEEP)["axis"] == "auto"  # nobody knows in which view
    logic.prompts.add_point(where, view=view)
    logic.prompts.add_box_on_slice(
        view, pixel(view, world(logic, (4, 5, 2))), pixel(view, world(logic, (20, 18, 7)))
    )
    assert logic.request(KEEP)["axis"] == "auto"  # the rectangle says it


@pytest.mark.parametrize("kind", ["turned", "scaled", "bent"])
def test_a_volume_under_a_transform(scene: Any, kind: str) -> None:
    logic = made(scene)
    matrix = oblique(70) if kind == "turned" else np.diag([2.0, 0.5, 1.5, 1.0])
    if kind == "bent":
        bent(scene, logic.nodes.volume)
    else:
        under_transform(scene, matrix, logic.nodes.volume)
    logic.nodes.select(logic.nodes.volume)
    logic.prompts.add_point(world(logic, (11, 12, 4)))
    assert logic.prompts.current.points == (Point((11, 12, 4)),)
    position = np.zeros(3)
    logic.prompts.markups.inside.GetNthControlPointPositionWorld(0, position)
    assert np.allclose(position, world(logic, (11, 12, 4)), atol=1e-3)  # shown on the anatomy
    answered(logic, block((10, 11, 3), (3, 4, 2)))
    assert logic.nodes.segmentation.GetTransformNodeID() == logic.nodes.volume.GetTransformNodeID()
    found = voxels(logic)
    assert found.sum() == 24
    assert found[10:13, 11:15, 3:5].all()


def test_a_region_of_interest_under_another_transform(scene: Any) -> None:
    logic = made(scene, np.diag([1.0, 1.0, 2.0, 1.0]))
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    roi.SetCenter(10, 10, 10)
    roi.SetSize(11, 7, 10)
    shift = np.eye(4)
    shift[0, 3] = 4
    under_transform(scene, shift, roi)
    logic.prompts.add_box_from_roi(roi)
    assert logic.prompts.current.boxes == (Box((9, 7, 3), (19, 13, 7)),)


def test_a_scribble_becomes_a_few_points(scene: Any) -> None:
    logic = made(scene)
    path = [world(logic, (5 + step / 10, 8, 4)) for step in range(100)]
    logic.prompts.add_scribble(path)
    (scribble,) = logic.prompts.current.scribbles
    assert len(scribble.path_ijk) <= 12
    assert all(voxel[1:] == (8, 4) for voxel in scribble.path_ijk)


def test_prompts_outside_are_refused(scene: Any) -> None:
    logic = made(scene)
    with pytest.raises(PositionError, match="outside the volume"):
        logic.prompts.add_point(world(logic, (40, 3, 3)))
    assert logic.prompts.current.is_empty


def test_without_a_volume(scene: Any) -> None:
    logic = Logic(scene)
    with pytest.raises(NodeError, match="Choose a volume first"):
        logic.prompts.add_point((0, 0, 0))
    assert logic.nodes.grid is None
    assert not logic.prompts.read_markups()


def test_prompts_are_kept_per_segment(scene: Any) -> None:
    logic = made(scene)
    first = logic.nodes.add_segment()
    logic.prompts.add_point(world(logic, (3, 3, 3)))
    second = logic.nodes.add_segment()
    assert logic.prompts.current.is_empty
    assert logic.prompts.markups.inside.GetNumberOfControlPoints() == 0
    logic.prompts.add_point(world(logic, (9, 9, 5)), positive=False)
    logic.nodes.select_segment(first)
    assert logic.prompts.current.points == (Point((3, 3, 3)),)
    assert logic.prompts.markups.inside.GetNumberOfControlPoints() == 1
    logic.nodes.select_segment(second)
    assert logic.prompts.current.points == (Point((9, 9, 5), positive=False),)


class TestMarkups:
    """Changes that the user makes to the markups in the views."""

    def test_placing_moving_and_deleting(self, scene: Any) -> None:
        logic = made(scene)
        node = logic.prompts.markups.inside
        node.AddControlPointWorld(*world(logic, (5, 6, 3)))
        assert logic.prompts.read_markups()
        assert logic.prompts.current.points == (Point((5, 6, 3)),)
        node.SetNthControlPointPositionWorld(0, *world(logic, (7, 7, 3)))
        assert logic.prompts.read_markups()
        assert logic.prompts.current.points == (Point((7, 7, 3)),)
        node.RemoveNthControlPoint(0)
        assert logic.prompts.read_markups()
        assert logic.prompts.current.is_empty
        assert undo(logic)
        assert logic.prompts.current.points == (Point((7, 7, 3)),)
        assert logic.prompts.markups.inside.GetNumberOfControlPoints() == 1

    def test_one_that_was_dragged_out_is_gone(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        logic.prompts.markups.inside.SetNthControlPointPositionWorld(0, *world(logic, (99, 6, 3)))
        assert logic.prompts.read_markups()
        assert logic.prompts.current.is_empty
        assert "outside the volume" in logic.prompts.note

    def test_a_box_that_is_made_larger(self, scene: Any) -> None:
        logic = made(scene)
        view = axis_views(logic, scene, (11, 12, 4))[2]
        logic.prompts.add_box_on_slice(
            view, pixel(view, world(logic, (4, 5, 4))), pixel(view, world(logic, (20, 18, 4)))
        )
        (roi,) = (node for node in logic.prompts.markups.all if node.IsA("vtkMRMLMarkupsROINode"))
        x, y, z = roi.GetSize()
        roi.SetSize(x + 2 * 0.8, y, z)  # a voxel at each end
        assert logic.prompts.read_markups()
        assert logic.prompts.current.boxes == (Box((3, 5, 4), (21, 18, 4)),)

    def test_a_box_that_is_deleted(self, scene: Any) -> None:
        logic = made(scene)
        roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
        roi.SetCenter(*world(logic, (10, 10, 5)))
        roi.SetSize(6, 6, 6)
        logic.prompts.add_box_from_roi(roi)
        (shown,) = (
            node
            for node in logic.prompts.markups.all
            if node.IsA("vtkMRMLMarkupsROINode") and node is not roi
        )
        scene.RemoveNode(shown)
        assert logic.prompts.read_markups()
        assert logic.prompts.current.boxes == ()

    def test_they_are_not_saved_but_made_anew(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        assert not any(node.GetSaveWithScene() for node in logic.prompts.markups.all)


class TestUndo:
    def test_one_step_takes_back_a_click_and_what_it_found(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (4, 4, 3)), category="liver")
        logic.prompts.add_point(world(logic, (9, 6, 3)))
        answered(logic, block((4, 5, 2), (8, 4, 3)), category="spleen")
        assert logic.nodes.identity.name == "spleen"
        assert undo(logic)
        assert voxels(logic).sum() == 48
        assert logic.nodes.identity.name == "liver"
        assert len(logic.prompts.current.points) == 1
        assert undo(logic)
        assert voxels(logic).sum() == 0
        assert logic.prompts.current.is_empty
        assert not undo(logic)
        assert redo(logic)
        assert redo(logic)
        assert not redo(logic)
        assert voxels(logic).sum() == 96
        assert logic.nodes.identity.name == "spleen"
        assert len(logic.prompts.current.points) == 2

    def test_what_was_painted_since_stays(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (4, 4, 3)))
        put(logic, logic.nodes.segment_id, block((20, 20, 8), (2, 2, 2)))
        undo(logic)
        assert voxels(logic).sum() == 8

    def test_a_voxel_that_another_segment_lost_comes_back(self, scene: Any) -> None:
        logic = made(scene)
        first = logic.nodes.add_segment()
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (4, 4, 3)))
        before = voxels(logic)
        logic.nodes.add_segment()
        logic.prompts.add_point(world(logic, (6, 6, 3)))
        answered(logic, block((6, 5, 2), (6, 4, 3)), OVERWRITE)
        assert voxels(logic, first).sum() == 24
        undo(logic)
        assert np.array_equal(voxels(logic, first), before)
        redo(logic)
        assert voxels(logic, first).sum() == 24
        assert voxels(logic).sum() == 72


class TestProtection:
    @pytest.fixture
    def logic(self, scene: Any) -> Logic:
        """A finished segment, and another one selected with a prompt."""
        logic = made(scene)
        self.finished = logic.nodes.add_segment()
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (4, 4, 3)), category="liver")
        self.before = voxels(logic)
        logic.nodes.add_segment()
        logic.prompts.add_point(world(logic, (6, 6, 3)))
        return logic

    def test_others_are_kept(self, logic: Logic) -> None:
        answered(logic, block((6, 5, 2), (6, 4, 3)), KEEP)
        assert np.array_equal(voxels(logic, self.finished), self.before)
        assert voxels(logic).sum() == 48
        assert not (voxels(logic) & self.before).any()

    def test_others_give_way(self, logic: Logic) -> None:
        answered(logic, block((6, 5, 2), (6, 4, 3)), OVERWRITE)
        assert voxels(logic).sum() == 72
        assert not (voxels(logic) & voxels(logic, self.finished)).any()

    def test_both_have_them(self, logic: Logic) -> None:
        answered(logic, block((6, 5, 2), (6, 4, 3)), OVERLAP)
        assert np.array_equal(voxels(logic, self.finished), self.before)
        assert voxels(logic).sum() == 72

    def test_a_segment_elsewhere_is_bit_identical(self, logic: Logic) -> None:
        answered(logic, block((20, 18, 6), (3, 3, 2)), OVERWRITE)
        assert np.array_equal(voxels(logic, self.finished), self.before)


class TestAnswers:
    def test_a_smaller_answer_takes_back_what_the_last_one_had(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (8, 8, 3)))
        logic.prompts.add_point(world(logic, (11, 12, 3)), positive=False)
        applied = answered(logic, block((4, 5, 2), (4, 8, 3)))
        assert (applied.added, applied.removed) == (0, 96)
        assert voxels(logic).sum() == 96

    def test_what_was_painted_by_hand_stays(self, scene: Any) -> None:
        logic = made(scene)
        logic.nodes.add_segment()
        put(logic, logic.nodes.segment_id, block((20, 20, 8), (2, 2, 2)))
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (2, 2, 2)))
        logic.prompts.add_point(world(logic, (6, 6, 3)))
        answered(logic, block((4, 5, 2), (3, 2, 2)))
        assert voxels(logic).sum() == 8 + 12

    def test_after_the_prompts_are_cleared_the_next_ones_add(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (2, 2, 2)))
        logic.prompts.clear()
        logic.prompts.add_point(world(logic, (15, 6, 3)))
        answered(logic, block((14, 5, 2), (2, 2, 2)))
        assert voxels(logic).sum() == 16

    def test_nothing_found(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        applied = answered(logic, None)
        assert (applied.added, applied.removed) == (0, 0)

    def test_only_the_slices_that_were_wanted(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        limits = Parameters(limit_slices=True, first_slice=3, last_slice=4)
        answered(logic, block((4, 5, 0), (2, 2, 9)), limits)
        found = np.flatnonzero(voxels(logic).any(axis=(0, 1)))
        assert found.tolist() == [3, 4]

    def test_it_goes_to_the_segment_that_it_was_asked_for(self, scene: Any) -> None:
        logic = made(scene)
        first = logic.nodes.add_segment()
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        request = logic.request(KEEP)
        logic.nodes.add_segment()
        apply(logic, InferReply(request["request_id"], block((4, 5, 2), (2, 2, 2)), "", None, (2,)))
        assert voxels(logic, first).sum() == 8
        assert voxels(logic).sum() == 0

    def test_one_that_is_out_of_date_changes_nothing(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        old = logic.request(KEEP)
        logic.request(KEEP)
        with pytest.raises(NodeError, match="earlier request"):
            apply(logic, InferReply(old["request_id"], block((4, 5, 2), (2, 2, 2)), "", None, (2,)))
        assert voxels(logic).sum() == 0

    def test_its_segment_was_removed(self, scene: Any) -> None:
        logic = made(scene)
        first = logic.nodes.add_segment()
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        request = logic.request(KEEP)
        logic.remove_segment(first)
        with pytest.raises(NodeError, match="segment was removed"):
            apply(logic, InferReply(request["request_id"], None, "", None, (2,)))

    def test_a_request_without_prompts(self, scene: Any) -> None:
        logic = made(scene)
        logic.nodes.add_segment()
        with pytest.raises(PromptError, match="Mark the object first"):
            logic.request(KEEP)


class TestNames:
    def test_the_segment_takes_the_models_category(self, scene: Any, libraries: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        applied = answered(logic, block((4, 5, 2), (2, 2, 2)), category="right kidney")
        assert applied.category == "right kidney"
        segment = logic.nodes.segmentation.GetSegmentation().GetSegment(logic.nodes.segment_id)
        assert segment.GetName() == "right kidney"
        assert np.allclose(segment.GetColor(), np.array([185, 102, 83]) / 255)
        entry = slicer.vtkSlicerTerminologyEntry()
        assert libraries.terminologies.DeserializeTerminologyEntry(
            logic.nodes.identity.terminology, entry
        )
        assert entry.GetTypeObject().GetCodeValue() == "64033007"
        assert entry.GetTypeModifierObject().GetCodeMeaning() == "Right"

    def test_the_users_choice_wins(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (2, 2, 2)), category="liver")
        logic.choose_category("spleen")
        logic.prompts.add_point(world(logic, (6, 6, 3)))
        applied = answered(logic, block((4, 5, 2), (3, 2, 2)), category="liver")
        assert logic.nodes.identity.name == "spleen"
        assert applied.category == ""
        undo(logic)
        undo(logic)
        assert logic.nodes.identity.name == "liver"

    def test_the_user_leaves_the_choice_to_the_model_again(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        logic.choose_category("spleen")
        logic.choose_category("")
        assert logic.nodes.identity.name == "Object"
        answered(logic, block((4, 5, 2), (2, 2, 2)), category="liver")
        assert logic.nodes.identity.name == "liver"

    def test_a_segment_that_was_renamed_in_the_table_is_the_users(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (2, 2, 2)), category="liver")
        segment = logic.nodes.segmentation.GetSegmentation().GetSegment(logic.nodes.segment_id)
        segment.SetName("Couinaud 5")
        answered(logic, block((4, 5, 2), (3, 2, 2)), category="liver")
        assert segment.GetName() == "Couinaud 5"

    def test_a_category_that_was_added_on_the_server(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (2, 2, 2)), category="left widget of Henle")
        assert logic.nodes.identity.name == "left widget of Henle"
        assert logic.nodes.identity.terminology == TISSUE, "the code of a new segment in Slicer"


class TestSuggestions:
    NEAREST = (("liver", 0.4), ("spleen", 0.2))

    def unnamed(self, logic: Logic, suggestions: Any = NEAREST) -> Any:
        request = logic.request(KEEP)
        reply = InferReply(
            request["request_id"], block((4, 5, 2), (2, 2, 2)), "", None, (2,),
            notes=("Not named: unlike anything that this model has been taught.",),
            suggestions=suggestions,
        )  # fmt: skip
        return apply(logic, reply)

    def test_an_object_without_a_name_has_suggestions_and_the_reason(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        before = logic.nodes.identity
        result = self.unnamed(logic)
        assert (result.category, result.suggestions) == ("", self.NEAREST)
        assert "unlike anything" in result.notes[0]
        assert logic.nodes.identity == before

    def test_a_named_object_has_none(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        assert answered(logic, block((4, 5, 2), (2, 2, 2)), category="liver").suggestions == ()

    def test_a_name_that_the_model_withdraws_is_gone_and_undo_brings_it_back(
        self, scene: Any
    ) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (2, 2, 1)), category="liver")
        named = logic.nodes.identity
        self.unnamed(logic)
        identity = logic.nodes.identity
        assert (identity.name, identity.chosen_by) == ("Object", "")
        assert identity.terminology == TISSUE
        assert undo(logic)
        assert logic.nodes.identity == named

    def test_the_users_name_and_one_that_was_not_judged_stay(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (2, 2, 1)), category="liver")
        self.unnamed(logic, suggestions=())
        assert logic.nodes.identity.name == "liver"
        logic.choose_category("spleen")
        self.unnamed(logic)
        assert (logic.nodes.identity.name, logic.nodes.identity.chosen_by) == ("spleen", "user")


class TestFindings:
    def test_the_strip_and_what_else_is_there(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (2, 2, 4)), category="liver")
        strip = logic.predictions.strip(2, SHAPE[2])
        assert strip.shape == (SHAPE[2],)
        assert np.isnan(strip[[0, 1, 6]]).all()
        assert np.allclose(strip[2:6], [0.52, 0.53, 0.54, 0.55])
        assert logic.predictions.worst(2) == 2
        assert logic.predictions.worst(0) is None
        assert logic.also_present(2, 4) == (("spleen", 0.7),)
        logic.choose_category("spleen")
        assert logic.also_present(2, 4) == ()

    def test_one_click_makes_a_segment_of_it(self, scene: Any) -> None:
        logic = made(scene)
        logic.prompts.add_point(world(logic, (5, 6, 3)))
        answered(logic, block((4, 5, 2), (2, 2, 4)), category="liver")
        request = logic.request_category("spleen", 2, 4, KEEP)
        assert request["category"] == "spleen"
        assert request["decoder"] == "semantic"
        assert request["prompts"]["boxes"] == [{"min_ijk": [0, 0, 4], "max_ijk": [29, 25, 4]}]
        apply(
            logic,
            InferReply(request["request_id"], block((9, 9, 4), (3, 3, 1)), "spleen", 0.8, (2,)),
        )
        assert logic.nodes.identity.name == "spleen"
        assert logic.nodes.identity.chosen_by == "user"
        assert voxels(logic).sum() == 9


def test_a_scene_is_saved_and_opened_again(scene: Any, tmp_path: Path) -> None:
    logic = made(scene)
    logic.prompts.add_point(world(logic, (5, 6, 3)))
    logic.prompts.add_scribble([world(logic, (5, 6, 3)), world(logic, (9, 9, 3))], positive=False)
    answered(logic, block((4, 5, 2), (4, 4, 4)), category="liver")
    logic.choose_category("gallbladder")
    prompts, before, segment = logic.prompts.current, voxels(logic), logic.nodes.segment_id
    path = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(path)
    logic.close()
    scene.Clear(False)
    assert scene.ReadFromMRB(path)
    again = Logic(scene)
    again.nodes.select(
        scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"),
        scene.GetFirstNodeByClass("vtkMRMLSegmentationNode"),
    )
    assert again.nodes.segment_id == segment
    assert again.prompts.current == prompts
    assert again.prompts.markups.inside.GetNumberOfControlPoints() == 1
    assert np.array_equal(voxels(again), before)
    assert (again.nodes.identity.name, again.nodes.identity.chosen_by) == ("gallbladder", "user")
    assert "SCT^28231008^Gallbladder" in again.nodes.identity.terminology
    assert again.predictions.worst(2) == 2
    again.prompts.add_point(world(again, (8, 8, 3)), positive=False)
    answered(again, block((4, 5, 2), (2, 4, 4)), category="liver")  # replaces what it had found
    assert voxels(again).sum() == 32
    assert again.nodes.identity.name == "gallbladder"


def test_prompts_of_a_newer_version_are_refused_by_name(scene: Any) -> None:
    logic = made(scene)
    logic.nodes.add_segment()
    segment = logic.nodes.segmentation.GetSegmentation().GetSegment(logic.nodes.segment_id)
    segment.SetTag("SEGSAM.Prompts", '{"format": 7}')
    with pytest.raises(PromptError, match="newer version"):
        _ = logic.prompts.current

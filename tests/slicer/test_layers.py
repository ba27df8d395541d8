"""Label maps as arrays: what a change makes of them, and that only copies are changed."""

from __future__ import annotations

import numpy as np
import pytest
from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Values.Layers import Layer, Layers, SegmentLabel
from SEGSAMLib.Values.Masks import Region, VoxelChange

FRAME = tuple(float(value) for value in np.eye(4).ravel())


def block(low: tuple[int, int, int], size: tuple[int, int, int]) -> Region:
    return Region(low, np.ones(size, dtype=bool))


@pytest.fixture
def shared() -> Layers:
    """Two segments in one layer, of which only some voxels are in memory."""
    labels = np.zeros((6, 5, 4), np.uint8)
    labels[:2] = 1
    labels[4:] = 2
    layer = Layer(labels, (10, 20, 30), np.eye(4), FRAME, image="the scene's")
    return Layers({"one": SegmentLabel(layer, 1), "two": SegmentLabel(layer, 2)}, np.eye(4))


def test_a_place_outside_is_empty(shared: Layers) -> None:
    found = shared.read("one", block((9, 20, 30), (4, 1, 1)))
    assert found[:, 0, 0].tolist() == [False, True, True, False]
    assert not shared.read("one", block((100, 0, 0), (2, 2, 2))).any()


def test_the_scenes_memory_is_left_alone(shared: Layers) -> None:
    labels = shared.label_of("one").layer.labels
    before = labels.copy()
    shared.write("one", block((12, 20, 30), (1, 1, 1)), block((10, 20, 30), (1, 1, 1)))
    assert np.array_equal(labels, before)
    changed = shared.label_of("one").layer
    assert changed.is_changed
    assert not changed.was_replaced, "nothing had to grow: it can be written in place"
    assert [box.min_ijk for box in changed.written] == [(10, 20, 30)]


def test_it_grows_where_it_has_to(shared: Layers) -> None:
    shared.write("two", block((8, 24, 33), (1, 2, 1)), None)
    layer = shared.label_of("two").layer
    assert layer.was_replaced
    assert layer.min_ijk == (8, 20, 30)
    assert layer.labels.shape == (8, 6, 4)
    assert shared.read("one", block((10, 20, 30), (2, 5, 4))).all()
    assert np.count_nonzero(layer.labels == 2) == 40 + 2


def test_common_voxels_need_two_layers(shared: Layers) -> None:
    shared.write("one", block((14, 20, 30), (1, 1, 1)), None)
    assert shared.moved == ["one"]
    assert shared.label_of("one").layer is not shared.label_of("two").layer
    assert shared.read("one", block((14, 20, 30), (1, 1, 1))).all()
    assert shared.read("two", block((14, 20, 30), (2, 5, 4))).all()
    assert not (shared.label_of("two").layer.labels == 1).any(), "its old voxels are given up"


def test_a_value_beyond_its_type() -> None:
    layer = Layer(np.zeros((0, 0, 0), np.uint8), (0, 0, 0), np.eye(4), FRAME)
    layers = Layers({"many": SegmentLabel(layer, 300)}, np.eye(4))
    layers.write("many", block((1, 1, 1), (2, 2, 2)), None)
    assert layer.labels.dtype == np.int16
    assert (layer.labels == 300).sum() == 8
    assert layers.moved == ["many"]


def test_undo_and_redo_in_the_right_order(shared: Layers) -> None:
    changes: dict[str, VoxelChange] = {}
    taken = shared.erase("two", block((14, 20, 30), (1, 5, 4)))
    put = shared.write("one", block((14, 20, 30), (1, 5, 4)), None)
    assert taken is not None
    assert put is not None
    changes = {"two": taken, "one": put}
    shared.undo(changes)
    assert shared.read("two", block((14, 20, 30), (2, 5, 4))).all()
    assert not shared.read("one", block((12, 20, 30), (4, 5, 4))).any()
    assert not shared.moved, "no voxel was in both at any time"
    shared.redo(changes)
    assert shared.read("one", block((14, 20, 30), (1, 5, 4))).all()
    assert not shared.read("two", block((14, 20, 30), (1, 5, 4))).any()


def test_changes_of_other_voxels_do_not_fit(shared: Layers) -> None:
    change = shared.write("one", block((12, 20, 30), (1, 1, 1)), None)
    assert change is not None
    assert shared.match({"one": change, "removed since": change})
    moved = Layer(
        np.zeros((2, 2, 2), np.uint8), (0, 0, 0), np.eye(4), (*FRAME[:3], 5.0, *FRAME[4:])
    )
    assert not Layers({"one": SegmentLabel(moved, 1)}, np.eye(4)).match({"one": change})


def test_one_that_is_gone(shared: Layers) -> None:
    with pytest.raises(NodeError, match="was removed"):
        shared.read("three", block((0, 0, 0), (1, 1, 1)))


def test_other_voxels_than_the_volumes() -> None:
    finer = np.diag([2.0, 2.0, 2.0, 1.0])  # the layer's voxels are half as long
    layer = Layer(np.zeros((0, 0, 0), np.uint8), (0, 0, 0), finer, FRAME)
    layers = Layers({"one": SegmentLabel(layer, 1)}, np.eye(4))
    change = layers.write("one", block((1, 2, 3), (2, 1, 1)), None)
    assert change is not None
    assert layers.read("one", block((1, 2, 3), (2, 1, 1))).all()
    found = layers.whole("one")
    assert found is not None
    inside = np.argwhere(found.values) + found.min_ijk
    assert inside.tolist() == [[1, 2, 3], [2, 2, 3]]

"""Label maps in the scene: only changed voxels are written, and no other segment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from SEGSAMLib.Errors import NodeError, StaleError
from SEGSAMLib.Scene import Frames
from SEGSAMLib.Scene.Segments import LABELMAP, SURFACE, Segments
from SEGSAMLib.Values.Layers import Layers
from SEGSAMLib.Values.Masks import Region, VoxelChange
from volumes import ORDERS, segment_voxels, stored, under_transform, volume

SHAPE = (24, 20, 12)
NOTHING = Region((0, 0, 0), np.zeros((1, 1, 1), dtype=bool))


class Work:
    """A volume, an empty segmentation of it, and some segments."""

    def __init__(self, scene: Any, matrix: np.ndarray) -> None:
        self.volume = volume(scene, matrix, np.zeros(SHAPE, np.int16))
        self.node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
        self.node.CreateDefaultDisplayNodes()
        self.node.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        self.grid = Frames.grid_of(self.volume)
        self.segments = Segments(self.node, self.grid, np.eye(4))

    def add(self) -> str:
        return str(self.node.GetSegmentation().AddEmptySegment())

    def put(self, segment_id: str, add: Region, remove: Region | None = None) -> VoxelChange | None:
        return self.change(lambda layers: layers.write(segment_id, add, remove))

    def change(self, change: Callable[[Layers], Any]) -> Any:
        layers = self.segments.layers()
        done = change(layers)
        self.segments.commit(layers)
        return done

    def voxels(self, segment_id: str) -> np.ndarray:
        return segment_voxels(self.node, segment_id, self.volume)

    def image(self, segment_id: str) -> Any:
        return self.node.GetSegmentation().GetSegment(segment_id).GetRepresentation(LABELMAP)


@pytest.fixture
def work(scene: Any) -> Work:
    return Work(scene, stored(ORDERS[7]))


def block(low: tuple[int, int, int], size: tuple[int, int, int]) -> Region:
    return Region(low, np.ones(size, dtype=bool))


@pytest.mark.parametrize("order", ORDERS[::5], ids=str)
def test_voxels_land_where_slicer_reads_them(scene: Any, order: Any) -> None:
    work = Work(scene, stored(order))
    segment = work.add()
    mask = np.random.default_rng(2).random((5, 6, 4)) > 0.4
    work.put(segment, Region((3, 8, 2), mask))
    expected = np.zeros(SHAPE, dtype=bool)
    expected[3:8, 8:14, 2:6] = mask
    assert np.array_equal(work.voxels(segment), expected)
    found = work.segments.layers().whole(segment)
    assert found is not None
    assert np.array_equal(work.segments.layers().read(segment, block((0, 0, 0), SHAPE)), expected)
    assert found.values.sum() == mask.sum()


def test_only_changed_voxels_count(work: Work) -> None:
    segment = work.add()
    work.put(segment, block((2, 2, 2), (4, 4, 4)))
    change = work.put(segment, block((2, 2, 2), (5, 4, 4)))
    assert change is not None
    assert change.count == 16
    assert work.put(segment, block((2, 2, 2), (5, 4, 4))) is None


def test_adding_and_removing_at_once(work: Work) -> None:
    segment = work.add()
    work.put(segment, block((2, 2, 2), (4, 4, 4)))
    work.put(segment, block((5, 2, 2), (3, 4, 4)), block((2, 2, 2), (2, 4, 4)))
    found = work.voxels(segment)
    assert np.array_equal(np.flatnonzero(found.any(axis=(1, 2))), [4, 5, 6, 7])


def test_undo_and_redo_are_exact(work: Work) -> None:
    rng = np.random.default_rng(0)
    segment, other = work.add(), work.add()
    states, changes = [], []
    for number in range(8):
        low = tuple(int(value) for value in rng.integers(0, 10, 3))
        target = segment if number % 3 else other
        mask = rng.random((6, 5, 2)) > 0.5
        states.append((work.voxels(segment), work.voxels(other)))
        done = work.put(target, Region(low, mask), block((0, 0, 0), (4, 4, 2)))
        changes.append({} if done is None else {target: done})
    end = (work.voxels(segment), work.voxels(other))
    for change, before in zip(reversed(changes), reversed(states), strict=True):
        work.change(lambda layers, change=change: layers.undo(change))
        assert np.array_equal(work.voxels(segment), before[0])
        assert np.array_equal(work.voxels(other), before[1])
    for change in changes:
        work.change(lambda layers, change=change: layers.redo(change))
    assert np.array_equal(work.voxels(segment), end[0])
    assert np.array_equal(work.voxels(other), end[1])


def test_an_untouched_segment_stays_bit_identical(work: Work) -> None:
    first, second = work.add(), work.add()
    work.put(first, block((1, 1, 1), (6, 6, 6)))
    before = work.voxels(first)
    work.put(second, block((10, 10, 2), (5, 5, 5)))
    work.put(second, block((4, 4, 4), (5, 5, 5)), None)  # both have some of these voxels
    assert np.array_equal(work.voxels(first), before)
    assert work.voxels(second).sum() == 2 * 125
    assert (work.voxels(first) & work.voxels(second)).sum() == 27
    assert work.image(first) is not work.image(second)


def test_segments_without_common_voxels_share_a_layer(work: Work) -> None:
    first, second = work.add(), work.add()
    work.put(first, block((1, 1, 1), (3, 3, 3)))
    work.put(second, block((10, 10, 2), (5, 5, 5)))
    assert work.image(first) is work.image(second)
    assert work.node.GetSegmentation().GetNumberOfLayers() == 1


def test_a_shown_surface_stays_until_it_is_made_anew(work: Work) -> None:
    segment = work.add()
    work.put(segment, block((2, 2, 2), (6, 6, 6)))
    work.node.CreateClosedSurfaceRepresentation()
    record = work.node.GetSegmentation().GetSegment(segment)
    before = record.GetRepresentation(SURFACE).GetBounds()
    work.put(segment, block((2, 2, 2), (14, 6, 6)))
    assert record.GetRepresentation(SURFACE).GetBounds() == before


def test_a_segmentation_with_other_voxels(scene: Any) -> None:
    """A segmentation that was made for a finer volume of the same place."""
    work = Work(scene, np.diag([2.0, 2.0, 2.0, 1.0]))
    finer = np.diag([1.0, 1.0, 1.0, 1.0])
    finer[:3, 3] = -0.5
    other = volume(scene, finer, np.zeros((48, 40, 24), np.int16), "finer")
    segment = work.add()
    work.segments, own = Segments(work.node, Frames.grid_of(other), np.eye(4)), work.segments
    work.put(segment, block((8, 8, 8), (4, 4, 4)))
    work.segments = own
    work.put(segment, block((10, 4, 4), (2, 2, 2)))
    assert work.segments.layers().read(segment, block((4, 4, 4), (2, 2, 2))).all()
    assert segment_voxels(work.node, segment, other).sum() == 2 * 64


def test_under_a_transform_of_its_own(scene: Any) -> None:
    work = Work(scene, stored(ORDERS[3]))
    shift = np.eye(4)
    shift[:3, 3] = work.grid.matrix[:3, :3] @ (2, 0, 0)
    under_transform(scene, shift, work.node)
    between = Frames.between(work.volume, work.node)
    work.segments = Segments(work.node, work.grid, between)
    segment = work.add()
    work.put(segment, block((5, 5, 5), (3, 3, 3)))
    found = work.voxels(segment)  # Slicer's function takes transforms into account
    assert np.array_equal(np.argwhere(found).min(axis=0), (5, 5, 5))
    assert found.sum() == 27


def test_a_label_value_beyond_a_byte(work: Work) -> None:
    ids = [work.add() for _ in range(258)]
    work.put(ids[0], block((0, 0, 0), (1, 1, 1)))
    work.put(ids[-1], block((3, 3, 3), (2, 2, 2)))
    assert work.voxels(ids[-1]).sum() == 8
    assert work.voxels(ids[0]).sum() == 1
    assert work.voxels(ids[3]).sum() == 0


def test_a_segment_that_is_gone(work: Work) -> None:
    with pytest.raises(NodeError, match="was removed"):
        work.put("no such", block((0, 0, 0), (2, 2, 2)))


def test_what_was_changed_meanwhile_is_not_written_over(work: Work) -> None:
    segment = work.add()
    work.put(segment, block((2, 2, 2), (4, 4, 4)))
    layers = work.segments.layers()
    layers.write(segment, block((3, 2, 2), (6, 4, 4)), None)
    work.put(segment, block((0, 0, 0), (2, 2, 2)))  # such as with the Segment Editor
    before = work.voxels(segment)
    with pytest.raises(StaleError):
        work.segments.commit(layers)
    assert np.array_equal(work.voxels(segment), before)


def test_a_segment_that_came_meanwhile(work: Work) -> None:
    segment = work.add()
    layers = work.segments.layers()
    layers.write(segment, block((2, 2, 2), (4, 4, 4)), None)
    work.add()
    with pytest.raises(StaleError):
        work.segments.commit(layers)


def test_nothing_is_written_before_it_is_committed(work: Work) -> None:
    segment = work.add()
    work.put(segment, block((2, 2, 2), (4, 4, 4)))
    before = work.voxels(segment)
    layers = work.segments.layers()
    layers.write(segment, block((3, 3, 3), (1, 1, 1)), block((2, 2, 2), (4, 4, 2)))
    assert np.array_equal(work.voxels(segment), before)
    work.segments.commit(layers)
    assert work.voxels(segment).sum() == 33


def test_nothing_is_added_to_nothing(work: Work) -> None:
    segment = work.add()
    assert work.put(segment, NOTHING, None) is None
    assert work.segments.layers().erase(segment, block((0, 0, 0), (3, 3, 3))) is None
    assert work.segments.layers().whole(segment) is None

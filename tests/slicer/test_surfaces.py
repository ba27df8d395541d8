"""Surfaces made in a thread are those that Slicer makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from SEGSAMLib.Errors import CancelledError
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Scene.Segments import SURFACE
from SEGSAMLib.Server.Worker import CancelToken
from SEGSAMLib.Values.Masks import Region
from volumes import ORDERS, put, stored, volume
from vtk.util.numpy_support import vtk_to_numpy

SHAPE = (24, 20, 12)


def nothing() -> None: ...


@pytest.fixture(params=[ORDERS[0], ORDERS[7], ORDERS[30]], ids=str)
def logic(scene: Any, request: pytest.FixtureRequest) -> Logic:
    """Two segments, one at the volume's border, both shown in 3D."""
    found = Logic(scene)
    found.nodes.select(volume(scene, stored(request.param), np.zeros(SHAPE, np.int16)))
    first, second = found.nodes.add_segment("first"), found.nodes.add_segment("second")
    put(found, first, Region((0, 3, 2), np.random.default_rng(0).random((7, 8, 6)) > 0.3))
    put(found, second, Region((12, 3, 2), np.ones((4, 5, 6), dtype=bool)))
    found.nodes.segmentation.CreateClosedSurfaceRepresentation()
    return found


def surface(logic: Logic, segment_id: str) -> Any:
    return (
        logic.nodes.segmentation.GetSegmentation().GetSegment(segment_id).GetRepresentation(SURFACE)
    )


def arrays(found: Any) -> tuple[np.ndarray, ...]:
    parts = (
        found.GetPoints().GetData(),
        found.GetPointData().GetNormals(),
        found.GetPolys().GetConnectivityArray(),
    )
    return tuple(np.array(vtk_to_numpy(part)) for part in parts)


def test_they_are_slicers_own_point_for_point(logic: Logic) -> None:
    slicers = {each: arrays(surface(logic, each)) for each in logic.nodes.segment_ids}
    update = logic.surface_update()
    assert update is not None
    assert update.settings.is_supported
    update.show(update.compute(nothing))
    for segment_id, expected in slicers.items():
        for part, other in zip(arrays(surface(logic, segment_id)), expected, strict=True):
            assert np.allclose(part, other, atol=1e-4)


def test_only_what_was_changed_is_made_anew(logic: Logic) -> None:
    update = logic.surface_update()
    assert update is not None
    update.show(update.compute(nothing))
    assert logic.surface_update() is None
    segment_id = logic.nodes.segment_ids[0]
    before = surface(logic, segment_id).GetBounds()
    put(logic, segment_id, Region((2, 12, 3), np.ones((3, 6, 3), dtype=bool)))
    update = logic.surface_update()
    assert update is not None
    update.show(update.compute(nothing))
    assert surface(logic, segment_id).GetBounds() != before


def test_other_settings_are_left_to_slicer(logic: Logic) -> None:
    logic.nodes.segmentation.GetSegmentation().SetConversionParameter("Decimation factor", "0.5")
    update = logic.surface_update()
    assert update is not None
    before = surface(logic, logic.nodes.segment_ids[0]).GetNumberOfCells()
    update.show(update.compute(nothing))
    assert 0 < surface(logic, logic.nodes.segment_ids[0]).GetNumberOfCells() < before


def test_what_is_not_shown_is_not_made(scene: Any) -> None:
    logic = Logic(scene)
    assert logic.surface_update() is None
    logic.nodes.select(volume(scene, stored(ORDERS[0]), np.zeros(SHAPE, np.int16)))
    put(logic, logic.nodes.add_segment(), Region((1, 1, 1), np.ones((3, 3, 3), dtype=bool)))
    assert logic.surface_update() is None


def test_it_can_be_stopped(logic: Logic) -> None:
    update = logic.surface_update()
    assert update is not None
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(CancelledError):
        update.compute(cancel.check)

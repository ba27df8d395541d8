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
    found.set_nodes(volume(scene, stored(request.param), np.zeros(SHAPE, np.int16)))
    first, second = found.add_segment("first"), found.add_segment("second")
    put(found, first, Region((0, 3, 2), np.random.default_rng(0).random((7, 8, 6)) > 0.3))
    put(found, second, Region((12, 3, 2), np.ones((4, 5, 6), dtype=bool)))
    found.segmentation.CreateClosedSurfaceRepresentation()
    return found


def surface(logic: Logic, segment_id: str) -> Any:
    return logic.segmentation.GetSegmentation().GetSegment(segment_id).GetRepresentation(SURFACE)


def arrays(found: Any) -> tuple[np.ndarray, ...]:
    parts = (
        found.GetPoints().GetData(),
        found.GetPointData().GetNormals(),
        found.GetPolys().GetConnectivityArray(),
    )
    return tuple(np.array(vtk_to_numpy(part)) for part in parts)


def test_they_are_slicers_own_point_for_point(logic: Logic) -> None:
    slicers = {each: arrays(surface(logic, each)) for each in logic.segment_ids}
    drawing = logic.drawing()
    assert drawing is not None
    assert drawing.settings.is_ours
    drawing.show(drawing.compute(nothing))
    for segment_id, wanted in slicers.items():
        for part, other in zip(arrays(surface(logic, segment_id)), wanted, strict=True):
            assert np.allclose(part, other, atol=1e-4)


def test_only_what_was_changed_is_made_anew(logic: Logic) -> None:
    drawing = logic.drawing()
    assert drawing is not None
    drawing.show(drawing.compute(nothing))
    assert logic.drawing() is None
    segment_id = logic.segment_ids[0]
    before = surface(logic, segment_id).GetBounds()
    put(logic, segment_id, Region((2, 12, 3), np.ones((3, 6, 3), dtype=bool)))
    drawing = logic.drawing()
    assert drawing is not None
    drawing.show(drawing.compute(nothing))
    assert surface(logic, segment_id).GetBounds() != before


def test_other_settings_are_left_to_slicer(logic: Logic) -> None:
    logic.segmentation.GetSegmentation().SetConversionParameter("Decimation factor", "0.5")
    drawing = logic.drawing()
    assert drawing is not None
    before = surface(logic, logic.segment_ids[0]).GetNumberOfCells()
    drawing.show(drawing.compute(nothing))
    assert 0 < surface(logic, logic.segment_ids[0]).GetNumberOfCells() < before


def test_what_is_not_shown_is_not_made(scene: Any) -> None:
    logic = Logic(scene)
    assert logic.drawing() is None
    logic.set_nodes(volume(scene, stored(ORDERS[0]), np.zeros(SHAPE, np.int16)))
    put(logic, logic.add_segment(), Region((1, 1, 1), np.ones((3, 3, 3), dtype=bool)))
    assert logic.drawing() is None


def test_it_can_be_stopped(logic: Logic) -> None:
    drawing = logic.drawing()
    assert drawing is not None
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(CancelledError):
        drawing.compute(cancel.check)

"""What `SEGSAMTest` does inside Slicer: the panel loads, marks a made volume, and asks a server if
one is named in the environment's `SEGSAM_TEST_SERVER`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import slicer

_SHAPE_KJI = (8, 56, 64)
_SPACING_MM = (1.5, 1.5, 4.0)
_PATIENCE_SECONDS = 120


def made_volume() -> Any:
    """A bright ellipsoid in noise, 64x56x8 voxels."""
    k, j, i = np.ogrid[: _SHAPE_KJI[0], : _SHAPE_KJI[1], : _SHAPE_KJI[2]]
    inside = ((i - 30) / 13) ** 2 + ((j - 26) / 10) ** 2 + ((k - 4) / 3.4) ** 2 < 1
    noise = np.random.default_rng(7).normal(100, 8, _SHAPE_KJI)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "SEG-SAM test")
    node.SetSpacing(*_SPACING_MM)
    slicer.util.updateVolumeFromArray(node, (noise + 120 * inside).astype(np.int16))
    return node


def run(test: Any, resources: Path) -> None:
    """Raises `AssertionError` at the first thing that is not as it should be."""
    test.delayDisplay("SEG-SAM: the panel")
    widget = slicer.util.loadUI(str(resources / "UI" / "SEGSAM.ui"))
    ui = slicer.util.childWidgetVariables(widget)
    widget.setMRMLScene(slicer.mrmlScene)
    panel = _panel(ui, resources)
    try:
        panel.session.node.volume = made_volume()
        panel.session.logic.set_nodes(panel.session.node.volume)
        panel.session.logic.add_segment()
        test.delayDisplay("SEG-SAM: prompts, undo and redo")
        panel.session.logic.add_point((45.0, 39.0, 16.0))
        _check(len(panel.session.logic.prompts.points) == 1, "a point was not kept")
        panel.session.logic.undo()
        _check(panel.session.logic.prompts.is_empty, "undo left the point")
        panel.session.logic.redo()
        server = os.environ.get("SEGSAM_TEST_SERVER")
        if server:
            test.delayDisplay(f"SEG-SAM: segmenting with {server}")
            _segment(panel, server)
    finally:
        panel.use(None)
        panel.close()
    test.delayDisplay("SEG-SAM: passed")


def _panel(ui: Any, resources: Path) -> Any:
    from SEGSAM import SEGSAMLogic

    from SEGSAMLib.Widget import Widget

    panel = Widget(ui, str(resources / "Icons"))
    panel.use(SEGSAMLogic().getParameterNode())
    return panel


def _segment(panel: Any, server: str) -> None:
    panel.connection.connect(server)
    _wait(panel, lambda: panel.session.is_connected, "the server did not answer")
    panel.session.logic.clear_prompts()
    panel.session.logic.add_box_from_roi(_box())
    panel.prompts.run()
    _wait(panel, lambda: not panel.session.workflow.is_busy, "the request did not end")
    segment = slicer.util.arrayFromSegmentBinaryLabelmap(
        panel.session.logic.segmentation, panel.session.logic.segment_id, panel.session.logic.volume
    )
    _check(segment.any(), "the result is empty")


def _box() -> Any:
    """Around the object, which every checkpoint finds from a box."""
    roi = slicer.vtkMRMLMarkupsROINode()
    roi.SetCenter(45.0, 39.0, 16.0)
    roi.SetSize(42.0, 33.0, 4.0)
    return roi


def _wait(panel: Any, is_so: Any, otherwise: str) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        _check(time.monotonic() < until, otherwise)
        slicer.app.processEvents()
        panel.poll()


def _check(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise AssertionError(otherwise)

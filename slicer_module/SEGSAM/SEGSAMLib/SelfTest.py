"""Self-test inside Slicer, run by `SEGSAMTest`: loads the panel and marks an object in a synthetic
volume. If the environment variable `SEGSAM_TEST_SERVER` names a server, it segments the object too.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np

import slicer

_SHAPE_KJI = (8, 56, 64)
_SPACING_MM = (1.5, 1.5, 4.0)
_TIMEOUT_SECONDS = 120


def synthetic_volume() -> Any:
    """Return a volume node with a bright ellipsoid in noise, 64x56x8 voxels."""
    k, j, i = np.ogrid[: _SHAPE_KJI[0], : _SHAPE_KJI[1], : _SHAPE_KJI[2]]
    inside = ((i - 30) / 13) ** 2 + ((j - 26) / 10) ** 2 + ((k - 4) / 3.4) ** 2 < 1
    noise = np.random.default_rng(7).normal(100, 8, _SHAPE_KJI)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "SEG-SAM test")
    node.SetSpacing(*_SPACING_MM)
    slicer.util.updateVolumeFromArray(node, (noise + 120 * inside).astype(np.int16))
    return node


def run(test: Any, resources: Path) -> None:
    """Run the test. Raises `AssertionError` at the first problem."""
    test.delayDisplay("SEG-SAM: the panel")
    widget = slicer.util.loadUI(str(resources / "UI" / "SEGSAM.ui"))
    ui = slicer.util.childWidgetVariables(widget)
    widget.setMRMLScene(slicer.mrmlScene)
    panel = _panel(ui, resources)
    try:
        logic = panel.session.logic
        panel.session.node.volume = synthetic_volume()
        logic.nodes.select(panel.session.node.volume)
        logic.nodes.add_segment()
        test.delayDisplay("SEG-SAM: prompts, undo and redo")
        logic.prompts.add_point((45.0, 39.0, 16.0))
        _check(len(logic.prompts.current.points) == 1, "the point was not added")
        panel.session.workflow.undo()
        _check(logic.prompts.current.is_empty, "undo did not remove the point")
        panel.session.workflow.redo()
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
    logic = panel.session.logic
    logic.prompts.clear()
    logic.prompts.add_box_from_roi(_box())
    panel.prompts.run()
    _wait(panel, lambda: not panel.session.workflow.worker.is_busy, "the request did not end")
    nodes = logic.nodes
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(
        nodes.segmentation, nodes.segment_id, nodes.volume
    )
    _check(voxels.any(), "the result is empty")


def _box() -> Any:
    """Return a box around the object, from which every checkpoint segments it."""
    roi = slicer.vtkMRMLMarkupsROINode()
    roi.SetCenter(45.0, 39.0, 16.0)
    roi.SetSize(42.0, 33.0, 4.0)
    return roi


def _wait(panel: Any, condition: Callable[[], bool], problem: str) -> None:
    until = time.monotonic() + _TIMEOUT_SECONDS
    while not condition():
        _check(time.monotonic() < until, problem)
        slicer.app.processEvents()
        panel.poll()


def _check(is_right: bool, problem: str) -> None:
    if not is_right:
        raise AssertionError(problem)

"""What a user does with the panel, for tests: connect, draw, look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

TIMEOUT_SECONDS = 240


def until(condition: Callable[[], Any], what: str) -> None:
    """Run Qt's event loop, with Python's lock held as in Slicer, until a condition is true."""
    from gui import loop

    loop.until(condition, what, TIMEOUT_SECONDS)


def connect(module: Any, server: Any) -> None:
    module.ui.serverCombo.setCurrentText(server.url)
    module.ui.connectButton.click()
    until(lambda: module.panel.session.is_connected, "the connection")


def is_segmenting(module: Any) -> bool:
    return bool(module.panel.session.workflow.worker.is_running("segment"))


def drag_box(module: Any, tool: str = "boxButton") -> None:
    """A box around the ball, which all volumes here have, in the axial view."""
    from gui.views import drag, pixel_of
    from SEGSAMLib.Scene import Frames

    import slicer

    view = slicer.app.views["Red"]
    getattr(module.ui, tool).setChecked(True)
    logic = module.panel.session.logic
    corners = Frames.to_world(logic.nodes.grid.ras([(16, 15, 4), (44, 37, 4)]), logic.nodes.volume)
    view.get_view_node().JumpSliceByOffsetting(*corners[0])
    drag(view, [pixel_of(view, corner) for corner in corners])


def voxels(module: Any) -> np.ndarray:
    import slicer

    logic = module.panel.session.logic
    return slicer.util.arrayFromSegmentBinaryLabelmap(
        logic.nodes.segmentation, logic.nodes.segment_id, module.volume
    )


def label(module: Any, name: str) -> str:
    return str(getattr(module.ui, name).text())


def saved_version(module: Any) -> int:
    return int(label(module, "submitLabel").split("version ")[1].split()[0])


def another_user_saves(module: Any) -> None:
    """A label of the same image, from the version that the user has too."""
    from SEGSAMLib.Server.Worker import CancelToken

    session = module.panel.session
    label = session.logic.files.label_builder()()
    session.workflow.client.submit(label, "another user", CancelToken(), lambda progress: None)


def segmentations() -> list[Any]:
    import slicer

    return list(slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))

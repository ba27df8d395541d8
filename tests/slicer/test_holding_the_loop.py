"""How long the panel holds Qt's loop, with Python's lock held as in Slicer. Figures are printed.

The volume is as large as a CT of the trunk, and the answer as large as a liver. The figures are in
milliseconds between two ticks of the loop (`gui.loop.Clock`), of which the pause of 10 ms in which
the worker's threads run is a part. A busy machine makes them longer.
"""

from __future__ import annotations

import base64
import json
import statistics
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from panel import label, until, voxels
from SEGSAMLib.Drafts import WAIT_SECONDS
from SEGSAMLib.Values.ImageFiles import digest

SHAPE_IJK = (512, 512, 300)
MATRIX = np.diag([-0.7, -0.7, 1.5, 1.0])
INSIDE_IJK = (200, 250, 150)
CLICKS = 5
VOXELS = 3_869_431


class Answering:
    """In place of a client: one answer, as long as a real one, read in the worker's thread. While
    `is_ready` is not set, the thread computes, as one does that reads a reply or packs an image.
    """

    def __init__(self, low_ijk: tuple[int, int, int], mask: np.ndarray) -> None:
        from SEGSAMLib.Values.Address import Address

        self.address = Address.parse("http://127.0.0.1:9")
        self.uploads = self.drafts = self
        self.are_kept, self.draft = True, b""
        self.is_ready = threading.Event()
        self.is_ready.set()
        slices = range(low_ijk[2], low_ijk[2] + mask.shape[2])
        region = {
            "shape_ijk": list(SHAPE_IJK),
            "min_ijk": list(low_ijk),
            "max_ijk": [low + side - 1 for low, side in zip(low_ijk, mask.shape, strict=True)],
            "encoding": "packbits-zlib",
            "data": base64.b64encode(zlib.compress(np.packbits(mask).tobytes())).decode(),
        }
        reply = {
            "mask": region,
            "category": "liver",
            "confidence": 0.9,
            "axes": ["k"],
            "slices": [{"axis": "k", "index": k} for k in slices],
            "certainty": [0.9 for _ in slices],
            "present": {str(k): {"spleen": 0.5} for k in slices},
        }
        self._text = json.dumps(reply)

    def infer(
        self, model: str, image: Any, request: dict[str, Any], cancel: Any, report: Any
    ) -> Any:
        from SEGSAMLib.Server.ReplyReaders import read_infer

        while not self.is_ready.is_set():
            cancel.check()
            sum(range(1000))
        name = request["request_id"]
        return read_infer({**json.loads(self._text), "request_id": name}, image.grid, name)

    def prefetch(self, *_: Any) -> None:
        """It has no slices to encode."""

    def close(self, cancel: Any) -> None:
        """It has no session."""

    def content(self, image: Any, cancel: Any, report: Any) -> str:
        return digest(image, cancel.check)

    def has_sent(self, content: str) -> bool:
        return True

    def get(self, content: str, cancel: Any) -> None:
        """It has no draft."""

    def put(self, content: str, draft: bytes, cancel: Any) -> None:
        self.draft = draft


@pytest.fixture
def large(module: Any, scene: Any) -> Any:
    """The panel, connected, with a large volume."""
    from SEGSAMLib.Values.Replies import ServerInfo
    from volumes import volume

    import slicer

    i, j, k = np.ogrid[-120:121, -110:111, -70:71]
    organ = (i / 120) ** 2 + (j / 110) ** 2 + (k / 70) ** 2 < 1
    module.volume = volume(scene, MATRIX, np.zeros(SHAPE_IJK, np.int16), "large")
    module.panel.session.node.volume = module.volume
    slicer.app.views.show(module.volume)
    session = module.panel.session
    module.client = session.workflow.client = Answering((80, 140, 80), organ)
    session.is_connected = True
    session.server_info = ServerInfo("", "", is_segsam=True, models=(), trainers=())
    return module


@pytest.fixture
def report(record_property: Callable[[str, Any], None]) -> Callable[[str, list[int]], None]:
    """Print figures, in milliseconds."""

    def write(what: str, found: list[int]) -> None:
        record_property(f"{what} holds the loop, ms", found)
        all_of_them = ", ".join(map(str, found))
        sys.stdout.write(
            f"{what} holds the loop {statistics.median(found):.0f} ms, at most {max(found)} ms "
            f"({all_of_them})\n"
        )

    return write


def test_a_large_organ_does_not_hold_the_loop(
    large: Any, report: Callable[[str, list[int]], None]
) -> None:
    """An answer of four million voxels in 512 x 512 x 300, undo, redo, and its surface."""
    from gui.loop import Clock

    flow, logic = large.panel.session.workflow, large.panel.session.logic

    def hold(what: str, begin: Callable[[], Any]) -> int:
        clock = Clock()
        begin()
        until(lambda: not flow.worker.is_busy, what)
        clock.stop()
        return int(clock.longest_ms)

    found: dict[str, list[int]] = {}
    for _ in range(3):
        logic.prompts.add_point(logic.nodes.grid.ras(INSIDE_IJK)[0])
        large.panel.refresh()
        found.setdefault("an answer", []).append(hold("an answer", large.ui.runButton.click))
        assert label(large, "statusLabel").startswith(f"liver: {VOXELS} voxels more")
        assert np.count_nonzero(voxels(large)) == VOXELS
        found.setdefault("undo", []).append(hold("undo", large.ui.undoButton.click))
        assert not voxels(large).any()
        large.panel._surfaces_timer.stop()
    found["redo"] = [hold("redo", large.ui.redoButton.click)]
    assert np.count_nonzero(voxels(large)) == VOXELS
    session = large.panel.session
    session.settings.set_keeps_drafts(large.client.address.url, True)
    flow.drafts.use(large.client)
    for what in ("the question for a draft", "a draft"):
        found[what] = [hold(what, large.panel.drafts.tick)]
        large.panel.drafts.tick()
        flow.drafts.clock = lambda: time.monotonic() + WAIT_SECONDS
    assert len(large.client.draft) > 10_000
    flow.drafts.use(None)
    logic.nodes.segmentation.CreateClosedSurfaceRepresentation()
    refresh = large.panel.session.attempt
    found["the surface"] = [hold("the surface", lambda: refresh(flow.refresh_surfaces))]
    assert logic.surface_update() is None, "it is up to date"
    for what, times in found.items():
        report(what, times)


def test_a_click_holds_the_loop_briefly_and_is_cancelled_at_once(
    large: Any, report: Callable[[str, list[int]], None]
) -> None:
    """Points in live mode, each in place of the request before, while a thread computes."""
    from gui import loop
    from gui.views import pixel_of, send
    from PySide6.QtCore import QTimer

    import slicer

    view, ui = slicer.app.views["Red"], large.ui
    session = large.panel.session
    ui.pointInsideButton.setChecked(True)
    large.client.is_ready.clear()
    found: dict[str, list[int]] = {"a click": [], "cancel": [], "a lasso": [], "a removal": []}

    def press_and_release(at: tuple[int, int]) -> None:
        for event in ("LeftButtonPressEvent", "LeftButtonReleaseEvent"):
            send(view, event, at)

    def hold(what: str, act: Callable[[], Any]) -> None:
        clock = loop.Clock()
        QTimer.singleShot(50, act)
        loop.run(400)
        clock.stop()
        found[what].append(int(clock.longest_ms))

    middle = pixel_of(view, session.logic.nodes.grid.ras(INSIDE_IJK)[0])
    for number in range(CLICKS):
        at = (middle[0] + 3 * number, middle[1] + 5)
        hold("a click", lambda at=at: press_and_release(at))
        assert len(session.logic.prompts.current.points) == number + 1
        assert session.workflow.worker.is_running("segment")
        if number % 2:
            hold("cancel", ui.cancelButton.click)
            assert not session.workflow.worker.is_busy
            assert label(large, "statusLabel") == "Cancelled; nothing was changed."
    turns = np.linspace(0, 2 * np.pi, 60)
    outline = [
        (round(middle[0] + 90 * np.cos(t)), round(middle[1] + 70 * np.sin(t))) for t in turns
    ]
    ui.lassoButton.setChecked(True)
    send(view, "LeftButtonPressEvent", outline[0])
    for at in outline[1:]:
        send(view, "MouseMoveEvent", at)
    loop.run(200)  # the first drawing of a view without a graphics card is not the panel's time
    hold("a lasso", lambda: send(view, "LeftButtonReleaseEvent", outline[0]))
    assert len(session.logic.prompts.current.lassos) == 1
    hold("a removal", ui.removePromptButton.click)
    assert not session.logic.prompts.current.lassos
    large.client.is_ready.set()
    ui.runButton.click()
    until(lambda: not session.workflow.worker.is_busy, "the answer")
    assert np.count_nonzero(voxels(large)) == VOXELS
    for what, times in found.items():
        report(what, times)

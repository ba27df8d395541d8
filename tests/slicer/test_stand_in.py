"""The stand-in for Slicer's application is as strict as Slicer: the lock, the parameter nodes, the
Segment Editor. What it lets pass, no other test can find.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any

import pytest

HELD_MS = 1000
PATIENT_MS = 10


def test_python_threads_stand_still_while_qts_loop_runs(qt_application: Any) -> None:
    """As measured in Slicer: two runs of such a thread where a hundred are due."""
    from gui import loop

    runs: list[float] = []
    is_over = threading.Event()

    def count() -> None:
        while not is_over.is_set():
            time.sleep(PATIENT_MS / 1000)
            runs.append(time.monotonic())

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    began = time.monotonic()
    loop.run(HELD_MS)
    seconds = time.monotonic() - began
    held = len(runs)
    is_over.set()
    thread.join()
    sys.stdout.write(f"{held} runs of a thread in {seconds:.1f} s\n")
    assert held <= 5


def test_a_poll_of_the_worker_lends_the_lock(qt_application: Any) -> None:
    from gui import loop
    from PySide6.QtCore import QTimer
    from SEGSAMLib.Server.Worker import Worker

    runs: list[int] = []
    worker = Worker()

    def job(cancel: Any, report: Any) -> int:
        for number in range(20):
            time.sleep(PATIENT_MS / 1000)
            runs.append(number)
        return len(runs)

    timer = QTimer()
    timer.setInterval(20)
    timer.timeout.connect(worker.poll)
    worker.start("segment", job)
    loop.run(100)
    assert len(runs) < 5, "nothing polls"
    timer.start()
    loop.until(lambda: not worker.is_busy, "the job", 60)
    assert len(runs) == 20


def test_the_clock_sees_what_holds_the_loop_and_lends_nothing(qt_application: Any) -> None:
    from gui import loop
    from PySide6.QtCore import QTimer

    def work() -> None:
        end = time.perf_counter() + 0.2
        while time.perf_counter() < end:
            pass

    clock = loop.Clock()
    QTimer.singleShot(50, work)
    loop.run(500)
    clock.stop()
    assert clock.longest_ms >= 200
    assert clock.ticks > 10


class TestParameterNode:
    @pytest.fixture
    def wrapped(self, qt_application: Any, scene: Any) -> Any:
        """A wrapper class of one node, made anew at each call, as `getParameterNode` does."""
        from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

        import slicer

        kinds = {
            "volume": slicer.vtkMRMLScalarVolumeNode,
            "side": Annotated[str, Choice(["left", "right"])],
            "count": int,
            "share": Annotated[int, WithinRange(0, 10)],
        }
        defaults = {"side": "left", "count": 1, "share": 5}
        wrapper = parameterNodeWrapper(type("Node", (), {"__annotations__": kinds, **defaults}))
        node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
        return lambda: wrapper(node)

    def test_values_are_cached_until_the_node_is_modified(self, wrapped: Any) -> None:
        found = wrapped()
        node = found.parameterNode
        was_modified = node.StartModify()
        node.SetParameter("side", "right")
        assert found.side == "left"
        node.EndModify(was_modified)
        assert found.side == "right"

    def test_what_is_not_allowed_is_refused(self, wrapped: Callable[[], Any]) -> None:
        found = wrapped()
        for name, value in (("side", "up"), ("share", 11), ("count", "1"), ("side", None)):
            with pytest.raises((ValueError, TypeError)):
                setattr(found, name, value)

    def test_widgets_are_bound_as_slicer_binds_them(self, wrapped: Callable[[], Any]) -> None:
        from PySide6.QtWidgets import QComboBox, QSpinBox

        found = wrapped()
        side, count, share = QComboBox(), QSpinBox(), QSpinBox()
        for name, widget in (("side", side), ("count", count), ("share", share)):
            widget.setProperty("SlicerParameterName", name)
        assert found.connectGui(SimpleNamespace(side=side, count=count)) is None
        assert (count.minimum(), count.maximum()) == (-(2**31), 2**31 - 1)
        assert [side.itemText(row) for row in range(side.count())] == ["left", "right"]
        tag = found.connectParametersToGui({"share": share})
        assert (share.minimum(), share.maximum()) == (0, 10)
        share.setValue(7)
        assert found.share == 7
        found.disconnectGui(tag)
        share.setValue(8)
        assert found.share == 7

    def test_an_unknown_choice_cannot_be_shown(self, wrapped: Callable[[], Any]) -> None:
        from PySide6.QtWidgets import QComboBox

        found = wrapped()
        found.parameterNode.SetParameter("side", "up")
        with pytest.raises(ValueError, match="up"):
            wrapped().connectParametersToGui({"side": QComboBox()})

    def test_the_last_widget_of_a_panel_is_the_first(self, qt_application: Any) -> None:
        from PySide6.QtWidgets import QLabel, QWidget

        import slicer

        root = QWidget()
        labels = [QLabel(root) for _ in range(3)]
        for number, each in enumerate(labels):
            each.setObjectName(f"label{number}")
        names = [name for name in vars(slicer.util.childWidgetVariables(root)) if "label" in name]
        assert names == ["label2", "label1", "label0"]


def test_an_effect_is_active_in_every_widget_that_follows_the_node(
    qt_application: Any, scene: Any
) -> None:
    from gui.mrml_widgets import qMRMLSegmentEditorWidget

    node = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    first, second = qMRMLSegmentEditorWidget(), qMRMLSegmentEditorWidget()
    for each in (first, second):
        each.setMRMLSegmentEditorNode(node)
    first.setActiveEffectByName("Paint")
    assert second.active_effect == "Paint"
    second.setMRMLSegmentEditorNode(None)
    first.setActiveEffect(None)
    assert second.active_effect == "Paint", "a widget without the node is told nothing"


def test_a_source_volume_before_a_segmentation_is_an_error(qt_application: Any, scene: Any) -> None:
    from gui.mrml_widgets import qMRMLSegmentEditorWidget

    editor = qMRMLSegmentEditorWidget()
    editor.setMRMLSegmentEditorNode(scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    editor.setSourceVolumeNode(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"))
    assert len(editor.errors) == 1

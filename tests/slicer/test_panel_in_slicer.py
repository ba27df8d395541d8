"""The panel among the rest of Slicer: scenes, layouts, the Segment Editor, the mouse in views."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from misbehaving import answer, serving
from panel import drag_box, label, until

WORLD = (45.0, 39.0, 16.0)
"""A point inside the volume."""


def save(scene: Any, path: Path) -> str:
    assert scene.WriteToMRB(str(path))
    return str(path)


def load(scene: Any, path: str, *, add: bool = False) -> None:
    assert scene.ReadFromMRB(path, not add)


def reopened(module: Any) -> Any:
    """The module's widget made anew on the scene that is there."""
    from SEGSAM import SEGSAMWidget

    widget = SEGSAMWidget()
    widget.setup()
    widget.enter()
    return widget


class TestScenes:
    def test_opening_the_module_on_a_saved_scene_keeps_its_nodes(
        self, module: Any, scene: Any, tmp_path: Path
    ) -> None:
        drag_box(module)
        name = module.panel.session.logic.nodes.segmentation.GetName()
        path = save(scene, tmp_path / "scene.mrb")
        module.widget.exit()
        module.widget.cleanup()
        load(scene, path)
        module.widget = reopened(module)
        module.panel, module.ui = module.widget.panel, module.widget.panel.ui
        nodes, node = module.panel.session.logic.nodes, module.panel.session.node
        assert node.volume is not None
        assert nodes.volume is node.volume
        assert nodes.segmentation is node.segmentation
        assert nodes.segmentation.GetName() == name
        assert module.ui.volumeSelector.currentNode() is nodes.volume
        assert len(module.panel.session.logic.prompts.current.boxes) == 1

    @pytest.mark.parametrize("is_entered", [True, False])
    def test_a_scene_that_is_loaded_while_the_panel_exists(
        self, module: Any, scene: Any, tmp_path: Path, is_entered: bool
    ) -> None:
        drag_box(module)
        module.panel.session.node.propagate = "always"
        path = save(scene, tmp_path / "scene.mrb")
        if not is_entered:
            module.widget.exit()
        load(scene, path)
        if not is_entered:
            module.widget.enter()
        nodes = module.panel.session.logic.nodes
        assert nodes.volume is not None
        assert module.panel.session.node.volume is nodes.volume
        assert module.ui.segmentationSelector.currentNode() is nodes.segmentation
        assert module.ui.propagateCombo.currentText() == "always"
        assert label(module, "promptsLabel") == "1 box"

    def test_another_scene_beside_this_one_leaves_what_is_worked_on(
        self, module: Any, scene: Any, tmp_path: Path
    ) -> None:
        import slicer

        other = slicer.vtkMRMLScene()
        other.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "of the other scene")
        path = tmp_path / "other.mrml"
        other.SetURL(str(path))
        other.Commit()
        drag_box(module)
        nodes = module.panel.session.logic.nodes
        before = (nodes.volume, nodes.segmentation, nodes.segment_id)
        scene.SetURL(str(path))
        scene.Import()
        assert (nodes.volume, nodes.segmentation, nodes.segment_id) == before
        assert module.panel.session.node.volume is before[0]
        module.ui.undoButton.click()
        assert module.panel.session.logic.prompts.current.is_empty, "the history is still there"

    def test_a_scene_of_the_version_before(self, module: Any, scene: Any, tmp_path: Path) -> None:
        """It may hold what this version does not know, and slices from the ends of 32 bits."""
        drag_box(module)
        raw = module.panel.session.node.parameterNode
        module.panel.use(None)
        for name, text in (
            *(("protection", "ask"), ("window", "soft_tissue"), ("axis", "k")),
            *(("first_slice", str(-(2**31))), ("last_slice", str(2**31 - 1))),
        ):
            raw.SetParameter(name, text)
        path = save(scene, tmp_path / "before.mrb")
        load(scene, path)
        node = module.panel.session.node
        assert (node.protection, node.window, node.axis) == ("keep others", "", "k")
        assert (node.first_slice, node.last_slice) == (0, 0)
        assert module.panel.session.logic.nodes.volume is not None

    def test_a_panel_that_is_bound_twice_writes_once(self, module: Any, scene: Any) -> None:
        """What was bound before must not write into the node any more."""
        node = module.panel.session.node
        node.axis = "i"
        for _ in range(2):
            module.panel.unbind()
            module.panel.use(module.widget.logic.getParameterNode())
        assert module.panel.session.node.axis == "i"
        scene.Clear(False)
        module.ui.axisCombo.setCurrentText("j")
        assert module.panel.session.node.axis == "j"

    def test_only_slices_are_counted_from_nought(self, module: Any) -> None:
        for box in (module.ui.firstSliceSpinBox, module.ui.lastSliceSpinBox):
            assert (box.minimum(), box.maximum()) == (0, 99999)


class TestButtonsOfAResult:
    @staticmethod
    def click_from_qt(button: Any) -> None:
        """Click a button as Qt does, without a reference of Python's that would keep it alive."""
        from PySide6.QtCore import SIGNAL, SLOT, QObject
        from PySide6.QtWidgets import QPushButton

        trigger = QPushButton()
        QObject.connect(trigger, SIGNAL("clicked()"), button, SLOT("click()"))
        del button
        trigger.click()

    @pytest.mark.parametrize("what", ["present", "suggestion"])
    def test_a_button_outlives_its_own_click(
        self, module: Any, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Deleted inside its click, it would be read after its end."""
        from gui import loop

        drag_box(module)
        panel, gone, seen = module.panel.result, [], []
        if what == "present":
            monkeypatch.setattr(
                panel,
                "_make_segment",
                lambda category: (panel._show_present(()), seen.append(gone[:])),
            )
            panel._show_present((("spleen", 0.8),))
            buttons = module.ui.presentList.layout().itemAtPosition(0, 1)
        else:
            monkeypatch.setattr(
                panel,
                "_choose",
                lambda category: (panel._show_suggestions(()), seen.append(gone[:])),
            )
            panel._show_suggestions((("liver", 0.4),))
            buttons = module.ui.suggestionList.layout().itemAt(0)
        buttons.widget().destroyed.connect(lambda *_: gone.append(True))
        self.click_from_qt(buttons.widget())
        assert seen == [[]], "it was deleted inside its own click"
        del buttons
        loop.run(50)
        assert gone == [True], "and it goes afterwards"


class TestSegmentEditor:
    def test_nothing_is_taken_over_before_there_is_a_segmentation(self, module: Any) -> None:
        assert module.ui.segmentEditor.mrmlSegmentEditorNode() is None
        module.panel.refresh()
        assert module.ui.segmentEditor.errors == []

    def test_the_shared_node_is_left_alone_after_leaving(self, module: Any, scene: Any) -> None:
        drag_box(module)
        shared = scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        assert shared.GetSegmentationNode() is module.panel.session.logic.nodes.segmentation
        module.widget.exit()
        other = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "of another module")
        shared.SetAndObserveSegmentationNode(other)
        module.panel.refresh()
        assert shared.GetSegmentationNode() is other
        module.widget.enter()
        assert shared.GetSegmentationNode() is module.panel.session.logic.nodes.segmentation

    def test_what_the_user_sets_in_the_editor_stays(self, module: Any, scene: Any) -> None:
        drag_box(module)
        other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "source of a threshold")
        module.ui.segmentEditor.setSourceVolumeNode(other)
        module.panel.refresh()
        assert module.ui.segmentEditor.sourceVolumeNode() is other

    def test_one_segment_is_selected_in_panel_and_editor(self, module: Any) -> None:
        drag_box(module)
        nodes, editor = module.panel.session.logic.nodes, module.ui.segmentEditor
        first = nodes.segment_id
        assert editor.currentSegmentID() == first
        module.ui.addSegmentButton.click()
        second = nodes.segment_id
        assert second != first
        assert editor.currentSegmentID() == second
        editor.setCurrentSegmentID(first)
        assert nodes.segment_id == first
        assert module.ui.segmentsTable.selectedSegmentIDs() == [first]
        assert label(module, "promptsLabel") == "1 box"

    def test_a_segment_that_the_editor_adds_or_removes(self, module: Any) -> None:
        drag_box(module)
        nodes, editor = module.panel.session.logic.nodes, module.ui.segmentEditor
        segmentation = nodes.segmentation.GetSegmentation()
        first, added = nodes.segment_id, segmentation.AddEmptySegment()
        editor.setCurrentSegmentID(added)
        assert nodes.segment_id == added
        segmentation.RemoveSegment(added)
        module.panel.prompts._read_markups()
        module.panel.refresh()
        assert nodes.segment_id == first
        assert editor.currentSegmentID() == first

    def test_no_effect_paints_after_leaving(self, module: Any, scene: Any) -> None:
        drag_box(module)
        editor = module.ui.segmentEditor
        editor.setActiveEffectByName("Paint")
        assert editor.are_views_observed
        module.widget.exit()
        assert editor.active_effect == ""
        assert not editor.are_views_observed
        shared = scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        shared.SetActiveEffectName("Paint")  # in Slicer's own Segment Editor
        assert editor.active_effect == ""
        shared.SetActiveEffectName("")

    def test_a_tool_and_an_effect_are_not_active_at_once(self, module: Any) -> None:
        drag_box(module)
        module.ui.boxButton.setChecked(False)
        module.ui.segmentEditor.setActiveEffectByName("Paint")
        module.ui.boxButton.setChecked(True)
        assert module.ui.segmentEditor.active_effect == ""
        module.ui.segmentEditor.setActiveEffectByName("Paint")
        assert not module.ui.boxButton.isChecked()


class TestMouse:
    def others(self, view: Any) -> list[str]:
        """Names of the events that reach what observes a view after the module."""
        seen: list[str] = []
        for event in ("LeftButtonPressEvent", "MouseMoveEvent", "LeftButtonDoubleClickEvent"):
            view.interactor().AddObserver(event, lambda _, name: seen.append(name), 1.0)
        return seen

    def test_the_second_of_two_quick_clicks_is_a_point_too(self, module: Any) -> None:
        from gui.views import double_click, pixel_of, send

        import slicer

        view = slicer.app.views["Red"]
        seen = self.others(view)
        module.ui.pointInsideButton.setChecked(True)
        at = pixel_of(view, WORLD)
        double_click(view, at)
        other = (at[0] + 20, at[1])
        send(view, "LeftButtonDoubleClickEvent", other)
        send(view, "LeftButtonReleaseEvent", other)
        assert len(module.panel.session.logic.prompts.current.points) == 3
        assert seen == [], "a double click would maximise the view"
        module.ui.pointInsideButton.setChecked(False)
        double_click(view, at)
        assert seen == ["LeftButtonPressEvent", "LeftButtonDoubleClickEvent"]

    @pytest.mark.parametrize("key", ["shift", "ctrl"])
    def test_a_drag_with_a_key_is_the_views_own(self, module: Any, key: str) -> None:
        from gui.views import drag, pixel_of

        import slicer

        view = slicer.app.views["Red"]
        seen = self.others(view)
        module.ui.boxButton.setChecked(True)
        x, y = pixel_of(view, WORLD)
        drag(view, [(x, y), (x + 30, y + 30)], **{key: True})
        assert seen == ["LeftButtonPressEvent", "MouseMoveEvent"]
        assert module.panel.session.logic.prompts.current.is_empty
        drag_box(module)
        assert len(module.panel.session.logic.prompts.current.boxes) == 1

    @pytest.mark.parametrize("tool", ["boxButton", "box3dButton"])
    def test_a_click_is_no_box(self, module: Any, tool: str) -> None:
        from gui.views import drag, pixel_of

        import slicer

        view = slicer.app.views["Red"]
        getattr(module.ui, tool).setChecked(True)
        drag(view, [pixel_of(view, WORLD)])
        assert module.panel.session.logic.prompts.current.is_empty
        assert "Drag" in label(module, "statusLabel")

    def test_views_of_a_new_layout_know_the_tool(self, module: Any) -> None:
        from gui.views import drag, pixel_of

        import slicer

        views = slicer.app.views
        module.ui.pointInsideButton.setChecked(True)
        fourth = views.change_layout("Slice4")
        try:
            views.show(module.volume)
            fourth.get_view_node().JumpSliceByOffsetting(*WORLD)
            drag(fourth, [pixel_of(fourth, WORLD)])
            assert len(module.panel.session.logic.prompts.current.points) == 1
            module.panel._prefetch_timer.stop()
            fourth.get_view_node().SetSliceOffset(8.0)
            assert module.panel._prefetch_timer.isActive(), "its slices are followed"
            module.widget.exit()
            module.panel._prefetch_timer.stop()
            views.change_layout("Slice4")
            fourth.get_view_node().SetSliceOffset(4.0)
            assert not module.panel._prefetch_timer.isActive(), "not after leaving"
            module.widget.enter()
        finally:
            views.remove("Slice4")


class TestFields:
    @pytest.mark.parametrize("name", ["studiesPath", "environmentPath"])
    def test_a_folder_is_browsed_for_as_a_folder(
        self, module: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from gui import ctk

        monkeypatch.setattr(ctk, "ask_for_file", lambda _: "a file")
        monkeypatch.setattr(ctk, "ask_for_folder", lambda _: str(tmp_path))
        field = getattr(module.ui, name)
        field.browse()
        assert field.path() == str(tmp_path)

    def test_a_certificate_is_browsed_for_as_a_file(
        self, module: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from gui import ctk

        monkeypatch.setattr(ctk, "ask_for_file", lambda _: "/ca.pem")
        module.ui.certificatePath.browse()
        assert module.ui.certificatePath.path() == "/ca.pem"


class TestOlderVTK:
    """Before 9.4, VTK keeps Python's lock while it computes: a surface would hold the window."""

    def result(self, module: Any) -> Any:
        from SEGSAMLib.Values.Results import AppliedResult

        nodes = module.panel.session.logic.nodes
        nodes.segmentation.CreateClosedSurfaceRepresentation()
        applied = AppliedResult(nodes.segment_id, 5, 0)
        return SimpleNamespace(kind="done", task="segment", value=applied)

    def test_surfaces_wait_for_a_click(self, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from SEGSAMLib.Scene import Surfaces

        drag_box(module)
        monkeypatch.setattr(Surfaces, "releases_lock", lambda: False)
        module.panel._show_event(self.result(module))
        module.panel.refresh()
        assert not module.panel._surfaces_timer.isActive()
        assert not module.ui.updateSurfacesButton.isHidden()
        flow = module.panel.session.workflow
        module.ui.updateSurfacesButton.click()
        until(lambda: not flow.worker.is_busy, "the surfaces")
        assert module.panel.session.logic.surface_update() is None, "they are up to date"

    def test_newer_ones_update_them_by_themselves(self, module: Any) -> None:
        from SEGSAMLib.Scene import Surfaces

        drag_box(module)
        assert Surfaces.releases_lock(), "this is VTK 9.6"
        module.panel._show_event(self.result(module))
        module.panel.refresh()
        assert module.panel._surfaces_timer.isActive()
        assert module.ui.updateSurfacesButton.isHidden()
        module.panel._surfaces_timer.stop()

    @pytest.mark.parametrize(
        ("version", "is_released"), [((9, 2), False), ((9, 4), True), ((10, 0), True)]
    )
    def test_which_versions_those_are(
        self, module: Any, version: Any, is_released: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from SEGSAMLib.Scene import Surfaces

        major, minor = version
        numbers = SimpleNamespace(
            GetVTKMajorVersion=lambda: major, GetVTKMinorVersion=lambda: minor
        )
        monkeypatch.setattr(Surfaces, "vtk", SimpleNamespace(vtkVersion=numbers))
        assert Surfaces.releases_lock() is is_released


INFO = answer(b'{"name": "SEG-SAM", "version": "1", "models": {"m": {"checkpoint": {}}}}')


def test_reconnecting_ends_the_sessions_of_the_client_before(module: Any) -> None:
    """Else the server keeps the image until the session is idle for long."""
    with serving(INFO, INFO, answer()) as server:
        flow = module.panel.session.workflow
        module.ui.serverCombo.setCurrentText(server.url)
        module.ui.connectButton.click()
        until(lambda: module.panel.session.is_connected, "the connection")
        flow.client.uploads._sessions["an image"] = "session-1"
        first = flow.client
        module.ui.connectButton.click()
        until(lambda: flow.client is not first and not flow.worker.is_busy, "the second connection")
        assert any(each.startswith(b"DELETE /session/session-1 ") for each in server.requests)
        assert not module.ui.cancelButton.isVisibleTo(module.ui.statusFrame)


def test_closing_ends_the_sessions_within_half_a_second(module: Any) -> None:
    """Nothing lends the lock afterwards."""
    from gui import loop
    from PySide6.QtCore import QTimer

    with serving(INFO, answer()) as server:
        flow = module.panel.session.workflow
        module.ui.serverCombo.setCurrentText(server.url)
        module.ui.connectButton.click()
        until(lambda: module.panel.session.is_connected, "the connection")
        flow.client.uploads._sessions["an image"] = "session-1"
        took: list[float] = []

        def close() -> None:
            began = time.monotonic()
            module.panel.close()
            took.append(time.monotonic() - began)

        QTimer.singleShot(0, close)
        loop.run(100)
        sys.stdout.write(f"closing took {1000 * took[0]:.0f} ms\n")
        assert any(each.startswith(b"DELETE /session/session-1 ") for each in server.requests)


def test_the_last_words_of_a_process_are_read(module: Any) -> None:
    """A server or an installation that ends with much to say, while the lock is held."""
    from SEGSAMLib.Server.Process import Process

    code = "import sys\nfor n in range(20000): print('line', n, '.' * 60)\nsys.exit(3)"
    panel = module.panel.server
    began = time.monotonic()
    panel._run(lambda: ([[sys.executable, "-c", code]], {}), "Starting …")
    assert isinstance(panel.process, Process)
    until(lambda: not panel.process.is_running, "the end")
    sys.stdout.write(f"1.5 MB of output took {time.monotonic() - began:.1f} s\n")
    assert panel.process.exit_status == 3
    assert "line 19999" in module.ui.serverLog.toPlainText().splitlines()[-1]

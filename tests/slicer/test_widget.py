"""The panel on Qt, clicked through against the real server: nothing blocks, nothing is lost."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from panel import (
    another_user_saves,
    connect,
    drag_box,
    is_segmenting,
    label,
    saved_version,
    segmentations,
    until,
    voxels,
)


@pytest.fixture(scope="module")
def learning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server with the trained checkpoint, of which it makes versions."""
    from serving import started

    options = ("--conf", "checkpoint", "segsam", "--conf", "warm", "off")
    with started(tmp_path_factory.mktemp("learning"), *options) as running:
        yield running


def slicer_view() -> Any:
    import slicer

    return slicer.app.views["Red"]


class TestWithoutAServer:
    def test_nothing_is_contacted_or_installed_when_it_loads(self, module: Any) -> None:
        panel = module.panel
        assert panel.session.workflow.client is None
        assert not panel.session.workflow.worker.is_busy
        assert panel.server.process is None
        assert label(module, "statusLabel") == "Not connected."
        assert not module.ui.runButton.isEnabled()

    def test_what_is_bound_follows_both_ways(self, module: Any) -> None:
        node = module.panel.session.node
        module.ui.propagateCombo.setCurrentText("always")
        module.ui.liveCheckBox.setChecked(False)
        module.ui.firstSliceSpinBox.setValue(3)
        assert (node.propagate, node.live, node.first_slice) == ("always", False, 3)
        node.protection = "allow overlap"
        assert module.ui.protectionCombo.currentText() == "allow overlap"

    def test_points_boxes_and_strokes_are_drawn_with_the_mouse(self, module: Any) -> None:
        from gui.views import drag, pixel_of

        import slicer

        logic = module.panel.session.logic
        view = slicer.app.views["Red"]
        module.ui.pointInsideButton.setChecked(True)
        drag(view, [pixel_of(view, (45.0, 39.0, 16.0))])
        module.ui.pointOutsideButton.setChecked(True)
        assert not module.ui.pointInsideButton.isChecked()
        drag(view, [pixel_of(view, (9.0, 9.0, 16.0))])
        drag_box(module)
        module.ui.scribbleButton.setChecked(True)
        drag(view, [pixel_of(view, (x, 39.0, 16.0)) for x in (36.0, 45.0, 54.0)])
        drag_box(module, "box3dButton")
        prompts = logic.prompts.current
        assert [(point.ijk, point.positive) for point in prompts.points] == [
            ((30, 26, 4), True),
            ((6, 6, 4), False),
        ]
        assert prompts.boxes[0].min_ijk[2] == prompts.boxes[0].max_ijk[2] == 4
        assert np.allclose(prompts.boxes[0].min_ijk[:2], (16, 15), atol=1)
        assert prompts.boxes[1].min_ijk[2] < 4 < prompts.boxes[1].max_ijk[2]
        assert len(prompts.scribbles) == 1
        assert label(module, "promptsLabel") == (
            "1 point inside, 1 point outside, 2 boxes, 1 scribble"
        )

    def test_undo_and_redo_of_prompts(self, module: Any) -> None:
        drag_box(module)
        assert module.ui.undoButton.toolTip() == "Undo box (Ctrl+Z)"
        module.ui.undoButton.click()
        assert module.panel.session.logic.prompts.current.is_empty
        module.ui.redoButton.click()
        assert len(module.panel.session.logic.prompts.current.boxes) == 1

    def test_prompts_can_be_hidden_and_count_all_the_same(self, module: Any) -> None:
        drag_box(module)
        logic = module.panel.session.logic
        boxes = [node for node in logic.prompts.markups.all if node.IsA("vtkMRMLMarkupsROINode")]
        module.ui.showPromptsCheckBox.click()
        assert not boxes[0].GetDisplayVisibility()
        module.panel.prompts._read_markups()
        drag_box(module, "box3dButton")
        assert len(logic.prompts.current.boxes) == 2
        assert not any(node.GetDisplayVisibility() for node in logic.prompts.markups.all)
        module.ui.showPromptsCheckBox.click()
        assert all(node.GetDisplayVisibility() for node in logic.prompts.markups.all)

    def test_prompts_belong_to_their_segment(self, module: Any) -> None:
        drag_box(module)
        first = module.panel.session.logic.nodes.segment_id
        module.ui.addSegmentButton.click()
        assert module.panel.session.logic.prompts.current.is_empty
        module.ui.segmentsTable.setSelectedSegmentIDs([first])
        assert len(module.panel.session.logic.prompts.current.boxes) == 1

    def test_keys_work_inside_the_module_only(self, module: Any) -> None:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest
        from PySide6.QtWidgets import QApplication

        import slicer

        window = slicer.app.main_window
        window.show()
        window.activateWindow()
        QApplication.processEvents()
        QTest.keyClick(window, Qt.Key.Key_B)
        assert module.ui.boxButton.isChecked()
        module.widget.exit()
        assert not module.ui.boxButton.isChecked()
        QTest.keyClick(window, Qt.Key.Key_B)
        assert not module.ui.boxButton.isChecked()
        module.widget.enter()

    @pytest.mark.parametrize("address", ["http://127.0.0.1:9", "nonsense address", ""])
    def test_a_server_that_is_not_there_is_one_sentence(self, module: Any, address: str) -> None:
        module.ui.serverCombo.setCurrentText(address)
        module.ui.connectButton.click()
        until(lambda: label(module, "diagnosisLabel").startswith("⚠"), "the diagnosis")
        assert label(module, "diagnosisLabel").endswith(".")
        assert not module.panel.session.is_connected

    def test_a_token_is_kept_only_when_wished(self, module: Any) -> None:
        import qt

        module.ui.serverCombo.setCurrentText("http://127.0.0.1:9")
        module.ui.tokenEdit.setText("a-secret-of-the-tests")
        module.ui.connectButton.click()
        assert not any("tokens" in key for key in qt.QSettings().allKeys())
        module.ui.rememberTokenCheckBox.setChecked(True)
        module.ui.connectButton.click()
        assert any("tokens" in key for key in qt.QSettings().allKeys())

    def test_a_scene_that_is_closed_and_one_that_comes(self, module: Any, scene: Any) -> None:
        drag_box(module)
        scene.Clear(False)
        assert module.panel.session.logic.nodes.volume is None
        assert module.panel.session.node is not None
        assert label(module, "promptsLabel").startswith("No prompt yet")

    def test_the_segment_editor_gets_the_nodes(self, module: Any) -> None:
        module.ui.addSegmentButton.click()
        editor = module.ui.segmentEditor
        assert editor.sourceVolumeNode() is module.volume
        assert editor.segmentationNode() is module.panel.session.logic.nodes.segmentation

    def test_a_segmentation_that_is_there_is_continued(self, module: Any, scene: Any) -> None:
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "from earlier")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(module.volume)
        earlier = node.GetSegmentation().AddEmptySegment("", "kept")
        module.ui.segmentationSelector.setCurrentNode(node)
        assert module.panel.session.logic.nodes.segmentation is node
        assert module.panel.session.logic.nodes.segment_id == earlier
        drag_box(module)
        assert list(node.GetSegmentation().GetSegmentIDs()) == [earlier]

    def test_clicks_land_on_the_voxel_under_a_transform(self, module: Any, scene: Any) -> None:
        import vtk
        from gui.views import drag, pixel_of

        import slicer

        moved = vtk.vtkTransform()
        moved.Translate(20, -15, 8)
        moved.RotateZ(30)
        parent = scene.AddNewNodeByClass("vtkMRMLTransformNode")
        parent.SetMatrixTransformToParent(moved.GetMatrix())
        module.volume.SetAndObserveTransformNodeID(parent.GetID())
        slicer.app.views.show(module.volume)
        world = moved.TransformPoint(45.0, 39.0, 16.0)
        view = slicer.app.views["Red"]
        view.get_view_node().JumpSliceByOffsetting(*world)
        module.ui.pointInsideButton.setChecked(True)
        drag(view, [pixel_of(view, world)])
        assert [p.ijk for p in module.panel.session.logic.prompts.current.points] == [(30, 26, 4)]

    def test_the_strip_shows_certainty_and_jumps_to_the_worst_slice(self, module: Any) -> None:
        """An answer as the server sends it, put through the real logic."""
        from SEGSAMLib.Scene.Views import shown_slice
        from SEGSAMLib.Values.Replies import InferReply
        from SEGSAMLib.Values.SlicePredictions import SlicePredictions
        from volumes import apply

        drag_box(module)
        session = module.panel.session
        body = session.logic.request(session.parameters())
        found = SlicePredictions(
            certainty={(2, k): 0.95 - 0.3 * (k == 6) for k in range(1, 8)},
            present={(2, 6): (("spleen", 0.8), ("liver", 0.3))},
        )
        apply(
            session.logic, InferReply(body["request_id"], None, "", None, (2,), predictions=found)
        )
        module.panel.refresh()
        assert not module.ui.certaintyStrip.pixmap().isNull()
        module.ui.worstSliceButton.click()
        assert shown_slice(module.volume, 2) == 6
        assert label(module, "certaintyLabel") == "axial slice 6: 65 % certain"
        rows = module.ui.presentList.layout()
        bars = [rows.itemAtPosition(row, 0).widget() for row in (0, 1)]
        assert [bar.format() for bar in bars] == ["spleen  %p%", "liver  %p%"]
        assert [bar.value() for bar in bars] == [80, 30]

    def test_a_suggestion_names_the_segment(self, module: Any) -> None:
        from SEGSAMLib.Values.Replies import InferReply
        from SEGSAMLib.Values.Terminology import category
        from volumes import apply

        drag_box(module)
        session = module.panel.session
        body = session.logic.request(session.parameters())
        why = "Not named: unlike anything that this model has been taught. The nearest is liver."
        nearest = (("liver", 0.41), ("spleen", 0.125))
        reply = InferReply(
            body["request_id"],
            None,
            "",
            None,
            (2,),
            notes=(why,),
            suggestions=nearest,
            taught={"spleen": "case7"},
        )
        result = apply(session.logic, reply)
        assert not module.ui.suggestionList.isVisibleTo(module.ui.resultSection)
        module.panel.result.handle(SimpleNamespace(kind="done", value=result))
        assert module.ui.suggestionList.isVisibleTo(module.ui.resultSection)
        assert label(module, "notesLabel") == f"• {why}"
        layout = module.ui.suggestionList.layout()
        buttons = [layout.itemAt(row).widget() for row in range(layout.count())]
        assert [button.text() for button in buttons] == ["liver  41 %", "spleen  12 %"]
        assert [button.toolTip().endswith("As named in case7.") for button in buttons] == [
            *(False, True)
        ]
        module.panel.refresh()  # shows the same again
        assert layout.count() == 2
        buttons[1].click()
        identity, spleen = session.logic.nodes.identity, category("spleen")
        assert (identity.name, identity.chosen_by) == ("spleen", "user")
        assert np.allclose(identity.colour, spleen.colour, atol=0.01)
        assert identity.terminology == spleen.terminology
        assert label(module, "categoryLabel") == "spleen (your choice)"
        assert not module.ui.suggestionList.isVisibleTo(module.ui.resultSection)
        assert layout.count() == 0
        module.ui.undoButton.click()
        assert module.ui.suggestionList.isVisibleTo(module.ui.resultSection)

    def test_an_installation_is_asked_for_and_can_be_declined(
        self, module: Any, tmp_path: Path
    ) -> None:
        panel, ui = module.panel, module.ui
        ui.environmentPath.set_path(str(tmp_path / "environment"))
        panel.server.refresh()
        assert ui.startServerButton.text() == "Install…"
        panel.session.ask = lambda question: bool(module.asked.append(question))
        ui.startServerButton.click()
        assert str(tmp_path / "environment") in module.asked[0]
        assert "Slicer's Python is not touched" in module.asked[0]
        assert panel.server.process is None
        assert not (tmp_path / "environment").exists()

    def test_reload_imports_every_file_of_the_library_again(self, module: Any) -> None:
        """Developers edit `SEGSAMLib`; Slicer's own reload reads `SEGSAM.py` only."""

        def loaded() -> dict[str, Any]:
            packages = ("SEGSAM", "SEGSAMLib")
            return {n: each for n, each in sys.modules.items() if n.split(".")[0] in packages}

        before = loaded()
        try:
            module.widget.onReload()
            after = loaded()
        finally:
            for name in loaded():
                del sys.modules[name]
            sys.modules.update(before)  # the other tests hold the classes of these
        assert {"SEGSAM", "SEGSAMLib.Parameters", "SEGSAMLib.Values.Results"} <= set(after)
        assert not [name for name, each in after.items() if before.get(name) is each]

    def test_what_the_self_test_does(self, qt_application: Any, scene: Any) -> None:
        from SEGSAM import SEGSAMTest

        SEGSAMTest().runTest()


def test_cases_that_a_training_left_out_are_named(module: Any) -> None:
    from SEGSAMLib.Values.Replies import LeftOutCase, ModelVersion, TrainingStatus, Versions

    panel = module.panel.workflow
    cases = tuple(LeftOutCase(f"ct{n}", "its label is empty") for n in range(10))
    status = TrainingStatus("failed", sentence="No labelled slice.", left_out=cases[:1])
    panel.handle(SimpleNamespace(task="train", kind="done", value=status))
    shown = label(module, "trainLabel")
    assert shown == "failed. No labelled slice.\nct0 was left out: its label is empty"
    one = ModelVersion("0001", "", "the mean score is not worse", 3, {}, {}, cases)
    found = Versions("segsam", "0000", (one,))
    panel.handle(SimpleNamespace(task="version", kind="done", value=found))
    tree = module.ui.versionsTree
    tree.setCurrentItem(tree.topLevelItem(0))
    lines = label(module, "versionLabel").splitlines()
    assert lines[0] == "the mean score is not worse"
    assert lines[8:] == ["ct7 was left out: its label is empty", "2 more were left out."]


class TestWithAServer:
    def test_live_segmentation_never_blocks(
        self, module: Any, server: Any, record_property: Callable[[str, float], None]
    ) -> None:
        connect(module, server)
        from gui.loop import Clock

        seen: list[bool] = []
        module.panel.session.on_started.append(lambda: seen.append(is_segmenting(module)))
        clock = Clock()
        drag_box(module)
        until(lambda: not is_segmenting(module), "the answer")
        clock.stop()
        assert seen == [False, True], "a prompt, then a request for which the click did not wait"
        record_property("block of the event loop, ms", clock.longest_ms)
        sys.stdout.write(f"block of the event loop: {clock.longest_ms} ms\n")
        assert voxels(module).any(), label(module, "statusLabel")
        module.ui.undoButton.click()
        assert not voxels(module).any()
        module.ui.redoButton.click()
        assert voxels(module).any()

    def test_slices_are_prefetched_where_scrolling_ends(
        self, module: Any, server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Slices that the user scrolls past are not, and the panel shows nothing of it."""
        import slicer

        connect(module, server)
        drag_box(module)
        until(lambda: not is_segmenting(module), "the answer")
        flow = module.panel.session.workflow
        sent: list[Any] = []
        prefetch = flow.client.prefetch
        monkeypatch.setattr(
            flow.client, "prefetch", lambda *given: (prefetch(*given), sent.append(given[2]))
        )
        until(
            lambda: not flow.worker.is_busy and not module.panel._prefetch_timer.isActive(), "quiet"
        )
        sent.clear()
        before = label(module, "statusLabel")
        view = slicer.app.views["Red"].get_view_node()
        for offset in (4.0, 8.0, 20.0):
            view.SetSliceOffset(offset)
        until(lambda: sent, "the prefetch")
        assert sent == [{"axis": "k", "slice": "5", "window": ""}]
        assert label(module, "statusLabel") == before
        assert not module.ui.cancelButton.isVisible()
        node = module.panel.session.node
        node.axis = "i"
        view.SetSliceOffset(8.0)
        until(lambda: not module.panel._prefetch_timer.isActive(), "quiet")
        assert len(sent) == 1, "slices across i are not those of this view"

    def test_a_negative_box_is_left_out_by_the_server(self, module: Any, server: Any) -> None:
        connect(module, server)
        drag_box(module)
        until(lambda: not is_segmenting(module), "the answer")
        before = voxels(module)
        logic, view = module.panel.session.logic, slicer_view()
        module.ui.signButton.click()
        from gui.views import drag, pixel_of

        corners = logic.nodes.grid.ras([(30, 15, 4), (44, 37, 4)])
        drag(view, [pixel_of(view, corner) for corner in corners])
        until(lambda: not is_segmenting(module), "the answer")
        drawn, negative = logic.prompts.current.boxes
        assert (drawn.positive, negative.positive) == (True, False)
        (i, j, k), (last_i, last_j, _) = negative.min_ijk, negative.max_ijk
        part = np.s_[k, j : last_j + 1, i : last_i + 1]
        assert before[part].any()
        after = voxels(module)
        assert not after[part].any()
        assert after.any()
        module.ui.undoButton.click()
        assert np.array_equal(voxels(module), before)

    def test_other_segments_stay_as_they_are(self, module: Any, server: Any) -> None:
        """And so does the image."""
        import slicer

        connect(module, server)
        image = slicer.util.arrayFromVolume(module.volume).copy()
        drag_box(module)
        until(lambda: not is_segmenting(module), "the answer")
        first = voxels(module).copy()
        assert first.any()
        module.ui.addSegmentButton.click()
        drag_box(module)
        until(lambda: not is_segmenting(module), "the second answer")
        assert not (voxels(module) & first).any(), "keep others is the default"
        before = module.panel.session.logic.nodes.segment_ids[0]
        module.ui.segmentsTable.setSelectedSegmentIDs([before])
        assert np.array_equal(voxels(module), first)
        assert np.array_equal(slicer.util.arrayFromVolume(module.volume), image)

    def test_manual_mode_waits_for_the_button(self, module: Any, server: Any) -> None:
        connect(module, server)
        module.ui.liveCheckBox.setChecked(False)
        drag_box(module)
        assert not is_segmenting(module)
        assert module.ui.runButton.isEnabled()
        module.ui.runButton.click()
        assert is_segmenting(module)
        until(lambda: not is_segmenting(module), "the answer")
        assert voxels(module).any()

    def test_cancel_is_at_once_and_changes_nothing(
        self, module: Any, server: Any, record_property: Callable[[str, float], None]
    ) -> None:
        connect(module, server)
        module.ui.liveCheckBox.setChecked(False)
        drag_box(module)
        module.ui.runButton.click()
        assert is_segmenting(module)
        began = time.thread_time()
        module.ui.cancelButton.click()
        took_ms = 1000 * (time.thread_time() - began)
        assert not is_segmenting(module)
        record_property("cancel, ms of the GUI's thread", took_ms)
        sys.stdout.write(f"cancel took {took_ms:.1f} ms of the GUI's thread\n")
        assert label(module, "statusLabel") == "Cancelled; nothing was changed."
        assert not voxels(module).any()

    def test_consent_is_asked_before_an_image_leaves_this_computer(
        self, module: Any, server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(module, server)
        from SEGSAMLib.Values import Address

        monkeypatch.setattr(Address, "_is_loopback", lambda host: False)
        module.panel.session.ask = lambda question: bool(module.asked.append(question))
        drag_box(module)
        assert len(module.asked) == 1
        assert "another computer" in module.asked[0]
        assert not is_segmenting(module)
        assert label(module, "statusLabel") == "Nothing was sent."

    def test_next_image_submit_and_a_conflict_without_loss(self, module: Any, server: Any) -> None:
        import slicer

        connect(module, server)
        module.ui.strategyCombo.setCurrentText("first")
        module.ui.nextButton.click()
        until(lambda: ":" in label(module, "reasonLabel"), "the next image")
        loaded = module.panel.session.logic.nodes.volume
        assert loaded is not module.volume
        assert module.panel.session.node.volume is loaded
        assert module.ui.volumeSelector.currentNode() is loaded
        module.volume = loaded
        slicer.app.views.show(loaded)
        drag_box(module)
        until(lambda: not is_segmenting(module), "the answer")
        assert module.panel.session.logic.nodes.volume is loaded
        assert voxels(module).any(), label(module, "statusLabel")
        module.ui.submitButton.click()
        until(lambda: "Saved as version" in label(module, "submitLabel"), "the saved label")
        first = saved_version(module)
        another_user_saves(module)
        module.ui.submitButton.click()
        until(lambda: not module.ui.conflictFrame.isHidden(), "the conflict")
        before = len(segmentations())
        module.ui.showTheirsButton.click()
        until(lambda: len(segmentations()) > before, "the other label")
        module.ui.keepMineButton.click()
        until(lambda: "Saved as version" in label(module, "submitLabel"), "the decision")
        assert saved_version(module) == first + 3, "theirs, mine, and mine made current again"
        assert module.ui.conflictFrame.isHidden()

    def test_versions_are_listed(self, module: Any, server: Any) -> None:
        connect(module, server)
        flow = module.panel.session.workflow
        if not module.panel.session.server_info.trainers:
            pytest.skip("this server trains nothing")
        until(lambda: not flow.worker.is_busy, "the versions")
        assert module.ui.versionsTree.topLevelItemCount() >= 1
        assert module.ui.versionCombo.currentText() == module.panel.workflow.versions.current

    @pytest.mark.slow
    def test_the_local_server_is_started_connected_and_stopped(self, module: Any) -> None:
        from serving import PYTHON

        panel, ui = module.panel, module.ui
        ui.environmentPath.set_path(str(Path(PYTHON).parents[1]))
        panel.server.refresh()
        if not panel.server.environment.is_ready:
            pytest.skip("the project's own environment is not there: make test")
        ui.startServerButton.click()
        assert not ui.startServerButton.isEnabled()
        until(lambda: panel.session.is_connected, "the server on this computer")
        assert "Uvicorn running" in ui.serverLog.toPlainText()
        assert label(module, "serverStateLabel") == f"Running on {panel.server.address}."
        ui.stopServerButton.click()
        until(lambda: not panel.server.process.is_running, "the end of the server")
        until(lambda: label(module, "serverStateLabel") == "Stopped.", "the word")
        assert ui.startServerButton.isEnabled()


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestTraining:
    """Loop from the first label to a new version, and back."""

    def test_a_name_is_found_or_not_and_an_unknown_one_is_a_sentence(
        self, module: Any, learning: Any
    ) -> None:
        ui, session = module.ui, module.panel.session
        connect(module, learning)
        for name, words in (("nerve", "Not found: nerve"), ("splean", "the nearest are 'spleen'")):
            ui.findEdit.setText(name)
            ui.findEdit.returnPressed.emit()
            assert session.workflow.worker.is_running("find")
            until(lambda: not session.workflow.worker.is_running("find"), f"the end of {name}")
            assert words in label(module, "statusLabel")
        assert "Not found" not in label(module, "findLabel"), "that was the name before"
        ui.findEdit.setText("polyp")
        ui.findButton.click()
        ui.cancelButton.click()
        assert not session.workflow.worker.is_running("find")
        assert label(module, "statusLabel") == "Cancelled; nothing was changed."
        assert segmentations() == []

    def test_label_train_accept_roll_back_and_cancel(self, module: Any, learning: Any) -> None:
        connect(module, learning)
        flow = module.panel.session.workflow
        few = {"minutes": 1, "slices": 4, "copies": 0, "train_batch_size": 2}
        flow.train = partial(
            flow.train, **few
        )  # the panel asks for epochs; the rest is the server's
        for _ in range(2):
            self.label_next(module)
        panel, ui = module.panel.workflow, module.ui
        until(lambda: panel.versions is not None, "the versions")
        assert panel.versions.current == "0000"
        known = ui.versionsTree.topLevelItemCount()  # also versions of earlier runs of this test
        ui.epochsSpinBox.setValue(1)
        ui.trainButton.click()
        assert not ui.trainButton.isEnabled()
        until(lambda: panel.training.state in ("done", "failed"), "the training")
        assert panel.training.state == "done", label(module, "trainLabel")
        until(lambda: ui.versionsTree.topLevelItemCount() == known + 1, "the new version")
        new = panel.versions.versions[-1].id
        for expected in ("0000", new, "0000"):
            self.use(module, expected)
        ui.epochsSpinBox.setValue(50)
        ui.trainButton.click()
        until(lambda: panel.training.curve, "the curve")
        assert not ui.curveLabel.pixmap().isNull()
        ui.stopTrainingButton.click()
        until(lambda: panel.training.state == "stopped", "the end of the training")
        assert label(module, "trainLabel").startswith("stopped")
        assert panel.versions.current == "0000"

    def label_next(self, module: Any) -> None:
        """The next image of the server, a box, the user's own name for it, submitted."""
        import slicer

        ui, logic = module.ui, module.panel.session.logic
        before = logic.nodes.volume
        ui.strategyCombo.setCurrentText("first")
        ui.nextButton.click()
        until(lambda: logic.nodes.volume is not before, "the next image")
        module.volume = logic.nodes.volume
        slicer.app.views.show(module.volume)
        drag_box(module)
        until(lambda: not is_segmenting(module), "the answer")
        ui.categoryCombo.setCurrentText("liver")
        ui.categoryCombo.activated.emit(ui.categoryCombo.currentIndex())
        ui.submitButton.click()
        until(lambda: "Saved as version" in label(module, "submitLabel"), "the saved label")

    def use(self, module: Any, expected: str) -> None:
        """Choose a version in the list and take it into use, unless it is."""
        panel, tree = module.panel.workflow, module.ui.versionsTree
        rows = [tree.topLevelItem(row) for row in range(tree.topLevelItemCount())]
        tree.setCurrentItem(next(row for row in rows if row.text(0) == expected))
        if module.ui.useVersionButton.isEnabled():
            module.ui.useVersionButton.click()
            until(lambda: panel.versions.current == expected, f"version {expected}")
        assert panel.versions.current == expected

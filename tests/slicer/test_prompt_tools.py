"""Sign, keys, list of prompts and list of segments, by mouse and key in the panel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from panel import drag_box, label
from volumes import apply, segment_voxels

WORLD = (45.0, 39.0, 16.0)
"""In the middle of the ball, on the axial slice 4."""


def press(module: Any, key: Any, *modifiers: Any) -> None:
    """Type a key in Slicer's main window."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication

    import slicer

    window = slicer.app.main_window
    if not window.isActiveWindow():
        window.show()
        window.activateWindow()
        QApplication.processEvents()
    held = modifiers[0] if modifiers else Qt.KeyboardModifier.NoModifier
    QTest.keyClick(window, getattr(Qt.Key, f"Key_{key}"), held)


def red_view() -> Any:
    import slicer

    return slicer.app.views["Red"]


def around(radius: float = 15.0, count: int = 24) -> list[tuple[int, int]]:
    """Pixels of a circle around the ball in the axial view."""
    from gui.views import pixel_of

    turns = np.linspace(0, 2 * np.pi, count)
    x, y, z = WORLD
    view = red_view()
    view.get_view_node().JumpSliceByOffsetting(*WORLD)
    return [
        pixel_of(view, (x + radius * np.cos(turn), y + radius * np.sin(turn), z)) for turn in turns
    ]


def draw(module: Any, button: str, path: list[tuple[int, int]]) -> None:
    from gui.views import drag

    getattr(module.ui, button).setChecked(True)
    drag(red_view(), path)


def items(module: Any) -> tuple[Any, ...]:
    return tuple(module.panel.session.logic.prompts.current.items)


def rows(module: Any) -> list[str]:
    found = module.ui.promptList
    return [found.item(row).text() for row in range(found.count())]


def answer(module: Any, low: tuple[int, int, int], size: tuple[int, int, int]) -> None:
    """Apply an answer to the current prompts, as the server would send it."""
    from SEGSAMLib.Values.Masks import Region
    from SEGSAMLib.Values.Replies import InferReply

    session = module.panel.session
    request = session.logic.request(session.parameters())
    region = Region(low, np.ones(size, dtype=bool))
    slices = tuple((2, k) for k in range(low[2], low[2] + size[2]))
    apply(session.logic, InferReply(request["request_id"], region, "", None, (2,), slices))
    module.panel.refresh()


def voxels(module: Any) -> np.ndarray:
    nodes = module.panel.session.logic.nodes
    return segment_voxels(nodes.segmentation, nodes.segment_id, nodes.volume)


class TestSign:
    def test_one_key_toggles_the_sign_of_every_tool(self, module: Any) -> None:
        circle = around()
        corners = [circle[3], circle[15]]
        drawn = (
            *(("pointInsideButton", circle[:1]), ("boxButton", corners), ("box3dButton", corners)),
            *(("scribbleButton", circle[:6]), ("lassoButton", circle)),
        )
        for button, path in drawn:
            draw(module, button, path)
        press(module, "T")
        for button, path in drawn[1:]:
            draw(module, button, path)
        assert [item.positive for item in items(module)] == [True] * 5 + [False] * 4
        kinds = [type(item).__name__ for item in items(module)]
        assert kinds == ["Point", "Box", "Box", "Scribble", "Lasso", *kinds[1:5]]

    def test_of_the_two_tools_for_points_it_chooses_the_other(self, module: Any) -> None:
        press(module, "A")
        press(module, "T")
        assert module.ui.pointOutsideButton.isChecked()
        assert not module.ui.pointInsideButton.isChecked()
        draw(module, "pointOutsideButton", around()[:1])
        press(module, "T")
        assert module.ui.pointInsideButton.isChecked()
        assert [item.positive for item in items(module)] == [False]

    def test_a_click_outside_does_not_turn_the_next_box(self, module: Any) -> None:
        draw(module, "pointOutsideButton", around()[:1])
        drag_box(module)
        assert [item.positive for item in items(module)] == [False, True]

    def test_a_new_segment_starts_inside(self, module: Any) -> None:
        drag_box(module)
        press(module, "T")
        assert label(module, "signButton") == "Sign: outside (T)"
        press(module, "N")
        assert label(module, "signButton") == "Sign: inside (T)"
        assert not module.ui.signButton.isChecked()
        drag_box(module)
        assert [item.positive for item in items(module)] == [True]

    def test_the_point_tool_too_and_a_segment_of_the_editor(self, module: Any) -> None:
        drag_box(module)
        press(module, "S")
        nodes = module.panel.session.logic.nodes
        added = nodes.segmentation.GetSegmentation().AddEmptySegment()
        module.ui.segmentEditor.setCurrentSegmentID(added)
        assert module.ui.pointInsideButton.isChecked()

    def test_status_button_and_cursor_show_tool_and_sign(self, module: Any) -> None:
        import slicer

        view = slicer.app.views.sliceWidget("Red")
        assert view.cursor is None
        press(module, "B")
        assert label(module, "statusLabel") == "Drag a box around the object. T: outside."
        inside = view.cursor.pixmap().toImage()
        press(module, "T")
        expected = "Drag a box around what is outside the object. T: inside."
        assert label(module, "statusLabel") == expected
        outside = view.cursor.pixmap().toImage()
        assert inside != outside
        press(module, "L")
        assert label(module, "statusLabel").startswith("Draw around what is outside the object")
        assert view.cursor.pixmap().toImage() not in (inside, outside)
        module.widget.exit()
        assert view.cursor is None
        module.widget.enter()

    def test_a_cursor_of_another_module_stays(self, module: Any) -> None:
        import slicer

        view = slicer.app.views.sliceWidget("Red")
        view.setViewCursor("of an effect of the Segment Editor")
        module.panel.prompts.pointer.attach()
        assert view.cursor == "of an effect of the Segment Editor"
        press(module, "B")
        module.ui.boxButton.setChecked(False)
        assert view.cursor is None

    def test_captions_name_their_keys(self, module: Any) -> None:
        from SEGSAMLib.Panels.PromptsPanel import KEYS

        names = (
            "pointInside",
            "pointOutside",
            "box",
            "box3d",
            "scribble",
            "lasso",
            "sign",
            "run",
            "follow",
        )
        for name in names:
            (key,) = (key for key, button in KEYS.items() if button == f"{name}Button")
            assert label(module, f"{name}Button").endswith(f"({key})")
        for key, button in KEYS.items():
            widget = getattr(module.ui, button)
            assert f"({key})" in widget.text() + widget.toolTip(), button

    def test_the_server_is_told_the_sign(self, module: Any) -> None:
        circle = around()
        drag_box(module)
        press(module, "T")
        draw(module, "boxButton", [circle[3], circle[15]])
        draw(module, "scribbleButton", circle[:6])
        sent = module.panel.session.logic.prompts.current.to_request()
        assert [box.get("positive", True) for box in sent["boxes"]] == [True, False]
        assert sent["points"]
        assert not any(point["positive"] for point in sent["points"])


class TestLasso:
    def test_it_is_drawn_and_kept_as_a_prompt(self, module: Any) -> None:
        draw(module, "lassoButton", around())
        (lasso,) = items(module)
        assert (lasso.axis, lasso.index) == (2, 4)
        assert np.allclose(lasso.box.min_ijk[:2], (20, 16), atol=1)
        assert rows(module)[0].startswith("1  lasso")
        assert label(module, "promptsLabel") == "1 lasso"
        markups = module.panel.session.logic.prompts.markups
        assert any(node.IsA("vtkMRMLMarkupsClosedCurveNode") for node in markups.all)
        request = module.panel.session.logic.request(module.panel.session.parameters())
        assert request["axis"] == "k"

    def test_the_result_keeps_to_it(self, module: Any) -> None:
        draw(module, "lassoButton", around())
        answer(module, (0, 0, 3), (60, 50, 3))
        found, filled = voxels(module), items(module)[0].filled()
        assert np.count_nonzero(found[:, :, 4]) == np.count_nonzero(filled.values)
        assert found[:60, :50, [3, 5]].all()

    def test_a_click_is_no_outline(self, module: Any) -> None:
        draw(module, "lassoButton", around()[:1] * 2)
        assert items(module) == ()
        assert "draw around the object" in label(module, "statusLabel")

    def test_it_goes_with_its_markup(self, module: Any, scene: Any) -> None:
        draw(module, "lassoButton", around())
        markups = module.panel.session.logic.prompts.markups
        (node,) = (each for each in markups.all if each.IsA("vtkMRMLMarkupsClosedCurveNode"))
        scene.RemoveNode(node)
        module.panel.prompts._read_markups()
        assert items(module) == ()


class TestListOfPrompts:
    @pytest.fixture
    def asked(self, module: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
        """The prompts of each request that live mode would have sent."""
        found: list[tuple[Any, ...]] = []
        module.panel.session.is_connected = True
        module.panel.session.server_info = SimpleNamespace(models=(), trainers=())
        monkeypatch.setattr(module.panel.prompts, "run", lambda: found.append(items(module)))
        return found

    def test_the_last_one_is_removed_by_a_key(self, module: Any, asked: list[Any]) -> None:
        circle = around()
        drag_box(module)
        draw(module, "scribbleButton", circle[:6])
        draw(module, "pointOutsideButton", circle[:1])
        assert [row.split("  ")[1] for row in rows(module)] == [
            *("box", "scribble inside", "point outside"),
        ]
        asked.clear()
        press(module, "Backspace")
        assert [type(item).__name__ for item in items(module)] == ["Box", "Scribble"]
        assert asked == [items(module)], "the result is computed again"

    def test_a_chosen_one_is_removed_as_one_step(self, module: Any, asked: list[Any]) -> None:
        circle = around()
        drag_box(module)
        answer(module, (20, 20, 4), (10, 10, 1))
        draw(module, "scribbleButton", circle[:6])
        answer(module, (18, 18, 4), (14, 14, 1))
        before = items(module)
        module.ui.promptList.setCurrentRow(0)
        module.ui.removePromptButton.click()
        assert items(module) == before[1:]
        answer(module, (25, 25, 4), (5, 5, 1))
        assert np.count_nonzero(voxels(module)) == 25
        module.ui.undoButton.click()
        assert items(module) == before
        assert np.count_nonzero(voxels(module)) == 14 * 14

    def test_the_result_goes_with_the_last_prompt(self, module: Any, asked: list[Any]) -> None:
        from volumes import put

        drag_box(module)
        answer(module, (20, 20, 4), (10, 10, 1))
        logic = module.panel.session.logic
        painted = logic.prompts.current.boxes[0]
        from SEGSAMLib.Values.Masks import Region

        put(logic, logic.nodes.segment_id, Region((50, 50, 1), np.ones((2, 2, 1), dtype=bool)))
        asked.clear()
        press(module, "Backspace")
        assert asked == []
        assert np.count_nonzero(voxels(module)) == 4, "what was painted stays"
        assert not module.ui.promptList.isVisibleTo(module.ui.promptsSection)
        module.ui.undoButton.click()
        assert items(module) == (painted,)
        assert np.count_nonzero(voxels(module)) == 104

    def test_reset_is_one_step(self, module: Any) -> None:
        from PySide6.QtCore import Qt

        drag_box(module)
        answer(module, (20, 20, 4), (10, 10, 1))
        press(module, "Backspace", Qt.KeyboardModifier.ShiftModifier)
        assert items(module) == ()
        assert not voxels(module).any()
        assert module.ui.undoButton.toolTip() == "Undo reset of the segment (Ctrl+Z)"
        module.ui.undoButton.click()
        assert len(items(module)) == 1
        assert np.count_nonzero(voxels(module)) == 100

    def test_reset_leaves_the_other_segments(self, module: Any) -> None:
        drag_box(module)
        answer(module, (20, 20, 4), (10, 10, 1))
        first = module.panel.session.logic.nodes.segment_id
        press(module, "N")
        drag_box(module)
        answer(module, (40, 30, 4), (5, 5, 1))
        module.ui.resetButton.click()
        assert not voxels(module).any()
        press(module, "E")
        assert module.panel.session.logic.nodes.segment_id == first
        assert np.count_nonzero(voxels(module)) == 100

    def test_following_is_one_key_away(self, module: Any, asked: list[Any]) -> None:
        button, combo = module.ui.followButton, module.ui.propagateCombo
        drag_box(module)
        assert len(asked) == 1
        for propagate, is_on in (("always", True), ("in boxes", False)):
            press(module, "F")
            assert module.panel.session.node.propagate == propagate
            assert combo.currentText() == propagate
            assert button.isChecked() is is_on
        assert len(asked) == 3, "and the object is segmented again"
        combo.setCurrentText("always")
        assert button.isChecked()


class TestOneListOfSegments:
    def test_the_editors_own_list_is_not_shown_a_second_time(self, module: Any) -> None:
        from PySide6.QtWidgets import QWidget

        editor = module.ui.segmentEditor
        for name in ("AddSegmentButton", "RemoveSegmentButton", "Show3DButton"):
            assert not editor.findChild(QWidget, name).isVisibleTo(editor)
        assert not editor.findChild(QWidget, "SegmentsTableView").isVisibleTo(editor)

    def test_keys_choose_the_next_segment_and_hide_it(self, module: Any) -> None:
        for _ in range(3):
            press(module, "N")
        nodes = module.panel.session.logic.nodes
        chosen = []
        for _ in range(4):
            press(module, "E")
            chosen.append(nodes.segment_ids.index(nodes.segment_id))
        assert chosen == [0, 1, 2, 0]
        assert module.ui.segmentEditor.currentSegmentID() == nodes.segment_ids[0]
        display = nodes.segmentation.GetDisplayNode()
        press(module, "G")
        assert not display.GetSegmentVisibility(nodes.segment_id)
        assert display.GetSegmentVisibility(nodes.segment_ids[1])
        press(module, "G")
        assert display.GetSegmentVisibility(nodes.segment_id)

    def test_visibility_and_review_status_are_set_in_it(self, module: Any) -> None:
        import slicer

        press(module, "N")
        nodes, view = module.panel.session.logic.nodes, module.ui.segmentsTable
        table = view.tableWidget()
        table.cellWidget(0, view.VISIBLE).click()
        display = nodes.segmentation.GetDisplayNode()
        assert not display.GetSegmentVisibility(nodes.segment_id)
        assert not table.isColumnHidden(view.STATUS)
        for text in ("In progress", "Completed"):
            table.cellWidget(0, view.STATUS).click()
            assert table.cellWidget(0, view.STATUS).text() == text
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        assert logic.GetSegmentStatus(nodes.segment()) == logic.Completed

    def test_show_3d_is_beside_it(self, module: Any) -> None:
        button = module.ui.show3dButton
        assert not button.isEnabled()
        drag_box(module)
        answer(module, (20, 20, 3), (10, 10, 3))
        button.click()
        segmentation = module.panel.session.logic.nodes.segmentation.GetSegmentation()
        assert segmentation.ContainsRepresentation("Closed surface")
        button.click()
        assert not segmentation.ContainsRepresentation("Closed surface")

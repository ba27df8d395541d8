"""Section "Segment" of the panel: image, segments, prompt tools, undo, run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Iterator

import slicer
from SEGSAMLib.Panels.PromptTools import PromptList, PromptTools
from SEGSAMLib.Panels.Session import Session, make_timer
from SEGSAMLib.Panels.Shortcuts import Shortcuts
from SEGSAMLib.Parameters import FOLLOWING
from SEGSAMLib.Scene import Views
from SEGSAMLib.Scene.Pointer import PathXY, Pointer
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Prompts import PromptSet

KEYS = {
    "A": "pointInsideButton",
    "S": "pointOutsideButton",
    "B": "boxButton",
    "V": "box3dButton",
    "D": "scribbleButton",
    "L": "lassoButton",
    "T": "signButton",
    "N": "addSegmentButton",
    "E": "nextSegmentButton",
    "G": "visibilityButton",
    "H": "showPromptsCheckBox",
    "Backspace": "removePromptButton",
    "Shift+Backspace": "resetButton",
    "R": "runButton",
    "F": "followButton",
    "C": "confirmButton",
    "Shift+C": "completeButton",
    "W": "worstSliceButton",
    "Ctrl+Z": "undoButton",
    "Ctrl+Y": "redoButton",
    "Esc": "cancelButton",
}
READ_MS = 150
"""Interval at which moved and deleted markups are read, so that a drag is read after its end."""


@dataclass(frozen=True)
class Action:
    """Action of a button or a tool. After one that `runs_live`, changed prompts are segmented at
    once in live mode.
    """

    call: Callable[..., Any]
    runs_live: bool = True


class PromptsPanel:
    """Section with the actions on segments and prompts, by button, key and mouse.

    `actions` maps the name of an action to what it does.
    """

    tasks = ("segment",)

    def __init__(self, session: Session) -> None:
        self.session = session
        ui = self.ui = session.ui
        prompts, workflow = session.logic.prompts, session.workflow
        self.actions = {
            "add_segment": Action(session.logic.nodes.add_segment, runs_live=False),
            "remove_segment": Action(session.logic.remove_segment),
            "add_point": Action(prompts.add_point),
            "add_scribble": Action(prompts.add_scribble),
            "add_lasso": Action(prompts.add_lasso),
            "add_box_on_slice": Action(prompts.add_box_on_slice),
            "add_box_from_roi": Action(prompts.add_box_from_roi),
            "remove_prompt": Action(prompts.remove),
            "clear_prompts": Action(prompts.clear),
            "reset": Action(workflow.reset_segment, runs_live=False),
            "undo": Action(workflow.undo, runs_live=False),
            "redo": Action(workflow.redo, runs_live=False),
        }
        self.pointer = Pointer(Views.slice_views, self.add_prompt)
        self.tools = PromptTools(ui, self.pointer, session.show_status)
        self.list = PromptList(ui.promptList)
        self._is_following = False
        self._shown_segment = ""
        window = slicer.util.mainWindow()
        self.shortcuts = Shortcuts(window, {key: getattr(ui, name) for key, name in KEYS.items()})
        self._read_timer = make_timer(READ_MS, self._read_markups)
        ui.volumeSelector.currentNodeChanged.connect(lambda *_: self._choose_nodes())
        ui.segmentationSelector.currentNodeChanged.connect(lambda *_: self._choose_nodes())
        ui.segmentsTable.selectionChanged.connect(lambda *_: self._choose_segment())
        ui.addSegmentButton.clicked.connect(lambda *_: self.perform("add_segment"))
        ui.removeSegmentButton.clicked.connect(
            lambda *_: self.perform("remove_segment", session.logic.nodes.segment_id)
        )
        ui.nextSegmentButton.clicked.connect(lambda *_: self._choose_next_segment())
        ui.visibilityButton.clicked.connect(lambda *_: session.logic.nodes.toggle_visibility())
        ui.removePromptButton.clicked.connect(lambda *_: self._remove_prompt())
        ui.resetButton.clicked.connect(lambda *_: self.perform("reset"))
        ui.undoButton.clicked.connect(lambda *_: self.perform("undo"))
        ui.redoButton.clicked.connect(lambda *_: self.perform("redo"))
        ui.clearButton.clicked.connect(lambda *_: self.perform("clear_prompts"))
        ui.runButton.clicked.connect(lambda *_: self.run())
        ui.completeButton.clicked.connect(lambda *_: self.complete())
        ui.followButton.clicked.connect(lambda *_: self._toggle_following())
        ui.propagateCombo.currentIndexChanged.connect(lambda *_: self._show_following())
        ui.showPromptsCheckBox.toggled.connect(prompts.markups.set_shown)

    def enter(self) -> None:
        """Turn on the keyboard shortcuts, and read the markups regularly until `leave`."""
        self.shortcuts.turn_on()
        self._read_timer.start()

    def leave(self) -> None:
        """Deselect the tool, turn off the shortcuts, and stop reading the markups."""
        self.release_tool()
        self.shortcuts.turn_off()
        self._read_timer.stop()

    def release_tool(self) -> None:
        """Deselect the tool."""
        self.tools.release()

    def handle(self, event: Any) -> None:
        """Show the state after a task of this panel."""
        self.refresh()

    def follow(self) -> None:
        """Set the parameter node, and by it the selectors, to the nodes that an action selected."""
        node, nodes = self.session.node, self.session.logic.nodes
        if node is None:
            return
        with self.following():
            for name in ("volume", "segmentation"):
                if getattr(node, name) is not getattr(nodes, name):
                    setattr(node, name, getattr(nodes, name))

    @contextmanager
    def following(self) -> Iterator[None]:
        """Set the selectors inside the block without a choice of nodes: each selector is set by
        itself, and what the others still show is not what the user chose.
        """
        before, self._is_following = self._is_following, True
        try:
            yield
        finally:
            self._is_following = before

    def refresh(self) -> None:
        """Show segments and prompts, and enable what can be used."""
        ui, nodes, history = self.ui, self.session.logic.nodes, self.session.logic.history
        ui.segmentsTable.setSegmentationNode(nodes.segmentation)
        if nodes.segmentation is not None and nodes.segment_id:
            ui.segmentsTable.setSelectedSegmentIDs([nodes.segment_id])
        ui.show3dButton.setSegmentationNode(nodes.segmentation)
        has_image = nodes.volume is not None
        prompts = self.session.logic.prompts.current
        self._follow_segment(prompts)
        self.tools.enable(is_on=has_image)
        ui.addSegmentButton.enabled = has_image
        ui.promptsLabel.text = _summary(prompts)
        self.list.show(prompts)
        ui.clearButton.enabled = ui.removePromptButton.enabled = not prompts.is_empty
        for button in (ui.removeSegmentButton, ui.resetButton, ui.visibilityButton):
            button.enabled = bool(nodes.segment_id)
        ui.nextSegmentButton.enabled = len(nodes.segment_ids) > 1
        ui.runButton.enabled = has_image and self.session.is_connected and prompts.marks_object
        self._show_completion()
        self._show_following()
        can_step = not self.session.workflow.worker.is_running("undo")
        ui.undoButton.enabled = bool(history.undo_text) and can_step
        ui.redoButton.enabled = bool(history.redo_text) and can_step
        undo = _("Undo {step} ({key})") if history.undo_text else _("Nothing to undo ({key})")
        redo = _("Redo {step} ({key})") if history.redo_text else _("Nothing to redo ({key})")
        ui.undoButton.toolTip = undo.format(step=history.undo_text, key="Ctrl+Z")
        ui.redoButton.toolTip = redo.format(step=history.redo_text, key="Ctrl+Y")

    def _show_completion(self) -> None:
        """Show the buttons for confirmed slices where the server can complete from them."""
        ui, session = self.ui, self.session
        models = session.server_info.models if session.server_info is not None else ()
        chosen = session.parameters().model
        completes = any(model.completes and model.name == chosen for model in models)
        for button in (ui.confirmButton, ui.completeButton):
            button.visible = completes
            button.enabled = completes and bool(session.logic.nodes.segment_id)
        ui.completeButton.enabled = ui.completeButton.enabled and session.is_connected

    def complete(self) -> None:
        """Segment the rest of the selected segment from its confirmed slices."""
        session = self.session
        if session.attempt(session.workflow.complete, session.parameters()):
            session.show_status(_("Completing …"))

    def run(self) -> None:
        """Segment with the prompts of the selected segment."""
        session = self.session
        if session.attempt(session.workflow.segment, session.parameters()):
            session.show_status(_("Segmenting …"))

    def add_prompt(self, tool: str, slice_node: Any, path_xy: PathXY) -> None:
        """Add the prompt of a click or a drag in a slice view."""
        positive = self.tools.positive
        if tool in ("inside", "outside"):
            world_ras = Views.world_ras_at(slice_node, path_xy[-1])
            self.perform("add_point", world_ras, positive=positive, view=slice_node)
        elif tool == "scribble":
            path_ras = [Views.world_ras_at(slice_node, xy) for xy in path_xy]
            self.perform("add_scribble", path_ras, positive=positive, view=slice_node)
        elif tool == "lasso":
            path_ras = [Views.world_ras_at(slice_node, xy) for xy in path_xy]
            self.perform("add_lasso", path_ras, positive=positive)
        elif path_xy[0] == path_xy[-1]:
            self.session.show_status(_("Drag from one corner of the box to the opposite one."))
        elif tool == "box":
            corners = path_xy[0], path_xy[-1]
            self.perform("add_box_on_slice", slice_node, *corners, positive=positive)
        elif tool == "box3d":
            roi = Views.roi_from_drag(slice_node, path_xy[0], path_xy[-1])
            self.perform("add_box_from_roi", roi, positive=positive, view=slice_node)

    def perform(self, name: str, *arguments: Any, **options: Any) -> None:
        """Do the action with this name. In live mode, changed prompts are segmented at once."""
        session, prompts = self.session, self.session.logic.prompts
        action, before = self.actions[name], prompts.current
        prompts.note = ""
        if session.attempt(action.call, *arguments, **options) and prompts.note:
            session.show_status(prompts.note)
        if action.runs_live and prompts.current != before:
            self._run_live()
        session.notify_changed()

    def _run_live(self) -> None:
        is_live = self.session.is_connected and self.session.parameters().live
        if is_live and self.session.logic.prompts.current.marks_object:
            self.run()

    def _toggle_following(self) -> None:
        """Follow the object through the slices, or no more; in live mode, segment it again."""
        node = self.session.node
        if node is not None:
            node.propagate = "in boxes" if node.propagate == "always" else "always"
            self._run_live()
        self._show_following()

    def _show_following(self) -> None:
        """Show what the selector shows: its signal comes before the parameter node has it."""
        combo = self.ui.propagateCombo
        self.ui.followButton.checked = FOLLOWING[combo.currentIndex] == "always"

    def _read_markups(self) -> None:
        prompts = self.session.logic.prompts
        changed = prompts.read_markups()
        if prompts.note:
            self.session.show_status(prompts.note)
        if changed:
            self._run_live()
            self.session.notify_changed()

    def _follow_segment(self, prompts: PromptSet) -> None:
        """Start a new segment with the sign inside."""
        segment_id = self.session.logic.nodes.segment_id
        if segment_id != self._shown_segment and prompts.is_empty:
            self.tools.set_sign(positive=True)
        self._shown_segment = segment_id

    def _remove_prompt(self) -> None:
        """Remove the chosen prompt of the list, or the last one. Without a prompt that marks the
        object its result goes too, as one step.
        """
        self.perform("remove_prompt", self.list.chosen)
        self.session.attempt(self.session.workflow.withdraw)
        self.session.notify_changed()

    def _choose_next_segment(self) -> None:
        nodes = self.session.logic.nodes
        ids = nodes.segment_ids
        after = ids.index(nodes.segment_id) + 1 if nodes.segment_id else 0
        self.session.attempt(nodes.select_segment, ids[after % len(ids)])
        self.session.notify_changed()

    def _choose_nodes(self) -> None:
        if self._is_following or self.session.node is None:
            return
        volume = self.ui.volumeSelector.currentNode()
        segmentation = self.ui.segmentationSelector.currentNode()
        nodes = self.session.logic.nodes
        if (volume, segmentation) != (nodes.volume, nodes.segmentation):
            self.session.attempt(nodes.select, volume, segmentation)
            self.session.notify_changed()

    def _choose_segment(self) -> None:
        chosen, nodes = self.ui.segmentsTable.selectedSegmentIDs(), self.session.logic.nodes
        if chosen and chosen[0] != nodes.segment_id:
            self.session.attempt(nodes.select_segment, chosen[0])
            self.session.notify_changed()


def _summary(prompts: PromptSet) -> str:
    """Return the number of prompts in words, such as "2 points inside, 1 box"."""
    words = []
    for items, positive, one, many in (
        (prompts.points, True, _("1 point inside"), _("{count} points inside")),
        (prompts.points, False, _("1 point outside"), _("{count} points outside")),
        (prompts.boxes, True, _("1 box"), _("{count} boxes")),
        (prompts.boxes, False, _("1 box outside"), _("{count} boxes outside")),
        (prompts.scribbles, True, _("1 scribble"), _("{count} scribbles")),
        (prompts.scribbles, False, _("1 scribble outside"), _("{count} scribbles outside")),
        (prompts.lassos, True, _("1 lasso"), _("{count} lassos")),
        (prompts.lassos, False, _("1 lasso outside"), _("{count} lassos outside")),
    ):
        count = sum(item.positive is positive for item in items)
        if count:
            words.append((one if count == 1 else many).format(count=count))
    if not words:
        return _("No prompt yet: choose a tool and mark the object in a slice view.")
    return ", ".join(words)

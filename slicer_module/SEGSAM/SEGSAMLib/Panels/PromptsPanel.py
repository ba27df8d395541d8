"""The section "Segment": which image and segment, the tools, undo, run."""

from __future__ import annotations

from typing import Any

import qt

import slicer
from SEGSAMLib.Panels.Session import Session
from SEGSAMLib.Panels.Shortcuts import Shortcuts
from SEGSAMLib.Scene import Views
from SEGSAMLib.Scene.Pointer import PathXY, Pointer

TOOLS = {
    "inside": "pointInsideButton",
    "outside": "pointOutsideButton",
    "box": "boxButton",
    "box3d": "box3dButton",
    "scribble": "scribbleButton",
}
KEYS = {
    "A": "pointInsideButton",
    "S": "pointOutsideButton",
    "B": "boxButton",
    "V": "box3dButton",
    "D": "scribbleButton",
    "N": "addSegmentButton",
    "H": "showPromptsCheckBox",
    "R": "runButton",
    "W": "worstSliceButton",
    "Ctrl+Z": "undoButton",
    "Ctrl+Y": "redoButton",
    "Esc": "cancelButton",
}
READ_MS = 150
"""How often moved and deleted markups are taken over: after the hand has stopped, not during."""


class PromptsPanel:
    """Turns what the user does into verbs of `Logic` and `Workflow`."""

    lanes = ("segment",)

    def __init__(self, session: Session) -> None:
        self.session = session
        ui = self.ui = session.ui
        self._is_following = False
        self.pointer = Pointer(Views.slice_views, self.mark)
        window = slicer.util.mainWindow()
        self.shortcuts = Shortcuts(window, {key: getattr(ui, name) for key, name in KEYS.items()})
        self._read = qt.QTimer()
        self._read.interval = READ_MS
        self._read.timeout.connect(self._read_markups)
        for tool, name in TOOLS.items():
            getattr(ui, name).toggled.connect(self._chooser(tool))
        ui.volumeSelector.currentNodeChanged.connect(lambda *_: self._choose_nodes())
        ui.segmentationSelector.currentNodeChanged.connect(lambda *_: self._choose_nodes())
        ui.segmentsTable.selectionChanged.connect(lambda *_: self._choose_segment())
        ui.addSegmentButton.clicked.connect(lambda *_: self._do(session.logic.add_segment))
        ui.removeSegmentButton.clicked.connect(lambda *_: self._remove_segment())
        ui.undoButton.clicked.connect(lambda *_: self._do(session.workflow.undo))
        ui.redoButton.clicked.connect(lambda *_: self._do(session.workflow.redo))
        ui.clearButton.clicked.connect(lambda *_: self._do(session.logic.clear_prompts))
        ui.runButton.clicked.connect(lambda *_: self.run())
        ui.showPromptsCheckBox.toggled.connect(session.logic.markups.set_shown)

    def enter(self) -> None:
        self.shortcuts.on()
        self._read.start()

    def leave(self) -> None:
        """Keys, mouse and markups are Slicer's own again."""
        self.put_down()
        self.shortcuts.off()
        self._read.stop()

    def close(self) -> None:
        self.leave()

    def put_down(self) -> None:
        """No tool is chosen any more."""
        for name in TOOLS.values():
            getattr(self.ui, name).checked = False

    def handle(self, event: Any) -> None:
        self.refresh()

    def follow(self) -> None:
        """The scene's parameters and the selectors take over the nodes that a verb has chosen."""
        node, logic = self.session.node, self.session.logic
        if node is None:
            return
        self._is_following = True
        for name in ("volume", "segmentation"):
            if getattr(node, name) is not getattr(logic, name):
                setattr(node, name, getattr(logic, name))
        self._is_following = False

    def refresh(self) -> None:
        ui, logic = self.ui, self.session.logic
        ui.segmentsTable.setSegmentationNode(logic.segmentation)
        if logic.segmentation is not None and logic.segment_id:
            ui.segmentsTable.setSelectedSegmentIDs([logic.segment_id])
        has_image = logic.volume is not None
        for name in (*TOOLS.values(), "addSegmentButton"):
            getattr(ui, name).enabled = has_image
        prompts = logic.prompts
        ui.promptsLabel.text = _count(prompts)
        ui.clearButton.enabled = not prompts.is_empty
        ui.removeSegmentButton.enabled = bool(logic.segment_id)
        ui.runButton.enabled = has_image and self.session.is_connected and prompts.marks_object
        for button, text, verb in (
            (ui.undoButton, logic.undo_text, "Undo"),
            (ui.redoButton, logic.redo_text, "Redo"),
        ):
            key = "Ctrl+Z" if verb == "Undo" else "Ctrl+Y"
            button.enabled = bool(text) and not self.session.workflow.is_running("undo")
            button.toolTip = (
                f"{verb} {text} ({key})" if text else f"Nothing to {verb.lower()} ({key})"
            )

    def run(self) -> None:
        """Send the prompts of the chosen segment."""
        session = self.session
        if session.attempt(session.workflow.segment, session.parameters()):
            session.say("Segmenting …")

    def mark(self, tool: str, slice_node: Any, path_xy: PathXY) -> None:
        """The mouse was released after a click or a drag in a slice view."""
        logic = self.session.logic
        if tool in ("inside", "outside"):
            world = Views.world_of(slice_node, path_xy[-1])
            self._do(logic.add_point, world, positive=tool == "inside")
        elif tool == "scribble":
            path = [Views.world_of(slice_node, xy) for xy in path_xy]
            self._do(logic.add_scribble, path)
        elif tool == "box":
            self._do(logic.add_box_on_slice, slice_node, path_xy[0], path_xy[-1])
        elif tool == "box3d":
            roi = Views.roi_from_drag(slice_node, path_xy[0], path_xy[-1])
            self._do(logic.add_box_from_roi, roi)

    def _do(self, verb: Any, *given: Any, **more: Any) -> None:
        """Change prompts; in live mode the server is asked at once."""
        logic = self.session.logic
        before = logic.prompts
        self.session.attempt(self._noted, verb, *given, **more)
        flow = self.session.workflow
        undoes = verb in (flow.undo, flow.redo, logic.add_segment)
        if logic.prompts != before and not undoes:
            self._run_live()
        self.session.changed()

    def _noted(self, verb: Any, *given: Any, **more: Any) -> None:
        """A verb may have something to say of a prompt that it took, such as that it was cut."""
        note = verb(*given, **more)
        if note and verb in (
            self.session.logic.add_box_on_slice,
            self.session.logic.add_box_from_roi,
        ):
            self.session.say(note)

    def _run_live(self) -> None:
        is_live = self.session.is_connected and self.session.parameters().live
        if is_live and self.session.logic.prompts.marks_object:
            self.run()

    def _read_markups(self) -> None:
        changed = self.session.logic.read_markups()
        if self.session.logic.note:
            self.session.say(self.session.logic.note)
        if changed:
            self._run_live()
            self.session.changed()

    def _chooser(self, tool: str) -> Any:
        def toggled(is_on: bool) -> None:
            if is_on:
                for other, name in TOOLS.items():
                    if other != tool:
                        getattr(self.ui, name).checked = False
                self.pointer.choose(tool)
            elif self.pointer.tool == tool:
                self.pointer.choose("")

        return toggled

    def _choose_nodes(self) -> None:
        if self._is_following:
            return
        ui = self.ui
        nodes = (ui.volumeSelector.currentNode(), ui.segmentationSelector.currentNode())
        logic = self.session.logic
        if nodes != (logic.volume, logic.segmentation):
            self.session.attempt(logic.set_nodes, *nodes)
            self.session.changed()

    def _choose_segment(self) -> None:
        chosen = self.ui.segmentsTable.selectedSegmentIDs()
        if chosen and chosen[0] != self.session.logic.segment_id:
            self.session.attempt(self.session.logic.select_segment, chosen[0])
            self.session.changed()

    def _remove_segment(self) -> None:
        self._do(self.session.logic.remove_segment, self.session.logic.segment_id)


def _count(prompts: Any) -> str:
    """What is there, in words: 2 points inside, 1 box."""
    inside = sum(point.positive for point in prompts.points)
    kinds = (
        (inside, "point inside", "points inside"),
        (len(prompts.points) - inside, "point outside", "points outside"),
        (len(prompts.boxes), "box", "boxes"),
        (len(prompts.scribbles), "scribble", "scribbles"),
    )
    words = [f"{n} {one if n == 1 else many}" for n, one, many in kinds if n]
    return ", ".join(words) or "No prompt yet: choose a tool and mark the object in a slice view."

"""The panel: puts the sections together, keeps the time, and follows the scene. Qt only.

Nothing here waits: verbs of `Workflow` start threads and return, a timer fetches what they have to
say. While nothing runs, the timer does not run either.
"""

from __future__ import annotations

from typing import Any

import qt

import slicer
from SEGSAMLib.Panels.ConnectionPanel import ConnectionPanel
from SEGSAMLib.Panels.PromptsPanel import PromptsPanel
from SEGSAMLib.Panels.ResultPanel import ResultPanel
from SEGSAMLib.Panels.ServerPanel import ServerPanel
from SEGSAMLib.Panels.Session import POLL_MS, Session
from SEGSAMLib.Panels.WorkflowPanel import WorkflowPanel
from SEGSAMLib.Scene import Views
from SEGSAMLib.Server.Lanes import SILENT

ICONS = {
    "pointInsideButton": "PointInside",
    "pointOutsideButton": "PointOutside",
    "boxButton": "Box",
    "box3dButton": "Box3D",
    "scribbleButton": "Scribble",
    "undoButton": "Undo",
    "redoButton": "Redo",
    "clearButton": "Clear",
    "runButton": "Run",
    "cancelButton": "Cancel",
    "addSegmentButton": "Add",
    "removeSegmentButton": "Remove",
    "worstSliceButton": "Worst",
    "nextButton": "Next",
    "submitButton": "Submit",
    "trainButton": "Train",
    "connectButton": "Connect",
    "startServerButton": "Server",
    "exportNiftiButton": "Export",
    "exportDicomButton": "Export",
}
UNDO_STATES = 10
SURFACES_MS = 1500
"""After the last answer; surfaces in 3D take Slicer longer than a click may."""
STANDSTILL_MS = 300
"""After a slice view's last movement: what is scrolled past is not looked at."""


class Widget:
    """What `SEGSAMWidget` delegates to: one object per panel, from `setup` to `cleanup`."""

    def __init__(self, ui: Any, icon_folder: str) -> None:
        self.ui = ui
        for button, icon in ICONS.items():
            getattr(ui, button).icon = qt.QIcon(f"{icon_folder}/{icon}.svg")
        self.session = Session(ui)
        self.connection = ConnectionPanel(self.session)
        self.prompts = PromptsPanel(self.session)
        self.result = ResultPanel(self.session)
        self.workflow = WorkflowPanel(self.session)
        self.server = ServerPanel(self.session, self.connection.connect)
        self.panels = (self.connection, self.prompts, self.result, self.workflow)
        self._gui_tag: Any = None
        self._observed: list[tuple[Any, int]] = []
        self._timer = qt.QTimer()
        self._timer.interval = POLL_MS
        self._timer.timeout.connect(self.poll)
        self._surfaces = qt.QTimer()
        self._surfaces.interval = SURFACES_MS
        self._surfaces.timeout.connect(self._refresh_surfaces)
        self._standstill = qt.QTimer()
        self._standstill.interval = STANDSTILL_MS
        self._standstill.timeout.connect(self._tell_slice)
        self._moved: Any = None
        self.session.on_changed.append(self.refresh)
        self.session.on_started.append(self._started)
        ui.cancelButton.clicked.connect(lambda *_: self.cancel())
        ui.userEdit.text = self.session.settings.user
        ui.userEdit.editingFinished.connect(self._remember_user)
        ui.forgetConsentButton.clicked.connect(lambda *_: self._forget_consent())
        ui.exportNiftiButton.clicked.connect(lambda *_: self._export_nifti())
        ui.exportDicomButton.clicked.connect(lambda *_: self._export_dicom())
        self.refresh()
        self._show_busy()

    # -- life ----------------------------------------------------------------------------------
    def use(self, node: Any) -> None:
        """Bind the panel to a scene's parameter node; None: the scene is closing."""
        if self.session.node is not None:
            self.session.node.disconnectGui(self._gui_tag)
        self.session.node = node
        if node is None:
            self.prompts.put_down()
            for lane in ("segment", "undo", "surface", "sample", "label"):
                self.session.workflow.cancel(lane)
            self.session.logic.close()
            self.ui.segmentEditor.setMRMLSegmentEditorNode(None)
            return
        self._set_up_editor()
        self._gui_tag = node.connectGui(self.ui)
        self.session.attempt(self.session.logic.set_nodes, node.volume, node.segmentation)
        self.refresh()

    def enter(self) -> None:
        self.prompts.enter()
        for slice_node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            tag = slice_node.AddObserver("ModifiedEvent", self._slice_moved)
            self._observed.append((slice_node, tag))
        self.refresh()

    def leave(self) -> None:
        self.prompts.leave()
        for slice_node, tag in self._observed:
            slice_node.RemoveObserver(tag)
        self._observed.clear()
        self._standstill.stop()

    def close(self) -> None:
        """For good: nothing is left running."""
        self.leave()
        self._timer.stop()
        self._surfaces.stop()
        self.workflow.close()
        self.server.close()
        self.session.workflow.close()

    # -- time ----------------------------------------------------------------------------------
    def poll(self) -> None:
        """What threads have to say goes to the panels that have its lane."""
        events = [one for one in self.session.workflow.poll() if one.lane not in SILENT]
        for event in events:
            if event.kind == "progress":
                self._show_progress(event.value)
                continue
            self._tell(event)
            for panel in self.panels:
                if event.lane in panel.lanes:
                    panel.handle(event)
        if events or not self.session.workflow.is_busy:
            self._show_busy()
        if any(event.kind != "progress" for event in events):
            self.refresh()

    def cancel(self) -> None:
        """Stop waiting for the server; the answer that still comes is dropped."""
        for lane in ("segment", "undo", "surface", "connect", "sample", "label", "version"):
            self.session.workflow.cancel(lane)
        self.poll()
        self._show_busy()

    def refresh(self) -> None:
        """Everything shows what is now."""
        logic = self.session.logic
        self.prompts.follow()
        for panel in self.panels:
            panel.refresh()
        has_segments = logic.segmentation is not None
        self.ui.exportNiftiButton.enabled = has_segments
        self.ui.exportDicomButton.enabled = has_segments
        self.ui.forgetConsentButton.enabled = self.session.is_connected
        editor = self.ui.segmentEditor
        editor.setSegmentationNode(logic.segmentation)
        editor.setSourceVolumeNode(logic.volume)

    def _refresh_surfaces(self) -> None:
        """Once: the next answer starts the timer again."""
        self._surfaces.stop()
        self.session.attempt(self.session.workflow.refresh_surfaces)

    def _started(self) -> None:
        if self.session.workflow.is_busy:
            self._timer.start()
        self._show_busy()

    def _slice_moved(self, slice_node: Any, _event: Any = None) -> None:
        self.result.look()
        self._moved = slice_node
        self._standstill.start()

    def _tell_slice(self) -> None:
        """The view that moved last stands still."""
        self._standstill.stop()
        session, volume = self.session, self.session.logic.volume
        if session.is_connected and volume is not None and volume.GetImageData() is not None:
            parameters = session.parameters()
            axis, index = Views.place_of(self._moved, volume)
            if parameters.axis in ("auto", "all", "ijk"[axis]):
                session.workflow.look(parameters, axis, index)
                self._started()

    def _show_busy(self) -> None:
        flow = self.session.workflow
        if not flow.is_busy:
            self._timer.stop()
        if not flow.is_awaited:
            self.ui.progressBar.maximum = 0
        self.ui.progressBar.visible = flow.is_awaited
        self.ui.cancelButton.visible = flow.is_awaited
        self.ui.cancelButton.enabled = flow.is_awaited

    def _show_progress(self, progress: Any) -> None:
        self.ui.progressBar.maximum = progress.total
        self.ui.progressBar.value = progress.done
        self.session.say(progress.what)

    def _tell(self, event: Any) -> None:
        if event.kind == "failed":
            self.session.say(str(event.error), wrong=True)
        elif event.kind == "cancelled":
            self.session.say("Cancelled; nothing was changed.")
        elif event.lane == "segment":
            self.session.say(_done(event.value))
            self._surfaces.start()

    # -- the rest ------------------------------------------------------------------------------
    def _set_up_editor(self) -> None:
        """Slicer's Segment Editor, on the node that its own module uses, so that undo is shared."""
        editor = self.ui.segmentEditor
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        if node is None:
            node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag("SegmentEditor")
            node = scene.AddNode(node)
        editor.setMRMLScene(scene)
        editor.setMRMLSegmentEditorNode(node)
        editor.setMaximumNumberOfUndoStates(UNDO_STATES)

    def _remember_user(self) -> None:
        self.session.settings.user = self.ui.userEdit.text

    def _forget_consent(self) -> None:
        address = self.session.settings.server
        self.session.settings.withdraw_consent(address)
        self.session.say(f"You will be asked before an image is sent to {address}.")

    def _export_nifti(self) -> None:
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), "Save as NIfTI", "segmentation.nii.gz", "NIfTI (*.nii.gz)"
        )
        self._export(self.session.logic.export_nifti, path)

    def _export_dicom(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), "Folder for the DICOM segmentation"
        )
        self._export(self.session.logic.export_dicom_seg, folder)

    def _export(self, verb: Any, path: Any) -> None:
        """PySide answers with (path, filter), PythonQt with the path."""
        path = path[0] if isinstance(path, tuple) else path
        if path and self.session.attempt(verb, path):
            self.session.say(f"Saved: {path}")


def _done(applied: Any) -> str:
    """One line about an answer: what it is, and what it changed."""
    name = f"{applied.category}: " if applied.category else ""
    if not applied.added and not applied.removed:
        return f"{name}nothing changed." if name else "Nothing changed."
    return f"{name}{applied.added} voxels more, {applied.removed} fewer."

"""Panel of the module: its sections, its timers, and the scene that it shows.

Nothing here blocks: actions of `Workflow` start threads and return, and a timer polls their events.
The timer runs only while a task runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import qt

import slicer
from SEGSAMLib import Translation
from SEGSAMLib.Panels.Choices import show_names
from SEGSAMLib.Panels.ConnectionPanel import ConnectionPanel
from SEGSAMLib.Panels.DraftPanel import DraftPanel
from SEGSAMLib.Panels.EditorPanel import EditorPanel
from SEGSAMLib.Panels.FindPanel import FindPanel
from SEGSAMLib.Panels.FirstRunPanel import FirstRunPanel
from SEGSAMLib.Panels.Language import translations
from SEGSAMLib.Panels.PromptsPanel import PromptsPanel
from SEGSAMLib.Panels.ResultPanel import ResultPanel
from SEGSAMLib.Panels.ServerPanel import ServerPanel
from SEGSAMLib.Panels.Session import Session, make_timer
from SEGSAMLib.Panels.WorkflowPanel import WorkflowPanel
from SEGSAMLib.Parameters import CHOICES
from SEGSAMLib.Scene import Surfaces, Views
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Results import AppliedResult
from SEGSAMLib.Workflow import BACKGROUND_TASKS

ICONS = {
    "pointInsideButton": "PointInside",
    "pointOutsideButton": "PointOutside",
    "boxButton": "Box",
    "box3dButton": "Box3D",
    "scribbleButton": "Scribble",
    "lassoButton": "Lasso",
    "signButton": "PointInside",
    "undoButton": "Undo",
    "redoButton": "Redo",
    "removePromptButton": "Remove",
    "clearButton": "Clear",
    "resetButton": "Reset",
    "runButton": "Run",
    "findButton": "Run",
    "confirmButton": "Confirm",
    "completeButton": "Complete",
    "proposalButton": "Worst",
    "cancelButton": "Cancel",
    "addSegmentButton": "Add",
    "removeSegmentButton": "Remove",
    "nextSegmentButton": "NextSegment",
    "visibilityButton": "Eye",
    "worstSliceButton": "Worst",
    "nextButton": "Next",
    "submitButton": "Submit",
    "trainButton": "Train",
    "connectButton": "Connect",
    "startServerButton": "Server",
    "trySampleButton": "Run",
    "useLocalButton": "Server",
    "useRemoteButton": "Connect",
    "exportNiftiButton": "Export",
    "exportDicomButton": "Export",
}
_PARAMETER = "SlicerParameterName"
"""Property of a widget in the `.ui` file: the name of the parameter that it is bound to."""
POLL_MS = 20
SURFACES_MS = 1500
"""Wait after the last result before surfaces are updated, so that their computation does not slow
down the next click. With an older VTK they are updated by a button only.
"""
PREFETCH_MS = 300
"""Wait after the last movement of a slice view, so that slices that the user scrolls past are not
prefetched.
"""


_LONG_TASKS = ("connect", "sample", "label", "version")


class Widget:
    """Panel behind `SEGSAMWidget`, from its `setup` to its `cleanup`."""

    def __init__(self, ui: Any, icon_folder: str) -> None:
        Translation.use(translations(Path(icon_folder).parent / "Translations"))
        self.ui = ui
        for button, icon in ICONS.items():
            getattr(ui, button).icon = qt.QIcon(f"{icon_folder}/{icon}.svg")
        self.session = Session(ui)
        self.connection = ConnectionPanel(self.session)
        self.prompts = PromptsPanel(self.session)
        self.find = FindPanel(self.session)
        self.result = ResultPanel(self.session)
        self.workflow = WorkflowPanel(self.session)
        self.editor = EditorPanel(self.session)
        self.server = ServerPanel(self.session, self.connection.connect)
        self.first_run = FirstRunPanel(self.session, self.server.start)
        self.drafts = DraftPanel(self.session)
        self.panels = (
            *(self.connection, self.prompts, self.find, self.result, self.workflow, self.editor),
            *(self.first_run, self.drafts),
        )
        self.prompts.tools.on_chosen = self.editor.end_effect
        self.editor.on_effect = self.prompts.release_tool
        self._gui_tag: Any = None
        self._slice_observers: list[tuple[Any, int]] = []
        self._follows_layouts = False
        self._on_layout_changed = self._observe_views  # one object, for connect and disconnect
        self._timer = make_timer(POLL_MS, self.poll)
        self._surfaces_timer = make_timer(SURFACES_MS, self._refresh_surfaces)
        self._prefetch_timer = make_timer(PREFETCH_MS, self._prefetch)
        self._moved_slice_node: Any = None
        self.session.on_changed.append(self.refresh)
        self.session.on_started.append(self._on_started)
        ui.cancelButton.clicked.connect(lambda *_: self.cancel())
        ui.userEdit.text = self.session.settings.user
        ui.userEdit.editingFinished.connect(self._store_user)
        ui.forgetConsentButton.clicked.connect(lambda *_: self._forget_consent())
        ui.updateSurfacesButton.clicked.connect(lambda *_: self._refresh_surfaces())
        ui.exportNiftiButton.clicked.connect(lambda *_: self._export_nifti())
        ui.exportDicomButton.clicked.connect(lambda *_: self._export_dicom())
        self.refresh()
        self._show_busy()

    # -- scene and module --------------------------------------------------------------------
    def use(self, node: Any) -> None:
        """Bind the panel to the parameter node of a scene, None if the scene is about to close."""
        self.unbind()
        if node is not None:
            self._bind(node)
            return
        self.prompts.release_tool()
        for task in ("segment", "find", "undo", "surface", "sample", "label", "draft"):
            self.session.workflow.cancel(task)
        self.session.logic.close()

    def unbind(self) -> None:
        """Disconnect the panel from the parameter node, for example while a scene is loaded. What
        the user works on stays selected.
        """
        if self.session.node is not None:
            self.session.node.disconnectGui(self._gui_tag)
            self.session.node = None
        self.editor.release()

    def _bind(self, node: Any) -> None:
        """Connect the panel to a parameter node, and select the nodes that it names."""
        self.session.node = node
        named = [each for each in vars(self.ui).values() if each.property(_PARAMETER)]
        with self.prompts.following():
            # `connectGui` would return no tag, without which it cannot be disconnected.
            self._gui_tag = node.connectParametersToGui(
                {each.property(_PARAMETER): each for each in named}
            )
        show_names(each for each in named if each.property(_PARAMETER) in CHOICES)
        self.session.attempt(self.session.logic.nodes.select, node.volume, node.segmentation)
        if self._follows_layouts:
            self._observe_views()  # the scene may have brought slice views
        self.refresh()

    def enter(self) -> None:
        """Turn on the keyboard shortcuts, take Slicer's Segment Editor, and observe the slice views
        until `leave`.
        """
        self.prompts.enter()
        self.editor.enter()
        self._observe_views()
        self._follow_layouts(is_on=True)
        self.refresh()

    def leave(self) -> None:
        """Turn off the keyboard shortcuts and the tools, and stop observing the slice views."""
        self.prompts.leave()
        self.editor.leave()
        self._follow_layouts(is_on=False)
        self._forget_slices()
        self._prefetch_timer.stop()

    def _observe_views(self, *_: Any) -> None:
        """Observe the slice views that there are now. A new layout may bring more."""
        self._forget_slices()
        for slice_node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            tag = slice_node.AddObserver("ModifiedEvent", self._on_slice_moved)
            self._slice_observers.append((slice_node, tag))
        self.prompts.pointer.attach()

    def _forget_slices(self) -> None:
        for slice_node, tag in self._slice_observers:
            slice_node.RemoveObserver(tag)
        self._slice_observers.clear()

    def _follow_layouts(self, *, is_on: bool) -> None:
        """Observe the views again after each change of the layout, or not any more. There is no
        layout manager without Slicer's main window, or at its end.
        """
        manager = slicer.app.layoutManager()
        if manager is not None and is_on is not self._follows_layouts:
            act = manager.layoutChanged.connect if is_on else manager.layoutChanged.disconnect
            act(self._on_layout_changed)
        self._follows_layouts = is_on

    def close(self) -> None:
        """End all timers, tasks and processes."""
        self.leave()
        self._timer.stop()
        self._surfaces_timer.stop()
        self.drafts.close()
        self.workflow.close()
        self.server.close()
        self.session.workflow.close()

    # -- tasks -------------------------------------------------------------------------------
    def poll(self) -> None:
        """Pass the events of tasks to the panels that show them."""
        workflow = self.session.workflow
        found = workflow.poll()
        for event in (each for each in found if each.task in self.drafts.tasks):
            self.drafts.handle(event)
        events = [each for each in found if each.task not in BACKGROUND_TASKS]
        for event in events:
            if event.kind == "progress":
                self._show_progress(event.value)
                continue
            self._show_event(event)
            for panel in self.panels:
                if event.task in panel.tasks:
                    panel.handle(event)
        if events or not workflow.worker.is_busy:
            self._show_busy()
        if any(event.kind != "progress" for event in events):
            self.refresh()

    def cancel(self) -> None:
        """Cancel all tasks that the user waits for, except training."""
        for task in (*("segment", "find", "undo", "surface"), *_LONG_TASKS):
            self.session.workflow.cancel(task)
        self.poll()
        self._show_busy()

    def refresh(self) -> None:
        """Show the current state in all sections."""
        nodes = self.session.logic.nodes
        nodes.select_remaining()
        self.prompts.follow()
        for panel in self.panels:
            panel.refresh()
        has_segments = nodes.segmentation is not None
        self.ui.exportNiftiButton.enabled = has_segments
        self.ui.exportDicomButton.enabled = has_segments
        self.ui.forgetConsentButton.enabled = self.session.is_connected
        waits = not Surfaces.releases_lock() and self.session.logic.shows_surfaces
        self.ui.updateSurfacesButton.visible = waits

    def _refresh_surfaces(self) -> None:
        """Update the surfaces once; the next result starts the timer again."""
        self._surfaces_timer.stop()
        self.session.attempt(self.session.workflow.refresh_surfaces)

    def _on_started(self) -> None:
        if self.session.workflow.worker.is_busy:
            self._timer.start()
        self._show_busy()

    def _on_slice_moved(self, slice_node: Any, _event: Any = None) -> None:
        self.result.follow_views()
        self._moved_slice_node = slice_node
        self._prefetch_timer.start()

    def _prefetch(self) -> None:
        """Prefetch around the slice in the view that moved last."""
        self._prefetch_timer.stop()
        session, volume = self.session, self.session.logic.nodes.volume
        if session.is_connected and volume is not None and volume.GetImageData() is not None:
            parameters = session.parameters()
            axis, index = Views.axis_and_slice(self._moved_slice_node, volume)
            if parameters.axis in ("auto", "all", "ijk"[axis]):
                session.workflow.prefetch(parameters, axis, index)
                self._on_started()

    def _show_busy(self) -> None:
        if not self.session.workflow.worker.is_busy:
            self._timer.stop()
        is_shown = self.session.workflow.has_foreground_task
        if not is_shown:
            self.ui.progressBar.maximum = 0
        self.ui.progressBar.visible = is_shown
        self.ui.cancelButton.visible = is_shown
        self.ui.cancelButton.enabled = is_shown

    def _show_progress(self, progress: Any) -> None:
        self.ui.progressBar.maximum = progress.total
        self.ui.progressBar.value = progress.done
        self.session.show_status(progress.text)

    def _show_event(self, event: Any) -> None:
        if event.kind == "failed":
            self.session.show_status(str(event.error), is_error=True)
        elif event.kind == "cancelled":
            self.session.show_status(_("Cancelled; nothing was changed."))
        elif event.task in ("segment", "find"):
            if event.task == "segment":
                self.session.show_status(_summary(event.value))
            if Surfaces.releases_lock():
                self._surfaces_timer.start()

    # -- settings and export -----------------------------------------------------------------
    def _store_user(self) -> None:
        self.session.settings.user = self.ui.userEdit.text

    def _forget_consent(self) -> None:
        address = self.session.settings.server
        self.session.settings.withdraw_consent(address)
        sentence = _("You will be asked before an image is sent to {server}.")
        self.session.show_status(sentence.format(server=address))

    def _export_nifti(self) -> None:
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save as NIfTI"), "segmentation.nii.gz", "NIfTI (*.nii.gz)"
        )
        self._export(self.session.logic.files.export_nifti, path)

    def _export_dicom(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder for the DICOM segmentation")
        )
        self._export(self.session.logic.files.export_dicom_seg, folder)

    def _export(self, export: Callable[[str], Any], path: Any) -> None:
        """Export to a path. PySide's dialog returns (path, filter), PythonQt's the path."""
        path = path[0] if isinstance(path, tuple) else path
        if path and self.session.attempt(export, path):
            self.session.show_status(_("Saved: {path}").format(path=path))


def _summary(result: AppliedResult) -> str:
    """Return one line about a result: its category, and what it changed."""
    if result.added or result.removed:
        text = (
            _("{category}: {added} voxels more, {removed} fewer.")
            if result.category
            else _("{added} voxels more, {removed} fewer.")
        )
    else:
        text = _("{category}: nothing changed.") if result.category else _("Nothing changed.")
    return text.format(category=result.category, added=result.added, removed=result.removed)

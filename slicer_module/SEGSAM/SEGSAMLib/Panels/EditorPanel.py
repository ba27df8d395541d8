"""Section "Segment Editor" of the panel: Slicer's own editor, on the panel's segment."""

from __future__ import annotations

from typing import Any, Callable

import qt

import slicer
from SEGSAMLib.Panels.Session import Session

UNDO_STATES = 10
_LIST_OF_THE_EDITOR = (
    *("AddSegmentButton", "RemoveSegmentButton", "Show3DButton", "SwitchToSegmentationsButton"),
    "SegmentsTableView",
)
"""Widgets of Slicer's editor that the section "Segment" has too, on the same nodes: one list."""


class EditorPanel:
    """Segment Editor on the editor node that Slicer's modules share, to share its undo too.

    That node belongs to the module in front: it is taken when the user enters this one and there is
    a segmentation, and given back when the user leaves. What an editor does that follows the node,
    every editor does that follows it: an active effect would paint twice.
    """

    tasks = ()

    def __init__(self, session: Session) -> None:
        self.session = session
        self.on_effect: Callable[[], None] = lambda: None
        self._editor = session.ui.segmentEditor
        self._editor.setSegmentationNodeSelectorVisible(False)  # the panel has its own
        self._editor.setSourceVolumeNodeSelectorVisible(False)
        for name in _LIST_OF_THE_EDITOR:
            widget = self._editor.findChild(qt.QWidget, name)
            if widget is not None:  # a later Slicer may have another name for it
                widget.visible = False
        self._is_entered = False
        self._is_following = False
        self._node: Any = None
        self._tag = 0
        self._shown: tuple[Any, ...] = ()

    def enter(self) -> None:
        """Take the shared editor node until `leave`."""
        self._is_entered = True
        self.refresh()

    def leave(self) -> None:
        """End the active effect, and give the shared editor node back."""
        self._is_entered = False
        self.release()

    def refresh(self) -> None:
        """Show the nodes that the panel shows, if they are others than before. What the user set in
        the editor since then stays.
        """
        nodes = self.session.logic.nodes
        if not self._is_entered or self.session.node is None or nodes.segmentation is None:
            self.release()
            return
        wanted = (nodes.segmentation, nodes.volume, nodes.segment_id)
        if wanted == self._shown:
            return
        self._take()
        self._shown = wanted
        self._is_following = True
        self._editor.setSegmentationNode(nodes.segmentation)
        self._editor.setSourceVolumeNode(nodes.volume)
        if nodes.segment_id:
            self._editor.setCurrentSegmentID(nodes.segment_id)
        self._is_following = False

    def end_effect(self) -> None:
        """Deselect the active effect, because a tool of the panel gets the mouse."""
        if self._node is not None:
            self._editor.setActiveEffect(None)

    def release(self) -> None:
        """Leave the shared editor node alone from now on."""
        if self._node is None:
            return
        self._node.RemoveObserver(self._tag)
        self._editor.setActiveEffect(None)
        self._editor.removeViewObservations()
        self._editor.setMRMLSegmentEditorNode(None)
        self._node, self._shown = None, ()

    def _take(self) -> None:
        if self._node is not None:
            return
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        if node is None:
            node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag("SegmentEditor")
            node = scene.AddNode(node)
        self._node = node
        self._editor.setMRMLScene(scene)
        self._editor.setMRMLSegmentEditorNode(node)
        self._editor.setMaximumNumberOfUndoStates(UNDO_STATES)
        self._tag = node.AddObserver("ModifiedEvent", self._on_modified)

    def _on_modified(self, *_: Any) -> None:
        """Select the segment that the user selected in the editor."""
        nodes = self.session.logic.nodes
        if self._is_following or self._node.GetSegmentationNode() is not nodes.segmentation:
            return
        if self._node.GetActiveEffectName():
            self.on_effect()
        chosen = self._node.GetSelectedSegmentID() or ""
        if chosen != nodes.segment_id and chosen in nodes.segment_ids:
            self.session.attempt(nodes.select_segment, chosen)
            self.session.notify_changed()

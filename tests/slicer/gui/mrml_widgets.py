"""The qMRML widgets that the panel uses, over the real scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import vtk
from PySide6.QtCore import Property, Qt, Signal, Slot
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from shiboken6 import isValid

import slicer

LABELMAP, SURFACE = "Binary labelmap", "Closed surface"


def _observe(node: Any, event: int, act: Callable[[], None], *, instead: tuple[Any, int]) -> int:
    """Call `act` at each event of a node, and no more at those of the one before; either may be
    None. `instead` is that node with its tag. Returns the new tag.
    """
    before, tag = instead
    if before is not None:
        before.RemoveObserver(tag)
    return 0 if node is None else int(node.AddObserver(event, lambda *_: act()))


class qMRMLWidget(QWidget):
    """The panel's root: hands the scene to the widgets inside. The connections of the `.ui` that do
    so in Slicer carry a C++ pointer, which Python cannot send, so it is done directly.
    """

    mrmlSceneChanged = Signal("vtkMRMLScene*")

    @Slot("vtkMRMLScene*")
    def setMRMLScene(self, scene: Any) -> None:
        for child in self.findChildren(QWidget):
            if child is not self and hasattr(child, "setMRMLScene"):
                child.setMRMLScene(scene)


class qMRMLNodeComboBox(QComboBox):
    """The nodes of some classes, kept up to date with the scene."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._types: list[str] = []
        self._none = False
        self._add = False
        self.setMinimumContentsLength(10)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.activated.connect(self._activated)

    @Slot("vtkMRMLScene*")
    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        for event in ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent"):
            scene.AddObserver(getattr(type(scene), event), lambda *_: self._fill())
        self._fill()

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        nodes = [self._scene.GetNthNode(n) for n in range(self._scene.GetNumberOfNodes())]
        kinds = [node for node in nodes if any(node.IsA(kind) for kind in self._types)]
        return [node for node in kinds if not node.GetHideFromEditors()]

    def _fill(self) -> None:
        if not isValid(self):
            return  # the scene outlives the panel
        before = self.currentNodeID()
        self.blockSignals(True)
        self.clear()
        if self._none:
            self.addItem("None", "")
        for node in self._nodes():
            self.addItem(node.GetName(), node.GetID())
        if self._add:
            self.addItem("Create new…", "+")
        self.blockSignals(False)
        self.setCurrentNodeID(before)
        if self.currentNodeID() != before:
            self.currentNodeChanged.emit(self.currentNode())

    def _activated(self) -> None:
        if self.currentData() == "+":
            self.addNode()
        self.currentNodeChanged.emit(self.currentNode())

    def addNode(self) -> Any:
        node = self._scene.AddNewNodeByClass(self._types[0])
        self.setCurrentNode(node)
        return node

    def currentNode(self) -> Any:
        name = self.currentNodeID()
        return self._scene.GetNodeByID(name) if name and self._scene else None

    def currentNodeID(self) -> str:
        data = self.currentData()
        return data if data and data != "+" else ""

    def setCurrentNode(self, node: Any) -> None:
        before = self.currentNodeID()
        self.setCurrentNodeID(node.GetID() if node else "")
        if self.currentNodeID() != before:
            self.currentNodeChanged.emit(self.currentNode())

    def setCurrentNodeID(self, name: str) -> None:
        self.setCurrentIndex(self.findData(name or ""))

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._fill()

    def _set_none(self, value: bool) -> None:
        self._none = value

    def _set_add(self, value: bool) -> None:
        self._add = value

    nodeTypes = Property("QStringList", lambda self: self._types, _set_types)
    noneEnabled = Property(bool, lambda self: self._none, _set_none)
    addEnabled = Property(bool, lambda self: self._add, _set_add)
    renameEnabled = Property(bool, lambda self: False, lambda self, value: None)
    removeEnabled = Property(bool, lambda self: False, lambda self, value: None)
    selectNodeUponCreation = Property(bool, lambda self: True, lambda self, value: None)


class qMRMLSegmentsTableView(QWidget):
    """The segments of a segmentation: visibility, name with colour, review status. A click on the
    first or last changes it in the scene.
    """

    selectionChanged = Signal(object, object)

    COLUMNS = VISIBLE, NAME, STATUS = range(3)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._tag = 0
        self._is_column_shown = {self.VISIBLE: True, self.STATUS: False}
        self._table = QTableWidget(0, len(self.COLUMNS), self)
        self._table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._table.verticalHeader().setVisible(False)
        self._table.horizontalHeader().setVisible(False)
        for column in (self.VISIBLE, self.STATUS):
            mode = QHeaderView.ResizeMode.ResizeToContents
            self._table.horizontalHeader().setSectionResizeMode(column, mode)
        stretch = QHeaderView.ResizeMode.Stretch
        self._table.horizontalHeader().setSectionResizeMode(self.NAME, stretch)
        self._table.setShowGrid(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        self._table.itemSelectionChanged.connect(lambda: self.selectionChanged.emit(None, None))

    @Slot("vtkMRMLScene*")
    def setMRMLScene(self, scene: Any) -> None:
        """The view finds its nodes through the segmentation node."""

    def setSegmentationNode(self, node: Any) -> None:
        if node is self._node:
            return
        any_event = vtk.vtkCommand.AnyEvent
        self._tag = _observe(node, any_event, self._fill, instead=(self._node, self._tag))
        self._node = node
        self._fill()

    def segmentationNode(self) -> Any:
        return self._node

    def tableWidget(self) -> QTableWidget:
        return self._table

    def _fill(self) -> None:
        if not isValid(self):
            return
        chosen = self.selectedSegmentIDs()
        segmentation = self._node.GetSegmentation() if self._node else None
        names = list(segmentation.GetSegmentIDs()) if segmentation else []
        self._table.blockSignals(True)
        self._table.setRowCount(len(names))
        for row, name in enumerate(names):
            segment = segmentation.GetSegment(name)
            swatch = QPixmap(14, 14)
            swatch.fill(QColor.fromRgbF(*segment.GetColor()))
            item = QTableWidgetItem(QIcon(swatch), segment.GetName())
            item.setData(Qt.ItemDataRole.UserRole, name)
            self._table.setItem(row, self.NAME, item)
            display = self._node.GetDisplayNode()
            is_visible = display is not None and display.GetSegmentVisibility(name)
            self._set_button(row, self.VISIBLE, "◉" if is_visible else "○", self._toggle)
            logic = slicer.vtkSlicerSegmentationsModuleLogic
            status = logic.GetSegmentStatusAsHumanReadableString(logic.GetSegmentStatus(segment))
            self._set_button(row, self.STATUS, status, self._next_status)
            self._table.setRowHeight(row, 24)
        for column, is_shown in self._is_column_shown.items():
            self._table.setColumnHidden(column, not is_shown)
        self._table.blockSignals(False)
        self.setSelectedSegmentIDs(chosen)

    def _set_button(self, row: int, column: int, text: str, act: Callable[[str], None]) -> None:
        button = self._table.cellWidget(row, column)
        if button is None:
            button = QToolButton()
            button.setAutoRaise(True)
            button.clicked.connect(lambda *_: act(self.segmentIDForRow(row)))
            self._table.setCellWidget(row, column, button)
        button.setText(text)

    def segmentIDForRow(self, row: int) -> str:
        return str(self._table.item(row, self.NAME).data(Qt.ItemDataRole.UserRole))

    def _toggle(self, name: str) -> None:
        display = self._node.GetDisplayNode()
        display.SetSegmentVisibility(name, not display.GetSegmentVisibility(name))

    def _next_status(self, name: str) -> None:
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        segment = self._node.GetSegmentation().GetSegment(name)
        status = (logic.GetSegmentStatus(segment) + 1) % logic.LastStatus
        logic.SetSegmentStatus(segment, status)

    def selectedSegmentIDs(self) -> list[str]:
        rows = {item.row() for item in self._table.selectedItems()}
        return [self.segmentIDForRow(row) for row in sorted(rows)]

    def setSelectedSegmentIDs(self, names: list[str]) -> None:
        if list(names) == self.selectedSegmentIDs():
            return
        self._table.clearSelection()
        for row in range(self._table.rowCount()):
            if self.segmentIDForRow(row) in names:
                self._table.selectRow(row)

    def _show_column(self, column: int, is_shown: bool) -> None:
        self._is_column_shown[column] = is_shown
        self._table.setColumnHidden(column, not is_shown)

    headerVisible = Property(bool, lambda self: False, lambda self, value: None)
    filterBarVisible = Property(bool, lambda self: False, lambda self, value: None)
    visibilityColumnVisible = Property(
        bool,
        lambda self: self._is_column_shown[self.VISIBLE],
        lambda self, value: self._show_column(self.VISIBLE, value),
    )
    opacityColumnVisible = Property(bool, lambda self: False, lambda self, value: None)
    statusColumnVisible = Property(
        bool,
        lambda self: self._is_column_shown[self.STATUS],
        lambda self, value: self._show_column(self.STATUS, value),
    )


class qMRMLSegmentationShow3DButton(QPushButton):
    """Makes the surfaces of a segmentation, or removes them; it shows whether there are some."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._tag = 0
        self.setText("Show 3D")
        self.setCheckable(True)
        self.setEnabled(False)
        self.toggled.connect(self._toggle)

    def setSegmentationNode(self, node: Any) -> None:
        if node is self._node:
            return
        any_event = vtk.vtkCommand.AnyEvent
        self._tag = _observe(node, any_event, self._follow, instead=(self._node, self._tag))
        self._node = node
        self._follow()

    def _follow(self) -> None:
        if not isValid(self):
            return
        segmentation = None if self._node is None else self._node.GetSegmentation()
        self.setEnabled(segmentation is not None and segmentation.GetNumberOfSegments() > 0)
        if segmentation is not None:
            was_blocked = self.blockSignals(True)
            self.setChecked(segmentation.ContainsRepresentation(SURFACE))
            self.blockSignals(was_blocked)

    def _toggle(self, is_on: bool) -> None:
        if self._node is None:
            return
        segmentation = self._node.GetSegmentation()
        if not is_on:
            segmentation.RemoveRepresentation(SURFACE)
        elif segmentation.CreateRepresentation(SURFACE):
            self._node.GetDisplayNode().SetPreferredDisplayRepresentationName3D(SURFACE)
            self._node.GetDisplayNode().SetPreferredDisplayRepresentationName2D(LABELMAP)


class qMRMLSegmentEditorWidget(QWidget):
    """Slicer's Segment Editor without its effects: it keeps its state in the segment editor node
    that it is given, and follows that node as long as it has it. `errors` is what Slicer would log.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.errors: list[str] = []
        self.are_views_observed = False
        self.active_effect = ""
        """The effect that gets the mouse in the views, empty for none."""
        self.selectors: dict[str, bool] = {"segmentation": True, "volume": True}
        self._node: Any = None
        self._tag = 0
        for kind, name in (
            *((QPushButton, "AddSegmentButton"), (QPushButton, "RemoveSegmentButton")),
            *((qMRMLSegmentationShow3DButton, "Show3DButton"),),
            *((QToolButton, "SwitchToSegmentationsButton"),),
            *((qMRMLSegmentsTableView, "SegmentsTableView"),),
        ):
            kind(self).setObjectName(name)
        label = QLabel(
            "Slicer's Segment Editor: paint, erase, scissors, islands, smoothing …", self
        )
        label.setWordWrap(True)
        label.setEnabled(False)
        layout = QVBoxLayout(self)
        for child in self.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            layout.addWidget(child)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    @Slot("vtkMRMLScene*")
    def setMRMLScene(self, scene: Any) -> None:
        """The scene comes with the nodes."""

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        if node is self._node:
            return
        modified = vtk.vtkCommand.ModifiedEvent
        self._tag = _observe(node, modified, self._follow, instead=(self._node, self._tag))
        self._node = node
        if node is not None:
            self._follow()

    def mrmlSegmentEditorNode(self) -> Any:
        return self._node

    def _follow(self) -> None:
        """An effect becomes active in every widget that follows the node."""
        if not isValid(self):
            return
        self.active_effect = self._node.GetActiveEffectName() or ""
        self.are_views_observed = self.are_views_observed or bool(self.active_effect)

    def setSegmentationNode(self, node: Any) -> None:
        if self._node is None:
            if node is not None:
                self.errors.append("setSegmentationNode failed: need the segment editor node first")
            return
        if node is self._node.GetSegmentationNode():
            return
        self.setActiveEffect(None)
        self._node.SetAndObserveSegmentationNode(node)

    def segmentationNode(self) -> Any:
        return self._node.GetSegmentationNode() if self._node is not None else None

    def setSourceVolumeNode(self, node: Any) -> None:
        if self.segmentationNode() is None:
            if node is not None:
                self.errors.append("setSourceVolumeNode failed: need the segmentation node first")
            return
        if node is not self._node.GetSourceVolumeNode():
            self._node.SetAndObserveSourceVolumeNode(node)

    def sourceVolumeNode(self) -> Any:
        return self._node.GetSourceVolumeNode() if self._node is not None else None

    def setCurrentSegmentID(self, name: str) -> None:
        if self._node is not None:
            self._node.SetSelectedSegmentID(name)

    def currentSegmentID(self) -> str:
        return (self._node.GetSelectedSegmentID() or "") if self._node is not None else ""

    def setActiveEffectByName(self, name: str) -> None:
        self._set_effect(name)

    def setActiveEffect(self, effect: None) -> None:
        """Only None: there are no effects."""
        self._set_effect("")

    def _set_effect(self, name: str) -> None:
        if self._node is None:
            if name:
                self.errors.append("setActiveEffect failed: need the segment editor node first")
            return
        self._node.SetActiveEffectName(name)

    def setupViewObservations(self) -> None:
        self.are_views_observed = True

    def removeViewObservations(self) -> None:
        self.are_views_observed = False

    def setMaximumNumberOfUndoStates(self, states: int) -> None:
        """Undo is the editor's own."""

    def setSegmentationNodeSelectorVisible(self, visible: bool) -> None:
        self.selectors["segmentation"] = visible

    def setSourceVolumeNodeSelectorVisible(self, visible: bool) -> None:
        self.selectors["volume"] = visible


WIDGETS = (
    qMRMLWidget,
    qMRMLNodeComboBox,
    qMRMLSegmentsTableView,
    qMRMLSegmentationShow3DButton,
    qMRMLSegmentEditorWidget,
)

"""The CTK widgets that the panel uses, with the properties and signals that it uses of them."""

from __future__ import annotations

import enum
from typing import Any

from PySide6.QtCore import Property, QRect, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QSizePolicy,
    QSpinBox,
    QStyle,
    QStyleOptionButton,
    QStyleOptionToolButton,
    QToolButton,
    QWidget,
)


class ctkCollapsibleButton(QAbstractButton):
    """A header that shows or cuts off what is laid out below it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(lambda checked: self.set_collapsed(not checked))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._header_height(), 0, 0)

    def _header_height(self) -> int:
        return self.fontMetrics().height() + 10

    def is_collapsed(self) -> bool:
        return self._collapsed

    def set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self.setChecked(not collapsed)
        self.setMaximumHeight(self._header_height() if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = Property(bool, is_collapsed, set_collapsed)

    def sizeHint(self) -> QSize:
        header = QSize(120, self._header_height())
        if self._collapsed or self.layout() is None:
            return header
        return self.layout().totalSizeHint().expandedTo(header)

    def minimumSizeHint(self) -> QSize:
        header = QSize(60, self._header_height())
        if self._collapsed or self.layout() is None:
            return header
        return self.layout().totalMinimumSize().expandedTo(header)

    def hitButton(self, position: Any) -> bool:
        return bool(position.y() < self._header_height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width(), self._header_height())
        option.state |= QStyle.StateFlag.State_Raised
        self.style().drawControl(QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        arrow = QStyleOptionToolButton()
        arrow.initFrom(self)
        arrow.rect = QRect(8, 0, 12, self._header_height())
        kind = QStyle.PrimitiveElement.PE_IndicatorArrowRight
        if not self._collapsed:
            kind = QStyle.PrimitiveElement.PE_IndicatorArrowDown
        self.style().drawPrimitive(kind, arrow, painter, self)
        text = option.rect.adjusted(28, 0, -6, 0)
        painter.setPen(self.palette().buttonText().color())
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, self.text())


def ask_for_file(parent: QWidget) -> str:
    """Open the dialog for a file; tests put something else here."""
    return str(QFileDialog.getOpenFileName(parent)[0])


def ask_for_folder(parent: QWidget) -> str:
    """Open the dialog for a folder; tests put something else here."""
    return str(QFileDialog.getExistingDirectory(parent))


class ctkPathLineEdit(QWidget):
    """A path and a button that opens a dialog: of files, unless the filters are of folders."""

    class Filter(enum.Flag):
        """Those of `QDir::Filter`; CTK has them under its own name."""

        Dirs, Files, Drives = 0x001, 0x002, 0x004
        NoSymLinks, Readable, Writable, Executable = 0x008, 0x010, 0x020, 0x040
        Hidden, System, AllDirs, CaseSensitive = 0x100, 0x200, 0x400, 0x800
        NoDot, NoDotDot = 0x2000, 0x4000

    currentPathChanged = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.filters = self.Filter.Files | self.Filter.Readable | self.Filter.NoDot
        """A property in CTK; PySide cannot make one of flags, so `qt.QUiLoader` sets it."""
        self._line = QLineEdit(self)
        browse = QToolButton(self)
        browse.setText("…")
        browse.clicked.connect(self.browse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line)
        layout.addWidget(browse)
        self._line.textChanged.connect(self.currentPathChanged)

    def browse(self) -> None:
        ask = ask_for_file if self.filters & self.Filter.Files else ask_for_folder
        path = ask(self)
        if path:
            self._line.setText(path)

    def path(self) -> str:
        return self._line.text()

    def set_path(self, path: str) -> None:
        self._line.setText(path)

    currentPath = Property(str, path, set_path)


class ctkRangeWidget(QWidget):
    """Two numbers, the first not above the second."""

    valuesChanged = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = QSpinBox(self), QSpinBox(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._low)
        layout.addWidget(self._high)
        for box in (self._low, self._high):
            box.setMaximum(99)
            box.valueChanged.connect(self._changed)

    def _changed(self) -> None:
        if self._low.value() > self._high.value():
            other = self._high if self.sender() is self._low else self._low
            other.setValue(self.sender().value())  # type: ignore[attr-defined]
            return
        self.valuesChanged.emit(float(self._low.value()), float(self._high.value()))

    def setValues(self, low: float, high: float) -> None:
        self._high.setValue(int(high))
        self._low.setValue(int(low))

    def setRange(self, low: float, high: float) -> None:
        for box in (self._low, self._high):
            box.setRange(int(low), int(high))

    def _set_low(self, value: float) -> None:
        self._low.setValue(int(value))

    def _set_high(self, value: float) -> None:
        self._high.setValue(int(value))

    def _set_minimum(self, value: float) -> None:
        self.setRange(value, self._high.maximum())

    def _set_maximum(self, value: float) -> None:
        self.setRange(self._low.minimum(), value)

    minimumValue = Property(float, lambda self: float(self._low.value()), _set_low)
    maximumValue = Property(float, lambda self: float(self._high.value()), _set_high)
    minimum = Property(float, lambda self: float(self._low.minimum()), _set_minimum)
    maximum = Property(float, lambda self: float(self._low.maximum()), _set_maximum)
    decimals = Property(int, lambda self: 0, lambda self, value: None)
    singleStep = Property(float, lambda self: 1.0, lambda self, value: None)


class ctkMessageBox(QMessageBox):
    """The message box that `slicer.util` opens."""

    dontShowAgainSettingsKey = ""


WIDGETS = (ctkCollapsibleButton, ctkPathLineEdit, ctkRangeWidget)

"""`qt` as PythonQt has it: every class of Qt in one flat module."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtTest, QtUiTools, QtWidgets

for _module in (QtCore, QtGui, QtWidgets, QtTest):
    globals().update({name: getattr(_module, name) for name in dir(_module) if name[0] == "Q"})


class QUiLoader(QtUiTools.QUiLoader):
    """Knows the widgets of CTK and MRML, which Slicer's loader finds as Designer plugins."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        from . import ctk, mrml_widgets

        for widget in (*ctk.WIDGETS, *mrml_widgets.WIDGETS):
            self.registerCustomWidget(widget)

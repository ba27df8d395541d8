"""`qt` as PythonQt has it: every class of Qt in one flat module."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any
from xml.etree import ElementTree

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

    def load(self, file: Any, parent: Any = None) -> Any:
        """Load a file; also the filters of path fields, which PySide's loader passes over."""
        widget = super().load(file, parent)
        tree = ElementTree.parse(file.fileName())  # noqa: S314 - our own file
        for each in tree.iter("widget"):
            for text in each.findall("property[@name='filters']/set"):
                field = widget.findChild(QtWidgets.QWidget, each.get("name"))
                names = (str(text.text)).split("|")
                field.filters = reduce(or_, (field.Filter[name.split("::")[1]] for name in names))
        return widget

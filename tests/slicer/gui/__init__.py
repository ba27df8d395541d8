"""Stand-in on PySide6 for what Slicer's application adds to its libraries, as far as used here.

The scene, markups, segmentations, terminologies and `slicer.util` are the real ones, from
`slicer-core`. What only the application has is stood in for here: the flat modules `qt` and `ctk`,
the qMRML widgets, `slicer.app`, translation, the base classes of scripted modules and the parameter
node wrapper. Widgets are real Qt widgets, loaded from the real `.ui` by the real `QUiLoader`, and
`true_property` makes their properties attributes, as PythonQt does; a method that PythonQt has and
PySide6 with that feature has not is not put back, so code that runs here keeps to properties. The
event loop holds Python's lock, as PythonQt does (`loop`).

Not reproduced: PythonQt itself (ownership, overload resolution) and the looks of CTK.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

MODULE_FOLDER = Path(__file__).resolve().parents[3] / "slicer_module" / "SEGSAM"
_TRUE_PROPERTY = 0x02
_STANDINS = ("qt", "ctk")


def install(settings_folder: Path) -> None:
    """Make `qt`, `ctk` and the application's part of `slicer` importable in this process.

    `settings_folder` is where QSettings are written, so that no test sees another's or the user's.
    """
    from PySide6 import QtCore, QtWidgets

    if QtWidgets.QApplication.instance() is None:
        QtWidgets.QApplication(["SEGSAM tests"])
    QtCore.QCoreApplication.setOrganizationName("slicer.org")
    QtCore.QCoreApplication.setApplicationName("Slicer")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    scope = QtCore.QSettings.Scope.UserScope
    QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, scope, str(settings_folder))
    for name in _STANDINS:
        sys.modules[name] = importlib.import_module(f"{__name__}.{name}")
    from . import application

    application.install()
    _keep_parents()
    _read_properties_as_attributes()
    if str(MODULE_FOLDER) not in sys.path:
        sys.path.insert(0, str(MODULE_FOLDER))


def _keep_parents() -> None:
    """Refuse `setParent(None)`: where PySide keeps the widget, PythonQt deletes it at once when
    Python's last reference goes, also inside its own signal.
    """
    from PySide6.QtWidgets import QWidget

    own = QWidget.setParent
    if getattr(own, "refuses_none", False):
        return

    def set_parent(self: Any, parent: Any, *rest: Any) -> None:
        if parent is None:
            raise ValueError("setParent(None): hide the widget, and call deleteLater")
        own(self, parent, *rest)

    set_parent.refuses_none = True  # type: ignore[attr-defined]
    QWidget.setParent = set_parent  # type: ignore[method-assign]


def _read_properties_as_attributes() -> None:
    """Switch `true_property` on in the module under test and in `slicer.util`."""
    from shibokensupport import feature

    library = MODULE_FOLDER / "SEGSAMLib"
    files = [path.relative_to(MODULE_FOLDER).with_suffix("") for path in library.rglob("*.py")]
    names = [".".join(file.parts).removesuffix(".__init__") for file in files]
    for name in ("SEGSAM", "SEGSAMLib", "slicer.util", *names):
        feature.set_selection(_TRUE_PROPERTY, name)
    tests = [path.stem for path in Path(__file__).parents[1].glob("*.py")]
    for name in ("__main__", *tests):
        feature.set_selection(0, name)

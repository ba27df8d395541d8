"""`slicer.app`, translation and the base classes of scripted modules."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer.util
from PySide6.QtCore import QProcessEnvironment, QSettings, QTranslator
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QApplication, QMainWindow, QVBoxLayout, QWidget

import slicer

from . import loop
from .mrml_widgets import qMRMLWidget


class Application:
    """The part of `qSlicerApplication` that the module asks."""

    applicationName = "Slicer"
    majorVersion, minorVersion = 5, 13

    def __init__(self) -> None:
        self.main_window = QMainWindow()
        self.waiting: list[Callable[[], None]] = []
        self.views: Any = None
        """`views.Views`, where a test has some."""

    @property
    def slicerUserSettingsFilePath(self) -> str:
        return QSettings().fileName()

    @property
    def slicerHome(self) -> str:
        return str(Path(slicer.__file__).parent)

    def startupEnvironment(self) -> QProcessEnvironment:
        return QProcessEnvironment.systemEnvironment()

    def testingEnabled(self) -> bool:
        return False

    def settings(self) -> QSettings:
        return QSettings()

    userSettings = settings

    def translate(self, context: str, text: str) -> str:
        return QApplication.translate(context, text)

    def installTranslator(self, translator: QTranslator) -> bool:
        return QApplication.installTranslator(translator)

    def processEvents(self) -> None:
        """PythonQt does not lend the lock here, so neither does this."""
        loop.process_events()

    def setOverrideCursor(self, shape: Any) -> None:
        QApplication.setOverrideCursor(QCursor(shape))

    def restoreOverrideCursor(self) -> None:
        QApplication.restoreOverrideCursor()

    def connect(self, signal: str, slot: Callable[[], None]) -> bool:
        """Only what a module connects to while it is loaded."""
        if signal != "startupCompleted()":
            raise ValueError(f"this stand-in has no signal {signal}")
        self.waiting.append(slot)
        return True

    def start_up_completed(self) -> None:
        for slot in self.waiting:
            slot()

    def layoutManager(self) -> Any:
        return self.views


class ScriptedLoadableModule:
    """Title and texts of a module."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__


class ScriptedLoadableModuleWidget:
    """The panel's base: a parent with a layout, and where the resources are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent
        if parent is None:
            self.parent = qMRMLWidget()
            self.parent.setMRMLScene(slicer.mrmlScene)
            QVBoxLayout(self.parent)
        self.layout = self.parent.layout()

    def resourcePath(self, name: str) -> str:
        source = Path(sys.modules[type(self).__module__].__file__ or "")
        return str(source.parent / "Resources" / name)

    def setup(self) -> None:
        """The reload and test buttons of developers are Slicer's own."""

    def onReload(self) -> None:
        """The first part of `slicer.util.reloadScriptedModule`: the module's file is run again."""
        path = sys.modules[self.moduleName].__file__ or ""
        spec = importlib.util.spec_from_file_location(self.moduleName, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[self.moduleName] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[self.moduleName])

    def cleanup(self) -> None:
        """Nothing of its own to end."""


class ScriptedLoadableModuleLogic:
    """The logic's base: the module's parameter node, one per scene."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        tag = self.moduleName
        node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(tag)
            node = slicer.mrmlScene.AddNode(node)
            node.SetName(tag)
        return node


class ScriptedLoadableModuleTest:
    """The self-test's base; `slicer.util.delayDisplay` would need the application."""

    def __init__(self, *args: Any) -> None:
        self.messageDelay = 0

    def delayDisplay(self, message: str) -> None:
        loop.process_events()


def install() -> None:
    """Put the application's part into the package `slicer` and the modules beside it."""
    slicer.app = Application()
    bases = types.ModuleType("slicer.ScriptedLoadableModule")
    for base in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(bases, base.__name__, base)
    from . import i18n, parameters

    for name, module in (
        ("slicer.ScriptedLoadableModule", bases),
        ("slicer.i18n", i18n),
        ("slicer.parameterNodeWrapper", parameters),
    ):
        sys.modules[name] = module
        setattr(slicer, name.split(".")[1], module)
    slicer.util.childWidgetVariables = child_widgets
    slicer.util.mainWindow = lambda: slicer.app.main_window


def child_widgets(widget: QWidget) -> Any:
    """`slicer.util.childWidgetVariables`; PythonQt calls `objectName` also `name`. In the order of
    `slicer.util.findChildren`: the last child first.
    """
    waiting, found = [widget], {}
    while waiting:
        child = waiting.pop()
        waiting += child.children()
        if child.objectName():
            found[child.objectName()] = child
    return types.SimpleNamespace(**found)

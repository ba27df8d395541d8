"""Slicer's libraries put together as its application does it, without the application."""

from __future__ import annotations

import atexit
import importlib.util
import shutil
import tempfile
import types
from pathlib import Path

import vtk

import slicer


class Libraries:
    """One scene for all tests, as Slicer has one; `clear` empties it."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        slicer.mrmlScene = self.scene
        folder = tempfile.mkdtemp(prefix="segsam-tests-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        self.cache = slicer.vtkCacheManager()  # where scenes in one file are unpacked
        self.cache.SetRemoteCacheDirectory(folder)
        self.cache.SetMRMLScene(self.scene)
        self.scene.SetCacheManager(self.cache)
        self.files = slicer.vtkDataIOManager()
        self.files.SetCacheManager(self.cache)
        self.scene.SetDataIOManager(self.files)
        self.application = slicer.vtkSlicerApplicationLogic()
        self.application.SetMRMLScene(self.scene)
        colours = self.application.GetColorLogic()
        colours.SetMRMLScene(self.scene)
        colours.AddDefaultColorNodes()
        self.application.SetSliceLogics(vtk.vtkCollection())
        self.application.SetViewLogics(vtk.vtkCollection())
        self.terminologies = slicer.vtkSlicerTerminologiesModuleLogic()
        self.terminologies.SetModuleShareDirectory(str(_terminologies()))
        self.segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
        self.volumes = slicer.vtkSlicerVolumesLogic()
        modules = types.SimpleNamespace()
        for name, logic in (
            ("Volumes", self.volumes),
            ("Terminologies", self.terminologies),
            ("Segmentations", self.segmentations),
            ("Markups", slicer.vtkSlicerMarkupsLogic()),
            ("SubjectHierarchy", slicer.vtkSlicerSubjectHierarchyModuleLogic()),
        ):
            logic.SetMRMLScene(self.scene)
            logic.SetMRMLApplicationLogic(self.application)
            self.application.SetModuleLogic(name, logic)
            setattr(modules, name.lower(), types.SimpleNamespace(logic=lambda kept=logic: kept))
        if not hasattr(slicer, "modules"):  # `slicer.util` looks logics up there
            slicer.modules = modules
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)

    def clear(self) -> None:
        self.scene.Clear(False)


def _terminologies() -> Path:
    """The lists of terms that Slicer's application ships, which trame-slicer carries."""
    found = importlib.util.find_spec("trame_slicer")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "resources" / "terminologies"

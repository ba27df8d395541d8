"""SEG-SAM for 3D Slicer: click or draw a box, and the structure is segmented and named.

The classes that Slicer expects; everything else is in `SEGSAMLib`. Nothing is installed, contacted
or computed when this file is loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from SEGSAMLib.Panels.Language import install_translation
from SEGSAMLib.Parameters import CHOICES, LAST_SLICE, remove_unknown
from SEGSAMLib.Scene.SampleCT import register_sample_data
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

import slicer


class SEGSAM(ScriptedLoadableModule):
    """Title, texts and category of the module in Slicer."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        translations = Path(__file__).parent / "Resources" / "Translations"
        self.translator = install_translation(translations)
        parent.title = _("SEG-SAM")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The SEG-SAM authors"]
        parent.helpText = _(
            "Click, or draw a box or lasso, in a slice view: the structure is segmented, named and "
            "coded by a SEG-SAM server on this computer or elsewhere, which learns from what you "
            "submit. "
            '<a href="https://github.com/SEG-SAM/SlicerSEGSAM/blob/main/docs/tutorial.md">'
            "Tutorial</a>."
        )
        parent.acknowledgementText = _(
            "Rebuilds SEG-SAM: Semantic-Guided SAM for Unified Medical Image Segmentation. "
            "For research; not a medical device."
        )
        slicer.app.connect("startupCompleted()", register_sample_data)


@parameterNodeWrapper
class SEGSAMParameterNode:
    """Parameters that are saved with the scene; `SEGSAMLib.Parameters` describes them."""

    volume: slicer.vtkMRMLScalarVolumeNode
    segmentation: slicer.vtkMRMLSegmentationNode
    model: str = "segsam"
    axis: Annotated[str, Choice(list(CHOICES["axis"]))] = "auto"
    propagate: Annotated[str, Choice(list(CHOICES["propagate"]))] = "in boxes"
    limit_slices: bool = False
    first_slice: Annotated[int, WithinRange(0, LAST_SLICE)] = 0
    last_slice: Annotated[int, WithinRange(0, LAST_SLICE)] = 0
    live: bool = True
    protection: Annotated[str, Choice(list(CHOICES["protection"]))] = "keep others"
    decoder: Annotated[str, Choice(list(CHOICES["decoder"]))] = "binary"
    window: Annotated[str, Choice(list(CHOICES["window"]))] = ""
    strategy: Annotated[str, Choice(list(CHOICES["strategy"]))] = "agreement"


class SEGSAMLogic(ScriptedLoadableModuleLogic):
    """Access to the parameter node of a scene. The module's logic is `SEGSAMLib.Scene.Logic`."""

    def getParameterNode(self) -> SEGSAMParameterNode:
        """Return the parameter node of the current scene."""
        node = super().getParameterNode()
        remove_unknown(node)
        return SEGSAMParameterNode(node)


class SEGSAMWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Widget of the module: loads the panel (`SEGSAMLib.Widget`) and follows the scene."""

    def __init__(self, parent: object | None = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None

    def setup(self) -> None:
        """Load the panel, once."""
        from SEGSAMLib.Widget import Widget

        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/SEGSAM.ui"))
        self.layout.addWidget(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = SEGSAMLogic()
        ui = slicer.util.childWidgetVariables(widget)
        self.panel = Widget(ui, self.resourcePath("Icons"))
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, lambda *_: self.panel.use(None))
        self.addObserver(scene, scene.EndCloseEvent, lambda *_: self._use_scene())
        self.addObserver(scene, scene.StartImportEvent, lambda *_: self.panel.unbind())
        self.addObserver(scene, scene.EndImportEvent, lambda *_: self._use_scene())
        self._use_scene()

    def enter(self) -> None:
        """Turn the panel on when the user opens the module."""
        self._use_scene()
        self.panel.enter()

    def exit(self) -> None:
        """Turn the panel off when the user leaves the module."""
        self.panel.leave()

    def cleanup(self) -> None:
        """Release everything at the end of Slicer, or before a reload."""
        self.removeObservers()
        self.panel.use(None)
        self.panel.close()

    def onReload(self) -> None:
        """Reload this file and all of `SEGSAMLib`: Slicer's own reload imports this file only."""
        for name in [each for each in sys.modules if each.split(".")[0] == "SEGSAMLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def _use_scene(self) -> None:
        if self.panel.session.node is None:
            self.panel.use(self.logic.getParameterNode())


class SEGSAMTest(ScriptedLoadableModuleTest):
    """Self-test inside Slicer, with the server of `SEGSAM_TEST_SERVER` if one is named."""

    def setUp(self) -> None:
        """Clear the scene."""
        slicer.mrmlScene.Clear(False)

    def runTest(self) -> None:
        """Run `SEGSAMLib.SelfTest`."""
        from SEGSAMLib.SelfTest import run

        self.setUp()
        run(self, Path(__file__).parent / "Resources")

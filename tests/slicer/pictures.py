"""The tutorial's pictures, made with the real panel, Slicer's own views and the real server.

    .venv-slicer/bin/python tests/slicer/pictures.py [FOLDER]

Needs `.venv` (the server, and the sample CT, which it fetches the first time). Nothing is
retouched: panel and views are drawn apart, without a screen, and put side by side.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (ROOT / "slicer_module" / "SEGSAM", HERE):
    sys.path.insert(0, str(folder))

import gui  # noqa: E402 - the folders above hold it
from libraries import Libraries  # noqa: E402
from SEGSAMLib.Server import Client  # noqa: E402
from serving import PYTHON, started  # noqa: E402

PANEL_PX = 420
VIEW_PX = (480, 452)
TIMEOUT_SECONDS = 900
CHECKPOINT = "segsam"
BOXES = {
    "right kidney": ((70, 30, 96), (85, 44, 96)),
    "left kidney": ((29, 27, 96), (44, 44, 96)),
    "spleen": ((10, 23, 96), (27, 54, 96)),
    "stomach": ((39, 63, 96), (52, 79, 96)),
    "liver": ((44, 27, 96), (104, 85, 96)),
}
"""Around organs of the sample CT, opposite corners in voxels."""
WHOLE = {
    "right kidney": ((70, 29, 66), (93, 54, 101)),
    "left kidney": ((23, 27, 72), (44, 49, 104)),
    "spleen": ((10, 21, 82), (43, 57, 111)),
}
"""Boxes around whole organs."""
LOOK_AT = (76, 42, 96)


def sample_ct() -> Path:
    code = "from segsam.datasets.sample import fetch_sample; print(fetch_sample().image)"
    result = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True)
    return Path(result.stdout.strip().splitlines()[-1])


class Stage:
    """The module with the sample CT in it, and the pictures that are taken of both."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.libraries = Libraries()
        gui.install(Path(tempfile.mkdtemp()))
        from gui.views import Views
        from PySide6.QtWidgets import QApplication
        from SEGSAM import SEGSAMWidget

        import slicer

        QApplication.setStyle("Fusion")
        self.views = slicer.app.views = Views(
            self.libraries.scene, self.libraries.application, VIEW_PX
        )
        self.widget = SEGSAMWidget()
        self.widget.setup()
        self.widget.enter()
        self.panel = self.widget.panel
        self.ui = self.panel.ui
        self.panel.session.ask = lambda question: True

    def load(self, path: Path) -> None:
        node = self.libraries.volumes.AddArchetypeVolume(str(path), "SEGSAM_abdomen_CT")
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(400, 40)
        self.panel.session.node.volume = node
        self.views.show(node)
        self.look(LOOK_AT)

    def look(self, voxel: Iterable[int]) -> None:
        """Move the three slice views to a voxel."""
        point = self.panel.session.logic.nodes.grid.ras([list(voxel)])[0]
        for name in self.views.sliceViewNames():
            self.views[name].get_view_node().JumpSliceByOffsetting(*point)

    def box(self, corners: tuple[Any, Any]) -> None:
        from gui.views import drag, pixel_of

        self.look(corners[0])
        ras = self.panel.session.logic.nodes.grid.ras([list(corner) for corner in corners])
        self.ui.boxButton.setChecked(True)
        drag(self.views["Red"], [pixel_of(self.views["Red"], point) for point in ras])
        self.ui.boxButton.setChecked(False)

    def box_in_space(self, corners: tuple[Any, Any]) -> None:
        """A 3D box dragged in a slice view, and its sides pulled to where they belong."""
        import numpy as np
        from gui.views import drag, pixel_of

        logic = self.panel.session.logic
        low, high = np.array(corners[0]), np.array(corners[1])
        self.look((low + high) // 2)
        ras = logic.nodes.grid.ras([low - 0.5, high + 0.5])
        self.ui.box3dButton.setChecked(True)
        drag(self.views["Red"], [pixel_of(self.views["Red"], point) for point in ras])
        self.ui.box3dButton.setChecked(False)
        box = next(node for node in logic.prompts.markups.all if node.IsA("vtkMRMLMarkupsROINode"))
        box.SetCenter(*ras.mean(axis=0))
        box.SetSize(*abs(ras[1] - ras[0]))
        expected = (tuple(int(side) for side in low), tuple(int(side) for side in high))
        self.wait(
            lambda: (
                (logic.prompts.current.boxes[0].min_ijk, logic.prompts.current.boxes[0].max_ijk)
                == expected
            )
        )

    def name(self, category: str) -> None:
        """The user's own choice for the segment, where the model's name is another one."""
        identity = self.panel.session.logic.nodes.identity
        sys.stdout.write(f"{category}: named {identity.name} by the checkpoint {CHECKPOINT}\n")
        if identity.name == category:
            return
        combo = self.ui.categoryCombo
        combo.setCurrentIndex(combo.findText(category))
        combo.activated.emit(combo.currentIndex())

    def wait(self, condition: Callable[[], Any]) -> None:
        from PySide6.QtWidgets import QApplication

        end = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(self.ui.statusLabel.text())
            QApplication.processEvents()
            time.sleep(0.005)

    def idle(self) -> None:
        self.wait(lambda: not self.panel.session.workflow.worker.is_busy)

    def open(self, *sections: str) -> None:
        """Only these sections are open."""
        for name in ("connection", "prompts", "result", "editor", "workflow", "server", "advanced"):
            getattr(self.ui, f"{name}Section").setProperty("collapsed", name not in sections)

    def panel_picture(self) -> Any:
        from PySide6.QtWidgets import QApplication

        root = self.widget.parent
        root.resize(PANEL_PX, root.sizeHint().height())
        root.show()
        for _ in range(5):
            QApplication.processEvents()
        root.resize(PANEL_PX, root.layout().totalHeightForWidth(PANEL_PX))
        QApplication.processEvents()
        return root.grab()

    def save_panel(self, name: str) -> None:
        self.panel_picture().save(str(self.target / f"{name}.png"))

    def view_picture(self, view: Any) -> Any:
        import numpy as np
        from gui.views import pixels
        from PySide6.QtGui import QImage, QPixmap

        values = np.ascontiguousarray(pixels(view))
        height, width, _ = values.shape
        image = QImage(values.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        return QPixmap.fromImage(image.copy())

    def save_view(self, name: str, view: Any) -> None:
        self.view_picture(view).save(str(self.target / f"{name}.png"))

    def save_window(self, name: str, space: Any) -> None:
        """Panel and four views side by side, as in Slicer's four-up layout."""
        from PySide6.QtCore import Qt
        from PySide6.QtGui import QPainter, QPixmap

        panel = self.panel_picture()
        width, height = VIEW_PX
        picture = QPixmap(panel.width() + 2 * width + 4, max(panel.height(), 2 * height + 4))
        picture.fill(self.widget.parent.palette().window().color())
        painter = QPainter(picture)
        painter.drawPixmap(0, 0, panel)
        for number, view in enumerate(
            (self.views["Red"], space, self.views["Green"], self.views["Yellow"])
        ):
            x = panel.width() + (number % 2) * (width + 4)
            y = (number // 2) * (height + 4)
            painter.fillRect(x, y, width, height, Qt.GlobalColor.black)
            painter.drawPixmap(x, y, self.view_picture(view))
        painter.end()
        picture.save(str(self.target / f"{name}.png"))

    def close(self) -> None:
        self.widget.exit()
        self.widget.cleanup()


def darken() -> None:
    """Slicer's dark style."""
    from PySide6.QtGui import QColor, QPalette
    from PySide6.QtWidgets import QApplication

    palette = QPalette(QColor(53, 53, 53))
    palette.setColor(QPalette.ColorRole.Base, QColor(35, 35, 35))
    palette.setColor(QPalette.ColorRole.Highlight, QColor(42, 130, 218))
    QApplication.setPalette(palette)


def take(stage: Stage, url: str) -> None:
    """All pictures, in the tutorial's order."""
    ui = stage.ui
    ui.serverCombo.setCurrentText(url)
    for name in ("studies", "environment"):
        getattr(ui, f"{name}Path").set_path(f"/home/reader/SEGSAM/{name}")
    stage.open("connection", "server")
    stage.save_panel("panel-start")
    ui.connectButton.click()
    stage.wait(lambda: stage.panel.session.is_connected)
    stage.idle()
    stage.load(sample_ct())
    ui.liveCheckBox.setChecked(False)
    first, *others = BOXES
    stage.box(BOXES[first])
    stage.open("prompts")
    stage.save_panel("panel-prompts")
    stage.save_view("slice-box", stage.views["Red"])
    ui.runButton.click()
    stage.idle()
    stage.open("prompts", "result")
    stage.save_panel("panel-result")
    ui.showPromptsCheckBox.click()
    stage.save_view("slice-result", stage.views["Red"])
    ui.showPromptsCheckBox.click()
    stage.name(first)
    for name in others:
        ui.addSegmentButton.click()
        stage.box(BOXES[name])
        ui.runButton.click()
        stage.idle()
        stage.name(name)
    stage.open("workflow")
    stage.save_panel("panel-workflow")
    through_the_volume(stage)
    in_space(stage)
    darken()
    stage.open("prompts", "result")
    stage.save_panel("panel-dark")


def through_the_volume(stage: Stage) -> None:
    """Some of the organs followed inside 3D boxes; what was found on one slice stays."""
    logic = stage.panel.session.logic
    ids = dict(zip(BOXES, logic.nodes.segment_ids, strict=True))
    for name, corners in WHOLE.items():
        stage.ui.segmentsTable.setSelectedSegmentIDs([ids[name]])
        stage.ui.clearButton.click()
        stage.box_in_space(corners)
        stage.ui.runButton.click()
        stage.idle()
    display = logic.nodes.segmentation.GetDisplayNode()
    for name in set(BOXES) - set(WHOLE):
        display.SetSegmentVisibility3D(ids[name], False)
    stage.ui.segmentsTable.setSelectedSegmentIDs([ids[next(iter(WHOLE))]])


def in_space(stage: Stage) -> None:
    """All segments with surfaces and the slices that they are on, in the four views."""
    logic = stage.panel.session.logic
    logic.nodes.segmentation.CreateClosedSurfaceRepresentation()
    stage.wait(
        lambda: logic.surface_update() is None and not stage.panel.session.workflow.worker.is_busy
    )
    stage.look(LOOK_AT)
    for node in logic.prompts.markups.all:
        node.GetDisplayNode().SetVisibility3D(False)
    space = stage.views.space(VIEW_PX)
    space.get_view_node().SetBoxVisible(False)
    stage.views["Green"].set_visible_in_3d(True)
    space.fit_view_to_content()
    camera = space.first_renderer().GetActiveCamera()
    camera.Elevation(15)
    camera.Azimuth(25)
    space.first_renderer().ResetCameraClippingRange()
    stage.open("prompts", "result")
    stage.save_view("space", space)
    stage.save_window("overview", space)


def main(arguments: list[str]) -> None:
    target = Path(arguments[0]) if arguments else ROOT / "docs" / "pictures"
    target.mkdir(parents=True, exist_ok=True)
    Client.INFER_SECONDS = TIMEOUT_SECONDS
    settings = {"checkpoint": CHECKPOINT, "warm": "off", "infer_seconds": str(TIMEOUT_SECONDS)}
    options = [word for pair in settings.items() for word in ("--conf", *pair)]
    with tempfile.TemporaryDirectory() as base, started(Path(base), *options) as server:
        stage = Stage(target)
        take(stage, server.url)
        stage.close()


if __name__ == "__main__":
    main(sys.argv[1:])

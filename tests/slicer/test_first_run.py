"""The panel before the first connection: three ways to begin, the licence of the weights, and how
many actions the first segment takes. On the stand-in, with a client that answers without a server.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from panel import drag_box, label, until, voxels

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
LICENCE = "Research only. The weights learnt from data sets that allow nothing else."
SHAPE_KJI = (112, 101, 122)
"""Of the sample CT."""
WAITS = "import time; print('Uvicorn running on', flush=True); time.sleep(60)"


class Client:
    """A client whose server has weights for research only, and marks a cube around the box."""

    def __init__(
        self, address: Any, *, token: str = "", ca_file: str = "", draft_key: str = ""
    ) -> None:
        self.address = address
        self.drafts = SimpleNamespace(are_kept=False)  # as of a server before drafts
        self.uploads = SimpleNamespace(close=lambda cancel: None)
        self.used: list[tuple[str, str]] = []

    def diagnose(self, cancel: Any) -> Any:
        from SEGSAMLib.Values.Replies import Diagnosis, Model, ServerInfo

        models = (Model("segsam", (), "segsam", LICENCE), Model("free", (), "free", "Apache-2.0"))
        info = ServerInfo("SEG-SAM", "1", is_segsam=True, models=models, trainers=())
        return Diagnosis(True, "ok", "Connected.", info)

    def infer(self, model: str, image: Any, request: Any, cancel: Any, report: Any) -> Any:
        from SEGSAMLib.Values.Masks import Region
        from SEGSAMLib.Values.Replies import InferReply

        self.used.append(("infer", model))
        box = request["prompts"]["boxes"][0]["min_ijk"]
        region = Region(tuple(box), np.ones((5, 5, 1), bool))
        return InferReply(request["request_id"], region, "", None, (2,), ((2, box[2]),))

    def prefetch(self, model: str, image: Any, view: Any, cancel: Any) -> None:
        self.used.append(("prefetch", model))

    def train(self, model: str, settings: Any, cancel: Any) -> None:
        self.used.append(("train", model))


@pytest.fixture
def sample_data(monkeypatch: pytest.MonkeyPatch, scene: Any) -> list[Any]:
    """Slicer's module SampleData; what is downloaded is what the list holds."""
    import slicer

    volume = slicer.vtkMRMLScalarVolumeNode()
    volume.SetName("SEGSAM_abdomen_CT")
    volume.SetSpacing(3, 3, 3)
    slicer.util.updateVolumeFromArray(volume, np.zeros(SHAPE_KJI, np.int16))
    offered: list[Any] = [volume]

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(**given: Any) -> None:
            """What is registered is tested by `test_extension.py`."""

        def downloadSamples(self, name: str) -> list[Any]:
            assert name == "SEG-SAM abdomen CT"
            return [scene.AddNode(each) if hasattr(each, "IsA") else each for each in offered]

    module = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return offered


@pytest.fixture
def local(module: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server on this computer that can be installed: processes that print what the real ones do,
    and the client above.
    """
    from SEGSAMLib import Workflow
    from SEGSAMLib.Server.Install import Environment

    found = SimpleNamespace(is_installed=False, exit_status=0)
    panel = module.panel.server

    def install() -> Any:
        panel._is_server = False
        found.is_installed = found.exit_status == 0
        return [[sys.executable, "-c", f"raise SystemExit({found.exit_status})"]], {}

    def start() -> Any:
        panel.address = "http://127.0.0.1:8000"
        return [[sys.executable, "-c", WAITS]], {}

    monkeypatch.setattr(Workflow, "Client", Client)
    monkeypatch.setattr(Environment, "is_ready", property(lambda self: found.is_installed))
    monkeypatch.setattr(panel, "_install_steps", install)
    monkeypatch.setattr(panel, "_start_steps", start)
    panel.refresh()
    yield found
    panel.close()


def is_offered(module: Any) -> bool:
    return bool(module.ui.firstRunFrame.isVisibleTo(module.ui.firstRunFrame.parentWidget()))


def drag_around(module: Any, centre_ijk: tuple[int, int, int]) -> None:
    from gui.views import drag, pixel_of
    from SEGSAMLib.Scene import Frames

    import slicer

    logic = module.panel.session.logic
    view = slicer.app.views["Red"]
    i, j, k = centre_ijk
    corners = logic.nodes.grid.ras([(i - 7, j - 7, k), (i + 7, j + 7, k)])
    world = Frames.to_world(corners, logic.nodes.volume)
    drag(view, [pixel_of(view, corner) for corner in world])
    until_idle(module)


def until_idle(module: Any) -> None:
    until(lambda: not module.panel.session.workflow.worker.is_busy, "the answer")


def connect(module: Any, address: str) -> None:
    module.panel.connection.connect(address)
    until(lambda: module.panel.session.is_connected, "the connection")


def test_the_first_segment_takes_as_many_actions_as_the_tutorial_says(
    module: Any, local: Any, sample_data: list[Any]
) -> None:
    from SEGSAMLib.Scene.SampleCT import RIGHT_KIDNEY_IJK
    from SEGSAMLib.Scene.Views import shown_slice

    import slicer

    assert is_offered(module)
    module.ui.trySampleButton.click()
    until(lambda: module.panel.session.is_connected, "the connection")
    module.volume = module.panel.session.logic.nodes.volume
    assert module.volume.GetName() == "SEGSAM_abdomen_CT"
    assert shown_slice(module.volume, 2) == RIGHT_KIDNEY_IJK[2]
    assert module.ui.boxButton.isChecked()
    assert label(module, "statusLabel").startswith("Drag a box around the right kidney")
    slicer.app.views.show(module.volume)
    drag_around(module, RIGHT_KIDNEY_IJK)
    assert voxels(module).any()
    assert len(module.asked) == 2
    assert "Install it now?" in module.asked[0]
    assert LICENCE in module.asked[1]
    actions = ["the button", "the box", *module.asked]

    module.ui.addSegmentButton.click()
    drag_around(module, (37, 37, 96))
    assert voxels(module).any()
    assert len(module.asked) == 2, "neither question comes again"
    said = re.findall(r"first segment takes (\d) actions", TUTORIAL.read_text(encoding="utf-8"))
    assert said == [str(len(actions))]


def test_a_server_on_this_computer_and_then_they_are_not_offered_again(
    module: Any, local: Any
) -> None:
    from SEGSAM import SEGSAMWidget

    local.is_installed = True
    assert is_offered(module)
    module.ui.useLocalButton.click()
    assert not module.ui.serverSection.collapsed
    assert label(module, "statusLabel").startswith("Starting …")
    process = module.panel.server.process
    module.ui.useLocalButton.click()
    assert module.panel.server.process is process, "nothing is started twice"
    until(lambda: module.panel.session.is_connected, "the connection")
    assert module.asked == []
    assert not module.ui.boxButton.isChecked()
    assert not is_offered(module)
    again = SEGSAMWidget()
    again.setup()
    assert not is_offered(again.panel)
    again.cleanup()


def test_nothing_is_started_when_it_is_declined_or_cannot_be(
    module: Any, local: Any, sample_data: list[Any]
) -> None:
    """And for a server elsewhere."""
    own = module.panel.session.logic.nodes.volume
    volume = sample_data.pop()
    for found in ([], ["/a/path/that/could/not/be/read.nii.gz"], [None]):
        sample_data[:] = found
        module.ui.trySampleButton.click()
        assert label(module, "statusLabel").startswith("⚠ The sample CT could not be downloaded")
        assert module.panel.session.logic.nodes.volume is own
    assert module.asked == []
    module.panel.session.ask = lambda question: bool(module.asked.append(question))
    module.ui.useLocalButton.click()
    assert len(module.asked) == 1
    assert label(module, "statusLabel") == "No server was started."
    module.panel.session.ask = lambda question: True
    local.exit_status = 3
    module.ui.useLocalButton.click()
    until(lambda: label(module, "statusLabel").startswith("⚠"), "the end of the installation")
    assert label(module, "statusLabel").startswith("⚠ The installation ended (status 3)")
    module.panel.session.ask = lambda question: False
    module.ui.connectionSection.collapsed = True
    module.ui.useRemoteButton.click()
    assert not module.ui.connectionSection.collapsed
    assert module.ui.serverCombo.currentText() == ""
    assert label(module, "statusLabel").startswith("Type the address of the server")
    sample_data[:] = [volume]
    module.ui.trySampleButton.click()
    loaded = module.panel.session.logic.nodes.volume
    assert loaded.GetName() == "SEGSAM_abdomen_CT"
    sample_data.clear()
    module.ui.trySampleButton.click()
    assert module.panel.session.logic.nodes.volume is loaded, "the one that is there"
    assert not module.panel.server.process.is_running
    assert is_offered(module)


def test_a_licence_is_shown_once_for_the_weights_of_a_server(module: Any, local: Any) -> None:
    panel = module.panel
    session, flow = panel.session, panel.session.workflow
    module.ui.liveCheckBox.setChecked(False)
    connect(module, "127.0.0.1:8000")
    drag_box(module)
    session.ask = lambda question: bool(module.asked.append(question))
    panel.prompts.run()
    assert not flow.worker.is_running("segment"), "declined, nothing is used"
    assert label(module, "statusLabel").startswith("The licence of the weights was not accepted")
    session.attempt(flow.train, session.parameters())
    flow.prefetch(session.parameters(), 2, 4)
    until_idle(module)
    assert flow.client.used == []
    assert len(module.asked) == 2, "asked again when they are wanted again"

    session.ask = lambda question: bool(module.asked.append(question)) or True
    for _ in range(2):
        panel.prompts.run()
        until_idle(module)
    assert voxels(module).any()
    assert len(module.asked) == 3
    assert '"segsam" on http://127.0.0.1:8000' in module.asked[2]
    assert LICENCE in module.asked[2]
    session.node.model = "free"
    panel.prompts.run()
    until_idle(module)
    inferred = [model for task, model in flow.client.used if task == "infer"]
    assert inferred == ["segsam", "segsam", "free"], "a view that moved may prefetch in between"
    assert len(module.asked) == 3, "a licence for every use is not shown"

    session.node.model = "segsam"
    session.is_connected = False
    connect(module, "127.0.0.1:8001")
    panel.prompts.run()
    until_idle(module)
    assert len(module.asked) == 4, "another server"

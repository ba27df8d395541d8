"""Slicer's own libraries with an empty scene, and a real server of this project on loopback.

Run by `make slicer-test` in an environment that has them. Elsewhere, as in the project's own
environment with its older numpy, only those files run that need neither Slicer nor Qt.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (ROOT / "slicer_module" / "SEGSAM", HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

PLAIN = {
    "test_address.py",
    "test_confirmed_slices.py",
    "test_extension.py",
    "test_geometry.py",
    "test_history.py",
    "test_http.py",
    "test_images.py",
    "test_install.py",
    "test_layers.py",
    "test_masks.py",
    "test_prompts.py",
    "test_readers.py",
    "test_repository.py",
    "test_settings.py",
    "test_terminology.py",
    "test_translations.py",
    "test_worker.py",
}
"""Need neither Slicer nor Qt."""

WITH_SLICER = importlib.util.find_spec("slicer") is not None
if not WITH_SLICER:
    collect_ignore = sorted(path.name for path in HERE.glob("test_*.py") if path.name not in PLAIN)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow files first, then those with a server: processes then end at about the same time."""
    if not WITH_SLICER:  # the items are those of the whole project
        return
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    served = {item.path for item in items if "server" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: (item.path not in slow, item.path not in served))


@pytest.fixture(scope="session")
def libraries():  # type: ignore[no-untyped-def]
    """Slicer's scene, logics, colours and terminologies, without its application."""
    from libraries import Libraries

    return Libraries()


@pytest.fixture
def scene(libraries):  # type: ignore[no-untyped-def]
    """An empty scene."""
    libraries.clear()
    yield libraries.scene
    libraries.clear()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A running server with the quickest checkpoint, which names nothing, and some small images in
    its study folder; or the one that SEGSAM_TEST_SERVER names, which runs already.
    """
    from serving import Server, started

    if "SEGSAM_TEST_SERVER" in os.environ:
        yield Server(os.environ["SEGSAM_TEST_SERVER"], Path(), Path())
        return

    with started(
        tmp_path_factory.mktemp("server"), "--conf", "checkpoint", "litemedsam"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def qt_application(libraries: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Slicer's libraries with the stand-in for its application, and slice views."""
    import gui

    import slicer

    gui.install(tmp_path_factory.mktemp("settings"))
    from gui.views import Views

    slicer.app.views = Views(libraries.scene, libraries.application)
    yield slicer.app
    slicer.app.views.close()


@pytest.fixture
def slot_errors(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Errors of slots and observers, which Slicer logs and goes on; a test with some has failed."""
    errors: list[str] = []
    monkeypatch.setattr(
        sys, "excepthook", lambda kind, error, trace: errors.append(f"{kind.__name__}: {error}")
    )
    yield errors
    assert errors == []


@pytest.fixture
def module(qt_application: Any, scene: Any, slot_errors: list[str]) -> Iterator[Any]:
    """The module's widget, set up and entered, with the made volume; questions get a Yes."""
    import qt
    from SEGSAM import SEGSAMWidget
    from SEGSAMLib.SelfTest import synthetic_volume

    qt.QSettings().clear()
    qt.QSettings().setValue("SEGSAM/drafts/this-computer", "off")  # test_drafts.py switches it on
    widget = SEGSAMWidget()
    widget.setup()
    widget.enter()
    volume = synthetic_volume()
    widget.panel.session.node.volume = volume
    qt_application.views.show(volume)
    asked: list[str] = []
    widget.panel.session.ask = lambda question: bool(asked.append(question)) or True
    found = SimpleNamespace(
        widget=widget, panel=widget.panel, ui=widget.panel.ui, volume=volume, asked=asked
    )
    yield found
    found.widget.exit()
    found.widget.cleanup()
    scene.RemoveNode(found.widget.logic.getParameterNode().parameterNode)
    assert found.ui.segmentEditor.errors == []

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

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (ROOT / "slicer_module" / "SEGSAM", HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

PLAIN = {
    "test_address.py",
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
    "test_settings.py",
    "test_terminology.py",
    "test_worker.py",
}
"""Need neither Slicer nor Qt."""

if importlib.util.find_spec("slicer") is None:
    collect_ignore = sorted(path.name for path in HERE.glob("test_*.py") if path.name not in PLAIN)


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

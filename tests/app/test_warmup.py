"""Warming up never disturbs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from segsam_app.config import AppConfig
from segsam_app.engine import Engine
from segsam_app.warmup import Warmer


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_bad_image_is_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = tmp_path / "bad.nii"
    bad.write_bytes(b"garbage")
    with caplog.at_level(logging.INFO, "segsam_app.warmup"):
        Warmer(Engine(AppConfig())).image(bad)
        wait_for(lambda: bool(caplog.records))
    assert caplog.records[0].levelno == logging.WARNING
    assert "could not be warmed up: bad.nii" in caplog.text


def test_a_crowd_of_images_is_not_queued(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine(AppConfig())
    warmer = Warmer(engine)
    with caplog.at_level(logging.INFO, "segsam_app.warmup"):
        with engine.click():
            for n in range(20):
                warmer.image(tmp_path / f"{n}.nii")
        wait_for(lambda: len(caplog.records) >= 2)
        time.sleep(0.2)
    assert len(caplog.records) == 2

"""Encoding ahead: around what is looked at, never in anybody's way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segsam.categories import Categories, Category
from segsam.model import SegSam
from segsam.model.runtimes import EncoderRunner
from segsam.prediction.embeddings import CacheState
from segsam_app.config import AppConfig
from segsam_app.inference import warmup
from segsam_app.inference.engine import Engine
from segsam_app.inference.infer import SegSamInfer
from segsam_app.inference.requests import OurRequest
from segsam_app.inference.warmup import View, Warmer

from ...lib.conftest import TinyHost

CONFIG = AppConfig(device="cpu", checkpoint="litemedsam")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Seven slices along k, no two alike."""
    voxels = np.random.default_rng(0).integers(0, 200, (24, 24, 7)).astype(np.int16)
    path = tmp_path / "image.nii"
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """With a model that takes milliseconds, in threads that do not wait for a busy machine."""
    liver = Category("liver", (1, 2, 3), texture="Grey.", shape="Round.", position="Inside.")
    made_up = Categories((liver,), np.zeros((1, 12), np.float32), "made up for a test")
    encoder = EncoderRunner(SegSam(TinyHost(), made_up).eval())
    engine = Engine(CONFIG)
    monkeypatch.setattr(engine, "encoder_of", lambda checkpoint: encoder)
    monkeypatch.setattr(warmup, "lower_thread_priority", lambda: True)
    return engine


def encoded(engine: Engine, path: Path) -> list[int]:
    """Which slices along k are in memory."""
    predictor = engine.predictor(path, engine.volume(path))
    found = []
    for index in range(7):
        before = engine.cached.hits
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(predictor.encoder, "encode", _not_kept)
            try:
                predictor.warm(index=index)
            except _NotKeptError:
                continue
        assert engine.cached.hits == before + 1
        found.append(index)
    return found


class _NotKeptError(Exception):
    """The slice would have to be encoded."""


def _not_kept(*_: Any, **__: Any) -> Any:
    raise _NotKeptError


def test_a_bad_image_is_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = tmp_path / "bad.nii"
    bad.write_bytes(b"garbage")
    with caplog.at_level(logging.INFO, "segsam_app.inference.warmup"):
        Warmer(Engine(AppConfig())).image(bad)
        wait_for(lambda: bool(caplog.records))
    assert caplog.records[0].levelno == logging.WARNING
    assert "could not be warmed up: bad.nii" in caplog.text


def test_of_a_crowd_of_images_the_newest_are_warmed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(AppConfig())
    warmer = Warmer(engine)
    with caplog.at_level(logging.INFO, "segsam_app.inference.warmup"):
        with engine.click():
            warmer.image(tmp_path / "0.nii")
            wait_for(lambda: warmer.waiting == 0)  # it is at work, and waits for the click
            for n in range(1, 20):
                warmer.image(tmp_path / f"{n}.nii")
        wait_for(lambda: len(caplog.records) >= 3)
        time.sleep(0.2)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    assert "'19.nii'" in told[1]
    assert "'18.nii'" in told[2]


def test_an_image_that_was_opened_has_its_middle_slice(engine: Engine, image: Path) -> None:
    Warmer(engine).image(image)
    wait_for(lambda: engine.cached.prefetched == 1)
    assert encoded(engine, image) == [3]


def test_nothing_is_followed_until_the_server_says_so(engine: Engine, image: Path) -> None:
    warmer = Warmer(engine)
    assert not warmer.look(View(image, "k", 5))
    assert warmer.waiting == 0


def test_slices_are_encoded_outwards_from_the_one_that_was_clicked_on(
    engine: Engine, image: Path
) -> None:
    warmer = Warmer(engine)
    warmer.follow(3)
    click = OurRequest(prompts={"points": [{"ijk": [12, 12, 5], "positive": True}]}, axis="k")
    SegSamInfer(engine, CONFIG, look=warmer.look).segment(image, click)
    wait_for(lambda: engine.cached.prefetched == 2 and warmer.waiting == 0)
    assert encoded(engine, image) == [4, 5, 6]


def test_a_click_goes_first_and_the_newest_view_before_older_ones(
    engine: Engine, image: Path
) -> None:
    warmer = Warmer(engine)
    warmer.follow(2)
    with engine.click():
        warmer.look(View(image, "k", 0))
        warmer.look(View(image, "k", 6))
        time.sleep(0.3)
        assert engine.cached.prefetched == 0
    wait_for(lambda: warmer.waiting == 0 and engine.cached.prefetched >= 2)
    assert {5, 6} <= set(encoded(engine, image))


def test_an_upload_that_goes_with_its_request_is_not_looked_at(engine: Engine, image: Path) -> None:
    views: list[View] = []
    task = SegSamInfer(engine, CONFIG, look=views.append)
    click = OurRequest(
        prompts={"boxes": [{"min_ijk": [2, 2, 2], "max_ijk": [20, 20, 2]}]}, axis="k"
    )
    task.segment(image, click, keep=False)
    assert views == []
    task.segment(image, click)
    assert views == [View(image, "k", 2, None, "litemedsam")]


def test_half_of_the_memory_is_left_to_clicks() -> None:
    full = CacheState(entries=10, bytes=1000, limit_bytes=1000)
    assert warmup._has_room(5, full)
    assert not warmup._has_room(6, full)
    assert warmup._has_room(0, CacheState(limit_bytes=0))


def test_a_slice_that_fails_ends_its_image_alone(
    engine: Engine, image: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_memory(*_: Any, **__: Any) -> Any:
        raise RuntimeError("can't allocate memory")

    warmer = Warmer(engine)
    warmer.follow(3)
    with monkeypatch.context() as patch:
        patch.setattr(engine.encoder_of(None), "encode", no_memory)
        warmer.look(View(image, "k", 2))
        wait_for(lambda: "warming an image up failed" in caplog.text)
    assert warmer.waiting == 0
    warmer.look(View(image, "k", 2))
    wait_for(lambda: engine.cached.prefetched == 3)


def test_the_model_is_loaded_before_anybody_opens_an_image(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str | None] = []
    monkeypatch.setattr(engine, "model_of", loaded.append)
    Warmer(engine).model()
    wait_for(lambda: loaded == ["litemedsam"])

"""Prefetching: around the viewed slice, and never before a prompt."""

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
from segsam_app.inference import prefetching
from segsam_app.inference.dialects import OurRequest
from segsam_app.inference.engine import Engine
from segsam_app.inference.infer import SegSamInfer
from segsam_app.inference.prefetching import Prefetcher, View

from ...lib.conftest import TinyHost

CONFIG = AppConfig(device="cpu", checkpoint="litemedsam")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Image of seven different slices along k."""
    voxels = np.random.default_rng(0).integers(0, 200, (24, 24, 7)).astype(np.int16)
    path = tmp_path / "image.nii"
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Engine with a model that takes milliseconds, in threads of normal priority."""
    liver = Category("liver", (1, 2, 3), texture="Grey.", shape="Round.", position="Inside.")
    made_up = Categories((liver,), np.zeros((1, 12), np.float32), "made up for a test")
    encoder = EncoderRunner(SegSam(TinyHost(), made_up).eval())
    engine = Engine(CONFIG)
    monkeypatch.setattr(engine, "encoder_of", lambda checkpoint: encoder)
    monkeypatch.setattr(prefetching, "lower_thread_priority", lambda: True)
    return engine


def encoded(engine: Engine, path: Path) -> list[int]:
    """Return the slices along k whose embeddings are in memory."""
    predictor = engine.predictor(path, engine.volume(path))
    found = []
    for index in range(7):
        before = engine.cached.hits
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(predictor.encoder, "encode", _not_cached)
            try:
                predictor.warm(index=index)
            except _NotCachedError:
                continue
        assert engine.cached.hits == before + 1
        found.append(index)
    return found


class _NotCachedError(Exception):
    """Error for a slice that would have to be encoded."""


def _not_cached(*_: Any, **__: Any) -> Any:
    raise _NotCachedError


def test_a_bad_image_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = tmp_path / "bad.nii"
    bad.write_bytes(b"garbage")
    with caplog.at_level(logging.INFO, "segsam_app.inference.prefetching"):
        Prefetcher(Engine(AppConfig())).open_image(bad)
        wait_for(lambda: bool(caplog.records))
    assert caplog.records[0].levelno == logging.WARNING
    assert "could not be prefetched: bad.nii" in caplog.text


def test_the_newest_of_many_images_are_prefetched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(AppConfig())
    prefetcher = Prefetcher(engine)
    with caplog.at_level(logging.INFO, "segsam_app.inference.prefetching"):
        with engine.interactive():
            prefetcher.open_image(tmp_path / "0.nii")
            wait_for(lambda: prefetcher.pending == 0)  # it has started, and waits for the annotator
            for n in range(1, 20):
                prefetcher.open_image(tmp_path / f"{n}.nii")
        wait_for(lambda: len(caplog.records) >= 3)
        time.sleep(0.2)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert "'19.nii'" in lines[1]
    assert "'18.nii'" in lines[2]


def test_an_image_that_was_opened_has_its_middle_slice(engine: Engine, image: Path) -> None:
    Prefetcher(engine).open_image(image)
    wait_for(lambda: engine.cached.prefetched == 1)
    assert encoded(engine, image) == [3]


def test_nothing_is_prefetched_until_the_server_sets_it(engine: Engine, image: Path) -> None:
    prefetcher = Prefetcher(engine)
    assert not prefetcher.prefetch_around(View(image, "k", 5))
    assert prefetcher.pending == 0


def test_slices_are_encoded_outwards_from_the_one_that_was_clicked_on(
    engine: Engine, image: Path
) -> None:
    prefetcher = Prefetcher(engine)
    prefetcher.set_slices(3)
    click = OurRequest(prompts={"points": [{"ijk": [12, 12, 5], "positive": True}]}, axis="k")
    SegSamInfer(engine, CONFIG, on_view=prefetcher.prefetch_around).segment(image, click)
    wait_for(lambda: engine.cached.prefetched == 2 and prefetcher.pending == 0)
    assert encoded(engine, image) == [4, 5, 6]


def test_prompts_go_first_and_the_newest_view_before_older_ones(
    engine: Engine, image: Path
) -> None:
    prefetcher = Prefetcher(engine)
    prefetcher.set_slices(2)
    with engine.interactive():
        prefetcher.prefetch_around(View(image, "k", 0))
        prefetcher.prefetch_around(View(image, "k", 6))
        time.sleep(0.3)
        assert engine.cached.prefetched == 0
    wait_for(lambda: prefetcher.pending == 0 and engine.cached.prefetched >= 2)
    assert {5, 6} <= set(encoded(engine, image))


def test_a_temporary_upload_is_not_prefetched(engine: Engine, image: Path) -> None:
    views: list[View] = []
    task = SegSamInfer(engine, CONFIG, on_view=views.append)
    click = OurRequest(
        prompts={"boxes": [{"min_ijk": [2, 2, 2], "max_ijk": [20, 20, 2]}]}, axis="k"
    )
    task.segment(image, click, temporary=True)
    assert views == []
    task.segment(image, click)
    assert views == [View(image, "k", 2, None, "litemedsam")]


def test_half_of_the_cache_is_left_to_prompts() -> None:
    full = CacheState(entries=10, bytes=1000, limit_bytes=1000)
    assert prefetching._has_room(5, full)
    assert not prefetching._has_room(6, full)
    assert prefetching._has_room(0, CacheState(limit_bytes=0))


def test_a_slice_that_fails_ends_its_image_alone(
    engine: Engine, image: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_memory(*_: Any, **__: Any) -> Any:
        raise RuntimeError("can't allocate memory")

    prefetcher = Prefetcher(engine)
    prefetcher.set_slices(3)
    with monkeypatch.context() as patch:
        patch.setattr(engine.encoder_of(None), "encode", no_memory)
        prefetcher.prefetch_around(View(image, "k", 2))
        wait_for(lambda: "prefetching an image failed" in caplog.text)
    assert prefetcher.pending == 0
    prefetcher.prefetch_around(View(image, "k", 2))
    wait_for(lambda: engine.cached.prefetched == 3)


def test_the_model_is_loaded_before_anybody_opens_an_image(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str | None] = []
    monkeypatch.setattr(engine, "model_of", loaded.append)
    Prefetcher(engine).load_model()
    wait_for(lambda: loaded == ["litemedsam"])

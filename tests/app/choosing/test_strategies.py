"""Strategies choose by the overviews in memory, with a reason, and never wait for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

import segsam.model.checkpoint as checkpoint_module
from segsam.errors import CancelledError, LabelError, OutputError, VolumeError
from segsam_app.choosing.overviews import Overviews
from segsam_app.choosing.refused import RefusedImages
from segsam_app.choosing.scoring import BackgroundScorer, OverviewScoring, local_images
from segsam_app.choosing.strategies import DESCRIPTIONS, SelectionStrategy
from segsam_app.config import AppConfig
from segsam_app.errors import RequestError
from segsam_app.inference.engine import Engine
from segsam_app.storage.store import Store
from segsam_app.web.request_queue import RequestQueue

from ...dicom_writing import write_series
from ...lib.conftest import TinyHost
from ..finding import sure_checkpoint
from ..tuning import make_store, save_label, scene

CASES = [f"case{case}" for case in range(4)]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
    path = sure_checkpoint(tmp_path)
    return Engine(AppConfig(checkpoint=str(path), device="cpu"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "studies", len(CASES))


@pytest.fixture
def overviews(engine: Engine, tmp_path: Path) -> Overviews:
    return Overviews(engine, tmp_path / "cache")


def update_all(overviews: Overviews, store: Store) -> None:
    for image in local_images(store):
        path = Path(store.get_image_uri(image))
        overviews.update(image, path)


def nothing() -> None:
    """Callback without an effect."""


def ask(name: str, overviews: Overviews, store: Store, **request: Any) -> dict[str, Any]:
    found = SelectionStrategy(name, overviews, nothing)(request, store)  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_without_overviews_an_image_is_chosen_all_the_same(
    name: str, overviews: Overviews, store: Store
) -> None:
    found = ask(name, overviews, store)
    assert found["id"] in CASES
    assert found["score"] is None
    assert found["why"]
    if name in ("agreement", "diversity"):
        assert "It is not known yet" in found["why"]
    assert ask(name, overviews, store) == found


def test_overviews_decide(overviews: Overviews, store: Store) -> None:
    update_all(overviews, store)
    known = overviews.in_memory()
    assert set(known) == set(CASES)
    doubts = {name: one.disagreement for name, one in known.items()}
    assert len(set(doubts.values())) == len(CASES)
    found = ask("agreement", overviews, store)
    assert found["id"] == max(doubts, key=lambda name: doubts[name] or 0)
    assert found["score"] == pytest.approx(doubts[found["id"]])
    save_label(store, 0, {1: "liver"})
    far = {
        name: float(np.linalg.norm(overview.embedding - known["case0"].embedding))
        for name, overview in known.items()
    }
    found = ask("diversity", overviews, store)
    assert found["id"] == max(far, key=lambda name: far[name])
    assert "differs most" in found["why"]
    assert "both" in ask("mix", overviews, store)["why"]


def test_an_image_that_was_assigned_a_moment_ago_waits(overviews: Overviews, store: Store) -> None:
    given = ask("random", overviews, store)["id"]
    store.update_image_info(given, {"strategy": {"random": {"ts": int(time.time())}}})
    found = ask("random", overviews, store)
    assert found["id"] != given
    assert "1 more were given out a moment ago." in found["why"]
    assert ask("first", overviews, store)["id"] == "case0", "the first is the first"
    for case in CASES:
        store.update_image_info(case, {"strategy": {"mix": {"ts": int(time.time())}}})
    assert ask("random", overviews, store)["id"] in CASES, "there is no other"


def test_nothing_is_chosen_when_all_is_labelled(overviews: Overviews, store: Store) -> None:
    for case in range(len(CASES)):
        save_label(store, case, {1: "liver"})
    assert SelectionStrategy("mix", overviews, nothing)({}, store) is None


def test_the_request_sets_the_seed(overviews: Overviews, store: Store) -> None:
    drawn = {ask("random", overviews, store, seed=seed)["id"] for seed in range(30)}
    assert drawn == set(CASES)
    assert SelectionStrategy("random", overviews, nothing).info()["config"] == {"seed": 0}
    with pytest.raises(RequestError, match="seed must be a whole number, got 'x'"):
        ask("random", overviews, store, seed="x")


class TestCache:
    def test_it_is_read_again_and_not_computed(
        self, overviews: Overviews, store: Store, engine: Engine, tmp_path: Path
    ) -> None:
        update_all(overviews, store)
        again = Overviews(engine, tmp_path / "cache")
        assert again.in_memory() == {}
        for image in local_images(store):
            path = Path(store.get_image_uri(image))
            again.update(image, path, wait=must_not_be_called)
        for name, one in overviews.in_memory().items():
            np.testing.assert_allclose(again.in_memory()[name].embedding, one.embedding, atol=1e-4)
            assert again.in_memory()[name].disagreement == one.disagreement

    def test_another_image_or_other_weights_are_computed_again(
        self, overviews: Overviews, store: Store, tmp_path: Path
    ) -> None:
        update_all(overviews, store)
        path = Path(store.get_image_uri("case0"))
        assert overviews.is_current("case0", path)
        nibabel.save(nibabel.Nifti1Image(scene(3)[0][::-1].copy(), np.eye(4)), path)
        assert not overviews.is_current("case0", path)
        other = Engine(AppConfig(checkpoint=str(tmp_path / "tiny.safetensors"), device="cpu"))
        assert Overviews(other, tmp_path / "cache")._weights() != overviews._weights()

    def test_a_damaged_file_is_computed_again(
        self, overviews: Overviews, store: Store, engine: Engine, tmp_path: Path
    ) -> None:
        update_all(overviews, store)
        for file in (tmp_path / "cache").iterdir():
            file.write_text('{"doubt": 0.')
        again = Overviews(engine, tmp_path / "cache")
        update_all(again, store)
        assert set(again.in_memory()) == set(CASES)

    def test_an_untrained_semantic_decoder_has_no_doubt(self, store: Store) -> None:
        engine = Engine(AppConfig(checkpoint="litemedsam", device="cpu"))
        overviews = Overviews(engine, None)
        path = Path(store.get_image_uri("case0"))
        overviews.update("case0", path)
        assert overviews.in_memory()["case0"].disagreement is None
        assert "It is not known yet how far" in ask("agreement", overviews, store)["why"]

    def test_a_stopped_computation_stores_nothing(self, overviews: Overviews, store: Store) -> None:
        path = Path(store.get_image_uri("case0"))
        with pytest.raises(CancelledError):
            overviews.update("case0", path, should_stop=lambda: True)
        assert overviews.in_memory() == {}


def must_not_be_called() -> None:
    raise AssertionError("a slice was computed")


class TestInTheBackground:
    @pytest.fixture
    def scorer(self, overviews: Overviews, store: Store) -> Any:
        made = BackgroundScorer(overviews, RequestQueue(2), lambda: store, RefusedImages())
        yield made
        made.close()

    def test_a_strategy_that_uses_overviews_starts_it(
        self, scorer: BackgroundScorer, overviews: Overviews, store: Store
    ) -> None:
        SelectionStrategy("random", overviews, scorer.update)({}, store)
        assert scorer._thread is None
        SelectionStrategy("mix", overviews, scorer.update)({}, store)
        until(lambda: set(overviews.in_memory()) == set(CASES))

    def test_an_unreadable_image_is_skipped(
        self, scorer: BackgroundScorer, overviews: Overviews, store: Store, tmp_path: Path
    ) -> None:
        (tmp_path / "studies" / "bad.nii.gz").write_bytes(b"no image")
        store.refresh()
        scorer.update()
        until(lambda: set(overviews.in_memory()) == set(CASES))

    def test_a_series_that_cannot_be_read_stops_nothing(
        self, overviews: Overviews, store: Store, tmp_path: Path
    ) -> None:
        """It comes before the others, and its file cannot be made: a slice is missing."""
        write_series(tmp_path / "studies" / "a")[2].unlink()
        store.refresh()
        (series,) = set(store.list_images()) - set(CASES)
        assert sorted(store.list_images())[0] == series
        with pytest.raises(VolumeError, match="slice"):
            store.get_image_uri(series)
        refused = RefusedImages()
        scorer = BackgroundScorer(overviews, RequestQueue(2), lambda: store, refused)
        scorer.update()
        until(lambda: set(overviews.in_memory()) == set(CASES))
        assert set(refused.current()) == {series}
        assert "slice" in refused.current()[series]
        scorer.close()

    def test_a_store_that_is_away_for_a_while_stops_nothing(
        self, overviews: Overviews, store: Store
    ) -> None:
        asked = threading.Event()

        def away() -> Store:
            if not asked.is_set():
                asked.set()
                raise OutputError("the folder is away")
            return store

        scorer = BackgroundScorer(overviews, RequestQueue(2), away, RefusedImages())
        scorer.update()
        assert asked.wait(30)
        scorer.update()
        until(lambda: set(overviews.in_memory()) == set(CASES))
        scorer.close()

    def test_it_waits_for_the_queue_and_ends_at_once(
        self, overviews: Overviews, store: Store
    ) -> None:
        queue = RequestQueue(2)
        scorer = BackgroundScorer(overviews, queue, lambda: store, RefusedImages())
        with queue.slot(nothing):
            scorer.update()
            threading.Event().wait(0.1)
            assert overviews.in_memory() == {}
            scorer.close()
        assert overviews.in_memory() == {}
        scorer.update()  # after its end: nothing is started
        assert scorer._thread is not None
        assert not scorer._thread.is_alive()

    def test_a_process_of_its_own_writes_them_to_disk(
        self,
        overviews: Overviews,
        store: Store,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("os.nice", lambda _: 0)  # this process goes on after it
        (tmp_path / "studies" / "bad.nii.gz").write_bytes(b"no image")
        write_series(tmp_path / "studies" / "a")[2].unlink()  # a slice is missing
        store.refresh()
        (series,) = set(store.list_images()) - {*CASES, "bad"}
        report = OverviewScoring(overviews)({}, store)
        assert report["images"] == 6
        assert set(report["refused"]) == {"bad", series}
        assert len(list((tmp_path / "cache").iterdir())) == 4


def until(holds: Callable[[], bool]) -> None:
    for _ in range(3000):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("the condition never became true")


@pytest.mark.parametrize("strategy", ["random", "first", "agreement", "diversity", "mix"])
def test_the_reply_has_a_reason(server: Any, strategy: str) -> None:
    reply = server.ask("POST", f"/activelearning/{strategy}", json={})
    assert reply.status_code == 200, reply.text
    sample = reply.json()
    assert sample["strategy"] == strategy
    assert sample["why"].endswith((".", ".)"))
    assert sample["score"] is None or isinstance(sample["score"], float)
    assert sample["id"]


@pytest.mark.parametrize(("error", "count"), [(LabelError, 0), (VolumeError, 1)])
def test_a_label_that_a_request_names_says_nothing_about_its_image(
    tmp_path: Path, error: type[VolumeError], count: int
) -> None:
    refused = RefusedImages()
    with pytest.raises(error), refused.noting("case0", tmp_path):
        raise error("it lies elsewhere")
    assert len(refused.current()) == count

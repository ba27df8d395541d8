"""Objects by name: requests with `find`, their replies and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segsam.model.checkpoint as checkpoint_module
from segsam.errors import CancelledError, CategoryError
from segsam.imaging.volume import Volume
from segsam.model import load_pretrained, save_checkpoint
from segsam.prediction import naming
from segsam.prediction.completion.carried import CarriedState, Gain
from segsam.prediction.taught import matching
from segsam.prediction.taught.examples import TaughtExample
from segsam.remote.masks import decode_mask
from segsam_app.config import AppConfig
from segsam_app.errors import RequestError
from segsam_app.inference.auto import AutoInfer
from segsam_app.inference.engine import Engine
from segsam_app.inference.finding import MOST_NAMES, FindRequest
from segsam_app.inference.infer import SegSamInfer
from segsam_app.inference.progress import ProgressTracker
from segsam_app.storage.damage import DamageList
from segsam_app.storage.taught_names import TaughtStore
from segsam_app.storage.write_lock import WriteLock

from ...lib.conftest import TinyHost
from ...lib.made_memory import with_distances
from ..finding import sure_checkpoint
from ..tuning import scene

QUICK = {"least": 0.0, "slices": 1, "grid": 3}
EXAMPLE = TaughtExample(np.ones(8, np.float32), (0.5, 0.5), "encoder", "case7", "k", 1)


@pytest.fixture(autouse=True)
def agreeing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept the agreement of these models' decoders, whose weights were drawn at random."""
    monkeypatch.setattr(naming, "AGREEING_FROM", 0.0)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "case0.nii.gz"
    Volume.from_array(scene(0)[0], np.diag([1.0, 1.0, 3.0, 1.0])).save(path)
    return path


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SegSamInfer:
    """The model, with a checkpoint that finds a liver everywhere and nothing else."""
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
    config = AppConfig(checkpoint=str(sure_checkpoint(tmp_path)), device="cpu")
    studies = tmp_path / "studies"
    studies.mkdir()
    store = TaughtStore(studies, WriteLock(studies), DamageList(studies))
    store.teach("left psoas", [EXAMPLE])
    return SegSamInfer(Engine(config), config, progress=ProgressTracker(), taught=lambda: store)


def test_masks_and_what_was_not_found(task: SegSamInfer, image: Path) -> None:
    params = {"find": ["Liver", " spleen "], "result": "region", "request_id": "f1", **QUICK}
    file, reply = task.segment(image, task.read(params))
    assert file is None
    json.dumps(reply, allow_nan=False)
    assert reply["label_names"] == {"liver": 1}
    assert reply["request_id"] == "f1"
    (one,) = reply["objects"]
    assert (one["name"], one["value"], one["name_source"]) == ("liver", 1, "checkpoint")
    mask = decode_mask(one["mask"], scene(0)[0].shape)
    assert np.count_nonzero(mask) == reply["certainties"]["liver"]["voxels"] > 0
    (left,) = reply["not_found"]
    assert (left["requested"], left["name"]) == ("spleen", "spleen")
    assert left["probability"] < 0.01
    assert left["sentence"].startswith("Not found: spleen, because none of the slices")


def test_the_label_file_is_that_of_the_masks(task: SegSamInfer, image: Path) -> None:
    params = {"find": ["liver"], "result_extension": ".nii.gz", **QUICK}
    file, reply = task.segment(image, task.read(params))
    voxels = Volume.load(str(file)).voxels
    Path(str(file)).unlink()
    assert np.count_nonzero(voxels == 1) == reply["certainties"]["liver"]["voxels"]
    assert "objects" not in reply


def test_a_taught_name_is_known(task: SegSamInfer, image: Path) -> None:
    """The names are listed for clients; this checkpoint has no memory to compare them with."""
    assert task.info()["taught"] == ["left psoas"]
    assert task.info()["finds"] is True
    _, reply = task.segment(image, task.read({"find": ["Left Psoas"], "result": "region", **QUICK}))
    assert "no memory of examples" in reply["not_found"][0]["reason"]
    with pytest.raises(CategoryError, match=r"no taught name 'lef psoas'.*'left psoas'"):
        task.segment(image, task.read({"find": ["lef psoas"]}))


def test_what_was_learnt_about_a_taught_name_draws_it(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name, and among first labels that nobody asked for by name."""
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
    monkeypatch.setattr(matching, "POSITION_WEIGHT", 0.01)  # weights at random draw anywhere
    path = sure_checkpoint(tmp_path)
    unlike = with_distances(load_pretrained(path), {0: 3.0, 1: 3.0})
    save_checkpoint(unlike, path, unlike.card)
    config = AppConfig(checkpoint=str(path), device="cpu")
    engine, store = Engine(config), TaughtStore(tmp_path, WriteLock(tmp_path), DamageList(tmp_path))
    encoder = engine.encoder_of(engine.resolved(None))
    described = np.ones(2 * encoder.model.host.facts.embed_dim, np.float32)
    example = replace(EXAMPLE, description=described, embedding=encoder.embedding_id)
    name, weights = store.teach("psoas", [example]), encoder.model.host.mask_decoder.state_dict()
    state = CarriedState(encoder.weights_id, weights, name.name, ("case7",), Gain(0.5, 0.8))
    assert store.keep_learnt(name, state, weights)
    task = SegSamInfer(engine, config, progress=ProgressTracker(), taught=lambda: store)
    auto = AutoInfer(engine, ProgressTracker(), lambda: task.checkpoint_info, lambda: store)
    replies = [
        task.segment(image, task.read({"find": ["psoas"], "result": "region", **QUICK}))[1],
        auto.segment(image, auto.read(QUICK))[1],
    ]
    for reply in replies:
        assert reply["certainties"]["psoas"]["learnt_in"] == ["case7"]
        assert "The psoas is drawn by what was learnt as 'psoas' in case7." in reply["notes"]
    store.keep_learnt(name, replace(state, parent="before"), weights)
    _, reply = task.segment(image, task.read({"find": ["psoas"], **QUICK}))
    assert reply["certainties"]["psoas"]["learnt_in"] == []
    assert "is of another version of the model" in reply["notes"][0]


def test_what_stock_clients_add_has_no_effect(task: SegSamInfer) -> None:
    added = {"label": "x", "foreground": [], "background": [], "device": "cuda", "client_id": "c"}
    request = task.read({"find": ["liver"], **added})
    assert isinstance(request, FindRequest)
    assert request.find == ["liver"]
    assert request.is_preemptible


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"find": []}, "find"),
        ({"find": "liver"}, "find"),
        ({"find": [""]}, "find"),
        ({"find": [3]}, "find"),
        ({"find": ["liver"] * (MOST_NAMES + 1)}, "find"),
        ({"find": ["liver"], "axis": "all"}, "axis"),
        ({"find": ["liver"], "result": "slice"}, "result"),
        ({"find": ["liver"], "finds": 1}, "finds"),
        ({"find": ["liver"], "prompts": {"points": []}}, "find and prompts"),
        ({"find": ["liver"], "confirmed": [1]}, "find and confirmed"),
        ({"find": ["liver"], "confirmed": []}, "find and confirmed"),
        ({"find": ["liver"], "foreground": [[1, 2, 3]]}, "find and foreground"),
    ],
    ids=str,
)
def test_invalid_requests_are_refused(
    task: SegSamInfer, params: dict[str, Any], words: str
) -> None:
    with pytest.raises(RequestError, match=words) as refused:
        task.read(params)
    assert len(str(refused.value)) < 400


def test_it_can_be_watched_and_cancelled(task: SegSamInfer, image: Path) -> None:
    reports: list[dict[str, Any]] = []

    def cancel() -> bool:
        if task._progress._running:
            reports.append(task._progress.get("f2"))
        return len(reports) > 2

    with pytest.raises(CancelledError):
        task.segment(
            image, task.read({"find": ["liver"], "request_id": "f2", **QUICK}), cancel=cancel
        )
    assert reports[-1]["done"] >= 1
    assert "slice k" in reports[-1]["what"]

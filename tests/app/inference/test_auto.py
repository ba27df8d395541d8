"""Segmentation without prompts: one image, a folder of images, and refused requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
from monailabel.config import settings
from monailabel.utils.others.class_utils import get_class_of_subclass_from_file

import segsam.model.checkpoint as checkpoint_module
from segsam.errors import CancelledError, CategoryError
from segsam.prediction import naming
from segsam_app.errors import RequestError
from segsam_app.inference.auto import AUTO_MODEL, AutoRequest
from segsam_app.inference.requests import window_of

from ...lib.conftest import TinyHost
from ..finding import sure_checkpoint
from ..tuning import scene

ROOT = Path(__file__).resolve().parents[3]
ANYTHING = {"least": 0.0, "slices": 1, "grid": 3}


@pytest.fixture(autouse=True)
def agreeing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept the agreement of these models' decoders, whose weights were drawn at random."""
    monkeypatch.setattr(naming, "AGREEING_FROM", 0.0)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
    return sure_checkpoint(tmp_path)


@pytest.fixture
def app(tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the real app in this process, as MONAI Label's child processes build it."""
    monkeypatch.setattr(settings, "MONAI_LABEL_DATASTORE_AUTO_RELOAD", False)
    monkeypatch.setattr(settings, "MONAI_LABEL_SESSION_PATH", str(tmp_path / "sessions"))
    studies = tmp_path / "studies"
    studies.mkdir()
    for case in range(2):
        image = nibabel.Nifti1Image(scene(case)[0], np.diag([1.0, 1.0, 3.0, 1.0]))
        nibabel.save(image, studies / f"case{case}.nii.gz")
    (studies / "text.nii.gz").write_bytes(b"this is not an image")
    main = ROOT / "monailabel_app" / "main.py"
    found = get_class_of_subclass_from_file("main", str(main), "MONAILabelApp")
    conf = {
        "checkpoint": str(checkpoint),
        "device": "cpu",
        "warm": "off",
        "versions_folder": str(tmp_path / "versions"),
    }
    return found(app_dir=str(main.parent), studies=str(studies), conf=conf)


def test_stock_clients_find_it_among_the_automatic_models(app: Any) -> None:
    model = app.info()["models"][AUTO_MODEL]
    assert (model["type"], model["dimension"]) == ("segmentation", 3)
    assert model["labels"] == ["liver", "spleen", "heart"]
    assert model["config"]["slices"][0] == 5


def test_one_image(app: Any) -> None:
    answered = app.infer({"model": AUTO_MODEL, "image": "case0", **ANYTHING})
    voxels, _ = nrrd.read(answered["file"])
    reply = answered["params"]
    json.dumps(reply, allow_nan=False)
    assert voxels.shape == scene(0)[0].shape
    assert reply["label_names"] == {"liver": 1}
    assert set(np.unique(voxels)) == {0, 1}
    certainty = reply["certainties"]["liver"]
    assert 0 <= certainty["certainty"] <= 1
    assert set(certainty["slices"])
    assert min(certainty["presence"].values()) > 0.99
    assert app.datastore().get_labels_by_image_id("case0") == {}
    Path(answered["file"]).unlink()


def test_a_batch_saves_its_labels_and_goes_on_after_an_error(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.nice", lambda _: 0)  # this process goes on after it
    done = app.batch_infer({"model": AUTO_MODEL, "images": "all", "max_workers": 1, **ANYTHING})
    assert set(done) == {"case0", "case1", "text"}
    assert done["text"]["code"] == "volume"
    store = app.datastore()
    for case in ("case0", "case1"):
        assert store.get_labels_by_image_id(case) == {"original": case}
        info = store.get_label_info(case, "original")
        assert info["names"] == {"1": "liver"}
        assert info["model"] == AUTO_MODEL
        assert 0 <= info["certainties"]["liver"]["certainty"] <= 1
        assert not Path(done[case].get("file", "/nowhere")).exists()
    assert store.get_unlabeled_images() == ["case0", "case1", "text"], "nothing of it is final"


def test_annotators_labels_are_never_overwritten(app: Any) -> None:
    request = {"model": AUTO_MODEL, "image": "case0", "save_label": True, "label_tag": "final"}
    with pytest.raises(RequestError, match="label_tag final is what annotators saved"):
        app.infer({**request, **ANYTHING})


def test_a_batch_has_no_deadline_of_requests(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At low priority an image may take longer than anybody would wait for an answer."""
    monkeypatch.setattr(app, "limits", app.limits.model_copy(update={"infer_seconds": 0}))
    done = app.batch_infer({"model": AUTO_MODEL, "images": "unlabeled", **ANYTHING})
    assert set(done) >= {"case0", "case1"}
    assert not any("error" in done[case] for case in ("case0", "case1"))


def test_progress_is_reported_while_it_runs(app: Any) -> None:
    reports: list[dict[str, Any]] = []
    image = Path(app.datastore().get_image_uri("case0"))
    request = AutoRequest.model_validate({**ANYTHING, "request_id": "mine"})

    def cancel() -> bool:
        if reports or app.progress._running:
            reports.append(app.progress.get("mine"))
        return len(reports) > 2

    with pytest.raises(CancelledError):
        app.task(AUTO_MODEL).segment(image, request, cancel=cancel)
    assert reports[-1]["done"] >= 1
    assert "slice k" in reports[-1]["what"]
    with pytest.raises(Exception, match="no inference with the request_id 'mine' runs"):
        app.progress.get("mine")


def test_an_unknown_category_is_refused(app: Any) -> None:
    with pytest.raises(CategoryError, match="no category 'leber'"):
        app.infer({"model": AUTO_MODEL, "image": "case0", "categories": ["leber"]})


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"axis": "all"}, "axis"),
        ({"slices": 0}, "slices"),
        ({"least": 1.5}, "least"),
        ({"prompts": {}}, "got prompts"),
        ({"window": [3, 1]}, "window"),
    ],
    ids=str,
)
def test_an_invalid_request_is_refused(params: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        assert window_of(AutoRequest.model_validate(params).window)


class TestByHttp:
    """Requests to the shared server, whose checkpoint has no trained semantic decoder."""

    def test_without_trained_semantics_it_is_not_listed_and_refused(self, server: Any) -> None:
        assert AUTO_MODEL not in server.get("/info/").json()["models"]
        reply = server.infer({"image": "straight"}, model=AUTO_MODEL)
        assert (reply.status_code, reply.json()["code"]) == (400, "prompt")
        assert "no trained semantic decoder" in reply.json()["detail"]

    def test_there_is_no_progress_without_an_inference(self, server: Any) -> None:
        reply = server.get("/segsam/progress/nobody")
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
        reply = server.get("/segsam/progress/nobody?optional=true")
        assert (reply.status_code, reply.json()) == (200, None)

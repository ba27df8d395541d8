"""Names by a memory of examples, through the app itself: replies of both dialects, batches, and
first labels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monailabel.config import settings
from monailabel.utils.others.class_utils import get_class_of_subclass_from_file

import segsam.model.checkpoint as checkpoint_module
from segsam.model import load_pretrained, save_checkpoint
from segsam.prediction import naming
from segsam_app.inference.auto import AUTO_MODEL

from ...lib.conftest import TinyHost
from ...lib.made_memory import with_distances
from ..finding import sure_checkpoint
from ..tuning import scene

MAIN = Path(__file__).resolve().parents[3] / "monailabel_app" / "main.py"
LIKE_LIVERS = {0: 0.1, 1: 1.0}
UNLIKE_ALL = {0: 0.7, 1: 0.9}
OURS = {"prompts": {"boxes": [{"min_ijk": [4, 5, 2], "max_ijk": [14, 16, 2]}]}, "result": "region"}
STOCK = {"label": "mine", "roi": [4, 14, 5, 16, 2, 2]}
DIALECTS = pytest.mark.parametrize("asked", [OURS, STOCK], ids=["ours", "stock"])


@pytest.fixture(autouse=True)
def agreeing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept the agreement of these models' decoders, whose weights were drawn at random."""
    monkeypatch.setattr(naming, "AGREEING_FROM", 0.0)


@pytest.fixture
def make_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that builds the app in this process, with a checkpoint that calls all
    livers and objects at some distances from its examples.
    """
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
    monkeypatch.setattr(settings, "MONAI_LABEL_DATASTORE_AUTO_RELOAD", False)
    monkeypatch.setattr(settings, "MONAI_LABEL_SESSION_PATH", str(tmp_path / "sessions"))
    monkeypatch.setattr("os.nice", lambda _: 0)
    studies = tmp_path / "studies"
    studies.mkdir()
    image = nibabel.Nifti1Image(scene(0)[0], np.diag([1.0, 1.0, 3.0, 1.0]))
    nibabel.save(image, studies / "case0.nii.gz")

    def make(distances: Mapping[int, float]) -> Any:
        model = with_distances(load_pretrained(sure_checkpoint(tmp_path)), distances)
        path = save_checkpoint(model, tmp_path / "remembers.safetensors", model.card)
        conf = {
            "checkpoint": str(path),
            "device": "cpu",
            "warm": "off",
            "versions_folder": str(tmp_path / "versions"),
        }
        found = get_class_of_subclass_from_file("main", str(MAIN), "MONAILabelApp")
        return found(app_dir=str(MAIN.parent), studies=str(studies), conf=conf)

    return make


@DIALECTS
def test_an_unlike_object_has_suggestions_and_the_reason(
    make_app: Any, asked: dict[str, Any]
) -> None:
    reply = make_app(UNLIKE_ALL).infer({"model": "segsam", "image": "case0", **asked})["params"]
    json.dumps(reply, allow_nan=False)
    assert (reply["category"], reply["confidence"]) == (None, None)
    (name, share), *rest = reply["suggestions"].items()
    assert name == "liver"
    assert 0.005 <= share < 0.5
    assert all(0.005 <= less <= share for _, less in rest)
    assert any(
        note.startswith("Not named: unlike anything that this model has been taught.")
        for note in reply["notes"]
    )
    wanted = "mine" if asked is STOCK else "object"
    assert reply["label_names"] == {wanted: 1}


@DIALECTS
def test_a_like_object_is_named(make_app: Any, asked: dict[str, Any]) -> None:
    reply = make_app(LIKE_LIVERS).infer({"model": "segsam", "image": "case0", **asked})["params"]
    assert reply["category"] == "liver"
    assert reply["suggestions"] == {"liver": reply["confidence"]}
    assert not any("Not named" in note for note in reply["notes"])


def test_a_saved_label_of_the_model_keeps_the_suggestions(make_app: Any) -> None:
    app = make_app(UNLIKE_ALL)
    asked = {"model": "segsam", "image": "case0", "save_label": True, "roi": STOCK["roi"]}
    reply = app.infer(asked)["params"]
    info = app.datastore().get_label_info("case0", "original")
    assert next(iter(info["suggestions"])) == "liver"
    assert info["suggestions"] == reply["suggestions"]
    assert any(note.startswith("Not named: ") for note in info["notes"])


def test_first_labels_are_named_by_the_same_rule(make_app: Any) -> None:
    asked = {"model": AUTO_MODEL, "image": "case0", "least": 0.0, "slices": 1, "grid": 3}
    app = make_app(LIKE_LIVERS)
    assert app.infer(asked)["params"]["label_names"] == {"liver": 1}
    reply = make_app(UNLIKE_ALL).infer(asked)["params"]
    assert reply["label_names"] == {}
    assert any("objects that look most like liver" in note for note in reply["notes"])

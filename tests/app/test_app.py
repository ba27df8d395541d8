"""Description of the app, and the rounds of annotation."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import requests
from monailabel.client.client import MONAILabelClientException
from monailabel.config import settings
from monailabel.utils.others.class_utils import get_class_of_subclass_from_file

from segsam.errors import CheckpointError
from segsam_app.errors import ConfigError, NotFoundError, RequestError

ROOT = Path(__file__).resolve().parents[2]

UNCLOSED = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""MONAI Label's client leaves its sockets and files to the garbage collector."""

pytestmark = UNCLOSED


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_info_is_what_the_stock_module_reads(server: Any) -> None:
    text = requests.get(f"{server.url}/info/", timeout=30).text
    info = json.loads(text, parse_constant=refuse_constant)
    model = info["models"]["segsam"]
    assert info["name"] == "SEG-SAM"
    assert info["labels"] == ["ball", "rest"]
    assert (model["type"], model["dimension"]) == ("deepgrow", 3)
    assert model["checkpoint"] == {
        "name": "litemedsam",
        "trained": False,
        "categories": [],
        "prompts": [],
        "memory": False,
        "licence": "Apache-2.0",
    }
    assert model["config"]["propagate"] == ["in boxes", "always", "never"]
    standin = info["models"]["standin"]["checkpoint"]
    assert standin["trained"]
    assert standin["categories"] == ["liver", "spleen"]
    assert model["config"]["axis"][0] == "auto"
    assert list(info["strategies"]) == ["random", "first", "agreement", "diversity", "mix"]
    assert info["trainers"]["segsam"]["config"]["max_epochs"] == 20
    assert info["train_stats"] == {"segsam": {}}
    assert "config" not in info  # with it, the module asks to upgrade the server
    assert info["datastore"]["total"] >= 6


@pytest.mark.parametrize("strategy", ["random", "first"])
def test_a_next_sample_is_an_image_of_the_folder(
    server: Any, tmp_path: Path, strategy: str
) -> None:
    sample = server.client(tmp_path).next_sample(strategy, {})
    assert "path" not in sample, "where it is on the server is of no use to a client"
    names = {path.name.partition(".")[0] for path in server.studies.iterdir()}
    assert sample["id"] in names


def test_an_unknown_strategy_is_not_found(server: Any, tmp_path: Path) -> None:
    with pytest.raises(MONAILabelClientException) as refused:
        server.client(tmp_path).next_sample("wisest", {})
    assert refused.value.status_code == 404
    assert json.loads(refused.value.response)["detail"] == (
        "there is no strategy 'wisest'; this server has: random, first, agreement, diversity, mix"
    )


def test_an_image_can_be_added_and_segmented(server: Any, tmp_path: Path) -> None:
    voxels = np.zeros((16, 16, 3), np.int16)
    voxels[4:12, 4:12] = 300
    path = tmp_path / "added.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    client = server.client(tmp_path)
    assert client.upload_image(str(path), "added")["image"] == "added"
    _, reply = client.infer("segsam", "added", {"roi": [3, 12, 3, 12, 1, 1]})
    assert reply["slices"] == [{"axis": "k", "index": 1}]


def test_a_session_can_be_asked_for_and_closed(server: Any, tmp_path: Path) -> None:
    client = server.client(tmp_path)
    session = client.create_session(str(server.studies / "straight.nii.gz"))["session_id"]
    assert client.get_session(session)["name"] == session
    client.remove_session(session)
    with pytest.raises(MONAILabelClientException) as refused:
        client.get_session(session)
    assert refused.value.status_code == 404


class TestInOneProcess:
    """App as MONAI Label's child processes build it: without a server, and repeatedly."""

    @pytest.fixture
    def build(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        monkeypatch.setattr(settings, "MONAI_LABEL_DATASTORE_AUTO_RELOAD", False)
        monkeypatch.setattr(settings, "MONAI_LABEL_SESSION_PATH", str(tmp_path / "sessions"))
        voxels = np.zeros((24, 24, 3), np.int16)
        voxels[6:18, 6:18] = 300
        (tmp_path / "studies").mkdir()
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "studies" / "one.nii.gz")
        main = ROOT / "monailabel_app" / "main.py"
        found = get_class_of_subclass_from_file("main", str(main), "MONAILabelApp")

        def app(**conf: str) -> Any:
            folders = {"app_dir": str(main.parent), "studies": str(tmp_path / "studies")}
            return found(**folders, conf=conf)

        return app

    def test_building_it_loads_nothing(self, build: Callable[..., Any]) -> None:
        start = threading.active_count()
        app = build()
        assert not app.engine.is_loaded
        assert threading.active_count() == start

    def test_a_wrong_setting_stops_the_start(self, build: Callable[..., Any]) -> None:
        with pytest.raises(ConfigError, match="--conf axes is unknown"):
            build(axes="k")

    def test_the_settings_reach_what_clients_see(self, build: Callable[..., Any]) -> None:
        info = build(axis="j", labels="spleen,liver", device="cpu").info()
        assert info["labels"] == ["spleen", "liver"]
        assert info["models"]["segsam"]["config"]["axis"] == ["j", "auto", "i", "k", "all"]

    def test_labels_are_what_the_checkpoint_names(
        self, build: Callable[..., Any], standin: Path
    ) -> None:
        info = build(checkpoint=str(standin)).info()
        assert info["labels"] == ["object", "liver", "spleen"]
        assert build(checkpoint="litemedsam").info()["labels"] == ["object"]

    def test_a_missing_checkpoint_stops_the_start(
        self, build: Callable[..., Any], tmp_path: Path
    ) -> None:
        with pytest.raises(CheckpointError, match=r"Expected the card none.json"):
            build(checkpoint=str(tmp_path / "none.safetensors"))

    def test_its_own_inference_takes_ids_and_saves_with_the_requested_tag(
        self, build: Callable[..., Any]
    ) -> None:
        app = build(device="cpu")
        request = {"model": "segsam", "image": "one", "roi": [5, 18, 5, 18, 1, 1]}
        answered = app.infer(request)
        file = Path(answered["file"])
        assert nrrd.read(str(file))[0].shape == (24, 24, 3)
        assert app.datastore().get_labels_by_image_id("one") == {}
        file.unlink()
        answered = app.infer({**request, "save_label": True, "label_tag": "other"})
        Path(answered["file"]).unlink()
        assert app.datastore().get_labels_by_image_id("one") == {"other": "one"}
        with pytest.raises(RequestError, match="image must be an id"):
            app.infer({**request, "image": str(Path(app.studies) / "one.nii.gz")})
        with pytest.raises(NotFoundError, match="there is no model 'x'; this server has: segsam"):
            app.infer({**request, "model": "x"})

    def test_prefetching_can_be_switched_off(self, build: Callable[..., Any]) -> None:
        app = build(warm="off")
        sample = app.next_sample({"strategy": "first"})
        assert sample["id"] == "one"
        assert not app.engine.is_loaded
        assert app.next_sample({"strategy": "random"})["id"] == "one"

    def test_a_child_process_sends_the_token(
        self, build: Callable[..., Any], tight: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = build()
        monkeypatch.setattr(settings, "MONAI_LABEL_SERVER_PORT", int(tight.url.rpartition(":")[2]))
        assert app._local_request("/activelearning/first", None, "Choosing") is None
        monkeypatch.setenv("SEGSAM_TOKEN", tight.token)
        assert app._local_request("/activelearning/first", None, "Choosing")["id"]

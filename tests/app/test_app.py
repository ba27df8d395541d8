"""What the app tells about itself, and the rounds of annotation around a click."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from monailabel.client.client import MONAILabelClientException

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
    assert model["config"]["axis"][0] == "auto"
    assert set(info["strategies"]) == {"random", "first"}
    assert info["trainers"] == {}
    assert "config" not in info  # with it, the module asks to upgrade the server
    assert info["datastore"]["total"] >= 6


@pytest.mark.parametrize("strategy", ["random", "first"])
def test_a_next_sample_is_an_image_of_the_folder(
    server: Any, tmp_path: Path, strategy: str
) -> None:
    sample = server.client(tmp_path).next_sample(strategy, {})
    assert (server.studies / f"{sample['id']}.nii.gz").exists()
    assert Path(sample["path"]).samefile(server.studies / f"{sample['id']}.nii.gz")


def test_an_unknown_strategy_is_not_found(server: Any, tmp_path: Path) -> None:
    with pytest.raises(MONAILabelClientException) as refused:
        server.client(tmp_path).next_sample("wisest", {})
    assert refused.value.status_code == 404
    assert json.loads(refused.value.response)["detail"] == (
        "there is no strategy 'wisest'; this server has: random, first"
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

"""A real server on damaged files: it starts, serves everything else, and names them (C10, C11)."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import nibabel
import pytest

from segsam_app.training.progress import note_accepted

from ..warm_python import WarmPython
from .conftest import LPS_MM, Server, ball, soon, started
from .flipping import flip


def label_file(folder: Path, value: int, ending: str = ".nii.gz") -> Path:
    path = folder / f"label{value}{ending}"
    nibabel.save(nibabel.Nifti1Image(value * ball(), LPS_MM), path)
    return path


def save(server: Server, file: Path) -> int:
    reply = server.ask(
        "PUT",
        "/datastore/label?image=straight&tag=final",
        files={"label": (file.name, file.read_bytes())},
        data={"params": json.dumps({"label_names": {"ball": 1, "rest": 2}})},
    )
    assert reply.status_code == 200, reply.text
    return int(reply.json()["version"])


def damaged_version(folder: Path) -> None:
    """A version whose card has one bit changed, so that it is not UTF-8, and a torn choice."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "model.json").write_bytes(b'{"format": 1, "name": "\xff"}')
    (folder / "version.json").write_text(json.dumps({"id": "0001", "why": "a test"}))
    (folder.parent / "current.json").write_bytes(b'{"version": "00')
    (folder.parent / "training.json").write_bytes(b"[" * 5000)
    with pytest.MonkeyPatch.context() as patch:  # by a server that is gone
        patch.setattr(os, "getpid", lambda: 2**22 - 1)
        note_accepted(folder.parent, [time.time()])


@pytest.mark.slow
def test_a_server_on_damaged_files(tmp_path: Path, warm_monailabel: WarmPython) -> None:
    damaged_version(tmp_path / "versions" / "litemedsam" / "0001")
    conf = ("--conf", "checkpoint", "litemedsam", "--conf", "warm", "off")
    with started(tmp_path, *conf, python=warm_monailabel) as server:
        damaged = soon(lambda: server.get("/segsam/health").json()["damaged"])
        assert {"versions/0001", "versions/current.json", "versions/training.json"} <= set(damaged)
        assert server.get("/versions/segsam").json()["current"] == "0000"
        chosen = server.ask("POST", "/versions/segsam/use", json={"version": "0000"})
        assert (chosen.status_code, chosen.json()["notes"]) == (200, [])
        training = server.get("/train/").json()
        assert (training["status"], training["request"]["model"]) == ("ERROR", "segsam")
        assert "interrupted before its first step: start it again" in training["why"]
        assert server.get("/info/").json()["train_stats"]["segsam"]["why"] == training["why"]
        for query in ("?all=true", "?check_if_running=true"):
            assert server.get(f"/train/{query}").status_code == 404, "none of this start"
        finals = server.studies / "labels" / "final"
        assert save(server, label_file(tmp_path, 1)) == 1
        theirs = label_file(finals, 2, ".nii").rename(finals / "straight.nii")
        whole = theirs.read_bytes()
        current = server.get("/datastore/label?label=straight&tag=final")
        assert (current.content, current.headers["etag"]) == (whole, '"2"')
        flip(finals / ".versions" / "straight" / "0001.json", 800)
        (finals / "oblique.nii.gz").write_bytes(b"rubbish")
        listed = server.get("/datastore/label/versions?label=straight&tag=final").json()
        assert [(each["version"], each["kind"]) for each in listed["versions"]] == [(2, "found")]
        assert save(server, label_file(tmp_path, 1)) == 3
        damaged = server.get("/segsam/health").json()["damaged"]
        assert "labels/final/.versions/straight/0001.json" in damaged
        assert "labels/final/oblique.nii.gz" in damaged
        assert (finals / "oblique.nii.gz").read_bytes() == b"rubbish"
        flip(finals / ".versions" / "straight" / "0002.nii", 6000)
        url = "/datastore/label/version?label=straight&tag=final&version=2"
        reply = server.get(url)
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
        assert "is damaged on the disk" in reply.json()["detail"]

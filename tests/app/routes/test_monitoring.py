"""Health and metrics of the real server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from ..conftest import LPS_MM, ball, picture, soon


def test_health(server: Any) -> None:
    reply = server.get("/segsam/health")
    status = reply.json()
    assert reply.status_code == 200
    assert (status["live"], status["ready"], status["model"]) == (True, True, "litemedsam")
    assert {"running", "waiting"} <= set(status)
    assert status["disk_free_bytes"] > 0


def test_health_alone_notices_an_image_that_was_replaced(server: Any, tmp_path: Path) -> None:
    """A monitor asks for nothing else."""
    image = server.studies / "replaced.nii.gz"
    for number, file in enumerate((image, tmp_path / "other.nii.gz")):
        nibabel.save(nibabel.Nifti1Image(picture() + np.int16(number), LPS_MM), file)
    label = tmp_path / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(ball(), LPS_MM), label)
    query = {"image": "replaced", "tag": "final"}
    sent = {"label": (label.name, label.read_bytes())}
    saved = server.ask("PUT", "/datastore/label", params=query, files=sent)
    assert (saved.status_code, len(saved.json()["image_sha256"])) == (200, 64)
    shutil.copy(tmp_path / "other.nii.gz", image)
    name = "labels/final/replaced.nii.gz"
    said = soon(lambda: server.get("/segsam/health").json()["damaged"].get(name), 60)
    image.unlink()
    (server.studies / name).unlink()
    shutil.rmtree(server.studies / "labels/final/.versions/replaced")
    assert "of another image than lies there now" in said


def counted(server: Any) -> set[tuple[str, str]]:
    """Return the counted routes and statuses; a request is counted after its reply."""
    families = text_string_to_metric_families(server.get("/metrics").text)
    requests = next(family for family in families if family.name == "segsam_requests")
    return {(one.labels["route"], one.labels["status"]) for one in requests.samples}


def test_metrics_are_what_prometheus_reads(server: Any) -> None:
    server.get("/nothing/here")
    server.get("/session/secret-session-id")
    wanted = {("none", "404"), ("/session/{session_id}", "404")}
    assert soon(lambda: wanted <= counted(server))
    text = server.get("/metrics").text
    assert {
        "segsam_requests",
        "segsam_request_seconds",
        "segsam_queue_running",
        "segsam_queue_waiting",
        "segsam_embeddings_bytes",
        "segsam_sessions",
        "segsam_disk_free_bytes",
    } <= {family.name for family in text_string_to_metric_families(text)}
    assert "secret-session-id" not in text

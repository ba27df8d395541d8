"""Health and metrics of the real server."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from ..conftest import soon


def test_health(server: Any) -> None:
    reply = server.get("/segsam/health")
    status = reply.json()
    assert reply.status_code == 200
    assert (status["live"], status["ready"], status["model"]) == (True, True, "litemedsam")
    assert {"running", "waiting"} <= set(status)
    assert status["disk_free_bytes"] > 0


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

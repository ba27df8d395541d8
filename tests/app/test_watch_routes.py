"""Health and metrics of the real server."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families


def test_health(server: Any) -> None:
    reply = server.get("/segsam/health")
    told = reply.json()
    assert reply.status_code == 200
    assert (told["live"], told["ready"], told["model"]) == (True, True, "litemedsam")
    assert (told["running"], told["waiting"]) == (0, 0)
    assert told["disk_free_bytes"] > 0


def test_metrics_are_what_prometheus_reads(server: Any) -> None:
    server.get("/nothing/here")
    server.get("/session/secret-session-id")
    text = server.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {
        "segsam_requests",
        "segsam_request_seconds",
        "segsam_queue_running",
        "segsam_queue_waiting",
        "segsam_embeddings_bytes",
        "segsam_sessions",
        "segsam_disk_free_bytes",
    } <= set(families)
    counted = {
        (sample.labels["route"], sample.labels["status"])
        for sample in families["segsam_requests"].samples
    }
    assert ("none", "404") in counted
    assert ("/session/{session_id}", "404") in counted
    assert "secret-session-id" not in text

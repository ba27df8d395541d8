"""Counters by route pattern, and gauges."""

from __future__ import annotations

from dataclasses import replace

from segsam_app.web.metrics import Metrics
from segsam_app.web.request_log import RequestRecord

RECORD = RequestRecord("n", "GET", "/info/", 200, 0, 10, 20.0)


def test_requests_are_counted_by_route_and_status() -> None:
    metrics = Metrics()
    for record in (RECORD, RECORD, replace(RECORD, status=404)):
        metrics.count(record)
    text = metrics.text().decode()
    assert 'segsam_requests_total{method="GET",route="/info/",status="200"} 2.0' in text
    assert 'segsam_requests_total{method="GET",route="/info/",status="404"} 1.0' in text
    assert 'segsam_request_seconds_count{route="/info/"} 3.0' in text
    assert "_created" not in text


def test_gauges_are_read_each_time() -> None:
    metrics, now = Metrics(), [3.0]
    metrics.add_gauges(lambda: {"segsam_sessions": ("Open sessions", now[0])})
    assert "segsam_sessions 3.0" in metrics.text().decode()
    now[0] = 4.0
    assert "segsam_sessions 4.0" in metrics.text().decode()


def test_two_servers_share_no_metrics() -> None:
    one, other = Metrics(), Metrics()
    one.count(RECORD)
    assert "/info/" not in other.text().decode()

"""Metrics of one server for Prometheus (`GET /metrics`).

`segsam_requests_total` and `segsam_request_seconds` are counted with each reply. The gauges (queue,
embeddings, sessions, disk) are read when Prometheus asks. The labels are the patterns of routes, so
the number of series is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from segsam_app.web.request_log import RequestRecord

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS_SECONDS = (0.005, 0.02, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

Gauges = Callable[[], Mapping[str, tuple[str, float]]]
"""Function that returns name -> (description, current value)."""


class Metrics:
    """Counters of one server, with a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each metric, with its start time
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "segsam_requests",
            "Requests that were answered",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "segsam_request_seconds",
            "Seconds from a request's first byte to its answer's last",
            ("route",),
            buckets=_BUCKETS_SECONDS,
            registry=self._registry,
        )

    def count(self, record: RequestRecord) -> None:
        """Count one request that was answered."""
        self._requests.labels(record.method, record.route, str(record.status)).inc()
        self._seconds.labels(record.route).observe(record.ms / 1000)

    def add_gauges(self, gauges: Gauges) -> None:
        """Read `gauges` each time the metrics are asked for."""
        self._registry.register(_GaugeCollector(gauges))

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return bytes(generate_latest(self._registry))


class _GaugeCollector(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for name, (description, value) in self._gauges().items():
            yield GaugeMetricFamily(name, description, value=value)

"""What a Prometheus server reads at `GET /metrics`.

Counted as requests are answered: `segsam_requests_total`, `segsam_request_seconds`. Looked up when
somebody asks: the queue, the embeddings, the sessions. Labels are patterns of routes, so their
number is that of the routes.
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

from segsam_app.web.request_log import Entry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.02, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

Gauges = Callable[[], Mapping[str, tuple[str, float]]]
"""Name -> (what it is, how much it is now)."""


class Meters:
    """The counters of one server, with a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each one, which says when it began
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
            buckets=_SECONDS,
            registry=self._registry,
        )

    def count(self, entry: Entry) -> None:
        """One more request was answered."""
        self._requests.labels(entry.method, entry.route, str(entry.status)).inc()
        self._seconds.labels(entry.route).observe(entry.ms / 1000)

    def watch(self, gauges: Gauges) -> None:
        """Ask `gauges` at every reading."""
        self._registry.register(_Live(gauges))

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return bytes(generate_latest(self._registry))


class _Live(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for name, (meaning, value) in self._gauges().items():
            yield GaugeMetricFamily(name, meaning, value=value)

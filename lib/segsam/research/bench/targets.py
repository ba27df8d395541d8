"""Targets of the bench: ratios of times in one run, and a few absolute values."""

from __future__ import annotations

from typing import TypeAlias

from segsam.research.bench.record import BenchRecord
from segsam.research.targets import Target

BenchTarget: TypeAlias = Target[BenchRecord, float]

_ARITHMETIC = "the float32 arithmetic of LiteMedSAM's encoder, see below"
_TRAFFIC = "memory: half precision halves the traffic of its first stage, and no more"
_OWN = "its arithmetic, a quarter of LiteMedSAM's, see below"
_ENCODING = "nearly all of it is encoding, as above"


def _speedup(title: str, name: str, item: str, limit: float, obstacle: str = "") -> BenchTarget:
    """Return the target of a ratio to LiteMedSAM's own code."""
    return Target(title, limit, lambda record: record.speedup(name, item), "x", obstacle=obstacle)


def _at_most_ms(
    title: str, name: str, item: str, limit_ms: float, obstacle: str = ""
) -> BenchTarget:
    """Return the target of a time in milliseconds."""

    def measure(record: BenchRecord) -> float | None:
        seconds = record.median_s(name, item)
        return None if seconds is None else 1000 * seconds

    return Target(title, limit_ms, measure, "ms", at_most=True, obstacle=obstacle)


def _decoders_ratio(record: BenchRecord) -> float | None:
    speedup = record.speedup("segsam", "decode")
    return None if speedup is None else 1 / speedup


def _full_folder_ratio(record: BenchRecord) -> float | None:
    empty, full = (record.median_s("server", f"http_click{one}") for one in ("", "_full"))
    return None if empty is None or full is None else full / empty


def linearity(record: BenchRecord) -> float | None:
    """Return seconds per slice in the second half of the deep volume over those in the first."""
    curve = record.fact("curve", "curve")
    if curve is None or len(curve) < 4:
        return None
    half = len(curve) // 2
    first = (curve[half][1] - curve[0][1]) / (curve[half][0] - curve[0][0])
    second = (curve[-1][1] - curve[half][1]) / (curve[-1][0] - curve[half][0])
    return float(second / first)


TARGETS: tuple[BenchTarget, ...] = (
    _speedup("Encode one slice, exact", "segsam", "encode", 8, _OWN),
    _speedup("Encode one slice, fast", "segsam+fast", "encode", 16, _OWN),
    _speedup("Encode one slice, LiteMedSAM, exact", "exact", "encode", 2.5, _ARITHMETIC),
    _speedup("Encode one slice, LiteMedSAM, fast", "fast", "encode", 5, _TRAFFIC),
    _at_most_ms("A slice is encoded, exact", "segsam", "encode", 100, _OWN),
    _at_most_ms("A slice is encoded, fast", "segsam+fast", "encode", 100, _OWN),
    Target("Both decoders over LiteMedSAM's one decoder", 1, _decoders_ratio, "x", at_most=True),
    _at_most_ms("HTTP adds to a click", "server", "http_overhead", 20),
    _speedup("3D box, cold, exact", "segsam", "box_cold", 9, _ENCODING),
    _speedup("3D box, cold, fast", "segsam+fast", "box_cold", 9, _ENCODING),
    _speedup("3D box, cold, LiteMedSAM, fast", "fast", "box_cold", 5, _ENCODING),
    _speedup("3D box, warm", "exact", "box_warm", 25, "decoding of each slice at 64 x 64 cells"),
    _speedup("3D box, warm, 32 x 32 cells", "segsam", "box_warm", 25),
    Target(
        "Server's memory with the deep CT and its clicked slices",
        2560,
        lambda record: record.fact("server", "server_peak_mb"),
        "MiB",
        at_most=True,
    ),
    Target(
        "First mask after the first request",
        3,
        lambda record: record.median_s("server", "first_click"),
        "s",
        at_most=True,
    ),
    Target(
        "A slice in the second half of the deep volume over one in the first",
        1.15,
        linearity,
        "x",
        at_most=True,
    ),
    Target(
        "A click with a full studies folder over one with an empty folder",
        1.15,
        _full_folder_ratio,
        "x",
        at_most=True,
    ),
)

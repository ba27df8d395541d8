"""What was aimed at, as ratios of one run, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from segsam.research.bench.plan import BASELINE

Record = dict[str, Any]

MISSED = "missed"
_ALIKE = {"http_click": "second"}
"""An item of ours -> that of somebody else which it is held against."""

_ARITHMETIC = "the float32 arithmetic of LiteMedSAM's encoder, see below"
_TRAFFIC = "memory: half precision halves the traffic of its first stage, and no more"
_OWN = "its arithmetic, a quarter of LiteMedSAM's, see below"
_ENCODING = "nearly all of it is encoding, as above"


@dataclass(frozen=True)
class Target:
    """One line: `measure` gives the figure, or None when a part of it was not measured."""

    what: str
    wanted: str
    measure: Callable[[Record], float | None]
    unit: str
    limit: float
    at_most: bool
    obstacle: str = ""
    """What stands in the way where it is missed, if that is known."""

    def verdict(self, found: float | None) -> str:
        """In a word."""
        if found is None:
            return "not measured"
        met = found <= self.limit if self.at_most else found >= self.limit
        return "reached" if met else MISSED


def median_s(record: Record, name: str, item: str) -> float | None:
    """Seconds of a contender's item; None when it was not measured."""
    for one in record["contenders"]:
        if one["name"] == name and item in one["items"]:
            return float(one["items"][item]["median_s"])
    return None


def fact(record: Record, name: str, key: str) -> float | None:
    """One of the other figures of a contender."""
    for one in record["contenders"]:
        if one["name"] == name:
            value = one.get("facts", {}).get(key)
            return None if value is None else float(value)
    return None


def times_faster(record: Record, name: str, item: str, than: str = BASELINE) -> float | None:
    """How many times less for an item it takes than the contender `than`, which has no HTTP."""
    ours, theirs = median_s(record, name, item), median_s(record, than, _ALIKE.get(item, item))
    return None if ours is None or theirs is None else theirs / ours


def _faster(what: str, name: str, item: str, limit: float, obstacle: str = "") -> Target:
    return Target(
        what,
        f"≥ {limit:g} x",
        lambda record: times_faster(record, name, item),
        " x",
        limit,
        at_most=False,
        obstacle=obstacle,
    )


def _slice(what: str, name: str) -> Target:
    def measure(record: Record) -> float | None:
        seconds = median_s(record, name, "encode")
        return None if seconds is None else 1000 * seconds

    return Target(what, "≤ 100 ms", measure, " ms", 100.0, at_most=True, obstacle=_OWN)


def _second(record: Record) -> float | None:
    ratio = times_faster(record, "segsam", "decode")
    return None if ratio is None else 1 / ratio


def _overhead_ms(record: Record) -> float | None:
    seconds = median_s(record, "server", "http_overhead")
    return None if seconds is None else 1000 * seconds


def _crowded(record: Record) -> float | None:
    alone = median_s(record, "server", "http_click")
    among = median_s(record, "server", "http_click_full")
    return None if alone is None or among is None else among / alone


def linearity(record: Record) -> float | None:
    """Seconds a slice in the second half of the deep volume over those in the first."""
    points = [
        one["facts"]["curve"] for one in record["contenders"] if "curve" in one.get("facts", {})
    ]
    if not points or len(points[0]) < 4:
        return None
    curve = points[0]
    half = len(curve) // 2
    first = (curve[half][1] - curve[0][1]) / (curve[half][0] - curve[0][0])
    second = (curve[-1][1] - curve[half][1]) / (curve[-1][0] - curve[half][0])
    return float(second / first)


TARGETS = (
    _faster("Encode one slice, exact", "exact", "encode", 2.5, _ARITHMETIC),
    _faster("Encode one slice, fast", "fast", "encode", 5, _TRAFFIC),
    _faster("Encode one slice, segsam-fast", "segsam-fast", "encode", 12, _OWN),
    _faster("Encode one slice, segsam-fast, fast", "segsam-fast+fast", "encode", 12, _OWN),
    _slice("segsam-fast encodes a slice", "segsam-fast"),
    _slice("segsam-fast, fast, encodes a slice", "segsam-fast+fast"),
    Target(
        "Both decoders, of LiteMedSAM's one",
        "≤ 1 x",
        _second,
        " x",
        1.0,
        at_most=True,
    ),
    Target("HTTP adds to a click", "≤ 20 ms", _overhead_ms, " ms", 20.0, at_most=True),
    _faster("3D box, cold, exact", "exact", "box_cold", 5, _ENCODING),
    _faster("3D box, cold, fast", "fast", "box_cold", 5, _ENCODING),
    _faster("3D box, cold, segsam-fast", "segsam-fast", "box_cold", 5),
    _faster("3D box, warm", "exact", "box_warm", 25, "a decoding a slice, of 64 x 64 cells"),
    _faster("3D box, warm, 32 x 32 cells", "segsam", "box_warm", 25),
    Target(
        "Server's memory, deep CT and its clicked slices",
        "≤ 2560 MiB",
        lambda record: fact(record, "server", "server_peak_mb"),
        " MiB",
        2560,
        at_most=True,
    ),
    Target(
        "First mask after the first request",
        "≤ 3 s",
        lambda record: median_s(record, "server", "first_click"),
        " s",
        3.0,
        at_most=True,
    ),
    Target(
        "A slice of the deep volume's second half, of one of the first",
        "≤ 1.15 x",
        linearity,
        " x",
        1.15,
        at_most=True,
    ),
    Target(
        "A click in a full store, of one in an empty store", "≤ 1.15 x", _crowded, " x", 1.15, True
    ),
)

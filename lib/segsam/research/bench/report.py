"""The table on the screen, and the page with its pictures."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from segsam.errors import BenchError
from segsam.research.bench.limits import limit_rows, limit_words
from segsam.research.bench.plan import BASELINE, BASELINES, ITEMS
from segsam.research.bench.targets import MISSED, TARGETS, median_s, times_faster
from segsam.system.atomic import write_bytes

_NONE = "—"
_DPI = 90
_LABEL_SHARE = 0.2
"""Of a chart's width, kept free for the label of the longest bar."""
_PRECISION = "precision*.json"
"""What `docs/measurements/precision.py` wrote beside the pictures, of one checkpoint or more."""
_HEAD = """# Speed, measured side by side

This page is written by `segsam bench --page`. Everything on it was measured in one run on one
machine, each contender in a process of its own, after a round to warm up; times are medians, with
the quickest, the slowest and the number of rounds. *Of LiteMedSAM's*, *of SAM's*, *of SAM 2's*: how
many times faster than that program's own code. Everybody has the same CT: the liver of the sample,
drawn out to slices of 512 x 512.
"""
_TARGET_HEADINGS = ("target", "wanted", "measured", "", "what limits it")
_HEADINGS = (
    "what",
    "who",
    "median",
    "quickest to slowest",
    *(f"of {name}'s" for name in BASELINES.values()),
    "note",
)


def read_record(path: Path) -> dict[str, Any]:
    """What an earlier run wrote. Raises BenchError when it is no such file."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchError(f"Expected the JSON of a run in {path.name}: {error}.") from error
    if not isinstance(record, dict) or "contenders" not in record:
        raise BenchError(f"{path.name} is not what `segsam bench --json` writes.")
    return record


def figures(record: dict[str, Any]) -> Table:
    """Every figure that was measured, with its ratio."""
    table = Table(*_HEADINGS, title="Speed")
    for row in _rows(record):
        table.add_row(*row)
    return table


def memory(record: dict[str, Any]) -> Table:
    """The most memory of each process."""
    table = Table("who", "peak MiB", title="Memory")
    for row in _memory_rows(record):
        table.add_row(*row)
    return table


def targets(record: dict[str, Any]) -> Table:
    """What was aimed at."""
    table = Table(*_TARGET_HEADINGS, title="Targets")
    for row in _target_rows(record):
        table.add_row(*row)
    return table


def write_page(record: dict[str, Any], page: Path) -> list[Path]:
    """Write the page, and its pictures into a folder beside it; the pictures' paths.

    Raises:
        OutputError: a folder that cannot be written to.
    """
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [
        _bars(record, folder / "encode.png", "encode", "seconds to encode a slice"),
        _bars(record, folder / "box.png", "box_cold", "seconds for a 3D box, cold"),
        _curve(record, folder / "curve.png"),
    ]
    drawn = [path for path in pictures if path is not None]
    lines = [_HEAD, *_origin(record), "", "## Targets", ""]
    lines += _grid(_TARGET_HEADINGS, _target_rows(record))
    lines += ["", "## Times", ""]
    lines += _grid(_HEADINGS, _rows(record))
    lines += _limits(record)
    lines += ["", "## Memory", "", *_grid(("who", "peak, MiB"), _memory_rows(record))]
    lines += ["", *(f"![{path.stem}]({folder.name}/{path.name})" for path in drawn)]
    lines += _precision(sorted(folder.glob(_PRECISION)))
    write_bytes(page, ("\n".join(lines) + "\n").encode())
    return drawn


def _origin(record: dict[str, Any]) -> list[str]:
    machine, plan = record["machine"], record["plan"]
    lines = [
        f"Measured {record['when']} at commit `{machine['commit']}` on {machine['processor']}, "
        f"{machine['threads']} threads, torch {machine['torch']}; other work on the machine "
        f"(load) {machine['load_before']} before and {machine['load_after']} after. "
        f"A box goes through {plan['slices']} slices; the deep volume has {plan['deep']}."
    ]
    for one in record["contenders"]:
        runtime = one.get("facts", {}).get("runtime")
        if runtime:
            lines.append(f"- {one['title']}: {runtime['why']}")
        if one["skipped"]:
            lines.append(f"- {one['title']} was not measured: {one['skipped']}")
    return [lines[0], "", *lines[1:]]


def _rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for item, words in ITEMS.items():
        for one in record["contenders"]:
            timing = one["items"].get(item)
            if timing is None:
                continue
            ratios = (times_faster(record, one["name"], item, than) for than in BASELINES)
            low, high = _seconds(timing["low_s"]), _seconds(timing["high_s"])
            rows.append(
                (
                    words,
                    one["title"],
                    _seconds(timing["median_s"]),
                    f"{low} to {high} ({timing['runs']})",
                    *(_NONE if ratio is None else f"{ratio:.1f} x" for ratio in ratios),
                    timing["note"],
                )
            )
    return rows


def _memory_rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (one["title"], f"{one['peak_mb']:,.0f}")
        for one in record["contenders"]
        if one.get("peak_mb") and one["name"] != "server"
    ]
    for one in record["contenders"]:
        peak = one.get("facts", {}).get("server_peak_mb")
        if peak:
            clicked = record["plan"]["clicked"]
            rows.append((f"{one['title']}, deep CT, {clicked} slices clicked", f"{peak:,.0f}"))
    return rows


def _target_rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for target in TARGETS:
        found = target.measure(record)
        shown = _NONE if found is None else f"{_figure(found)}{target.unit}"
        verdict = target.verdict(found)
        obstacle = target.obstacle if verdict == MISSED else ""
        rows.append((target.what, target.wanted, shown, verdict, obstacle))
    return rows


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _limits(record: dict[str, Any]) -> list[str]:
    """What limits the encoders; nothing where the machine itself was not measured."""
    rows = limit_rows(record)
    if not rows:
        return []
    headings = ("encoder of", "billion operations", "a slice takes", "at best", "share")
    return ["", "## What limits it", "", limit_words(record), "", *_grid(headings, rows)]


def _bars(record: dict[str, Any], path: Path, item: str, words: str) -> Path | None:
    """An item of everybody who has it, the slowest on top; None when nobody has."""
    names = [one for one in record["contenders"] if item in one["items"]]
    found = [(median_s(record, one["name"], item) or 0.0, one["title"]) for one in names]
    if not found:
        return None
    found.sort()
    canvas = Figure(figsize=(8, 0.6 + 0.4 * len(found)), layout="constrained")
    panel = canvas.subplots()
    baseline = next((one["title"] for one in names if one["name"] == BASELINE), "")
    colours = ["#b5541c" if title == baseline else "#1f4e79" for _, title in found]
    bars = panel.barh([title for _, title in found], [s for s, _ in found], color=colours)
    panel.bar_label(bars, [_seconds(s) for s, _ in found], padding=3)
    panel.set_xscale("log")
    panel.set_xlabel(words)
    left, longest = found[0][0] / 2, found[-1][0]
    panel.set_xlim(left, longest * (longest / left) ** _LABEL_SHARE)
    return _saved(canvas, path)


def _curve(record: dict[str, Any], path: Path) -> Path | None:
    """Seconds against the slices touched."""
    for one in record["contenders"]:
        points = one.get("facts", {}).get("curve")
        if points:
            canvas = Figure(figsize=(6, 3.4), layout="constrained")
            panel = canvas.subplots()
            panel.plot([done for done, _ in points], [s for _, s in points], color="#1f4e79")
            panel.set_xlabel("slices touched")
            panel.set_ylabel("seconds, nothing encoded before")
            panel.grid(alpha=0.3)
            return _saved(canvas, path)
    return None


def _saved(canvas: Figure, path: Path) -> Path:
    content = io.BytesIO()
    canvas.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    write_bytes(path, content.getvalue())
    return path


def _precision(paths: Sequence[Path]) -> list[str]:
    """What `fast` does to masks, where that was measured."""
    lines = ["", "## What `fast` does to masks"] if paths else []
    headings = ("data", "objects", "DSC, exact", "DSC, fast", "fast against exact")
    for path in paths:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            (one["part"], str(one["objects"]), *(f"{one[key]:.2f}" for key in _PRECISION_KEYS))
            for one in found["rows"]
        ]
        lines += ["", found["words"], "", *_grid(headings, rows)]
    return lines


_PRECISION_KEYS = ("exact", "fast", "agreement")

"""Tables of a run for the terminal, and the speed page with its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from rich.table import Table

from segsam.errors import BenchError
from segsam.research.bench.machine_limits import limit_rows, limit_text
from segsam.research.bench.plan import BASELINE, BASELINES, ITEMS
from segsam.research.bench.record import BenchRecord
from segsam.research.bench.targets import TARGETS
from segsam.research.json_files import read_object
from segsam.research.page import (
    BLUE,
    NOT_MEASURED,
    ORANGE,
    markdown_table,
    picture_line,
    save_figure,
)
from segsam.research.targets import MISSED
from segsam.system.atomic import write_bytes
from segsam.system.folders import make_folder

_LABEL_SHARE = 0.2
"""Share of a chart's width that stays free for the label of the longest bar."""
_PRECISION = "precision*.json"
"""Files of `docs/lab/measurements/precision.py` beside the pictures, one for each checkpoint."""
_HEAD = """# Speed, measured side by side

This page is written by `segsam bench --page`. Everything on it was measured in one run on one
machine. Each program ran in a process of its own, after a round to warm up. Times are medians, with
the shortest time, the longest time and the number of rounds. *Over LiteMedSAM*, *over SAM* and
*over SAM 2* give the speed as a multiple of that program's own code. All programs segment the same
CT: the liver of the sample, resampled to slices of 512 x 512.
"""
Rows = list[tuple[str, ...]]


def tables(record: BenchRecord) -> list[Table]:
    """Return the tables of times, memory and targets for the terminal."""
    shown = []
    for title, (headings, rows) in _sections(record).items():
        table = Table(*headings, title=title)
        for row in rows:
            table.add_row(*row)
        shown.append(table)
    return shown


def write_page(record: BenchRecord, page: Path) -> list[Path]:
    """Write the page, and its pictures into a folder beside it; return the pictures' paths.

    Raises:
        OutputError: a folder that cannot be written to.
        BenchError: a damaged file of precisions.
    """
    folder = page.with_suffix("")
    make_folder(folder)
    drawn = [
        _draw_bars(record, folder / "encode.png", "encode", "seconds to encode a slice"),
        _draw_bars(record, folder / "box.png", "box_cold", "seconds for a 3D box, cold"),
        _draw_curve(record, folder / "curve.png"),
    ]
    pictures = [path for path in drawn if path is not None]
    sections = _sections(record)
    lines = [_HEAD, *_origin(record)]
    for title in ("Targets", "Times"):
        lines += ["", f"## {title}", "", *markdown_table(*sections[title])]
    lines += _limits(record)
    lines += ["", "## Memory", "", *markdown_table(*sections["Memory"]), ""]
    lines += [picture_line(f"{folder.name}/{path.name}", path.stem) for path in pictures]
    lines += _precision(sorted(folder.glob(_PRECISION)))
    write_bytes(page, ("\n".join(lines) + "\n").encode())
    return pictures


def _sections(record: BenchRecord) -> dict[str, tuple[Sequence[str], Rows]]:
    """Return headings and rows of each section by its title."""
    ratios = [f"over {name}" for name in BASELINES.values()]
    times = ("item", "program", "median", "shortest to longest", *ratios, "note")
    targets = ("target", "required", "measured", "", "what limits it")
    return {
        "Times": (times, _time_rows(record)),
        "Memory": (("program", "peak, MiB"), _memory_rows(record)),
        "Targets": (targets, _target_rows(record)),
    }


def _origin(record: BenchRecord) -> list[str]:
    """Return when and where the run took place, and the runtime of each mode."""
    machine, plan = record.machine, record.plan
    commit = f" at commit `{machine['commit']}`" if machine["commit"] else ""
    lines = [
        f"Measured {record.when}{commit} on {machine['processor']}, "
        f"{machine['threads']} threads, torch {machine['torch']}; load of the machine "
        f"{machine['load_before']} before and {machine['load_after']} after. "
        f"A 3D box goes through {plan['slices']} slices; the deep volume has {plan['deep']}.",
        "",
    ]
    for one in record.contenders:
        if "runtime" in one.facts:
            lines.append(f"- {one.title}: {one.facts['runtime']['why']}")
        if one.skipped:
            lines.append(f"- {one.title} was not measured: {one.skipped}")
    return lines


def _time_rows(record: BenchRecord) -> Rows:
    rows: Rows = []
    for item, description in ITEMS.items():
        for one in record.contenders:
            timing = one.items.get(item)
            if timing is None:
                continue
            ratios = (record.speedup(one.name, item, than) for than in BASELINES)
            low, high = _seconds(timing.low_s), _seconds(timing.high_s)
            rows.append(
                (
                    description,
                    one.title,
                    _seconds(timing.median_s),
                    f"{low} to {high} ({timing.runs})",
                    *(NOT_MEASURED if ratio is None else f"{ratio:.1f} x" for ratio in ratios),
                    timing.note,
                )
            )
    return rows


def _memory_rows(record: BenchRecord) -> Rows:
    """Return the peak memory of each process; the server's was measured from outside."""
    rows: Rows = [
        (one.title, f"{one.peak_mb:,.0f}")
        for one in record.contenders
        if one.peak_mb and one.name != "server"
    ]
    for one in record.contenders:
        peak_mb = one.facts.get("server_peak_mb")
        if peak_mb:
            title = f"{one.title}, deep CT, {record.plan['clicked']} slices clicked"
            rows.append((title, f"{peak_mb:,.0f}"))
    return rows


def _target_rows(record: BenchRecord) -> Rows:
    rows: Rows = []
    for target in TARGETS:
        value = target.measure(record)
        verdict = target.verdict(value)
        obstacle = target.obstacle if verdict == MISSED else ""
        shown = NOT_MEASURED if value is None else f"{_number(value)} {target.unit}"
        rows.append((target.title, target.required, shown, verdict, obstacle))
    return rows


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _limits(record: BenchRecord) -> list[str]:
    """Return the section about peak speed; empty if the machine itself was not measured."""
    rows = limit_rows(record)
    if not rows:
        return []
    headings = ("encoder of", "billion operations", "time per slice", "at best", "share")
    return ["", "## What limits it", "", limit_text(record), "", *markdown_table(headings, rows)]


def _draw_bars(record: BenchRecord, path: Path, item: str, label: str) -> Path | None:
    """Draw the times of an item, the slowest on top; None without measurements."""
    measured = [one for one in record.contenders if item in one.items]
    measured.sort(key=lambda one: (one.items[item].median_s, one.title))
    if not measured:
        return None
    titles, seconds = zip(*((one.title, one.items[item].median_s) for one in measured), strict=True)
    figure = Figure(figsize=(8, 0.6 + 0.4 * len(measured)), layout="constrained")
    axes = figure.subplots()
    colours = [ORANGE if one.name == BASELINE else BLUE for one in measured]
    bars = axes.barh(titles, seconds, color=colours)
    axes.bar_label(bars, [_seconds(one) for one in seconds], padding=3)
    axes.set_xscale("log")
    axes.set_xlabel(label)
    left, longest = seconds[0] / 2, seconds[-1]
    axes.set_xlim(left, longest * (longest / left) ** _LABEL_SHARE)
    return save_figure(figure, path)


def _draw_curve(record: BenchRecord, path: Path) -> Path | None:
    """Draw seconds against the number of slices; None if the curve was not measured."""
    points = record.fact("curve", "curve")
    if not points:
        return None
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([done for done, _ in points], [seconds for _, seconds in points], color=BLUE)
    axes.set_xlabel("slices segmented")
    axes.set_ylabel("seconds, no slice encoded before")
    axes.grid(alpha=0.3)
    return save_figure(figure, path)


def _precision(paths: Sequence[Path]) -> list[str]:
    """Return the section about the accuracy of `fast`; empty if it was not measured."""
    lines = ["", "## What `fast` does to masks"] if paths else []
    headings = ("data", "objects", "DSC, exact", "DSC, fast", "fast against exact")
    for path in paths:
        content = read_object(path, BenchError)
        rows = [
            (
                one["part"],
                str(one["objects"]),
                *(f"{one[key]:.2f}" for key in ("exact", "fast", "agreement")),
            )
            for one in content["rows"]
        ]
        lines += ["", content["words"], "", *markdown_table(headings, rows)]
    return lines

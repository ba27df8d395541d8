"""The report's pictures, small PNG files drawn by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from segsam.evaluation.records import ReliabilityBin
from segsam.system.atomic import write_bytes

_DPI = 90
_INK = "#1f4e79"
_SECOND = "#b5541c"
_COLOURS = ("#777777", _INK, _SECOND, "#3a7d44", "#8e44ad")


@dataclass(frozen=True)
class GridPoint:
    """One grid of the decoders on the curve."""

    label: str
    seconds_per_step: float
    ms_per_prompt: float
    box_dsc: float
    point_dsc: float


@dataclass(frozen=True)
class Line:
    """One line with a band of so much to both sides."""

    label: str
    across: tuple[float, ...]
    means: tuple[float, ...]
    spread: tuple[float, ...]


def draw_lines(path: Path, panels: Sequence[tuple[str, Sequence[Line]]], *, across: str) -> None:
    """A panel beside the other, each with its heading and its lines; raises OutputError."""
    canvas = Canvas(figsize=(4.2 * len(panels), 3.4), layout="constrained")
    axes = canvas.subplots(1, len(panels), squeeze=False)[0]
    for panel, (words, lines) in zip(axes, panels, strict=True):
        for line, colour in zip(lines, _COLOURS, strict=False):
            panel.plot(line.across, line.means, "o-", color=colour, label=line.label)
            low = [mean - spread for mean, spread in zip(line.means, line.spread, strict=True)]
            high = [mean + spread for mean, spread in zip(line.means, line.spread, strict=True)]
            panel.fill_between(line.across, low, high, color=colour, alpha=0.12)
        panel.set_title(words)
        panel.set_xlabel(across)
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("%")
    axes[0].legend()
    _save(canvas, path)


def draw_grid(path: Path, points: Sequence[GridPoint]) -> None:
    """DSC against what training and prompting cost; raises OutputError."""
    canvas = Canvas(figsize=(8, 3.2), layout="constrained")
    panels = canvas.subplots(1, 2, sharey=True)
    costs = (("seconds_per_step", "seconds a step"), ("ms_per_prompt", "ms a prompt"))
    for panel, (name, words) in zip(panels, costs, strict=True):
        ordered = sorted(points, key=lambda point: float(getattr(point, name)))
        across = [float(getattr(point, name)) for point in ordered]
        panel.plot(across, [one.box_dsc for one in ordered], "o-", color=_INK, label="box")
        panel.plot(across, [one.point_dsc for one in ordered], "s--", color=_SECOND, label="point")
        for place, point in zip(across, ordered, strict=True):
            panel.annotate(
                point.label,
                (place, point.box_dsc),
                xytext=(0, 6),
                textcoords="offset points",
                horizontalalignment="center",
            )
        panel.margins(x=0.15, y=0.12)
        panel.set_xlabel(words)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("DSC, %")
    panels[0].legend()
    _save(canvas, path)


def draw_reliability(
    path: Path, before: Sequence[ReliabilityBin], after: Sequence[ReliabilityBin]
) -> None:
    """Draw accuracy against confidence, before and after the temperature; raises OutputError."""
    canvas = Canvas(figsize=(8, 3.6), layout="constrained")
    panels = canvas.subplots(1, 2, sharey=True)
    for panel, bins, words in zip(panels, (before, after), ("before", "after"), strict=True):
        panel.plot([0, 1], [0, 1], ":", color="grey")
        largest = max((one.objects for one in bins), default=1)
        panel.scatter(
            [one.confidence for one in bins],
            [one.accuracy for one in bins],
            s=[20 + 180 * one.objects / largest for one in bins],
            color=_INK,
            alpha=0.8,
        )
        panel.set_title(f"{words} the temperature")
        panel.set_xlabel("confidence")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("share named right")
    _save(canvas, path)


def draw_agreement(path: Path, pairs: Sequence[tuple[float, float]]) -> None:
    """Each object's agreement of the two decoders against its Dice; raises OutputError."""
    canvas = Canvas(figsize=(4.4, 3.8), layout="constrained")
    panel: Axes = canvas.subplots()
    panel.scatter(
        [pair[0] for pair in pairs], [pair[1] for pair in pairs], s=5, alpha=0.35, color=_INK
    )
    panel.set_xlabel("agreement of both decoders (IoU)")
    panel.set_ylabel("Dice of the mask")
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1)
    panel.grid(alpha=0.3)
    _save(canvas, path)


def bins_of(records: Sequence[Mapping[str, Any]]) -> list[ReliabilityBin]:
    """Bins as `segsam calibrate` stores them."""
    return [ReliabilityBin(**one) for one in records]


def _save(canvas: Canvas, path: Path) -> None:
    content = io.BytesIO()
    # Without the name of the writing library, so that the same numbers give the same bytes.
    canvas.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    write_bytes(path, content.getvalue())

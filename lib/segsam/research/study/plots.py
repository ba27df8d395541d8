"""Pictures of the report, small PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsam.evaluation.records import ReliabilityBin
from segsam.research.page import BLUE, ORANGE, save_figure

_COLOURS = ("#777777", BLUE, ORANGE, "#3a7d44", "#8e44ad")


@dataclass(frozen=True)
class GridPoint:
    """Accuracy and cost of one grid of the decoders."""

    label: str
    seconds_per_step: float
    ms_per_prompt: float
    box_dsc: float
    point_dsc: float


@dataclass(frozen=True)
class Line:
    """Curve with a band of its standard deviation."""

    label: str
    x: tuple[float, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]


def draw_lines(path: Path, panels: Sequence[tuple[str, Sequence[Line]]], *, x_label: str) -> None:
    """Draw panels side by side, each with a title and its curves; raises OutputError."""
    figure = Figure(figsize=(4.2 * len(panels), 3.4), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, lines) in zip(all_axes, panels, strict=True):
        for line, colour in zip(lines, _COLOURS, strict=False):
            axes.plot(line.x, line.means, "o-", color=colour, label=line.label)
            low = [mean - std for mean, std in zip(line.means, line.stds, strict=True)]
            high = [mean + std for mean, std in zip(line.means, line.stds, strict=True)]
            axes.fill_between(line.x, low, high, color=colour, alpha=0.12)
        axes.set_title(title)
        axes.set_xlabel(x_label)
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel("%")
    all_axes[0].legend()
    save_figure(figure, path)


def draw_grid(path: Path, points: Sequence[GridPoint]) -> None:
    """Draw DSC against the cost of training and of a prompt; raises OutputError."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    all_axes = figure.subplots(1, 2, sharey=True)
    costs = (("seconds_per_step", "seconds per step"), ("ms_per_prompt", "ms per prompt"))
    for axes, (name, label) in zip(all_axes, costs, strict=True):
        ordered = sorted(points, key=lambda point: float(getattr(point, name)))
        x = [float(getattr(point, name)) for point in ordered]
        axes.plot(x, [one.box_dsc for one in ordered], "o-", color=BLUE, label="box")
        axes.plot(x, [one.point_dsc for one in ordered], "s--", color=ORANGE, label="point")
        for cost, point in zip(x, ordered, strict=True):
            axes.annotate(
                point.label,
                (cost, point.box_dsc),
                xytext=(0, 6),
                textcoords="offset points",
                horizontalalignment="center",
            )
        axes.margins(x=0.15, y=0.12)
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel("DSC, %")
    all_axes[0].legend()
    save_figure(figure, path)


def draw_reliability(
    path: Path, before: Sequence[ReliabilityBin], after: Sequence[ReliabilityBin]
) -> None:
    """Draw accuracy against confidence, before and after the temperature; raises OutputError."""
    draw_calibration(path, (("before the temperature", before), ("after the temperature", after)))


def draw_calibration(path: Path, panels: Sequence[tuple[str, Sequence[ReliabilityBin]]]) -> None:
    """Draw accuracy against confidence in panels side by side, each with a title; the area of a dot
    is its number of objects. Raises OutputError.
    """
    figure = Figure(figsize=(4 * len(panels), 3.6), layout="constrained")
    all_axes = figure.subplots(1, len(panels), sharey=True)
    for axes, (title, bins) in zip(all_axes, panels, strict=True):
        axes.plot([0, 1], [0, 1], ":", color="grey")
        largest = max((one.objects for one in bins), default=1)
        axes.scatter(
            [one.confidence for one in bins],
            [one.accuracy for one in bins],
            s=[20 + 180 * one.objects / largest for one in bins],
            color=BLUE,
            alpha=0.8,
        )
        axes.set_title(title)
        axes.set_xlabel("confidence")
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel("share of correct categories")
    save_figure(figure, path)


def draw_agreement(path: Path, pairs: Sequence[Sequence[float]]) -> None:
    """Draw Dice against the agreement of the two decoders, a dot per object; raises OutputError."""
    figure = Figure(figsize=(4.4, 3.8), layout="constrained")
    axes: Axes = figure.subplots()
    axes.scatter(
        [pair[0] for pair in pairs], [pair[1] for pair in pairs], s=5, alpha=0.35, color=BLUE
    )
    axes.set_xlabel("agreement of both decoders (IoU)")
    axes.set_ylabel("Dice of the mask")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    save_figure(figure, path)

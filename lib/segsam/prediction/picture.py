"""PNG picture of a result: its slices in radiological orientation with the object and prompts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from segsam.errors import OutputError
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.prediction.result import Result
from segsam.prompting.prompts import Prompts, SlicePrompts
from segsam.system.atomic import replacing

MAX_PANELS = 12

_COLUMNS = 4
_PANEL_INCHES, _FEW_INCHES = 3.2, 6.4
_DPI = 110
_OBJECT = (0.90, 0.25, 0.20)
_POSITIVE, _NEGATIVE, _BOX = "#37d67a", "#ff4d4f", "#ffd54a"


def draw_result(
    path: str | Path,
    result: Result,
    prompts: Prompts,
    *,
    window: str | tuple[float, float] | None = None,
) -> None:
    """Write a PNG with up to 12 slices across the result's first axis.

    The object is filled and outlined in red; boxes are yellow, positive points green, negative ones
    red crosses. The patient's left is at the right of an axial slice.

    Raises:
        OutputError: a `path` that does not end in .png.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise OutputError(f"Expected a picture name ending in .png, got {target.name}.")
    volume = result.volume
    axis = _picture_axis(result, prompts)
    indices = chosen_slices(result, prompts, axis)
    figure, panels = _panels(len(indices))
    view = SliceView.of(volume, axis)
    grey = Intensity.for_volume(volume, window)
    for panel, index in zip(panels, indices, strict=True):
        _draw_slice(panel, volume, view, grey, index)
        _draw_object(panel, view.cut(result.labels, index) > 0)
        _draw_prompts(panel, view, prompts.on_slice(axis, index))
        panel.set_title(f"{'ijk'[axis]} = {index}", color="white", fontsize=10)
    figure.suptitle(_headline(result), color="white", fontsize=12)
    with replacing(target, ".png") as partial:
        figure.savefig(partial, facecolor=figure.get_facecolor())


def chosen_slices(result: Result, prompts: Prompts, axis: int) -> tuple[int, ...]:
    """Return at most 12 slices, evenly spaced over all slices that hold object or prompts."""
    filled = np.flatnonzero(result.labels.any(axis=tuple(a for a in range(3) if a != axis)))
    prompted = set(prompts.slices_along(axis)).intersection(range(result.volume.shape_ijk[axis]))
    slices = sorted({*filled.tolist(), *prompted})
    positions = np.linspace(0, len(slices) - 1, min(len(slices), MAX_PANELS)).round().astype(int)
    return tuple(slices[position] for position in dict.fromkeys(positions.tolist()))


def _picture_axis(result: Result, prompts: Prompts) -> int:
    if len(result.axes) == 1:
        return "ijk".index(result.axes[0])
    return prompts.flat_axis if prompts.flat_axis is not None else 2


def _headline(result: Result) -> str:
    name = result.category or "object (not named)"
    if result.confidence is not None:
        name += f", {result.confidence:.0%}"
    iou = "" if result.predicted_iou is None else f", predicted IoU {result.predicted_iou:.2f}"
    return f"{result.volume.name}\n{name}, {result.size_in_words}{iou}"


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(_COLUMNS, count)
    rows = math.ceil(count / columns)
    inches = _PANEL_INCHES if columns > 2 else _FEW_INCHES
    figure = Figure(
        figsize=(columns * inches, rows * inches + 0.7),
        dpi=_DPI,
        layout="constrained",
        facecolor="black",
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for panel in grid:
        panel.set_axis_off()
    return figure, grid[:count]


def _draw_slice(
    panel: Axes, volume: Volume, view: SliceView, intensity: Intensity, index: int
) -> None:
    plane = intensity.apply(view.cut(volume.voxels, index))
    aspect = view.spacing_mm[view.y_axis] / view.spacing_mm[view.x_axis]
    panel.imshow(plane, cmap="gray", vmin=0, vmax=255, aspect=aspect)


def _draw_object(panel: Axes, mask: NDArray[np.bool_]) -> None:
    overlay = np.zeros((*mask.shape, 4))
    overlay[mask] = (*_OBJECT, 0.40)
    panel.imshow(overlay, aspect=panel.get_aspect(), interpolation="nearest")
    if mask.any() and min(mask.shape) > 1:
        panel.contour(mask.astype(float), levels=[0.5], colors=[_OBJECT], linewidths=1.0)


def _draw_prompts(panel: Axes, view: SliceView, prompts: SlicePrompts) -> None:
    for box in prompts.all_boxes:
        left, top, right, bottom = view.rectangle(box.min_ijk, box.max_ijk)
        corner, sides = (left - 0.5, top - 0.5), (right - left + 1, bottom - top + 1)
        panel.add_patch(Rectangle(corner, *sides, fill=False, edgecolor=_BOX, linestyle="--"))
    for point in prompts.points:
        x, y, _, _ = view.rectangle(point.ijk, point.ijk)
        marker, colour = ("o", _POSITIVE) if point.positive else ("x", _NEGATIVE)
        panel.plot(x, y, marker=marker, color=colour, markersize=7, markeredgewidth=2)

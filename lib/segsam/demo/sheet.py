"""Contact sheet: for each organ its widest slice, with mask, box and outline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from segsam.demo.prompting import Organ, widest_slice
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.system.atomic import replacing
from segsam.types import LabelArray

_COLUMNS = 3
_PANEL_INCHES = 3.6
_OPACITY = 0.45

_DISTINCT = (0, 1, 2, 3, 4, 5, 6, 8, 9)
"""Indices of matplotlib's tab10, without its grey, which is hard to see on a CT."""

Colour = tuple[int, int, int]


def colours_for(organs: Sequence[Organ]) -> dict[int, Colour]:
    """Return label value -> colour (0...255 each), easy to tell apart on grey.

    The anatomical colours of the categories are all close to the colour of flesh.
    """
    palette = colormaps["tab10"]
    colours = {}
    for place, organ in enumerate(organs):
        shade = palette(_DISTINCT[place % len(_DISTINCT)])
        red, green, blue = (round(255 * part) for part in shade[:3])
        colours[organ.value] = (red, green, blue)
    return colours


def write_sheet(
    path: Path,
    volume: Volume,
    labels: LabelArray,
    *,
    organs: Sequence[Organ],
    titles: Mapping[str, str],
) -> Path:
    """Write one panel per organ as radiologists view it (patient's left on the right), as PNG.

    Filled: the masks that the server returned, all organs. White line: the pseudo-label of the
    organ in the title. Dashed: the box that was sent for it.
    """
    rows = math.ceil(len(organs) / _COLUMNS)
    figure = Figure(figsize=(_COLUMNS * _PANEL_INCHES, rows * _PANEL_INCHES), dpi=110)
    FigureCanvasAgg(figure)
    figure.set_facecolor("black")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False)
    view = SliceView.of(volume, axis=2)
    overlay = _overlay(labels, colours_for(organs))
    for axes in grid.ravel():
        axes.set_axis_off()
    for axes, organ in zip(grid.ravel(), organs, strict=False):
        index = widest_slice(organ, axis=2)
        _draw_panel(axes, volume, view, overlay=overlay, organ=organ, index=index)
        axes.set_title(f"{titles[organ.name]}   k = {index}", color="white", fontsize=10)
    figure.tight_layout()
    with replacing(path, ".png") as partial:
        figure.savefig(partial, facecolor=figure.get_facecolor())
    return path


def _overlay(labels: LabelArray, colours: Mapping[int, Colour]) -> NDArray[np.float64]:
    """Return labels (i, j, k) as red, green, blue and opacity (i, j, k, 4), 0...1."""
    painted = np.zeros((*labels.shape, 4))
    for value, colour in colours.items():
        painted[labels == value] = [*(part / 255 for part in colour), _OPACITY]
    return painted


def _draw_panel(
    axes: Axes,
    volume: Volume,
    view: SliceView,
    *,
    overlay: NDArray[np.float64],
    organ: Organ,
    index: int,
) -> None:
    grey = Intensity.for_volume(volume).apply(view.cut(volume.voxels, index))
    outline = view.cut(organ.mask, index).astype(float)
    aspect = view.spacing_mm[view.y_axis] / view.spacing_mm[view.x_axis]
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255, aspect=aspect)
    axes.imshow(view.cut(overlay, index), aspect=aspect, interpolation="nearest")
    axes.contour(outline, levels=[0.5], colors="white", linewidths=0.8)
    x0, y0, x1, y1 = view.rectangle(organ.box.min_ijk, organ.box.max_ijk)
    corner, sides = (x0 - 0.5, y0 - 0.5), (x1 - x0 + 1, y1 - y0 + 1)
    axes.add_patch(Rectangle(corner, *sides, fill=False, linestyle="--", color="yellow"))

"""Pixmaps for the panel: colour swatch, certainty strip, training curve."""

from __future__ import annotations

import math
from typing import Any, Collection, Sequence

import qt

from SEGSAMLib.Translation import tr as _

CONFIRMED = (61, 139, 217, 255)
_UNKNOWN = (128, 128, 128, 70)
_MARGIN_PX = 26
_CURSOR_PX = 32
_HOT_PX = 8
"""Pixel of a cursor that points, from its left and from its top."""
_INSIDE, _OUTSIDE = (47, 168, 79), (224, 72, 62)
_LINES = ((61, 139, 217), (47, 168, 79), (232, 169, 28), (143, 107, 214))


def swatch(colour: Sequence[float], side_px: int = 16) -> Any:
    """Return a square of one colour, given as red, green, blue from 0 to 1."""
    picture = qt.QPixmap(side_px, side_px)
    picture.fill(qt.QColor.fromRgbF(*colour))
    return picture


def tool_cursor(icon: Any, *, positive: bool) -> Any:
    """Return a cursor: a cross at the pointed pixel, the sign, and the icon of the tool."""
    side = _CURSOR_PX
    picture = qt.QPixmap(side, side)
    picture.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter(picture)
    middle = _HOT_PX
    for colour, width in ((qt.QColor(0, 0, 0, 160), 3), (qt.QColor(255, 255, 255), 1)):
        pen = qt.QPen(colour)
        pen.setWidth(width)
        painter.setPen(pen)
        painter.drawLine(middle - 7, middle, middle + 7, middle)
        painter.drawLine(middle, middle - 7, middle, middle + 7)
    painter.drawPixmap(middle + 5, middle + 5, icon.pixmap(18, 18))
    sign = qt.QColor(*_INSIDE if positive else _OUTSIDE)
    painter.setPen(qt.QPen(qt.QColor(255, 255, 255)))
    painter.setBrush(qt.QBrush(sign))
    painter.drawEllipse(side - 15, 1, 13, 13)
    painter.drawLine(side - 12, 7, side - 5, 7)
    if positive:
        painter.drawLine(side - 9, 4, side - 9, 11)
    painter.end()
    return qt.QCursor(picture, middle, middle)


def certainty_colour(value: float) -> tuple[int, int, int, int]:
    """Return red at 0.4 and below, yellow between, green at 1, grey for NaN."""
    if not math.isfinite(value):
        return _UNKNOWN
    share = min(max((value - 0.4) / 0.6, 0.0), 1.0)
    low, middle, high = (222, 63, 56), (236, 184, 38), (47, 168, 79)
    first, last, along = (low, middle, 2 * share) if share < 0.5 else (middle, high, 2 * share - 1)
    red, green, blue = (round(a + (b - a) * along) for a, b in zip(first, last))
    return red, green, blue, 255


def strip(values: Sequence[float], confirmed: Collection[int] = ()) -> Any:
    """Return a pixmap with one column per slice, blue for a confirmed one; the label that shows it
    stretches it.
    """
    picture = qt.QImage(max(len(values), 1), 1, qt.QImage.Format_ARGB32)
    picture.fill(qt.QColor(*_UNKNOWN))
    for column, value in enumerate(values):
        colour = CONFIRMED if column in confirmed else certainty_colour(float(value))
        picture.setPixelColor(column, 0, qt.QColor(*colour))
    return qt.QPixmap.fromImage(picture)


def curve(points: Sequence[tuple[int, str, float]], size_px: tuple[int, int], palette: Any) -> Any:
    """Return a plot with one line per name, each scaled to its own range, and the newest values.

    `points` are (epoch, name, value), as in `TrainingStatus.curve`.
    """
    width, height = size_px
    picture = qt.QPixmap(width, height)
    picture.fill(palette.color(qt.QPalette.Base))
    painter = qt.QPainter(picture)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    text = palette.color(qt.QPalette.Text)
    names = list(dict.fromkeys(name for _epoch, name, _value in points))[: len(_LINES)]
    last = max((epoch for epoch, _name, _value in points), default=1)
    painter.setPen(qt.QPen(text))
    below = _("epoch {number}").format(number=last) if points else _("The curve of a training.")
    painter.drawText(4, height - 6, below)
    for number, name in enumerate(names):
        found = [(epoch, value) for epoch, key, value in points if key == name]
        pen = qt.QPen(qt.QColor(*_LINES[number]))
        pen.setWidthF(2.0)
        painter.setPen(pen)
        painter.drawText(6 + number * (width - 12) // len(names), 15, f"{name} {found[-1][1]:.3f}")
        _draw_line(painter, found, last, size_px)
    painter.end()
    return picture


def _draw_line(
    painter: Any, found: Sequence[tuple[int, float]], last: int, size_px: tuple[int, int]
) -> None:
    """Draw a line from the first epoch at the left to `last` at the right, over the full height."""
    width, height = size_px
    values = [value for _epoch, value in found]
    low, span = min(values), (max(values) - min(values)) or 1.0
    first = min(epoch for epoch, _value in found)
    plot_height = height - 2 * _MARGIN_PX
    previous = None
    for epoch, value in found:
        x = 8 + (epoch - first) / max(last - first, 1) * (width - 16)
        y = height - _MARGIN_PX - (value - low) / span * plot_height
        if previous is None:
            painter.drawEllipse(qt.QPointF(x, y), 1.5, 1.5)
        else:
            painter.drawLine(previous, qt.QPointF(x, y))
        previous = qt.QPointF(x, y)

"""Small pictures of numbers: what a colour means, and that a curve is drawn."""

from __future__ import annotations

from typing import Any

import gui
import pytest


@pytest.fixture(scope="module")
def pictures(libraries: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    gui.install(tmp_path_factory.mktemp("settings"))
    from SEGSAMLib.Panels import Pixmaps

    return Pixmaps


def test_certain_is_green_uncertain_red_and_unknown_see_through(pictures: Any) -> None:
    red, green, _, alpha = pictures.certainty_colour(1.0)
    assert green > red
    assert alpha == 255
    red, green, _, _ = pictures.certainty_colour(0.1)
    assert red > green
    assert pictures.certainty_colour(float("nan"))[3] < 255


def test_a_strip_has_a_column_per_slice(pictures: Any) -> None:
    image = pictures.strip([0.1, float("nan"), 1.0]).toImage()
    assert (image.width(), image.height()) == (3, 1)
    assert image.pixelColor(0, 0).red() > image.pixelColor(0, 0).green()
    assert image.pixelColor(2, 0).green() > image.pixelColor(2, 0).red()


def test_nothing_known_is_a_strip_too(pictures: Any) -> None:
    assert pictures.strip([]).width() == 1


def test_a_curve_grows(pictures: Any) -> None:
    from PySide6.QtGui import QPalette

    def coloured(points: Any) -> int:
        image = pictures.curve(points, (200, 100), QPalette()).toImage()
        colours = (image.pixelColor(x, y) for x in range(200) for y in range(30, 75))
        return sum(colour.saturation() > 60 for colour in colours)

    points = [(epoch, "loss", 1 / (1 + epoch)) for epoch in range(5)]
    assert coloured(()) == 0
    assert 0 < coloured(points[:1]) < coloured(points)

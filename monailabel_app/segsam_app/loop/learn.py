"""Command `python -m segsam_app.loop.learn` (`make learn`); see `--help`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import numpy as np
import typer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from segsam.cli.terminal import JsonOption, check_target, out, write_json
from segsam.datasets.labelled_slices import spread
from segsam.datasets.sample import fetch_sample
from segsam.demo.checking import read_labels
from segsam.errors import SegSamError
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView, choose_axis
from segsam.imaging.volume import Volume
from segsam.remote.client import Client
from segsam.remote.server import Server, find_app
from segsam.system.atomic import replacing
from segsam_app.loop.next_case import NextCase, NextFindings, write_cases
from segsam_app.loop.outlining import Findings, Mask, Outlining, unknown

_SECONDS = 900
"""Longest wait for an answer, for slow computers."""
_COLUMNS = 8
_PANEL_INCHES = 2.2
_MARGIN_PX = 12
_SIDES = {"left": "right", "right": "left"}
_FILLED = (0.18, 0.66, 0.31, 0.45)

app = typer.Typer(add_completion=False)


@app.command()
def learn(
    organ: Annotated[
        str, typer.Option(help="Organ of the sample CT that the model does not know.")
    ] = "hip_left",
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Contact sheet of all steps (.png).")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Outline an unknown organ of the sample CT on three slices, through a real server, let it
    complete the rest, correct the slice that it proposes, name it, and compare. Then its label is
    saved, and the next case, the mirror image with the organ of the other side, starts from what
    was learnt. Exit status 1 if completing, or that start, does not gain, or the name is not given
    on another slice and in the next case.
    """
    start = time.monotonic()
    try:
        check_target(json_file)
        check_target(sheet, ".png")
        sample = fetch_sample()
        if organ not in sample.organs:
            raise SegSamError(f"Expected one of {', '.join(sample.organs)}, got {organ}.")
        volume, truth = Volume.load(sample.image), read_labels(sample.labels)
        mask = np.asarray(truth == sample.organs[organ])
        axis = choose_axis(volume, "auto")
        opposite = sample.organs.get(_other_side(organ), sample.organs[organ])
        masks = mask, np.asarray(truth == opposite)
        found, next_case = _run(sample.image, organ, volume, masks, axis)
        if sheet is not None:
            write_sheet(sheet, volume, mask, found, axis)
    except SegSamError as error:
        out.print(f"It ended early: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
    failures = [*found.failures, *next_case.failures(organ.replace("_", " "))]
    _show(organ, found, failures, time.monotonic() - start)
    record = {"confirmed": found.confirmed, "dice": found.dice, "seconds": found.seconds}
    after = {"next_case": asdict(next_case), "failures": failures}
    write_json(json_file, {"organ": organ, **record, **after})
    raise typer.Exit(1 if failures else 0)


def _other_side(organ: str) -> str:
    """Return the organ of the other side; the organ itself if it has no side."""
    words = [_SIDES.get(word, word) for word in organ.split("_")]
    return "_".join(words)


def _run(
    image: Path, organ: str, volume: Volume, masks: tuple[Mask, Mask], axis: int
) -> tuple[Findings, NextFindings]:
    """Run both parts; `masks` are of the organ and of that of the other side."""
    with tempfile.TemporaryDirectory(prefix="segsam-learn-") as name:
        folder = Path(name)
        (folder / "studies").mkdir()
        cases = write_cases(folder / "studies", volume, *masks)
        log = folder / "server.log"
        conf = {"warm": "off", "infer_seconds": str(_SECONDS)}
        with Server(find_app(), folder, log, conf=conf) as server:
            with out.status("Starting the server"):
                server.wait()
            with Client(server.address, answer_seconds=_SECONDS) as client:
                unknown(organ, client)
                session = client.open_session(image)
                name = organ.replace("_", " ")
                found = Outlining(client, session, masks[0], axis, console=out, name=name).run()
                client.memory("DELETE", f"/{quote(name)}")  # the next case learns it from a label
                case = NextCase(client, cases, axis, name=name, console=out)
                return found, case.run(folder, _SECONDS)


def _show(organ: str, found: Findings, failures: Sequence[str], seconds: float) -> None:
    confirmed = ", ".join(map(str, found.confirmed))
    title = f"{organ}: Dice in % of the slices that were never confirmed ({confirmed} were)"
    table = Table("step", "Dice", "seconds", title=title)
    for step, value in found.dice.items():
        table.add_row(step, f"{value:.1f}", f"{found.seconds[step]:.1f}")
    out.print(table)
    for sentence in failures:
        out.print(f"Not as expected: {sentence}.", style="red", markup=False)
    out.print(f"{seconds:.0f} s in total", markup=False)


def write_sheet(path: Path, volume: Volume, truth: Mask, found: Findings, axis: int) -> Path:
    """Write a row for each step and a column for each of some slices, as PNG: filled is what came,
    the red line is the reference.
    """
    others = tuple(number for number in range(3) if number != axis)
    seen = np.flatnonzero(np.any([truth, *found.masks.values()], axis=0).any(axis=others))
    chosen = spread([int(index) for index in seen], _COLUMNS)
    size = (len(chosen) * _PANEL_INCHES, len(found.masks) * _PANEL_INCHES)
    figure = Figure(figsize=size, dpi=110)
    FigureCanvasAgg(figure)
    figure.set_facecolor("black")
    view, display = SliceView.of(volume, axis=axis), Intensity.for_volume(volume)
    frame = _frame(view, np.any([truth, *found.masks.values()], axis=0))
    grid = figure.subplots(len(found.masks), len(chosen), squeeze=False)
    aspect = view.spacing_mm[view.y_axis] / view.spacing_mm[view.x_axis]
    for row, (step, mask) in zip(grid, found.masks.items(), strict=True):
        for axes, index in zip(row, chosen, strict=True):
            axes.set_axis_off()
            grey = display.apply(view.cut(volume.voxels, index))[frame]
            axes.imshow(grey, cmap="gray", vmin=0, vmax=255, aspect=aspect)
            shown = view.cut(mask, index)[frame]
            painted = np.zeros((*shown.shape, 4))
            painted[shown > 0] = _FILLED
            axes.imshow(painted, aspect=aspect, interpolation="nearest")
            outline = view.cut(truth, index)[frame].astype(float)
            if outline.any():
                axes.contour(outline, levels=[0.5], colors="red", linewidths=0.8)
            mark = " confirmed" if index in found.confirmed else ""
            title = f"{step} {found.dice[step]:.0f} %  {index}{mark}"
            axes.set_title(title, color="white", fontsize=7)
    figure.tight_layout()
    with replacing(path, ".png") as partial:
        figure.savefig(partial, facecolor=figure.get_facecolor())
    return path


def _frame(view: SliceView, mask: Mask) -> tuple[slice, slice]:
    """Return the part of every picture that shows a mask (i, j, k) with a margin around it."""
    shown = np.argwhere(np.any([view.cut(mask, index) for index in range(view.depth)], axis=0))
    low, high = np.maximum(shown.min(axis=0) - _MARGIN_PX, 0), shown.max(axis=0) + _MARGIN_PX + 1
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


if __name__ == "__main__":
    app()

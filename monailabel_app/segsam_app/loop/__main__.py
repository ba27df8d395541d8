"""Command `python -m segsam_app.loop`; see `--help`."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from segsam.cli.terminal import JsonOption, check_target, out, write_json
from segsam.errors import SegSamError
from segsam.remote.client import Client
from segsam.remote.server import Server, find_app
from segsam_app.loop.references import (
    KINDS,
    Reference,
    references_from_dataset,
    references_from_sample,
)
from segsam_app.loop.session import Findings, Session

QUICK: dict[str, Any] = {"max_epochs": 6, "minutes": 15.0, "slices": 72, "copies": 0}
"""Settings of a short training: the whole loop takes some minutes on two processor cores. The
training ends after a number of steps, so that it gives the same result on a slow computer.
"""

app = typer.Typer(add_completion=False)


@app.command()
def loop(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a data set with eight volumes; default: pieces of the sample CT."
        ),
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="Weights that the server starts with; default: its own.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="Strategy that chooses the next sample.")] = "first",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Setting of the training, as minutes=1 (repeatable)."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Annotate four of eight volumes through a real server, train, measure the other four, and roll
    back. The simulated annotator draws boxes, clicks points, and corrects to the reference labels.
    """
    start = time.monotonic()
    settings = QUICK | dict(one.partition("=")[::2] for one in changes or ())
    try:
        check_target(json_file)
        references = _references(data)
        with tempfile.TemporaryDirectory(prefix="segsam-loop-") as folder:
            found = _run(Path(folder), references, checkpoint, strategy, settings)
    except SegSamError as error:
        out.print(f"The loop ended early: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
    _show(found, time.monotonic() - start)
    write_json(json_file, asdict(found))
    raise typer.Exit(1 if found.failures else 0)


def _references(data: Path | None) -> list[Reference]:
    if data is not None:
        return references_from_dataset(data)
    out.print(
        "The volumes are eight pieces of one CT, with labels made by another program. This shows "
        "that all parts work together, not how good the model is.",
        style="yellow",
    )
    return references_from_sample()


def _run(
    folder: Path,
    references: list[Reference],
    checkpoint: str | None,
    strategy: str,
    settings: dict[str, Any],
) -> Findings:
    by_name = {one.name: one for one in references}
    for name in ("studies", "labels"):
        (folder / name).mkdir()
    for one in references:
        one.save(folder / "studies")

    def save(name: str, order: int) -> tuple[Path, dict[str, int]]:
        return by_name[name].save_labels(folder / "labels", order)

    conf = {"warm": "off"} | ({"checkpoint": checkpoint} if checkpoint else {})
    with Server(find_app(), folder, folder / "server.log", conf=conf) as server:
        with out.status("Starting the server"):
            server.wait()
        with Client(server.address) as client:
            return Session(client, references, out).run(strategy, settings, save)


def _show(found: Findings, seconds: float) -> None:
    measured = (found.before, found.after, found.rolled_back)
    for kind in KINDS:
        title = f"Dice in % of the other four volumes, prompted by {kind}"
        table = Table("volume", "before", "after", "rolled back", title=title)
        for name in found.before[kind]:
            table.add_row(name, *(f"{dice[kind][name]:.1f}" for dice in measured))
        means = (f"{found.mean(dice, kind):.1f}" for dice in measured)
        table.add_row("mean", *means, style="bold")
        out.print(table)
    out.print(f"Version {found.version['id']}: {found.version['why']}", markup=False)
    for sentence in found.failures:
        out.print(f"Not as expected: {sentence}.", style="red", markup=False)
    parts = ", ".join(f"{step} {value:.0f} s" for step, value in found.seconds.items())
    out.print(f"{seconds:.0f} s in total ({parts})", markup=False)


if __name__ == "__main__":
    app()

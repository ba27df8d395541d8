"""`python -m segsam_app.loop`: see `--help`."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from segsam.errors import SegSamError
from segsam.remote.server import find_app
from segsam.system.atomic import write_bytes
from segsam_app.loop.session import Findings, Session
from segsam_app.loop.talk import LoopClient, LoopServer
from segsam_app.loop.volumes import KINDS, Reference, of_dataset, of_sample

QUICK: dict[str, Any] = {"max_epochs": 6, "minutes": 15.0, "slices": 72, "copies": 0}
"""A training that leaves the whole loop at some minutes on two processor cores. It ends by its
steps, so that a slow computer learns the same.
"""

out = Console(soft_wrap=True)
app = typer.Typer(add_completion=False)


@app.command()
def loop(
    data: Annotated[
        Path | None,
        typer.Option(help="A data set's folder with eight volumes; else pieces of the sample CT."),
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="What the server starts with; its default by default.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="Who chooses the next sample.")] = "first",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of the training, as minutes=1 (repeatable)."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was found to this file.")
    ] = None,
) -> None:
    """Eight volumes: annotate four through a real server, train, look at the other four, roll
    back. The annotator draws boxes and clicks points, and corrects to what the reference says.
    """
    start = time.monotonic()
    settings = QUICK | dict(one.partition("=")[::2] for one in changes or ())
    try:
        references = of_dataset(data) if data is not None else of_sample()
        if data is None:
            out.print(
                "The volumes are eight pieces of one CT, and its labels another program's: this "
                "shows that everything works together, not how good the model is.",
                style="yellow",
            )
        with tempfile.TemporaryDirectory(prefix="segsam-loop-") as folder:
            found = _run(Path(folder), references, checkpoint, strategy, settings)
    except SegSamError as error:
        out.print(f"The loop ended early: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
    _show(found, time.monotonic() - start)
    if json_file is not None:
        write_bytes(json_file, (json.dumps(asdict(found), indent=1) + "\n").encode())
    raise typer.Exit(1 if found.failures else 0)


def _run(
    folder: Path,
    references: list[Reference],
    checkpoint: str | None,
    strategy: str,
    settings: dict[str, Any],
) -> Findings:
    by_name = {one.name: one for one in references}
    (folder / "studies").mkdir(parents=True)
    (folder / "labels").mkdir()
    for one in references:
        one.save(folder / "studies")

    def save(name: str, order: int) -> tuple[Path, dict[str, int]]:
        return by_name[name].save_labels(folder / "labels", order)

    with LoopServer(find_app(), folder, checkpoint) as server:
        with out.status("The server starts"):
            server.wait()
        with closing(LoopClient(server.address)) as client:
            return Session(client, references, out).all(strategy, settings, save)


def _show(found: Findings, seconds: float) -> None:
    measured = (found.before, found.after, found.rolled_back)
    for kind in KINDS:
        title = f"Dice in % of the other four, by {kind}"
        table = Table("volume", "before", "after", "rolled back", title=title)
        for name in found.before[kind]:
            table.add_row(name, *(f"{dice[kind][name]:.1f}" for dice in measured))
        means = (f"{found.mean(dice, kind):.1f}" for dice in measured)
        table.add_row("mean", *means, style="bold")
        out.print(table)
    out.print(f"Version {found.version['id']}: {found.version['why']}", markup=False)
    for sentence in found.failures:
        out.print(f"Not as promised: {sentence}.", style="red", markup=False)
    parts = ", ".join(f"{what} {value:.0f} s" for what, value in found.seconds.items())
    out.print(f"{seconds:.0f} s in all ({parts})", markup=False)


if __name__ == "__main__":
    app()

"""Command `python -m segsam_app.loop.first`; see `--help`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from segsam.cli.terminal import out
from segsam.datasets.folder import open_dataset
from segsam.errors import SegSamError, TrainingError
from segsam.remote.client import Client
from segsam.remote.server import Server, find_app
from segsam_app.loop.forgetting import write_without
from segsam_app.loop.new_set import NewSet, Plan, mean
from segsam_app.loop.references import KINDS, Reference, references_of

_SECONDS = 3600
"""Longest wait for an answer, for slow computers."""

app = typer.Typer(add_completion=False)


@app.command()
def first(
    data: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    folder: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder of the session; the same one goes on with it."),
    ],
    measured: Annotated[
        list[str], typer.Option("--measure", help="Case that is never labelled (repeatable).")
    ],
    *,
    labelled: Annotated[
        list[int] | None,
        typer.Option(help="Number of labelled volumes for a training (repeatable)."),
    ] = None,
    unknown: Annotated[
        bool,
        typer.Option(
            "--unknown",
            help="Start with a checkpoint without the categories of the set, and label them "
            "'new structure 1', 'new structure 2', ...",
        ),
    ] = False,
    left_out: Annotated[
        list[str] | None, typer.Option("--without", help="Case that is not used (repeatable).")
    ] = None,
    prompts: Annotated[
        bool, typer.Option("--prompts", help="Measure boxes and points as well, which takes long.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Setting of the training, as minutes=1 (repeatable)."),
    ] = None,
) -> None:
    """Label some volumes of a set through a real server, train, and measure first labels without
    prompts on others, with each number of labelled volumes in turn.
    """
    counts = sorted(labelled or (4, 12))
    try:
        settings = dict(one.partition("=")[::2] for one in changes or ())
        unused = {*measured, *(left_out or ())}
        cases = [case for case in open_dataset(data).cases if case not in unused][: counts[-1]]
        if len(cases) < counts[-1]:
            raise TrainingError(f"Expected {counts[-1]} cases to label, got {len(cases)}.")
        references = references_of(data, [*cases, *measured])
        checkpoint = None
        if unknown:
            names = {name for one in references for name in one.names.values()}
            checkpoint = str(write_without(_made(folder) / "start.safetensors", None, names))
            references = [_renamed(one) for one in references]
        few, others = references[: len(cases)], references[len(cases) :]
        done = _run(folder, few, others, checkpoint, Plan(counts, settings, prompts=prompts))
    except SegSamError as error:
        out.print(f"It ended early: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
    _show(done, counts)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _renamed(reference: Reference) -> Reference:
    """Return a volume whose structures have names that no checkpoint has, and that name something:
    "structure 1" would be a mask without a name.
    """
    names = {value: f"new structure {value}" for value in reference.names}
    return replace(reference, names=names)


def _run(
    folder: Path,
    labelled: list[Reference],
    measured: list[Reference],
    checkpoint: str | None,
    plan: Plan,
) -> dict[str, Any]:
    for name in ("studies", "labels"):
        _made(folder / name)
    for one in (*labelled, *measured):
        if not (folder / "studies" / f"{one.name}.nii.gz").is_file():
            one.save(folder / "studies")
    conf = {"warm": "off"} | ({"checkpoint": checkpoint} if checkpoint else {})
    with Server(find_app(), folder, folder / "server.log", conf=conf) as server:
        with out.status("Starting the server"):
            server.wait()
        with Client(server.address, answer_seconds=_SECONDS) as client:
            file = folder / "findings.json"
            session = NewSet(client, server.pid or 0, labelled, measured, file=file, console=out)
            return session.run(plan, folder / "labels")


def _show(done: dict[str, Any], counts: list[int]) -> None:
    columns = ("labelled", "by name", "first labels", "box", "point", "training", "processor")
    table = Table(*columns, title="Mean Dice in % of the volumes without labels; seconds")
    for count in (0, *counts):
        steps = [done.get(f"{count} {step}") for step in ("by name", "first labels")]
        dice = [f"{mean(step['result']):.1f}" if step else "" for step in steps]
        prompted = done.get(f"{count} prompted", {}).get("result", {})
        kinds = [f"{mean({kind: prompted[kind]}):.1f}" if prompted else "" for kind in KINDS]
        training = done.get(f"{count} training", {})
        seconds = [f"{training[key]:.0f}" if training else "" for key in _SECONDS_KEYS]
        table.add_row(str(count), *dice, *kinds, *seconds)
    out.print(table)


_SECONDS_KEYS = ("seconds", "processor_seconds")


if __name__ == "__main__":
    app()

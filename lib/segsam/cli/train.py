"""`segsam train`: the command that the main command line mounts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from segsam.cli.terminal import JsonOption, shown_progress
from segsam.errors import OutputError
from segsam.system.atomic import write_bytes
from segsam.types import Progress as ReportsProgress

if TYPE_CHECKING:
    from segsam.training.config import TrainConfig
    from segsam.training.loop import TrainReport

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def train(
    config: Annotated[
        Path, typer.Argument(help="The run, as YAML: datasets, out, and what differs by default.")
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of the run.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value over the file, as variant=so_co (repeatable)."),
    ] = None,
    shards_to: Annotated[
        Path | None,
        typer.Option(
            "--shards-to",
            help="Only cut the run's slices into shards in this folder; a run names it as shards, "
            "in the place of datasets.",
        ),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Train a variant of the paper on data sets of labelled images; stopped anywhere, it can be
    resumed to the same result.
    """
    from segsam.training.config import TrainConfig
    from segsam.training.distributed import is_main_process

    if json_file is not None and not json_file.parent.is_dir():
        raise OutputError(f"The folder of {json_file.name} does not exist.")
    run = TrainConfig.load(config, changes or ())
    if shards_to is not None:
        _shard(run, shards_to)
        return
    try:
        report = _train(run, resume=resume)
    except KeyboardInterrupt:
        if not is_main_process():
            raise typer.Exit(130) from None
        err.print(
            f"Stopped. The last checkpoint is in {run.out}; the same command with --resume goes on "
            "from there.",
            markup=False,
        )
        raise typer.Exit(130) from None
    if not is_main_process():
        return
    _show(report)
    if json_file is not None:
        write_bytes(json_file, (report.to_json() + "\n").encode())


def _train(run: TrainConfig, *, resume: bool) -> TrainReport:
    from segsam.training import loop

    with learning_progress() as progress:
        return loop.train(run, resume=resume, progress=progress)


def _shard(run: TrainConfig, folder: Path) -> None:
    from segsam.training.initial_model import load_initial_model
    from segsam.training.sharded_samples import write_run_shards

    size = load_initial_model(run).host.facts.input_size
    with learning_progress() as progress:
        count = write_run_shards(run, folder, input_size=size, progress=progress)
    out.print(f"{count} slices in {folder}.", markup=False)


def learning_progress() -> AbstractContextManager[ReportsProgress]:
    """A bar on the terminal, of the first process."""
    from segsam.training.distributed import is_main_process

    return shown_progress(err, "loading", disable=not is_main_process())


def _show(report: TrainReport) -> None:
    slices = ", ".join(f"{count} for {part}" for part, count in report.slices.items())
    out.print(f"{report.steps} steps in {report.training_seconds:.0f} s; slices: {slices}.")
    if report.first_loss is not None and report.last_loss is not None:
        out.print(f"Loss {report.first_loss:.3f} at first, {report.last_loss:.3f} at last.")
    for name, value in report.metrics.items():
        if "/" not in name:
            out.print(f"Validation {name}: {value:.2f} %, after step {report.best_step}")
    out.print(f"Checkpoint: {report.checkpoint}", markup=False)

"""Commands `segsam train` and `segsam distill`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsam.cli.terminal import (
    JsonOption,
    check_target,
    exit_when_interrupted,
    out,
    progress_bar,
    write_text,
)
from segsam.types import Progress

if TYPE_CHECKING:
    from segsam.training.config import TrainConfig
    from segsam.training.outcome import TrainReport

ChangesOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value in place of the file's, as steps=2000 (repeatable)."),
]


def train(
    config: Annotated[
        Path,
        typer.Argument(help="The run, as YAML: datasets, out, and what differs from the defaults."),
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint of the run.")
    ] = False,
    changes: ChangesOption = None,
    shards_to: Annotated[
        Path | None,
        typer.Option(
            "--shards-to",
            help="Only cut the run's slices into shards in this folder; a later run reads them "
            "with the key shards in place of datasets.",
        ),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Train a variant of the paper on data sets of labelled images. If it is stopped, --resume
    continues to the same result.
    """
    from segsam.training.config import load_config
    from segsam.training.loop import train as run_training
    from segsam.training.ranks import speaks

    check_target(json_file)
    run = load_config(config, changes or ())
    if shards_to is not None:
        _write_shards(run, shards_to)
        return
    with _exit_when_interrupted(run), _progress_bar() as progress:
        report = run_training(run, resume=resume, progress=progress)
    if speaks():
        _show(report)
        write_text(json_file, report.to_json() + "\n")


def distill(
    config: Annotated[
        Path, typer.Argument(help="The run, as YAML, with the keys of `segsam train`.")
    ],
    student: Annotated[
        str, typer.Option(help="Host whose image encoder is trained.")
    ] = "segsam_fast",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last state of the run.")
    ] = False,
    changes: ChangesOption = None,
    json_file: JsonOption = None,
) -> None:
    """Train a faster image encoder to reproduce the embeddings of the run's host; no labels are
    used.

    The result has the decoders of the run's host. `segsam train` takes it as a host, to adapt the
    decoders to the new encoder.
    """
    from segsam.training.config import load_config
    from segsam.training.distilling import distil

    check_target(json_file)
    run = load_config(config, changes or ())
    with _exit_when_interrupted(run), _progress_bar() as progress:
        report = distil(run, student=student, resume=resume, progress=progress)
    out.print(
        f"{report.steps} steps in {report.seconds:.0f} s; on the validation slices, the student "
        f"misses {100 * report.unexplained:.1f} % of the teacher's embeddings."
    )
    out.print(f"Checkpoint: {report.checkpoint}", markup=False)
    write_text(json_file, report.to_json() + "\n")


def _progress_bar() -> AbstractContextManager[Progress]:
    """Return a progress bar that only the first process of a run on several GPUs draws."""
    from segsam.training.ranks import speaks

    return progress_bar("loading", disable=not speaks())


def _exit_when_interrupted(run: TrainConfig) -> AbstractContextManager[None]:
    from segsam.training.ranks import speaks

    return exit_when_interrupted(
        f"Stopped. The last state is in {run.out}; the same command with --resume continues there.",
        silent=not speaks(),
    )


def _write_shards(run: TrainConfig, folder: Path) -> None:
    from segsam.training.sharded import write_run_shards
    from segsam.training.starting import load_start

    size = load_start(run).host.facts.input_size
    with _progress_bar() as progress:
        count = write_run_shards(run, folder, input_size=size, progress=progress)
    out.print(f"{count} slices in {folder}.", markup=False)


def _show(report: TrainReport) -> None:
    slices = ", ".join(f"{count} for {part}" for part, count in report.slices.items())
    out.print(f"{report.steps} steps in {report.training_seconds:.0f} s; slices: {slices}.")
    if report.first_loss is not None and report.last_loss is not None:
        out.print(f"Loss {report.first_loss:.3f} at first, {report.last_loss:.3f} at last.")
    for name, value in report.metrics.items():
        if "/" not in name:
            out.print(f"Validation {name}: {value:.2f} %, after step {report.best_step}")
    out.print(f"Checkpoint: {report.checkpoint}", markup=False)

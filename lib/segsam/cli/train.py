"""Commands `segsam train` and `segsam distill`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsam.cli.terminal import (
    JsonOption,
    check_outputs,
    check_target,
    dataset_files,
    exit_when_interrupted,
    out,
    print_unused,
    progress_bar,
    write_text,
)
from segsam.types import Progress

if TYPE_CHECKING:
    from segsam.training.config import TrainConfig
    from segsam.training.reports import TrainReport

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
            help="Only cut the run's slices into shards in this new or empty folder; a later run "
            "reads them with the key shards in place of datasets.",
        ),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Train a variant of the paper on data sets of labelled images. If it is stopped, --resume
    continues to the same result.
    """
    from segsam.training.config import TrainConfig
    from segsam.training.distributed import is_main_process
    from segsam.training.loop import train as run_training

    check_target(json_file, ".json")
    check_outputs([config], json_file)
    run = TrainConfig.load(config, changes or ())
    check_outputs(_files_of(run), json_file)
    _print_unused(run)
    if shards_to is not None:
        _write_shards(run, shards_to)
        return
    with _exit_when_interrupted(run), _progress_bar() as progress:
        report = run_training(run, resume=resume, progress=progress)
    if is_main_process():
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
    from segsam.training.config import TrainConfig
    from segsam.training.distillation import distil

    check_target(json_file, ".json")
    check_outputs([config], json_file)
    run = TrainConfig.load(config, changes or ())
    check_outputs(_files_of(run), json_file)
    _print_unused(run)
    with _exit_when_interrupted(run), _progress_bar() as progress:
        report = distil(run, student=student, resume=resume, progress=progress)
    out.print(
        f"{report.steps} steps in {report.seconds:.0f} s; on the validation slices, the student "
        f"misses {100 * report.unexplained:.1f} % of the teacher's embeddings."
    )
    out.print(f"Checkpoint: {report.checkpoint}", markup=False)
    write_text(json_file, report.to_json() + "\n")


def _files_of(run: TrainConfig) -> list[Path]:
    split = [Path(run.split)] if run.split else []
    return [*dataset_files(Path(folder) for folder in run.datasets), *split]


def _print_unused(run: TrainConfig) -> None:
    from segsam.datasets.folder import open_dataset
    from segsam.datasets.med2d import is_med2d
    from segsam.training.distributed import is_main_process

    if is_main_process() and not run.shards:
        folders = (folder for folder in run.datasets if not is_med2d(folder))
        print_unused(open_dataset(folder) for folder in folders)


def _progress_bar() -> AbstractContextManager[Progress]:
    """Return a progress bar that only the first process of a run on several GPUs draws."""
    from segsam.training.distributed import is_main_process

    return progress_bar("loading", disable=not is_main_process())


def _exit_when_interrupted(run: TrainConfig) -> AbstractContextManager[None]:
    from segsam.training.distributed import is_main_process

    return exit_when_interrupted(
        f"Stopped. The last state is in {run.out}; the same command with --resume continues there.",
        silent=not is_main_process(),
    )


def _write_shards(run: TrainConfig, folder: Path) -> None:
    from segsam.training.initial_model import load_initial_model
    from segsam.training.sharded_samples import write_run_shards

    size = load_initial_model(run).host.facts.input_size
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

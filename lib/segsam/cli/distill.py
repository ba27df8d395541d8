"""`segsam distill`: the command that the main command line mounts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsam.cli.terminal import JsonOption
from segsam.cli.train import err, learning_progress, out
from segsam.errors import OutputError
from segsam.system.atomic import write_bytes


def distill(
    config: Annotated[
        Path, typer.Argument(help="The run, as YAML, with the keys of `segsam train`.")
    ],
    student: Annotated[
        str, typer.Option(help="The host whose image encoder learns.")
    ] = "segsam_fast",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last state of the run.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value over the file, as steps=2000 (repeatable)."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Teach a faster image encoder what the one of the run's host says; no labels are used.

    What comes out has the decoders of the run's host, and `segsam train` takes it as a host in its
    turn, so that they learn to live with what the student says otherwise.
    """
    from segsam.training.config import TrainConfig
    from segsam.training.distillation import distil

    if json_file is not None and not json_file.parent.is_dir():
        raise OutputError(f"The folder of {json_file.name} does not exist.")
    run = TrainConfig.load(config, changes or ())
    try:
        with learning_progress() as progress:
            report = distil(run, student=student, resume=resume, progress=progress)
    except KeyboardInterrupt:
        err.print(
            f"Stopped. The last state is in {run.out}; the same command with --resume goes on "
            "from there.",
            markup=False,
        )
        raise typer.Exit(130) from None
    out.print(
        f"{report.steps} steps in {report.seconds:.0f} s; of what the teacher says, "
        f"{100 * report.unexplained:.1f} % is missed on the validation slices."
    )
    out.print(f"Checkpoint: {report.checkpoint}", markup=False)
    if json_file is not None:
        write_bytes(json_file, (report.to_json() + "\n").encode())

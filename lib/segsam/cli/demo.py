"""Command `segsam demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsam.cli.terminal import (
    JsonOption,
    ServerAppOption,
    check_target,
    err,
    out,
    progress_bar,
    write_json,
)

if TYPE_CHECKING:
    from segsam.datasets.sample import Sample


def demo(
    out_folder: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder of the results, made if missing; those of an earlier demo are replaced.",
        ),
    ] = Path("demo_output"),
    server_app: ServerAppOption = None,
    json_file: JsonOption = None,
) -> None:
    """Segment organs of a real CT through a real MONAI Label server, and check the results."""
    from segsam.demo import run_demo

    check_target(json_file, ".json")
    report = run_demo(out_folder, out, app=server_app, fetch=_fetch_sample)
    write_json(json_file, report.to_json())
    if not report.ok:
        err.print("[bold red]The demo failed:[/] a returned volume is not on the voxels sent.")
        raise typer.Exit(1)


def _fetch_sample() -> Sample:
    from segsam.datasets.sample import fetch_sample

    with progress_bar("sample CT") as progress:
        return fetch_sample(progress=progress)

"""What the commands have in common on a terminal: options that mean the same everywhere, and the
bar that shows how far the work is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from segsam.types import Progress as ReportsProgress

ImageArgument = Annotated[
    Path,
    typer.Argument(
        help="NIfTI, NRRD, MetaImage, a folder with one DICOM series, or a PNG or JPEG."
    ),
]
LabelsOption = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="Label volume: .nii.gz .nii .nrrd .seg.nrrd .mha (.png for 2D)."
    ),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the machine-readable result to this file.")
]


@contextmanager
def shown_progress(
    console: Console, what: str, *, left: bool = False, disable: bool = False
) -> Iterator[ReportsProgress]:
    """A callback that draws a bar, which is gone when the work is done.

    Args:
        console: where it is drawn.
        what: stands before the bar while the callback says nothing else.
        left: also show how much time is left.
        disable: draw nothing.
    """
    columns: list[str | ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
    columns += [MofNCompleteColumn(), TimeElapsedColumn()]
    if left:
        columns += [TextColumn("left"), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True, disable=disable) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int, now: str) -> None:
            bar.update(task, completed=done, total=total, description=now or what)

        yield show

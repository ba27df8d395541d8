"""Consoles, options, progress bar, and checks and writing of result files for all commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

from segsam.errors import OutputError
from segsam.imaging.image_files import LeftOut
from segsam.system import atomic
from segsam.types import Progress as ReportsProgress

if TYPE_CHECKING:
    from segsam.datasets.folder import Dataset

_PIPE_COLUMNS = 150
"""Width of tables where the output is not a terminal."""
_LEFT_OUT = 50

out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
err = Console(stderr=True, soft_wrap=True)

ImageArgument = Annotated[
    Path,
    typer.Argument(
        help="NIfTI, NRRD or MetaImage file, folder with one DICOM series, or PNG or JPEG picture."
    ),
]
FrameOption = Annotated[
    int | None,
    typer.Option(help="Read this frame (from 1) of a DICOM file, such as one of a cine."),
]
DatasetsArgument = Annotated[
    list[Path],
    typer.Argument(
        help="Folders with dataset.json, images/ and labels/.", metavar="DATASET_DIR..."
    ),
]
LabelsOption = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        help="Label volume to write: .nii.gz .nii .nrrd .seg.nrrd .mha (.png for 2D).",
    ),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Also write the result to this file, as JSON.")
]
CheckpointOption = Annotated[
    str | None,
    typer.Option(help="Name or path of the weights; default: the ones in this package."),
]
EmbeddingsOption = Annotated[
    Path | None,
    typer.Option(help="Folder that stores embeddings of slices; stored slices are not encoded."),
]
ServerAppOption = Annotated[
    Path | None,
    typer.Option("--app", help="Folder of the MONAI Label app; default: the one in this checkout."),
]


def check_target(path: Path | None, *endings: str) -> None:
    """Refuse a result file that could not be written, before the work starts.

    Raises:
        OutputError: another ending than one of `endings` (none: any), no folder, or a folder.
    """
    if path is None:
        return
    if endings and not path.name.lower().endswith(endings):
        raise OutputError(f"Expected a name ending in {' or '.join(endings)}, got {path.name}.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"The folder of {path} does not exist; make it first.")
    if path.is_dir():
        raise OutputError(f"Expected a file, but {path} is a folder.")


def write_json(path: Path | None, value: object) -> None:
    """Write `value` as JSON; does nothing without a path. Raises OutputError."""
    if path is not None:
        atomic.write_json(path, value)


def write_text(path: Path | None, text: str) -> None:
    """Write `text` in UTF-8; does nothing without a path. Raises OutputError."""
    if path is not None:
        atomic.write_bytes(path, text.encode())


def print_plain(text: str, console: Console = out) -> None:
    """Print text as it is: without markup, and without colours for numbers and paths."""
    console.print(text, markup=False, highlight=False)


def print_written(notes: Sequence[str], *written: Path | None) -> None:
    """Print the notes of a result, and the files that were written."""
    for note in notes:
        print_plain(f"Note: {note}")
    files = [str(path) for path in written if path is not None]
    out.print(f"Written: {' and '.join(files)}", markup=False)


def print_left_out(left_out: Iterable[LeftOut]) -> None:
    """Name the files that a command found and did not use, on standard error."""
    listed = list(left_out)
    for one in listed[:_LEFT_OUT]:
        print_plain(f"Left out: {one}", err)
    if len(listed) > _LEFT_OUT:
        print_plain(f"Left out: {len(listed) - _LEFT_OUT} more files", err)


def print_unused(datasets: Iterable[Dataset]) -> None:
    """Name the files of data sets that belong to no case, on standard error."""
    from segsam.datasets.folder import unused_files

    print_left_out(unused_files(datasets))


@contextmanager
def exit_when_interrupted(message: str, *, silent: bool = False) -> Iterator[None]:
    """End the command with exit code 130 and a message if the user presses Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        if not silent:
            err.print(message, markup=False)
        raise typer.Exit(130) from None


@contextmanager
def progress_bar(
    text: str, *, remaining: bool = False, disable: bool = False
) -> Iterator[ReportsProgress]:
    """Draw a progress bar on standard error; it disappears when the work is done.

    Args:
        text: shown before the bar until the work reports a text of its own.
        remaining: also show the estimated time that remains.
        disable: draw nothing.

    Yields:
        The callback (done, total, text) to pass to the work.
    """
    columns: list[str | ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
    columns += [MofNCompleteColumn(), TimeElapsedColumn()]
    if remaining:
        columns += [TextColumn("left"), TimeRemainingColumn()]
    with Progress(*columns, console=err, transient=True, disable=disable) as bar:
        task = bar.add_task(text, total=None)

        def report(done: int, total: int, current: str) -> None:
            bar.update(task, completed=done, total=total, description=current or text)

        yield report

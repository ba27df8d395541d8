"""Consoles, options, progress bar, and checks and writing of result files for all commands."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

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

from segsam.errors import OutputError, PromptError
from segsam.imaging.image_files import LeftOut
from segsam.system import atomic
from segsam.types import Progress as ReportsProgress
from segsam.types import PropagateChoice

if TYPE_CHECKING:
    from segsam.datasets.folder import Dataset
    from segsam.evaluation.records import Evaluation
    from segsam.prediction.predictor import Predictor
    from segsam.prediction.taught.examples import TaughtNames
    from segsam.types import PrecisionChoice, RuntimeName, VoxelIndex

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
PictureOption = Annotated[Path | None, typer.Option(help="Also draw the result to this .png.")]
WindowOption = Annotated[
    str | None,
    typer.Option(
        help="Displayed values: a CT preset (soft-tissue, lung, bone, brain, ...) or low,high."
    ),
]
CheckpointOption = Annotated[
    str | None,
    typer.Option(help="Name or path of the weights; default: the ones in this package."),
]
EmbeddingsOption = Annotated[
    Path | None,
    typer.Option(help="Folder that stores embeddings of slices; stored slices are not encoded."),
]
MemoryOption = Annotated[
    bool,
    typer.Option(
        "--memory",
        help="Follow the object as with --propagate, by the host's own memory of slices. Only the "
        "hosts of SAM 2 have one (sam2_tiny, sam2_small, sam2_base_plus, sam2_large, medsam2); "
        "their weights do not come with this product.",
    ),
]
TaughtOption = Annotated[
    Path | None,
    typer.Option(
        help="Studies folder whose taught names may be requested like categories; what was learnt "
        "about them there draws them."
    ),
]
ServerAppOption = Annotated[
    Path | None,
    typer.Option("--app", help="Folder of the MONAI Label app; default: the one in this checkout."),
]


def accept_any_name() -> None:
    """Let standard output and error show what they cannot hold as \\x and \\u codes, where Python
    would end the command: a name in Japanese in a log of another encoding, or one of bytes that
    are no UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def check_target(path: Path | None, *endings: str) -> None:
    """Refuse a result file that could not be written, before the work starts.

    Raises:
        OutputError: another ending than one of `endings` (none: any), no folder, or a folder.
    """
    if path is None:
        return
    if path.is_dir():
        raise OutputError(f"Expected a file, but {path} is a folder.")
    if endings and not path.name.lower().endswith(endings):
        raise OutputError(f"Expected a name ending in {' or '.join(endings)}, got {path.name}.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"The folder of {path} does not exist; make it first.")


def check_outputs(inputs: Iterable[Path | None], *targets: Path | None) -> None:
    """Refuse results that would replace an input or one another, before the work starts.

    The card beside a checkpoint (.json) counts as a part of it. Raises OutputError.
    """
    used = {key for path in inputs if path is not None for key in _keys(path)}
    for target in targets:
        keys = set() if target is None else _keys(target)
        if keys & used:
            raise OutputError(
                f"Expected a result in a file of its own, but {target} is read, or also written, "
                "by this command; choose another name."
            )
        used |= keys


def check_own_folder(folder: Path, target: Path | None) -> None:
    """Refuse a result in the folder where a command keeps its own files, by which it continues.

    Raises OutputError.
    """
    if target is not None and target.resolve().is_relative_to(folder.resolve()):
        raise OutputError(
            f"Expected a result outside of {folder}, where this command keeps files of its own, "
            f"got {target}."
        )


@dataclass(frozen=True)
class Files:
    """Image and results of a command."""

    image: Path
    output: Path
    """Label volume."""
    json_file: Path | None = None
    picture: Path | None = None

    def check(self) -> None:
        """Refuse results that cannot be written or would replace the image. Raises OutputError."""
        from segsam.imaging.writers import WRITABLE

        check_target(self.output, *WRITABLE)
        check_target(self.picture, ".png")
        check_target(self.json_file, ".json")
        check_outputs([self.image], self.output, self.picture, self.json_file)

    def check_shape(self, shape_ijk: VoxelIndex) -> None:
        """Refuse a label volume that cannot hold an image of this shape. Raises OutputError."""
        from segsam.imaging.writers import check_holds

        check_holds(self.output, shape_ijk)


def load_predictor(
    checkpoint: str | None, runtime: str | None = None, precision: str | None = None
) -> Predictor:
    """Return the predictor of a checkpoint, as `Predictor.from_pretrained`, with a status line."""
    with err.status("Loading the weights"):
        from segsam.prediction.predictor import Predictor

        return Predictor.from_pretrained(
            checkpoint,
            runtime=cast("RuntimeName | None", runtime),
            precision=cast("PrecisionChoice | None", precision),
        )


def taught_names(studies: Path) -> TaughtNames:
    """Return the names that were taught in a studies folder; damaged ones are named.

    Raises:
        OutputError: no folder.
    """
    from segsam.prediction.taught.files import FOLDER, read_folder

    if not studies.is_dir():
        raise OutputError(f"Expected a studies folder, got {str(studies)!r}.")
    contents = read_folder(studies / FOLDER)
    for one in contents.damaged:
        print_plain(f"Note: {one.path.name} cannot be used: {one.why}.", err)
    return contents.names


def dataset_files(folders: Iterable[Path], split: str | None = None) -> list[Path]:
    """Return the JSON files of data sets in either layout, and that of a split (FILE:NAME)."""
    names = ("dataset.json", "SAMed2D_v1.json", "SAMed2D_v1_class_mapping_id.json")
    splits = [] if split is None else [Path(split.rpartition(":")[0])]
    return [folder / name for folder in folders for name in names] + splits


def _keys(path: Path) -> set[str | tuple[int, int]]:
    """Return what two names of one file have in common, also by links and where case is ignored."""
    is_checkpoint = path.suffix.lower() == ".safetensors"
    keys: set[str | tuple[int, int]] = set()
    for part in (path, path.with_suffix(".json")) if is_checkpoint else (path,):
        keys.add(str(part.resolve()))
        if part.exists():
            stat = part.stat()
            keys.add((stat.st_dev, stat.st_ino))
    return keys


def propagate_choice(propagate: bool | None, *, memory: bool) -> PropagateChoice | None:
    """Return the choice that --propagate and --memory make together.

    Raises:
        PromptError: --memory with --no-propagate.
    """
    if not memory:
        return propagate
    if propagate is False:
        raise PromptError("Expected --memory or --no-propagate, got both.")
    return "memory"


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


def print_empty(evaluation: Evaluation) -> None:
    """Tell how many cases have no object to measure, on standard error."""
    if evaluation.empty_cases:
        total = sum(one.cases for one in evaluation.datasets)
        print_plain(
            f"Left out: {evaluation.empty_cases} of {total} cases, whose labels hold no object "
            "that could be measured.",
            err,
        )


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

"""Commands `segsam convert` and `segsam split`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from segsam.cli.terminal import (
    JsonOption,
    check_outputs,
    check_own_folder,
    check_target,
    dataset_files,
    out,
    print_left_out,
    print_plain,
    print_unused,
    print_written,
    progress_bar,
    write_json,
)
from segsam.errors import TrainingError

if TYPE_CHECKING:
    from segsam.datasets.convert import Conversion
    from segsam.datasets.labelled_slices import Axes
    from segsam.types import Progress


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Folders of data sets, or one folder in the layout of SA-Med2D-20M."),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder.")],
    to: Annotated[
        Literal["med2d", "dataset"],
        typer.Option(
            "--to", help="med2d: 2D slices as in SA-Med2D-20M; dataset: folders with dataset.json."
        ),
    ],
    axes: Annotated[
        str,
        typer.Option(
            help="Axes across which volumes are cut: all, auto (largest spacing), i, j, k."
        ),
    ] = "all",
    json_file: JsonOption = None,
) -> None:
    """Convert labelled volumes to 2D slices in the layout of SA-Med2D-20M, or that layout to
    folders of data sets. If it is stopped, the same command continues.
    """
    check_target(json_file, ".json")
    check_outputs(dataset_files(sources), json_file)
    check_own_folder(target, json_file)
    with progress_bar("reading") as progress:
        report = _convert(sources, target, to, axes, progress)
    out.print(
        f"{report.images} pictures with {report.masks} masks of {', '.join(report.datasets)}: "
        f"{report.folder}",
        markup=False,
    )
    if report.overlapping:
        out.print(f"Objects overlap in {report.overlapping} pictures; smaller ones are on top.")
    for reason, count in report.dropped.items():
        out.print(f"Left out, {reason}: {count}")
    print_left_out(report.left_out)
    write_json(json_file, asdict(report) | {"folder": str(report.folder)})


def split(
    datasets: Annotated[list[Path], typer.Argument(help="Folders of data sets, in either layout.")],
    target: Annotated[Path, typer.Option("-o", "--output", help="Split file to write (.json).")],
    test: Annotated[float, typer.Option(help="Share of the patients for the test.")] = 0.12,
    validation: Annotated[
        float, typer.Option(help="Share of the patients for the validation.")
    ] = 0.08,
    seed: Annotated[int, typer.Option(help="Seed of the random choice of patients.")] = 0,
) -> None:
    """Hold out patients for validation and test; each patient is in one part over all data sets."""
    from segsam.datasets.sources import open_sources
    from segsam.datasets.splits import TEST, TRAIN, VALIDATION, split_cases

    check_target(target, ".json")
    check_outputs(dataset_files(datasets), target)
    if min(test, validation) < 0 or test + validation >= 1:
        raise TrainingError(
            f"Expected shares of at least 0 with a sum below 1, got {test} and {validation}."
        )
    found = [one for folder in datasets for one in open_sources(folder)]
    made = split_cases(found, shares={TEST: test, VALIDATION: validation}, seed=seed)
    made.save(target)
    print_unused(found)
    for one in found:
        counts = (f"{len(made.cases(part, one.name))} {part}" for part in (TRAIN, VALIDATION, TEST))
        note = " (one patient: split by frame)" if one.name in made.by_frame else ""
        print_plain(f"{one.name}: {', '.join(counts)}{note}")
    print_written((), target)


def _convert(
    sources: Sequence[Path], target: Path, to: str, axes: str, progress: Progress
) -> Conversion:
    from segsam.datasets.convert import to_datasets, to_med2d
    from segsam.datasets.folder import open_dataset
    from segsam.datasets.med2d import open_med2d

    if to == "med2d":
        datasets = [open_dataset(folder) for folder in sources]
        return to_med2d(datasets, target, axes=cast("Axes", axes), progress=progress)
    sets = [one for folder in sources for one in open_med2d(folder)]
    return to_datasets(sets, target, progress=progress)

"""`segsam convert` and `segsam split`: the commands that the main command line mounts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.console import Console

from segsam.cli.terminal import JsonOption, shown_progress
from segsam.errors import OutputError, TrainingError
from segsam.system.atomic import write_bytes

if TYPE_CHECKING:
    from segsam.datasets.convert import Conversion
    from segsam.datasets.labelled_slices import Axes
    from segsam.types import Progress as Told

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Folders of data sets, or one folder in SA-Med2D-20M's layout."),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder.")],
    to: Annotated[
        Literal["med2d", "dataset"],
        typer.Option("--to", help="2D slices as SA-Med2D-20M, or folders with dataset.json."),
    ],
    axes: Annotated[
        str, typer.Option(help="Cut volumes across: all, auto (largest spacing), i, j or k.")
    ] = "all",
    json_file: JsonOption = None,
) -> None:
    """Turn labelled volumes into 2D slices in SA-Med2D-20M's layout, or that layout into folders
    of data sets. Stopped anywhere, the same command goes on.
    """
    _check_parent(json_file)
    with shown_progress(err, "reading") as progress:
        report = _convert(sources, target, to, axes, progress)
    out.print(
        f"{report.images} pictures with {report.masks} masks of {', '.join(report.datasets)}: "
        f"{report.folder}",
        markup=False,
    )
    if report.overlapping:
        out.print(f"Smaller objects were put on top in {report.overlapping} pictures.")
    for reason, count in report.dropped.items():
        out.print(f"Left out, {reason}: {count}")
    if json_file is not None:
        record = asdict(report) | {"folder": str(report.folder)}
        write_bytes(json_file, (json.dumps(record, indent=1) + "\n").encode())


def split(
    datasets: Annotated[list[Path], typer.Argument(help="Folders of data sets, of either layout.")],
    target: Annotated[Path, typer.Option("-o", "--output", help="The split, as .json.")],
    test: Annotated[float, typer.Option(help="Share of the patients to test with.")] = 0.12,
    validation: Annotated[float, typer.Option(help="Share to validate with.")] = 0.08,
    seed: Annotated[int, typer.Option(help="Another seed holds out others.")] = 0,
) -> None:
    """Hold out patients for validation and test, each in one part over all data sets."""
    from segsam.datasets.sources import open_sources
    from segsam.datasets.splits import TEST, TRAIN, VALIDATION, split_cases

    _check_parent(target)
    if min(test, validation) < 0 or test + validation >= 1:
        raise TrainingError(
            f"Expected shares from 0 that leave some to train with, got {test} and {validation}."
        )
    found = [one for folder in datasets for one in open_sources(folder)]
    made = split_cases(found, shares={TEST: test, VALIDATION: validation}, seed=seed)
    made.save(target)
    for one in found:
        counts = (f"{len(made.cases(part, one.name))} {part}" for part in (TRAIN, VALIDATION, TEST))
        note = " (one patient: by frame)" if one.name in made.by_frame else ""
        out.print(f"{one.name}: {', '.join(counts)}{note}", markup=False, highlight=False)
    out.print(f"Written: {target}", markup=False)


def _convert(
    sources: Sequence[Path], target: Path, to: str, axes: str, progress: Told
) -> Conversion:
    from segsam.datasets.convert import to_datasets, to_med2d
    from segsam.datasets.folder import open_dataset
    from segsam.datasets.med2d import open_med2d

    if to == "med2d":
        datasets = [open_dataset(folder) for folder in sources]
        return to_med2d(datasets, target, axes=cast("Axes", axes), progress=progress)
    sets = [one for folder in sources for one in open_med2d(folder)]
    return to_datasets(sets, target, progress=progress)


def _check_parent(path: Path | None) -> None:
    if path is not None and not path.absolute().parent.is_dir():
        raise OutputError(f"The folder of {path.name} does not exist.")

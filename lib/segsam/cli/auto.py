"""Command `segsam auto`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.markup import escape
from rich.table import Table

from segsam.cli.terminal import (
    CheckpointOption,
    Files,
    FrameOption,
    ImageArgument,
    JsonOption,
    LabelsOption,
    TaughtOption,
    err,
    load_predictor,
    out,
    print_plain,
    print_written,
    progress_bar,
    taught_names,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from segsam.prediction.completion.carried import FindCarried
    from segsam.prediction.predictor import Predictor
    from segsam.prediction.taught.examples import TaughtNames
    from segsam.proposals.automatic import Search
    from segsam.proposals.first_labels import FirstLabels
    from segsam.types import AxisName

_LISTED_SLICES = 20
"""Searched slices up to which each is named; of more, their number is."""


def auto(
    image: ImageArgument,
    output: LabelsOption,
    *,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="Look for this category, or taught name (repeatable); default: all trained "
            "categories, and the taught names about which something was learnt."
        ),
    ] = None,
    axis: Annotated[
        str, typer.Option(help="Voxel axis across which the image is sliced: auto, i, j, k.")
    ] = "auto",
    slices: Annotated[int, typer.Option(help="Approximate number of slices to search.")] = 5,
    grid: Annotated[int, typer.Option(help="Number of points per side to try on each slice.")] = 8,
    least: Annotated[
        float, typer.Option(help="Lowest certainty (0 to 1) of an object that is kept.")
    ] = 0.4,
    taught: TaughtOption = None,
    window: Annotated[
        str | None, typer.Option(help="Displayed values: a CT preset or low,high.")
    ] = None,
    checkpoint: CheckpointOption = None,
    frame: FrameOption = None,
    json_file: JsonOption = None,
) -> None:
    """Segment all known categories without a prompt, and write one label volume. The result is a
    first draft with certainties; a person has to check and correct it.

    Example: segsam auto heart.nii.gz -o out.seg.nrrd --checkpoint segsam
    """
    from segsam.proposals.automatic import Search

    files = Files(image, output, json_file)
    files.check()
    search = Search(cast("AxisName", axis), tuple(category or ()), slices, grid, least)
    load = partial(load_predictor, checkpoint)
    search_image(files, search, load, window=window, frame=frame, studies=taught)


def search_image(
    files: Files,
    search: Search,
    load: Callable[[], Predictor],
    *,
    window: str | None,
    frame: int | None,
    studies: Path | None = None,
) -> None:
    """Find objects in an image, write the label volume and print what was found and what was not.

    Args:
        files: image and results, checked.
        search: settings, with the requested names.
        load: returns the predictor; it is called when everything else is valid.
        window: as of the command.
        frame: as of the command.
        studies: folder of studies whose taught names may be requested, and are drawn by what was
            learnt about them there.
    """
    from segsam.imaging.volume import Volume
    from segsam.prediction.taught.examples import TaughtNames
    from segsam.prompting.parsing import window_from_text
    from segsam.proposals.automatic import segment_automatically

    shown = window_from_text(window)
    taught = TaughtNames() if studies is None else taught_names(studies)
    volume = Volume.load(files.image, frame=frame)
    files.check_shape(volume.shape_ijk)
    predictor = load()
    predictor.set_volume(volume, window=shown)
    with progress_bar("encoding the first slice") as progress:
        found = segment_automatically(
            predictor,
            search,
            taught=taught,
            carried=_carried_in(studies, taught, predictor),
            progress=progress,
        )
    found.save(files.output)
    record = {**found.to_json(), "image": volume.name, "output": str(files.output)}
    write_json(files.json_file, record)
    _show(found)
    print_written(volume.notes + found.notes + found.overlap_notes, files.output)


def _carried_in(studies: Path | None, taught: TaughtNames, predictor: Predictor) -> FindCarried:
    """Return what finds what was learnt about the taught names of a folder of studies."""
    from segsam.prediction.taught.carried_files import find_carried_in
    from segsam.prediction.taught.files import FOLDER

    folder = None if studies is None else studies / FOLDER
    weights = predictor.model.host.mask_decoder.state_dict()
    return find_carried_in(folder, taught, weights, lambda why: print_plain(f"Note: {why}", err))


def _show(found: FirstLabels) -> None:
    from segsam.prediction.result import size_in_words

    table = Table("label", "name", "certainty", "of the name", "agreement", "size")
    for one in found.objects:
        size = size_in_words(found.volume, found.voxels[one.value])
        shares = (f"{value:.0%}" for value in (one.certainty, one.confidence, one.agreement))
        table.add_row(str(one.value), escape(one.name), *shares, size)
    if found.objects:
        out.print(table)
    for missing in found.not_found:
        print_plain(missing.in_words)
    searched = ", ".join(map(str, found.searched_slices))
    searched = searched or "none, because none seems to show a category"
    if len(found.searched_slices) > _LISTED_SLICES:
        depth = found.volume.shape_ijk["ijk".index(found.axis)]
        searched = f"{len(found.searched_slices)} of {depth}"
    out.print(f"{found.seconds['total']:.1f} s; searched slices across {found.axis}: {searched}")

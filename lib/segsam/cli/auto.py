"""Command `segsam auto`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from segsam.cli.terminal import (
    CheckpointOption,
    FrameOption,
    ImageArgument,
    JsonOption,
    LabelsOption,
    check_outputs,
    check_target,
    err,
    out,
    print_written,
    progress_bar,
    write_json,
)

if TYPE_CHECKING:
    from segsam.proposals.first_labels import FirstLabels
    from segsam.types import AxisName


def auto(
    image: ImageArgument,
    output: LabelsOption,
    *,
    category: Annotated[
        list[str] | None,
        typer.Option(help="Look for this category (repeatable); default: all trained categories."),
    ] = None,
    axis: Annotated[
        str, typer.Option(help="Voxel axis across which the image is sliced: auto, i, j, k.")
    ] = "auto",
    slices: Annotated[int, typer.Option(help="Approximate number of slices to search.")] = 5,
    grid: Annotated[int, typer.Option(help="Number of points per side to try on each slice.")] = 8,
    least: Annotated[
        float, typer.Option(help="Lowest certainty (0 to 1) of an object that is kept.")
    ] = 0.4,
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
    from segsam.imaging.volume import Volume
    from segsam.imaging.writers import WRITABLE
    from segsam.prompting.parsing import window_from_text
    from segsam.proposals.automatic import Search, segment_automatically

    check_target(output, *WRITABLE)
    check_target(json_file, ".json")
    check_outputs([image], output, json_file)
    search = Search(cast("AxisName", axis), tuple(category or ()), slices, grid, least)
    shown = window_from_text(window)
    volume = Volume.load(image, frame=frame)
    with err.status("Loading the weights"):
        from segsam.prediction.predictor import Predictor

        predictor = Predictor.from_pretrained(checkpoint)
    predictor.set_volume(volume, window=shown)
    with progress_bar("encoding the first slice") as progress:
        found = segment_automatically(predictor, search, progress=progress)
    found.save(output)
    write_json(json_file, {**found.to_json(), "image": volume.name, "output": str(output)})
    _show(found)
    print_written(volume.notes + found.notes + found.overlap_notes, output)


def _show(found: FirstLabels) -> None:
    from segsam.prediction.result import size_in_words

    for one in found.objects:
        out.print(
            f"{one.value} {one.name}: {size_in_words(found.volume, found.voxels[one.value])}; "
            f"certainty {one.certainty:.0%} "
            f"(name {one.confidence:.0%}, the two decoders agree by {one.agreement:.0%})"
        )
    out.print(
        f"{found.seconds['total']:.1f} s; searched slices across {found.axis}: "
        f"{', '.join(map(str, found.searched_slices)) or 'none'}"
    )

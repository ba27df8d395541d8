"""`segsam auto`: the command that the main command line mounts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from segsam.cli.terminal import ImageArgument, JsonOption, LabelsOption, shown_progress
from segsam.errors import OutputError
from segsam.system.atomic import write_bytes

if TYPE_CHECKING:
    from segsam.proposals.first_labels import FirstLabels
    from segsam.types import AxisName

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def auto(
    image: ImageArgument,
    output: LabelsOption,
    *,
    category: Annotated[
        list[str] | None,
        typer.Option(help="Look for this category (repeatable); for all that it knows by default."),
    ] = None,
    axis: Annotated[
        str, typer.Option(help="Slice across this voxel axis: auto, i, j, k.")
    ] = "auto",
    slices: Annotated[int, typer.Option(help="About so many slices are searched.")] = 5,
    grid: Annotated[int, typer.Option(help="So many points a side are tried on each.")] = 8,
    least: Annotated[
        float, typer.Option(help="Objects below this certainty (0 to 1) are left out.")
    ] = 0.4,
    window: Annotated[
        str | None, typer.Option(help="Displayed values: a CT preset or low,high.")
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="Name or path of the weights; the embedded ones by default.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Segment what the checkpoint knows without any prompt, and write one label volume; it is a
    first draft with certainties, to be looked at and corrected.

    Example: segsam auto heart.nii.gz -o out.seg.nrrd --checkpoint segsam
    """
    from segsam.imaging.volume import Volume
    from segsam.imaging.writers import WRITABLE
    from segsam.prompting.parsing import window_from_text
    from segsam.proposals.automatic import Search, segment_automatically

    _check_targets(output, json_file, WRITABLE)
    search = Search(cast("AxisName", axis), tuple(category or ()), slices, grid, least)
    shown = window_from_text(window)
    volume = Volume.load(image)
    with err.status("Loading the weights"):
        from segsam.prediction.predictor import Predictor

        predictor = Predictor.from_pretrained(checkpoint)
    predictor.set_volume(volume, window=shown)
    with shown_progress(err, "encoding the first slice") as progress:
        found = segment_automatically(predictor, search, progress=progress)
    found.save(output)
    if json_file is not None:
        record: dict[str, Any] = {**found.to_json(), "image": volume.name, "output": str(output)}
        write_bytes(json_file, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    _tell(found, volume.notes, output)


def _check_targets(output: Path, json_file: Path | None, endings: tuple[str, ...]) -> None:
    """Refuse before the work what could not be written at its end."""
    if not output.name.lower().endswith(endings):
        raise OutputError(f"{output.name}: a name ending in {', '.join(endings)} is wanted.")
    for path in (output, json_file):
        if path is not None and not path.absolute().parent.is_dir():
            raise OutputError(f"The folder of {path} does not exist; make it first.")


def _tell(found: FirstLabels, notes: tuple[str, ...], output: Path) -> None:
    for one in found.objects:
        out.print(
            f"{one.value} {one.name}: {one.result.size_in_words}; certainty {one.certainty:.0%} "
            f"(name {one.confidence:.0%}, the two decoders agree by {one.agreement:.0%})"
        )
    out.print(
        f"{found.seconds['total']:.1f} s; searched slices across {found.axis}: "
        f"{', '.join(map(str, found.searched_slices)) or 'none'}"
    )
    for note in notes + found.notes:
        out.print(f"Note: {note}", markup=False, highlight=False)
    out.print(f"Written: {output}", markup=False)

"""Command `segsam complete`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsam.cli.terminal import (
    CheckpointOption,
    FrameOption,
    ImageArgument,
    JsonOption,
    LabelsOption,
    PictureOption,
    WindowOption,
    check_outputs,
    check_target,
    load_predictor,
    out,
    print_written,
    progress_bar,
    write_json,
)

if TYPE_CHECKING:
    from segsam.prediction.completion.completion import Completion


def complete(
    image: ImageArgument,
    output: LabelsOption,
    *,
    sparse: Annotated[
        Path,
        typer.Option(
            "--from", help="Label volume on the image, in which some slices are outlined."
        ),
    ],
    value: Annotated[
        int | None,
        typer.Option(
            help="Label value of the object; needed if there are several. The others are not it."
        ),
    ] = None,
    axis: Annotated[
        str,
        typer.Option(
            help="Voxel axis across which the slices were outlined: i, j, k, or auto, the one "
            "along which they are sparse."
        ),
    ] = "auto",
    empty: Annotated[
        list[int] | None,
        typer.Option(help="Index of a slice on which the object is not (repeatable)."),
    ] = None,
    window: WindowOption = None,
    checkpoint: CheckpointOption = None,
    frame: FrameOption = None,
    picture: PictureOption = None,
    json_file: JsonOption = None,
) -> None:
    """Segment the rest of an object of which some slices are outlined. It learns from them how the
    object looks; they come back exactly as they are.

    Example: segsam complete ct.nii.gz --from three_slices.nii.gz -o liver.nii.gz
    """
    from segsam.imaging.volume import Volume
    from segsam.imaging.writers import WRITABLE
    from segsam.prediction.completion.sparse_labels import read_sparse_labels
    from segsam.prompting.parsing import window_from_text

    check_target(output, *WRITABLE)
    check_target(picture, ".png")
    check_target(json_file, ".json")
    check_outputs([image, sparse], output, picture, json_file)
    shown = window_from_text(window)
    volume = Volume.load(image, frame=frame)
    drawn = read_sparse_labels(sparse, volume, value, axis=axis, empty=empty or ())
    predictor = load_predictor(checkpoint)
    predictor.set_volume(volume, window=shown)
    with progress_bar("encoding the first slice") as progress:
        result = predictor.complete(drawn.confirmed, others=drawn.others, progress=progress)
    result.save(output)
    if picture is not None:
        from segsam.prediction.picture import draw_result

        draw_result(picture, result, result.confirmed_boxes, window=shown)
    record = {**result.to_json(), "from": str(sparse), "value": drawn.value, "output": str(output)}
    write_json(json_file, record)
    _show(result)
    print_written(volume.notes + result.notes, output, picture)


def _show(result: Completion) -> None:
    name = result.category or "object"
    confirmed = ", ".join(map(str, result.confirmed))
    out.print(
        f"{name}: {result.size_in_words}; slices across {result.axes[0]}: {len(result.slices)}, "
        f"of which confirmed: {confirmed}"
    )
    seconds, check = result.seconds, result.state.check
    out.print(
        f"{seconds['total']:.1f} s: {seconds['encode']:.1f} s to encode {result.encoded} slices, "
        f"{seconds['adapt']:.1f} s to learn, {seconds['decode']:.1f} s to decode"
    )
    if check.adapted is not None and check.unadapted is not None:
        used = "adapted" if result.state.is_adapted else "not adapted"
        out.print(
            f"{used}: on slices left out of learning, Dice {check.unadapted:.0%} without adapting, "
            f"{check.adapted:.0%} with it"
        )
    if result.least_certain is not None:
        out.print(f"least certain slice: {result.axes[0]} = {result.least_certain}")

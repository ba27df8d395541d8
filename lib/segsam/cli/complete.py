"""Command `segsam complete`."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    print_plain,
    print_written,
    progress_bar,
    write_json,
)
from segsam.errors import PromptError

if TYPE_CHECKING:
    from segsam.prediction.completion.carried import CarriedState
    from segsam.prediction.completion.completion import Completion
    from segsam.prediction.predictor import Predictor

SparseOption = Annotated[
    Path,
    typer.Option("--from", help="Label volume on the image, in which some slices are outlined."),
]
AxisOption = Annotated[
    str,
    typer.Option(
        help="Voxel axis across which the slices were outlined: i, j, k, or auto, the one along "
        "which they are sparse."
    ),
]
MemoryOption = Annotated[
    Path | None,
    typer.Option(help="Studies folder whose labels may have taught this structure."),
]
NameOption = Annotated[
    str | None,
    typer.Option(help="Its name there; without it, the name that the object is given."),
]


def complete(  # noqa: PLR0913 - the options of the command
    image: ImageArgument,
    output: LabelsOption,
    *,
    sparse: SparseOption,
    value: Annotated[
        int | None,
        typer.Option(
            help="Label value of the object; needed if there are several. The others are not it."
        ),
    ] = None,
    axis: AxisOption = "auto",
    empty: Annotated[
        list[int] | None,
        typer.Option(help="Index of a slice on which the object is not (repeatable)."),
    ] = None,
    memory: MemoryOption = None,
    name: NameOption = None,
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
    from segsam.imaging.writers import WRITABLE, check_holds
    from segsam.prediction.completion.sparse_labels import read_sparse_labels
    from segsam.prompting.parsing import window_from_text

    check_target(output, *WRITABLE)
    check_target(picture, ".png")
    check_target(json_file, ".json")
    check_outputs([image, sparse], output, picture, json_file)
    _check_memory(memory, name)
    shown = window_from_text(window)
    volume = Volume.load(image, frame=frame)
    check_holds(output, volume.shape_ijk)
    drawn = read_sparse_labels(sparse, volume, value, axis=axis, empty=empty or ())
    predictor = load_predictor(checkpoint)
    predictor.set_volume(volume, window=shown)
    with progress_bar("encoding the first slice") as progress:
        result = predictor.complete(
            drawn.confirmed,
            others=drawn.others,
            name=name,
            progress=progress,
            **({} if memory is None else _learnt_in(memory, predictor, name)),
        )
    result.save(output)
    if picture is not None:
        from segsam.prediction.picture import draw_result

        draw_result(picture, result, result.confirmed_boxes, window=shown)
    record = {**result.to_json(), "from": str(sparse), "value": drawn.value, "output": str(output)}
    write_json(json_file, record)
    _show(result)
    print_written(volume.notes + result.notes, output, picture)


def _check_memory(memory: Path | None, name: str | None) -> None:
    """Raise PromptError for a name without a folder, or a folder that is not there."""
    if memory is None and name is not None:
        raise PromptError("Expected --memory STUDIES with --name, got the name alone.")
    if memory is not None and not memory.is_dir():
        raise PromptError(f"Expected a studies folder as --memory, got {str(memory)!r}.")


def _learnt_in(memory: Path, predictor: Predictor, name: str | None) -> dict[str, Any]:
    """Return the names that were taught in a studies folder, and what finds what was learnt about
    one of them: None, with a note, if its file is damaged. Raises PromptError for a `name` that
    nobody taught there.
    """
    from segsam.prediction.taught.carried_files import find_carried_in
    from segsam.prediction.taught.files import FOLDER, read_folder

    taught = read_folder(memory / FOLDER).names
    weights = predictor.model.host.mask_decoder.state_dict()
    if name is not None and taught.find(name) is None:
        listed = [one.name for one in taught.names]
        nearest = get_close_matches(name, listed, n=3, cutoff=0) or ["none"]
        raise PromptError(
            f"Expected a name that was taught in {memory}, got {name!r}; the nearest are "
            f"{', '.join(nearest)}."
        )

    find = find_carried_in(
        memory / FOLDER, taught, weights, lambda why: print_plain(f"Note: {why}")
    )

    def carried(name: str) -> CarriedState | None:
        state, known = find(name), taught.find(name)
        if state is None and known is not None:
            print_plain(f"Note: nothing is carried yet about {known.name}; its server learns on.")
        return state

    return {"taught": taught, "carried": carried}


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

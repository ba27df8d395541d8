"""Command `segsam segment`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, cast

import typer

from segsam.cli.auto import search_image
from segsam.cli.terminal import (
    CheckpointOption,
    Files,
    FrameOption,
    ImageArgument,
    JsonOption,
    LabelsOption,
    MemoryOption,
    PictureOption,
    TaughtOption,
    WindowOption,
    load_predictor,
    out,
    print_written,
    progress_bar,
    propagate_choice,
    write_json,
)
from segsam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segsam.prediction.result import Result
    from segsam.prompting.prompts import Prompts
    from segsam.types import AxisChoice, AxisName, DecoderName

PointOption = Annotated[
    list[str] | None,
    typer.Option(help="Voxel in the object as i,j,k, or outside it as i,j,k,- (repeatable)."),
]
BoxOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Box as i0,j0,k0,i1,j1,k1, both corners included (repeatable). A box that is one "
        "voxel thick along an axis is a 2D box on that slice. With ,- at the end, what is inside "
        "is left out of the object."
    ),
]
AxisOption = Annotated[
    str,
    typer.Option(
        help="Voxel axis across which the image is sliced: auto, i, j, k, or all (mean of the "
        "three)."
    ),
]
PropagateOption = Annotated[
    bool | None,
    typer.Option(
        "--propagate/--no-propagate",
        help="Follow the object from slice to slice, or segment only the slices with prompts. "
        "Default: follow inside 3D boxes only.",
    ),
]
DecoderOption = Annotated[
    str, typer.Option(help="Decoder whose mask is the result: binary or semantic.")
]
CategoryOption = Annotated[
    str | None,
    typer.Option(
        help="Name of the object (see: segsam categories list). With the semantic decoder, the "
        "mask is restricted to this category."
    ),
]
RuntimeOption = Annotated[
    str | None, typer.Option(help="Runtime of the image encoder: auto, torch or openvino.")
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        help="exact; fast: half precision if OpenVINO and the processor have it; auto: fast where "
        "it was measured to be clearly faster on this machine."
    ),
]


FindOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Name, synonym or taught name of an object to find, in place of points and boxes "
        "(repeatable)."
    ),
]


def segment(  # noqa: PLR0913 - the options of the command
    image: ImageArgument,
    output: LabelsOption,
    *,
    point: PointOption = None,
    box: BoxOption = None,
    find: FindOption = None,
    taught: TaughtOption = None,
    axis: AxisOption = "auto",
    propagate: PropagateOption = None,
    memory: MemoryOption = False,
    decoder: DecoderOption = "binary",
    category: CategoryOption = None,
    window: WindowOption = None,
    checkpoint: CheckpointOption = None,
    frame: FrameOption = None,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = None,
    picture: PictureOption = None,
    json_file: JsonOption = None,
) -> None:
    """Segment one object, marked by points and boxes in voxel indices, or objects by their names,
    and write the label volume.

    Example: segsam segment ct.nii.gz --box 70,40,80,105,75,110 -o out.nii.gz --picture out.png
    Example: segsam segment ct.nii.gz --find spleen --find "left kidney" -o out.nii.gz
    """
    from segsam.imaging.volume import Volume
    from segsam.prompting.parsing import window_from_text
    from segsam.prompting.prompts import Prompts
    from segsam.proposals.automatic import Search

    files = Files(image, output, json_file, picture)
    files.check()
    load = partial(load_predictor, checkpoint, runtime, precision)
    if find or taught is not None:
        options = {
            **{"--point": point, "--box": box, "--memory": memory, "--category": category},
            **{"--picture": picture, "--propagate or --no-propagate": propagate is not None},
            "--decoder": decoder != "binary",
        }
        _check_find(find, options)
        search = Search(cast("AxisName", axis), tuple(find or ()))
        search_image(files, search, load, window=window, frame=frame, studies=taught)
        return
    follows = propagate_choice(propagate, memory=memory)
    prompts = Prompts.from_text(point or (), box or ())
    shown = window_from_text(window)
    volume = Volume.load(image, frame=frame)
    files.check_shape(volume.shape_ijk)
    prompts.checked(volume.shape_ijk)
    predictor = load()
    predictor.set_volume(volume, window=shown)
    with progress_bar("encoding the first slice") as progress:
        result = predictor.predict(
            prompts,
            axis=cast("AxisChoice", axis),
            propagate=follows,
            decoder=cast("DecoderName", decoder),
            category=category,
            progress=progress,
        )
    slower = predictor.encoder.facts.note
    _write(
        files, replace(result, notes=((slower,) if slower else ()) + result.notes), prompts, shown
    )


def _check_find(names: Sequence[str] | None, options: Mapping[str, object]) -> None:
    """Refuse --taught without --find, and --find with one of the options that mean nothing beside
    it. Raises PromptError.
    """
    if not names:
        raise PromptError("Expected --taught beside --find, got it alone.")
    given = next((option for option, value in options.items() if value), None)
    if given is not None:
        raise PromptError(
            f"Expected --find alone, which looks for objects by name, got also {given}; leave one "
            "of the two out."
        )


def _write(
    files: Files, result: Result, prompts: Prompts, shown: str | tuple[float, float] | None
) -> None:
    """Write a result to its files and print it."""
    result.save(files.output)
    if files.picture is not None:
        from segsam.prediction.picture import draw_result

        draw_result(files.picture, result, prompts, window=shown)
    record = {**result.to_json(), "prompts": prompts.to_json(), "output": str(files.output)}
    write_json(files.json_file, record)
    _show(result)
    print_written(result.volume.notes + result.notes, files.output, files.picture)


def _show(result: Result) -> None:
    name = result.category or "object"
    confidence = "" if result.confidence is None else f" ({result.confidence:.0%})"
    seconds = result.seconds
    out.print(
        f"{name}{confidence}: {result.size_in_words}; slices across "
        f"{', '.join(result.axes)}: {len(result.slices)}"
    )
    out.print(
        f"{seconds['total']:.1f} s: {seconds['encode']:.1f} s to encode {result.encoded} of them, "
        f"{seconds['decode']:.1f} s to decode"
    )
    if result.category is None and result.suggestions:
        out.print(f"nearest names: {result.suggestions_in_words}", highlight=False)
    if result.agreement is not None:
        also = ", ".join(f"{name} {p:.0%}" for name, p in result.neighbours.items()) or "nothing"
        out.print(f"the two decoders agree by {result.agreement:.0%}; also present: {also}")

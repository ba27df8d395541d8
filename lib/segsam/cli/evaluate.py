"""`segsam evaluate` and `segsam calibrate`: the commands that the main command line mounts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from segsam.cli.terminal import JsonOption, shown_progress
from segsam.errors import OutputError
from segsam.system.atomic import replacing

if TYPE_CHECKING:
    from segsam.evaluation.calibration import Calibration
    from segsam.evaluation.records import Evaluation
    from segsam.evaluation.run import DecoderChoice, Options
    from segsam.model import SegSam
    from segsam.model.runtimes import EncoderRunner

DatasetsArgument = Annotated[
    list[Path],
    typer.Argument(
        help="Folders with dataset.json, images/ and labels/.", metavar="DATASET_DIR..."
    ),
]
EmbeddingsOption = Annotated[
    Path | None,
    typer.Option(help="Folder of kept embeddings of slices: what is there is not encoded anew."),
]
ObjectsOption = Annotated[
    Path | None, typer.Option("--objects", help="Also write a row per object, .npz or .csv.")
]
PropagatedOption = Annotated[
    bool,
    typer.Option(
        "--propagated", help="Also follow the objects of 3D cases from one prompted slice."
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(help="How slices are encoded: exact by PyTorch, or fast as OpenVINO serves it."),
]

out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 150)
err = Console(stderr=True, soft_wrap=True)


def evaluate(  # noqa: PLR0913 - typer makes them options
    datasets: DatasetsArgument,
    *,
    prompt: Annotated[str, typer.Option(help="What each object is prompted with: box or point.")],
    decoder: Annotated[
        str, typer.Option(help="Whose masks are scored: binary (DSC), semantic (mDSC) or both.")
    ] = "both",
    checkpoint: Annotated[
        str | None, typer.Option(help="Name or path of the weights; the embedded ones by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the simulated prompts.")] = 0,
    limit: Annotated[
        int, typer.Option(help="At most so many cases of each data set, evenly spread; 0: all.")
    ] = 0,
    slices: Annotated[
        int, typer.Option(help="At most so many slices of a volume, evenly spread; 0: all.")
    ] = 0,
    split: Annotated[
        str | None, typer.Option(help="FILE:NAME, the cases of one part of a split only.")
    ] = None,
    embeddings: EmbeddingsOption = None,
    objects_file: ObjectsOption = None,
    propagated: PropagatedOption = False,
    precision: PrecisionOption = "exact",
    json_file: JsonOption = None,
) -> None:
    """Measure a checkpoint on labelled images with simulated prompts: Dice of both decoders by data
    set, modality and category, and of whole volumes.

    Example: segsam evaluate data/* --prompt box --split split.json:test --json out.json
    """
    from segsam.evaluation.cases import select
    from segsam.evaluation.prompting import prompt_kind
    from segsam.evaluation.run import Options

    for path, endings in ((json_file, ("",)), (objects_file, (".npz", ".csv"))):
        _check_target(path, endings)
    options = Options(prompt_kind(prompt), cast("DecoderChoice", decoder), seed, slices, propagated)
    selections = select(datasets, split=split, limit=limit)
    try:
        with err.status("Loading the weights"):
            from segsam.model import load_pretrained
            from segsam.model.runtimes import choose_runtime

            model = load_pretrained(checkpoint)
            encoder = choose_runtime(
                model, "torch" if precision == "exact" else "openvino", precision
            )
        evaluation = _evaluate(model, selections, options, embeddings, encoder)
    except KeyboardInterrupt:
        err.print("Stopped; no result was written.")
        raise typer.Exit(130) from None
    record = _record(evaluation, model, checkpoint, split)
    _show(record)
    if objects_file is not None:
        from segsam.evaluation.objects_file import save_objects

        save_objects(objects_file, evaluation.objects, evaluation.categories)
    if json_file is not None:
        _write_json(json_file, record)


def calibrate(
    objects: Annotated[
        list[Path],
        typer.Argument(
            help="Objects of validation cases, as segsam evaluate --objects writes them.",
            metavar="OBJECTS...",
        ),
    ],
    on: Annotated[
        list[Path] | None,
        typer.Option("--on", help="Objects of other cases, to see what it does to them."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", help="A checkpoint whose card takes the temperature."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Choose the temperature at which confidence means how often a name is right, and see whether
    the agreement of both decoders goes with Dice.

    Example: segsam calibrate validation_box.npz validation_point.npz --on test_box.npz
    """
    from segsam.evaluation import calibration
    from segsam.evaluation.objects_file import ObjectTable, load_objects
    from segsam.model.card import rewrite_card

    _check_target(json_file, ("",))
    fitted = calibration.calibrate(ObjectTable.joined([load_objects(path) for path in objects]))
    found = {"validation": fitted}
    if on:
        others = ObjectTable.joined([load_objects(path) for path in on])
        found["test"] = calibration.calibrate(others, temperature=fitted.temperature)
    record = {"temperature": fitted.temperature} | {
        part: one.to_json() for part, one in found.items()
    }
    out.print(f"Temperature {fitted.temperature:.3f}", highlight=False)
    for part, one in found.items():
        _show_calibration(part, one)
    if write is not None:
        rewrite_card(write, temperature=fitted.temperature, calibration=record)
    if json_file is not None:
        _write_json(json_file, record)


def _show_calibration(part: str, found: Calibration) -> None:
    before, after = found.before, found.after
    out.print(
        f"{part}: {after.objects} objects, {after.accuracy:.1%} named right; calibration error "
        f"{before.ece:.2%} -> {after.ece:.2%}",
        highlight=False,
    )
    for prompt, one in found.agreement.items():
        rho = "no rank correlation" if one.rho is None else f"rank correlation {one.rho:.2f}"
        out.print(f"  {prompt}: agreement with Dice, {rho} ({one.objects})", highlight=False)


def _evaluate(
    model: SegSam,
    selections: Any,
    options: Options,
    folder: Path | None,
    encoder: EncoderRunner,
) -> Evaluation:
    from segsam.evaluation import run

    with shown_progress(err, "cases", left=True) as progress:
        return run.evaluate(
            model, selections, options, embeddings=folder, encoder=encoder, progress=progress
        )


def _record(
    evaluation: Evaluation, model: SegSam, checkpoint: str | None, split: str | None
) -> dict[str, Any]:
    from segsam.evaluation.summary import report
    from segsam.model.checkpoint import default_name
    from segsam.model.digests import weights_id

    return report(evaluation) | {
        "prompt": evaluation.prompt,
        "decoder": evaluation.decoder,
        "checkpoint": checkpoint or default_name(),
        "host": model.host.facts.name,
        "variant": model.card.variant,
        "weights_id": weights_id(model),
        "seed": evaluation.seed,
        "split": split,
        "encoded": evaluation.encoded,
        "seconds": round(evaluation.seconds, 1),
    }


def _show(record: dict[str, Any]) -> None:
    table = Table("", "objects", "DSC", "mDSC", "named right", "in modality", "volume", "NSD 2 mm")
    for part, name in (("datasets", ""), ("modalities", "all of ")):
        for key, row in record[part].items():
            table.add_row(name + key, *_cells(row), end_section=False)
        table.add_section()
    table.add_row("average", *_cells(record["average"]))
    out.print(table)
    out.print(
        f"{record['host']}, {record['prompt']} prompts, seed {record['seed']}; "
        f"{record['seconds']:.0f} s, {record['encoded']} slices encoded.",
        highlight=False,
    )


def _cells(row: dict[str, Any]) -> list[str]:
    keys = ("dsc", "mdsc", "category_accuracy", "category_accuracy_in_modality")
    volume = ("volume_dice", "volume_nsd_2mm")
    shown = ["-" if row.get(key) is None else f"{row[key]:.2f}" for key in keys + volume]
    return [str(row.get("objects", "")), *shown]


def _check_target(path: Path | None, endings: tuple[str, ...]) -> None:
    """Refuse before the work what could not be written at its end."""
    if path is None:
        return
    if not path.name.lower().endswith(endings):
        raise OutputError(f"{path.name}: a name ending in {' or '.join(endings)} is wanted.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"The folder of {path.name} does not exist; make it first.")
    if path.is_dir():
        raise OutputError(f"{path.name} is a folder; a file name is wanted.")


def _write_json(path: Path, record: dict[str, Any]) -> None:
    with replacing(path, ".json") as fresh:
        fresh.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")

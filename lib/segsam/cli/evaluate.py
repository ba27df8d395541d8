"""Commands `segsam evaluate` and `segsam calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.table import Table

from segsam.cli.terminal import (
    CheckpointOption,
    DatasetsArgument,
    EmbeddingsOption,
    JsonOption,
    check_outputs,
    check_target,
    dataset_files,
    err,
    exit_when_interrupted,
    out,
    print_empty,
    print_unused,
    progress_bar,
    write_json,
)
from segsam.errors import EvaluationError, RuntimeChoiceError

if TYPE_CHECKING:
    from segsam.evaluation.calibration import Calibration
    from segsam.evaluation.objects_file import ObjectTable
    from segsam.evaluation.records import Evaluation
    from segsam.evaluation.run import DecoderChoice, Options
    from segsam.model import SegSam
    from segsam.model.runtimes import EncoderRunner

_PRECISIONS = ("exact", "fast")


def evaluate(  # noqa: PLR0913 - the options of the command
    datasets: DatasetsArgument,
    *,
    prompt: Annotated[str, typer.Option(help="Prompt of each object: box or point.")],
    decoder: Annotated[
        str, typer.Option(help="Decoder to measure: binary (DSC), semantic (mDSC) or both.")
    ] = "both",
    checkpoint: CheckpointOption = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulated prompts.")] = 0,
    limit: Annotated[
        int, typer.Option(help="Largest number of cases per data set, evenly spread; 0: all.")
    ] = 0,
    slices: Annotated[
        int, typer.Option(help="Largest number of slices per volume, evenly spread; 0: all.")
    ] = 0,
    split: Annotated[
        str | None,
        typer.Option(help="FILE:NAME, to measure the cases of one part of a split only."),
    ] = None,
    embeddings: EmbeddingsOption = None,
    objects_file: Annotated[
        Path | None, typer.Option("--objects", help="Also write one row per object (.npz or .csv).")
    ] = None,
    propagated: Annotated[
        bool,
        typer.Option(
            "--propagated", help="Also follow the objects of 3D cases from one prompted slice."
        ),
    ] = False,
    precision: Annotated[
        str,
        typer.Option(help="Encoding of slices: exact (PyTorch), or fast (OpenVINO, as served)."),
    ] = "exact",
    json_file: JsonOption = None,
) -> None:
    """Measure a checkpoint on labelled images with simulated prompts: Dice of both decoders by data
    set, modality and category, and Dice of whole volumes.

    Example: segsam evaluate data/* --prompt box --split split.json:test --json out.json
    """
    from segsam.evaluation.cases import select
    from segsam.evaluation.objects_file import save_objects
    from segsam.evaluation.prompting import prompt_kind
    from segsam.evaluation.run import Options

    check_target(json_file, ".json")
    check_target(objects_file, ".npz", ".csv")
    check_outputs(dataset_files(datasets, split), json_file, objects_file)
    _check_precision(precision)
    options = Options(prompt_kind(prompt), cast("DecoderChoice", decoder), seed, slices, propagated)
    selections = select(datasets, split=split, limit=limit)
    with exit_when_interrupted("Stopped; no result was written."):
        with err.status("Loading the weights"):
            from segsam.model import load_pretrained
            from segsam.model.runtimes import choose_runtime

            model = load_pretrained(checkpoint)
            runtime = "torch" if precision == "exact" else "openvino"
            encoder = choose_runtime(model, runtime, precision, compare=False)
        evaluation = _evaluate(model, selections, options, embeddings, encoder)
    record = _record(evaluation, model, checkpoint, split)
    _show(record, evaluation)
    if objects_file is not None:
        save_objects(objects_file, evaluation.objects, evaluation.categories)
    write_json(json_file, record)


def calibrate(
    objects: Annotated[
        list[Path],
        typer.Argument(
            help="Objects of validation cases, written by segsam evaluate --objects.",
            metavar="OBJECTS...",
        ),
    ],
    *,
    on: Annotated[
        list[Path] | None,
        typer.Option("--on", help="Objects of other cases, to test the temperature on."),
    ] = None,
    examples: Annotated[
        list[Path] | None,
        typer.Option(
            "--examples",
            help="Objects of training cases (.npz), of which the memory of examples is chosen. "
            "Needs --checkpoint or --write.",
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", help="Checkpoint that gets the memory, and the temperature."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Choose when a name is given, from validation cases: with --examples, a memory of what the
    model was taught and limits for the error rates of its names; without, the temperature at which
    the decoder's confidence equals the share of right names. Also measure how well the agreement of
    the two decoders predicts Dice.

    Example: segsam calibrate validation_box.npz validation_point.npz --on test_box.npz

    Example: segsam calibrate validation.npz --examples train.npz --on test.npz
    --write my.safetensors
    """
    from segsam.evaluation.objects_file import ObjectTable, load_objects

    check_target(json_file, ".json")
    check_outputs([*objects, *(on or ()), *(examples or ()), write], json_file)
    _check_different(objects)
    validation = ObjectTable.joined([load_objects(path) for path in objects])
    others = ObjectTable.joined([load_objects(path) for path in on]) if on else None
    if examples:
        chosen = ObjectTable.joined([load_objects(path) for path in examples])
        measured = checkpoint or (None if write is None else str(write))
        record = _fit_memory(chosen, validation, others, measured, write)
    else:
        record = _fit_temperature(validation, others, write)
    write_json(json_file, record)


def _check_different(files: Sequence[Path]) -> None:
    """Refuse a file that is named twice: its objects would count twice. Raises EvaluationError."""
    paths = [path.resolve() for path in files]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise EvaluationError(f"Expected different files of objects, got {path.name} twice.")


def _fit_temperature(
    validation: ObjectTable, others: ObjectTable | None, write: Path | None
) -> dict[str, Any]:
    """Fit the temperature of the decoder's confidence, show what it does, and store it."""
    from segsam.evaluation import calibration
    from segsam.model.card import read_card, rewrite_card

    if write is not None and read_card(write).naming:
        raise EvaluationError(
            "Expected --examples for a checkpoint with a memory of examples, because its rule was "
            "fitted at the temperature that it has; got none."
        )
    fitted = calibration.calibrate(validation)
    found = {"validation": fitted}
    if others is not None:
        found["test"] = calibration.calibrate(others, temperature=fitted.temperature)
    record = {"temperature": fitted.temperature} | {
        part: one.to_json() for part, one in found.items()
    }
    out.print(f"Temperature {fitted.temperature:.3f}", highlight=False)
    for part, one in found.items():
        _show_calibration(part, one)
    if write is not None:
        rewrite_card(write, temperature=fitted.temperature, calibration=record)
    return record


def _fit_memory(
    examples: ObjectTable,
    validation: ObjectTable,
    others: ObjectTable | None,
    checkpoint: str | None,
    write: Path | None,
) -> dict[str, Any]:
    """Fit memory and naming rule, show what they do to the objects, and store them."""
    from segsam.evaluation import naming
    from segsam.model import load_pretrained

    model = load_pretrained(checkpoint)
    fit = naming.fit_to_tables(examples, validation, model)
    record: dict[str, Any] = {"naming": fit.to_card()}
    parts = {"validation": validation} | ({} if others is None else {"test": others})
    out.print(
        f"Limit {fit.rule.limit:.3f}, for diseases {fit.rule.disease_limit:.3f}", highlight=False
    )
    names: dict[str, Any] | None = None
    for part, table in parts.items():
        named = naming.with_names(table, model, fit)
        if part == "test":
            names = naming.by_name(named)
        counts = naming.counts(named)
        bins = [vars(one) for one in naming.confidence_bins(named)]
        record[part] = {"names": counts, "bins": bins}
        known, unknown = counts["known"], counts["unknown"]
        out.print(
            f"{part}: {known['named']} of {known['objects']} known objects named, "
            f"{known['right']} of these right; {unknown['named']} of {unknown['objects']} unknown "
            "objects named",
            highlight=False,
        )
    if write is not None:
        naming.store_memory(write, fit, names)
    return record


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


def _check_precision(precision: str) -> None:
    """Refuse `auto`: figures must not depend on how fast the machine is."""
    if precision not in _PRECISIONS:
        raise RuntimeChoiceError(
            f"Expected {' or '.join(_PRECISIONS)} as precision, got {precision!r}."
        )


def _evaluate(
    model: SegSam,
    selections: Any,
    options: Options,
    folder: Path | None,
    encoder: EncoderRunner,
) -> Evaluation:
    from segsam.evaluation import run

    print_unused(selection.dataset for selection in selections)
    with progress_bar("cases", remaining=True) as progress:
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


def _show(record: dict[str, Any], evaluation: Evaluation) -> None:
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
    _show_names(record["names"])
    print_empty(evaluation)


def _show_names(names: dict[str, dict[str, int]]) -> None:
    known, unknown = names["known"], names["unknown"]
    if known["named"] + unknown["named"]:
        out.print(
            f"Names: {known['named']} of {known['objects']} objects that the checkpoint knows, "
            f"{known['right']} of these right; {unknown['named']} of {unknown['objects']} that it "
            "does not know.",
            highlight=False,
        )


def _cells(row: dict[str, Any]) -> list[str]:
    keys = ("dsc", "mdsc", "category_accuracy", "category_accuracy_in_modality")
    volume = ("volume_dice", "volume_nsd_2mm")
    shown = ["-" if row.get(key) is None else f"{row[key]:.2f}" for key in keys + volume]
    return [str(row.get("objects", "")), *shown]

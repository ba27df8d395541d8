"""`segsam batch segment` and `segsam batch evaluate`: a whole archive, here or on a cluster."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from segsam.cli.terminal import JsonOption, shown_progress
from segsam.errors import BatchError, OutputError
from segsam.system.atomic import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segsam.batch.archive import Item
    from segsam.batch.run import Order, Outcome, Workers
    from segsam.evaluation.run import DecoderChoice
    from segsam.types import AxisChoice, DecoderName

app = typer.Typer(
    name="batch",
    help="Segment or evaluate a whole archive; started again, it does what is missing.",
    no_args_is_help=True,
)
out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 150)
err = Console(stderr=True, soft_wrap=True)

_SHOWN = 10

OutOption = Annotated[
    Path,
    typer.Option("-o", "--out", help="Folder of results and records; that of a batch to go on."),
]
CheckpointOption = Annotated[
    str | None, typer.Option(help="Name or path of the weights; the embedded ones by default.")
]
WorkersOption = Annotated[
    int, typer.Option(help="So many processes, by Ray Data; 0: this one alone, without Ray.")
]
ThreadsOption = Annotated[
    int, typer.Option(help="Threads of each process; 0: the processors shared out among them.")
]
AddressOption = Annotated[
    str, typer.Option("--ray-address", help="A Ray cluster, as host:6379; else on this machine.")
]
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Also try again what failed before.")
]


@app.command()
def segment(  # noqa: PLR0913 - typer makes them options
    archive: Annotated[
        Path, typer.Argument(help="Folder with images, also in folders, and DICOM series.")
    ],
    out_folder: OutOption,
    *,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Folder with CASE.json for each image; else CASE.prompts.json lie beside them."
        ),
    ] = None,
    auto: Annotated[
        bool, typer.Option("--auto", help="Look for objects in images that have no prompts.")
    ] = False,
    category: Annotated[
        list[str] | None,
        typer.Option(help="With --auto: look for this category only (repeatable)."),
    ] = None,
    axis: Annotated[str, typer.Option(help="As segsam segment.")] = "auto",
    propagate: Annotated[
        bool | None, typer.Option("--propagate/--no-propagate", help="As segsam segment.")
    ] = None,
    decoder: Annotated[str, typer.Option(help="As segsam segment.")] = "binary",
    window: Annotated[str | None, typer.Option(help="As segsam segment.")] = None,
    ending: Annotated[
        str, typer.Option("--format", help="Of the labels: .nii.gz .nii .nrrd .seg.nrrd .mha.")
    ] = ".nii.gz",
    checkpoint: CheckpointOption = None,
    workers: WorkersOption = 0,
    threads: ThreadsOption = 0,
    ray_address: AddressOption = "",
    retry_failed: RetryOption = False,
    json_file: JsonOption = None,
) -> None:
    """Segment every image that has a file of prompts, or all of them with --auto.

    Example: segsam batch segment archive/ --prompts prompts/ -o labelled/ --workers 4
    """
    from segsam.batch.archive import find_items
    from segsam.batch.run import Workers
    from segsam.batch.segmenting import SegmentOrder
    from segsam.prompting.parsing import window_from_text

    if ending not in (".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha"):
        raise OutputError(f"Labels can be .nii.gz, .nii, .nrrd, .seg.nrrd or .mha; got {ending!r}.")
    found = find_items(archive, prompts)
    items = tuple(item for item in found if auto or item.prompts)
    if len(items) < len(found):
        err.print(f"{len(found) - len(items)} of {len(found)} images have no prompts: left out.")
    if not items:
        raise BatchError(f"No image of {archive} has a file of prompts; --auto needs none.")
    order = SegmentOrder(
        checkpoint=checkpoint,
        axis=cast("AxisChoice", axis),
        propagate=propagate,
        decoder=cast("DecoderName", decoder),
        window=window_from_text(window),
        auto=auto,
        categories=tuple(category or ()),
        ending=ending,
    )
    crew = Workers(workers, threads, ray_address)
    outcome = _run(order, items, out_folder, crew, retry_failed=retry_failed)
    _tell(outcome, out_folder, json_file, {})


@app.command()
def evaluate(  # noqa: PLR0913 - typer makes them options
    datasets: Annotated[
        list[Path],
        typer.Argument(help="Folders with dataset.json, images/, labels/.", metavar="DATASET..."),
    ],
    out_folder: OutOption,
    *,
    prompt: Annotated[str, typer.Option(help="What objects are prompted with: box or point.")],
    decoder: Annotated[str, typer.Option(help="As segsam evaluate.")] = "both",
    seed: Annotated[int, typer.Option(help="Of the simulated prompts.")] = 0,
    limit: Annotated[int, typer.Option(help="As segsam evaluate.")] = 0,
    slices: Annotated[int, typer.Option(help="As segsam evaluate.")] = 0,
    split: Annotated[str | None, typer.Option(help="As segsam evaluate.")] = None,
    propagated: Annotated[bool, typer.Option("--propagated", help="As segsam evaluate.")] = False,
    embeddings: Annotated[Path | None, typer.Option(help="As segsam evaluate.")] = None,
    checkpoint: CheckpointOption = None,
    workers: WorkersOption = 0,
    threads: ThreadsOption = 0,
    ray_address: AddressOption = "",
    retry_failed: RetryOption = False,
    json_file: JsonOption = None,
) -> None:
    """Measure a checkpoint as `segsam evaluate` does, case by case, restartable; to the same
    numbers.

    Example: segsam batch evaluate data/* --prompt box -o measured/ --workers 4 --json box.json
    """
    from segsam.batch.measuring import MeasureOrder, items_of, measured
    from segsam.batch.run import Workers
    from segsam.evaluation.cases import select
    from segsam.evaluation.prompting import prompt_kind
    from segsam.evaluation.run import Options
    from segsam.evaluation.summary import report
    from segsam.model import load_pretrained

    options = Options(prompt_kind(prompt), cast("DecoderChoice", decoder), seed, slices, propagated)
    selections = select(datasets, split=split, limit=limit)
    kept = "" if embeddings is None else str(embeddings.absolute())
    order = MeasureOrder(options, checkpoint, kept)
    crew = Workers(workers, threads, ray_address)
    outcome = _run(order, items_of(selections), out_folder, crew, retry_failed=retry_failed)
    records = {record.case: record for record in outcome.records}
    evaluation = measured(load_pretrained(checkpoint), selections, options, records)
    _tell(outcome, out_folder, json_file, {"report": report(evaluation)})


def _run(
    order: Order, items: Sequence[Item], folder: Path, crew: Workers, *, retry_failed: bool
) -> Outcome:
    from segsam.batch.run import run_batch

    try:
        with shown_progress(err, "cases") as progress:
            return run_batch(
                order, items, folder, workers=crew, retry_failed=retry_failed, progress=progress
            )
    except KeyboardInterrupt:
        err.print(f"Stopped; what is finished is in {folder}, and the same command goes on.")
        raise typer.Exit(130) from None


def _tell(outcome: Outcome, folder: Path, json_file: Path | None, more: dict[str, Any]) -> None:
    failed = outcome.failed
    summary = {
        "cases": len(outcome.records),
        "done": len(outcome.records) - len(failed),
        "done_before": outcome.kept,
        "failed": {record.case: record.error for record in failed},
        "seconds": round(outcome.seconds, 1),
        **more,
    }
    text = json.dumps(summary, indent=1, allow_nan=False) + "\n"
    write_bytes(folder / "summary.json", text.encode())
    if json_file is not None:
        write_bytes(json_file, text.encode())
    out.print(
        f"{summary['done']} of {summary['cases']} cases done, {outcome.kept} of them before; "
        f"{outcome.seconds:.1f} s. Written: {folder}",
        highlight=False,
    )
    for record in failed[:_SHOWN]:
        detail = (record.error or {}).get("detail", "")
        err.print(f"failed: {record.case}: {detail}", markup=False, highlight=False)
    if len(failed) > _SHOWN:
        err.print(f"... and {len(failed) - _SHOWN} more; summary.json has all of them.")
    if failed:
        raise typer.Exit(1)

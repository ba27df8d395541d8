"""Commands `segsam batch segment` and `segsam batch evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from segsam.cli.terminal import (
    CheckpointOption,
    DatasetsArgument,
    EmbeddingsOption,
    JsonOption,
    MemoryOption,
    TaughtOption,
    check_outputs,
    check_own_folder,
    check_target,
    dataset_files,
    err,
    exit_when_interrupted,
    out,
    print_empty,
    print_left_out,
    print_plain,
    progress_bar,
    propagate_choice,
    taught_names,
    write_json,
)
from segsam.errors import BatchError, OutputError

if TYPE_CHECKING:
    from segsam.batch.archive import Item
    from segsam.batch.case_worker import BatchTask, Workers
    from segsam.batch.run import Outcome
    from segsam.evaluation.run import DecoderChoice
    from segsam.imaging.image_files import LeftOut
    from segsam.types import AxisChoice, DecoderName

app = typer.Typer(
    name="batch",
    help="Segment or evaluate a whole archive; started again, it does what is missing.",
    no_args_is_help=True,
)

_FORMATS = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha")
_SHOWN = 10
_SUMMARY = "summary.json"
LEFT_OUT_STATUS = 3
"""Exit status of a batch that is done, but did not use every image."""

OutOption = Annotated[
    Path,
    typer.Option(
        "-o",
        "--out",
        help="New or empty folder for results and records; an earlier batch is continued.",
    ),
]
WorkersOption = Annotated[
    int, typer.Option(help="Number of processes, run by Ray Data; 0: this process, without Ray.")
]
ThreadsOption = Annotated[
    int, typer.Option(help="Threads per process; 0: the processor cores divided among them.")
]
AddressOption = Annotated[
    str, typer.Option("--ray-address", help="Ray cluster, as host:6379; default: this machine.")
]
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Also retry the cases that failed before.")
]


@app.command()
def segment(  # noqa: PLR0913 - the options of the command
    archive: Annotated[
        Path, typer.Argument(help="Folder with images and DICOM series, also in subfolders.")
    ],
    out_folder: OutOption,
    *,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Folder with CASE.json for each image; default: CASE.prompts.json beside it."
        ),
    ] = None,
    auto: Annotated[
        bool, typer.Option("--auto", help="Find objects in images that have no prompts.")
    ] = False,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="With --auto: look for this category or taught name only (repeatable); where it "
            "is not found, the summary says so."
        ),
    ] = None,
    taught: TaughtOption = None,
    axis: Annotated[str, typer.Option(help="See segsam segment.")] = "auto",
    propagate: Annotated[
        bool | None, typer.Option("--propagate/--no-propagate", help="See segsam segment.")
    ] = None,
    memory: MemoryOption = False,
    decoder: Annotated[str, typer.Option(help="See segsam segment.")] = "binary",
    window: Annotated[str | None, typer.Option(help="See segsam segment.")] = None,
    ending: Annotated[
        str, typer.Option("--format", help="File format of the labels: " + " ".join(_FORMATS) + ".")
    ] = ".nii.gz",
    checkpoint: CheckpointOption = None,
    workers: WorkersOption = 0,
    threads: ThreadsOption = 0,
    ray_address: AddressOption = "",
    retry_failed: RetryOption = False,
    json_file: JsonOption = None,
) -> None:
    """Segment every image that has a file of prompts; with --auto, every image.

    Each file that is left out is named with the reason. Exit status: 0, all done; 1, a case failed;
    3, all done, but an image or a file that may be one was left out.

    Example: segsam batch segment archive/ --prompts prompts/ -o labelled/ --workers 4
    """
    from segsam.batch.archive import find_items
    from segsam.batch.case_worker import Workers
    from segsam.batch.segmenting import SegmentTask
    from segsam.prompting.parsing import window_from_text

    check_target(json_file, ".json")
    if ending not in _FORMATS:
        raise OutputError(f"Expected the labels as {', '.join(_FORMATS)}, got {ending!r}.")
    found = find_items(archive, prompts)
    items = tuple(item for item in found.items if auto or item.prompts)
    check_outputs(_files_of(items), *_results(items, out_folder, ending), json_file)
    check_own_folder(out_folder, json_file)
    left_out = [*found.left_out, *_without_prompts(found.items, items)]
    if len(items) < len(found.items):
        few = len(found.items) - len(items)
        err.print(f"{few} of {len(found.items)} images have no prompts: left out.")
    print_left_out(left_out)
    for note in found.notes:
        print_plain(note, err)
    if not items:
        raise BatchError(f"No image of {archive} has a file of prompts; --auto needs none.")
    if taught is not None:
        taught_names(taught)  # refuses what is no folder, and names damaged records
    task = SegmentTask(
        checkpoint=checkpoint,
        axis=cast("AxisChoice", axis),
        propagate=propagate_choice(propagate, memory=memory),
        decoder=cast("DecoderName", decoder),
        window=window_from_text(window),
        auto=auto,
        categories=tuple(category or ()),
        ending=ending,
        studies=None if taught is None else str(taught.absolute()),
    )
    pool = Workers(workers, threads, ray_address)
    outcome = _run(task, items, out_folder, pool, retry_failed=retry_failed)
    missing = _not_found(outcome)
    more: dict[str, Any] = {"notes": list(found.notes)} if found.notes else {}
    more |= {"not_found": missing} if category else {}
    _print_not_found(missing)
    _report(outcome, out_folder, json_file, more, left_out=left_out)


@app.command()
def evaluate(  # noqa: PLR0913 - the options of the command
    datasets: DatasetsArgument,
    out_folder: OutOption,
    *,
    prompt: Annotated[str, typer.Option(help="Prompt of each object: box or point.")],
    decoder: Annotated[str, typer.Option(help="See segsam evaluate.")] = "both",
    seed: Annotated[int, typer.Option(help="Seed of the simulated prompts.")] = 0,
    limit: Annotated[int, typer.Option(help="See segsam evaluate.")] = 0,
    slices: Annotated[int, typer.Option(help="See segsam evaluate.")] = 0,
    split: Annotated[str | None, typer.Option(help="See segsam evaluate.")] = None,
    propagated: Annotated[bool, typer.Option("--propagated", help="See segsam evaluate.")] = False,
    embeddings: EmbeddingsOption = None,
    checkpoint: CheckpointOption = None,
    workers: WorkersOption = 0,
    threads: ThreadsOption = 0,
    ray_address: AddressOption = "",
    retry_failed: RetryOption = False,
    json_file: JsonOption = None,
) -> None:
    """Measure a checkpoint like `segsam evaluate`, to the same numbers, but case by case, so that
    it can be stopped and continued.

    Example: segsam batch evaluate data/* --prompt box -o measured/ --workers 4 --json box.json
    """
    from segsam.batch.case_worker import Workers
    from segsam.batch.evaluating import EvaluateTask, combine, evaluation_items
    from segsam.datasets.folder import unused_files
    from segsam.evaluation.cases import select
    from segsam.evaluation.prompting import prompt_kind
    from segsam.evaluation.run import Options
    from segsam.evaluation.summary import report
    from segsam.model import load_pretrained

    check_target(json_file, ".json")
    check_outputs(dataset_files(datasets, split), out_folder / _SUMMARY, json_file)
    check_own_folder(out_folder, json_file)
    options = Options(prompt_kind(prompt), cast("DecoderChoice", decoder), seed, slices, propagated)
    selections = select(datasets, split=split, limit=limit)
    folder = "" if embeddings is None else str(embeddings.absolute())
    task = EvaluateTask(options, checkpoint, folder)
    pool = Workers(workers, threads, ray_address)
    items = evaluation_items(selections)
    outcome = _run(task, items, out_folder, pool, retry_failed=retry_failed)
    records = {record.case: record for record in outcome.records}
    evaluation = combine(load_pretrained(checkpoint), selections, options, records)
    left_out = unused_files(selection.dataset for selection in selections)
    print_left_out(left_out)
    more = {"report": report(evaluation)}
    print_empty(evaluation)
    _report(outcome, out_folder, json_file, more, left_out=left_out)


def _files_of(items: Sequence[Item]) -> list[Path]:
    images = [Path(item.path) for item in items]
    return images + [Path(item.prompts) for item in items if item.prompts]


def _results(items: Sequence[Item], folder: Path, ending: str) -> list[Path]:
    from segsam.batch.segmenting import label_file

    return [folder / _SUMMARY, *(folder / label_file(item.case, ending) for item in items)]


def _run(
    task: BatchTask, items: Sequence[Item], folder: Path, workers: Workers, *, retry_failed: bool
) -> Outcome:
    from segsam.batch.run import run_batch

    stopped = f"Stopped. Finished cases are in {folder}; the same command continues."
    with exit_when_interrupted(stopped), progress_bar("cases") as progress:
        return run_batch(
            task, items, folder, workers=workers, retry_failed=retry_failed, progress=progress
        )


def _without_prompts(found: Sequence[Item], used: Sequence[Item]) -> list[LeftOut]:
    from segsam.imaging.image_files import LeftOut

    cases = {item.case for item in used}
    return [LeftOut(item.case, "no prompts") for item in found if item.case not in cases]


def _not_found(outcome: Outcome) -> dict[str, list[dict[str, Any]]]:
    """Return the requested names that no object got, by case, in the form of `segsam segment`."""
    found = {record.case: list(record.result.get("not_found", ())) for record in outcome.records}
    return {case: missing for case, missing in found.items() if missing}


def _print_not_found(missing: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    sentences = [f"{case}: {one['sentence']}" for case, each in missing.items() for one in each]
    for sentence in sentences[:_SHOWN]:
        print_plain(sentence)
    if len(sentences) > _SHOWN:
        out.print(f"... and {len(sentences) - _SHOWN} more; summary.json lists all of them.")


def _report(
    outcome: Outcome,
    folder: Path,
    json_file: Path | None,
    more: dict[str, Any] | None = None,
    *,
    left_out: Sequence[LeftOut],
) -> None:
    """Write and print the summary; end with exit status 1 if a case failed, 3 if a file that may be
    an image was left out.
    """
    failed = outcome.failed
    summary = {
        "cases": len(outcome.records),
        "done": len(outcome.records) - len(failed),
        "done_before": outcome.done_before,
        "failed": {record.case: record.error for record in failed},
        "changed": list(outcome.changed),
        "kept": dict(outcome.kept),
        "left_out": {one.path: one.reason for one in left_out},
        "seconds": round(outcome.seconds, 1),
        **(more or {}),
    }
    for path in (folder / _SUMMARY, json_file):
        write_json(path, summary)
    out.print(
        f"{summary['done']} of {summary['cases']} cases done, {outcome.done_before} of them "
        f"before; {outcome.seconds:.1f} s. Written: {folder}",
        highlight=False,
    )
    for name in outcome.changed:
        print_plain(f"Changed since this batch wrote it, and left as it is: {name}", err)
    for name, new in outcome.kept.items():
        print_plain(f"Not as this batch wrote it: {name} is kept as {Path(new).name}", err)
    for record in failed[:_SHOWN]:
        print_plain(f"failed: {record.case}: {(record.error or {}).get('detail', '')}", err)
    if len(failed) > _SHOWN:
        err.print(f"... and {len(failed) - _SHOWN} more; summary.json lists all of them.")
    if failed:
        raise typer.Exit(1)
    if any(one.may_be_image for one in left_out):
        raise typer.Exit(LEFT_OUT_STATUS)

"""`segsam models`: the hosts, the card of a checkpoint as a page, and a checkpoint to give away.

The main command line mounts `app`. Refusals are `SegSamError`s, which it turns into exit code 2.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from segsam.cli.terminal import JsonOption
from segsam.errors import CheckpointError, OutputError

if TYPE_CHECKING:
    from segsam.model import Card

app = typer.Typer(
    help="Hosts and checkpoints: list, card, average, pack.",
    add_completion=False,
)
out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 150)


@app.callback(invoke_without_command=True)
def default(context: typer.Context, json_file: JsonOption = None) -> None:
    """List the SAM-family hosts, when nothing else is asked for."""
    if context.invoked_subcommand is None:
        list_hosts(json_file)


@app.command("list")
def list_hosts(json_file: JsonOption = None) -> None:
    """List the SAM-family hosts: size, parameters, what trains, whether weights are at hand."""
    _check_folder(json_file)
    from segsam.model.hosts.table import HEADINGS, host_table

    rows = host_table()
    table = Table(*HEADINGS)
    for row in rows:
        table.add_row(*row.cells())
    out.print(table)
    for row in rows:
        if not row.checkpoint:
            out.print(f"{row.name}: its weights would be {row.wanted}", highlight=False)
    _write(json_file, json.dumps({"hosts": [asdict(row) for row in rows]}, indent=2) + "\n")


@app.command()
def card(
    checkpoint: Annotated[
        str,
        typer.Argument(help="A .safetensors with its card; the one in this package by default."),
    ] = "segsam",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the page here (.md).")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """The model card of a checkpoint as Markdown."""
    from segsam.evaluation.model_card import model_card
    from segsam.model.checkpoint import find_card

    for path in (output, json_file):
        _check_folder(path)
    found = find_card(checkpoint)
    if found is None:
        raise CheckpointError("Official weights of a host have no card; name a .safetensors.")
    page = model_card(found)
    if output is None:
        out.print(page, markup=False, highlight=False, end="")
    _write(output, page)
    _write(json_file, found.to_json() + "\n")


@app.command()
def average(
    sources: Annotated[
        list[Path], typer.Argument(help="Checkpoints (.safetensors) of one and the same lineage.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The one to make (.safetensors).")],
    json_file: JsonOption = None,
) -> None:
    """The mean of the weights of checkpoints that were trained one from the other or from the same
    one; often better than each, and no slower.

    Example: segsam models average a/model.safetensors b/model.safetensors -o mean.safetensors
    """
    from segsam.model import read_card
    from segsam.model.averaging import average_checkpoints

    _check_folder(json_file)
    if output.resolve() in {source.resolve() for source in sources}:
        raise OutputError(f"The mean would replace {output.name}; name another file.")
    path = average_checkpoints(sources, output)
    card = read_card(path)
    out.print(f"{path.name}: {card.parent}, SHA-256 {card.sha256}", highlight=False)
    _write(json_file, card.to_json() + "\n")


@app.command()
def pack(  # noqa: PLR0917 - typer makes them options; nobody calls it by position
    source: Annotated[Path, typer.Argument(help="A checkpoint (.safetensors) with its card.")],
    target: Annotated[Path, typer.Argument(help="The one to make (.safetensors).")],
    facts: Annotated[
        Path | None,
        typer.Option(help="Fields of the card, as YAML: name, licence, training, limits, ..."),
    ] = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(help="What segsam evaluate --json wrote; one for each kind of prompt."),
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="A folder of a data set that it was trained on.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="The split of those data sets.")] = None,
    half: Annotated[
        bool, typer.Option("--half/--no-half", help="Write numbers in half precision.")
    ] = True,
    json_file: JsonOption = None,
) -> None:
    """A checkpoint to give away: in half precision, without what others have anyway, its card
    complete.

    Example: segsam models pack runs/best/model.safetensors segsam.safetensors --facts facts.yaml
    """
    from segsam.model import load_pretrained, read_card, save_checkpoint

    _check_folder(json_file)
    if source.resolve() == target.resolve():
        raise OutputError(f"The packed checkpoint would replace {source.name}; name another file.")
    changes = _facts(facts) | _results(evaluation or []) | _data(data or [], split)
    complete = _with(read_card(source), changes)
    path = save_checkpoint(load_pretrained(source), target, complete, half=half)
    written = read_card(path)
    out.print(
        f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {len(written.categories)} categories, "
        f"SHA-256 {written.sha256}",
        highlight=False,
    )
    _write(json_file, written.to_json() + "\n")


def _with(card: Card, changes: dict[str, Any]) -> Card:
    from segsam.model.card import with_facts

    return with_facts(card, changes)


def _facts(path: Path | None) -> dict[str, Any]:
    import yaml

    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise CheckpointError(f"Cannot read the facts in {path.name}: {error}.") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"Expected fields of a card in {path.name}, got {type(found)}.")
    return found


def _results(paths: list[Path]) -> dict[str, Any]:
    from segsam.evaluation.model_card import results_of

    found = {}
    for path in paths:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found[record["prompt"]] = results_of(record)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"Expected what segsam evaluate --json writes in {path.name}: {error!r}."
            ) from error
    return {"results": found} if found else {}


def _data(folders: list[Path], split: Path | None) -> dict[str, Any]:
    from segsam.datasets.folder import open_dataset
    from segsam.datasets.splits import Split
    from segsam.evaluation.model_card import data_of

    if not folders:
        return {}
    if split is None:
        raise CheckpointError("Expected the split of the data sets too, got none.")
    datasets = [open_dataset(folder) for folder in folders]
    names = [dataset.name for dataset in datasets]
    return {"data": data_of(datasets, Split.load(split)), "training_data": names}


def _check_folder(path: Path | None) -> None:
    """Refuse before the work what could not be written at its end."""
    if path is not None and not path.absolute().parent.is_dir():
        raise OutputError(f"The folder of {path} does not exist; make it first.")


def _write(path: Path | None, text: str) -> None:
    from segsam.system.atomic import write_bytes

    if path is not None:
        write_bytes(path, text.encode())

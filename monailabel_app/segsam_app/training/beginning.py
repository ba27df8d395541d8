"""The model that a training begins with: the version before, with the new names added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from segsam.errors import TrainingError
from segsam.model import SegSam, load_pretrained
from segsam.model.card import Card
from segsam.model.checkpoint import find_card
from segsam.model.growth import grow
from segsam.model.packaged import SHIPPED, packaged_encoder, shipped_path
from segsam.model.variants import SWITCHES, find_variant
from segsam_app.training.vocabulary import new_categories

_GRID = 32
"""Of semantic parts that begin here, where the host's own grid is finer: a quarter of the work."""


@dataclass(frozen=True, eq=False)
class Beginning:
    """`model` learns; `before` is what it is held against, and was made of."""

    model: SegSam
    before: SegSam
    card: Card | None
    """Of the checkpoint that `model` comes from; None for official weights."""
    choices: Mapping[str, Any]
    """What `TrainConfig` has to say for its model to be of this one's form."""
    added: tuple[str, ...]
    """The names that it did not have before."""
    notes: tuple[str, ...]

    @property
    def host(self) -> str:
        """The name of its host."""
        return str(self.model.host.facts.name)

    @property
    def semantics(self) -> bool:
        """Whether what comes of it names things."""
        return find_variant(self.choices["variant"]).semantics

    def held_against(self, before: SegSam) -> Beginning:
        """The same, compared with another model."""
        return replace(self, before=before)


def begin(checkpoint: str | None, names: Iterable[str]) -> Beginning:
    """What `checkpoint` (as `load_pretrained` takes it) is, ready to learn these names.

    A host alone has no semantic parts. On the encoder of the trained checkpoint in this package it
    is that one which goes on to learn; on any other host new parts begin.

    Raises:
        CheckpointError: weights that cannot be used.
        TrainingError: a model that has no form which training knows.
    """
    before, notes, source = load_pretrained(checkpoint), [], checkpoint
    model, names = before, list(names)
    if before.semantic_decoder is None and packaged_encoder(before.host) and shipped_path():
        model, source = load_pretrained(SHIPPED), SHIPPED
        notes.append(
            "the version before names nothing, so the trained checkpoint of the package, "
            f"{SHIPPED!r}, is what learnt; figures before are the version's own"
        )
    if model.semantic_decoder is None:
        return _fresh(model, names)
    if not model.card.variant:
        raise TrainingError(f"The checkpoint {source} does not say which variant it is.")
    added = new_categories(model.categories, names)
    for one in added:
        model = grow(model, one.category, one.embedding)
    alone = before.semantic_decoder is None
    before = SegSam(before.host, model.categories) if alone else model
    notes += [one.note for one in added if one.note]
    new = tuple(one.category.name for one in added)
    return Beginning(model, before, find_card(source), _choices(model), new, tuple(notes))


def _fresh(host: SegSam, names: Iterable[str]) -> Beginning:
    """New semantic parts, for the names of the labels alone, on a host that has none."""
    wanted = sorted({name for name in names if name})
    added = new_categories(host.categories, wanted)
    categories = host.categories
    for one in added:
        categories = categories.with_category(one.category, one.embedding)
    model = SegSam(host.host, categories.only(wanted))
    grid = host.host.facts.grid
    choices: dict[str, Any] = {"variant": "segsam" if wanted else "baseline", "head": "maskcls"}
    choices["grid"] = _GRID if grid > _GRID and grid % _GRID == 0 else 0
    notes = tuple(one.note for one in added if one.note)
    return Beginning(model, model, None, choices, model.categories.names, notes)


def _choices(model: SegSam) -> dict[str, Any]:
    own = asdict(model.config)
    head, grid = own.pop("head"), own.pop("grid")
    choices = {key: value for key, value in own.items() if key not in SWITCHES}
    return {"variant": model.card.variant, "head": head, "grid": grid, "model": choices}

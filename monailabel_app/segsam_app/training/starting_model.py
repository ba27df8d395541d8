"""Model that a training starts from: the version before, with the new names added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from segsam.errors import TrainingError
from segsam.model import SegSam, load_pretrained
from segsam.model.card import Card
from segsam.model.checkpoint import find_card
from segsam.model.growth import grow
from segsam.model.packaged import SHIPPED, packaged_encoder, shipped_path
from segsam.model.variants import SWITCHES, find_variant
from segsam_app.training.new_categories import new_categories

_GRID = 32
"""Grid of new semantic parts if that of the host is finer: it takes a quarter of the work."""


@dataclass(frozen=True, eq=False)
class StartingModel:
    """Model to train, and the one that its scores are compared with.

    `before` is the model to compare with. `card` is that of the checkpoint that `model` comes from,
    None for official weights. `choices` are the fields of `TrainConfig` that describe the form of
    `model`. `added` are the names of its new categories. `notes` are sentences for the record.
    """

    model: SegSam
    before: SegSam
    card: Card | None
    choices: Mapping[str, Any]
    added: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def finds_already(self) -> bool:
        """True if its dense head was trained. A few cases are too little for a new one, which would
        find nothing but their names.
        """
        return self.model.config.dense_head

    @property
    def semantics(self) -> bool:
        """True if the trained model can name categories."""
        return find_variant(self.choices["variant"]).semantics


def load_starting_model(checkpoint: str | None, names: Iterable[str]) -> StartingModel:
    """Load `checkpoint` (as `load_pretrained` takes it) and add the categories with these names.

    A host alone has no semantic parts. Instead of LiteMedSAM as it comes, the trained checkpoint of
    this package is trained, which began as LiteMedSAM; for any other host new parts are built.

    Raises:
        CheckpointError: weights that cannot be used.
        TrainingError: a checkpoint without a known variant.
    """
    before, notes, source = load_pretrained(checkpoint), [], checkpoint
    model, names = before, list(names)
    if before.semantic_decoder is None and packaged_encoder(before.host) and shipped_path():
        model, source = load_pretrained(SHIPPED), SHIPPED
        notes.append(
            f"the version before cannot name anything, so the checkpoint of the package, "
            f"{SHIPPED!r}, was trained; the scores before are those of the version"
        )
    if model.semantic_decoder is None:
        return _with_new_parts(model, names)
    if not model.card.variant:
        raise TrainingError(f"The checkpoint {source} does not state its variant.")
    added = new_categories(model.categories, names)
    for one in added:
        model = grow(model, one.category, one.embedding)
    is_host_alone = before.semantic_decoder is None
    before = SegSam(before.host, model.categories) if is_host_alone else model
    notes += [one.note for one in added if one.note]
    new = tuple(one.category.name for one in added)
    return StartingModel(model, before, find_card(source), _choices(model), new, tuple(notes))


def _with_new_parts(host: SegSam, names: Iterable[str]) -> StartingModel:
    """New semantic parts on a host without any, for the names of the labels alone."""
    labels = sorted({name for name in names if name})
    added = new_categories(host.categories, labels)
    categories = host.categories
    for one in added:
        categories = categories.with_category(one.category, one.embedding)
    model = SegSam(host.host, categories.only(labels))
    grid = host.host.facts.grid
    choices: dict[str, Any] = {"variant": "segsam" if labels else "baseline", "head": "maskcls"}
    choices["grid"] = _GRID if grid > _GRID and grid % _GRID == 0 else 0
    notes = tuple(one.note for one in added if one.note)
    return StartingModel(model, model, None, choices, model.categories.names, notes)


def _choices(model: SegSam) -> dict[str, Any]:
    own = asdict(model.config)
    head, grid = own.pop("head"), own.pop("grid")
    choices = {key: value for key, value in own.items() if key not in SWITCHES}
    return {"variant": model.card.variant, "head": head, "grid": grid, "model": choices}

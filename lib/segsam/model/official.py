"""Published weights of the hosts: where they may stand, which host they are of, how they fit.

A file fits when it has exactly the host's names and shapes. On request (`adapt`), SAM's own weights
also start a host that adds to SAM, and tables of positions are resized to another input size; what
was done is kept in the host's `loading_notes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.errors import CheckpointError
from segsam.model.hosts import HOSTS, Host, HostFacts, Sam, SamUnet, VitSizes
from segsam.system.folders import weights_dir

_NAMED_KEYS = 3
_BLOCK = re.compile(r"^image_encoder\..*\bblocks\.(\d+)\.")
_STEM = {"conv1": "stage0.0", "bn1": "stage0.1"}
_TINY_STEM = "image_encoder.patch_embed.seq.0.c.weight"
_MARKS: Mapping[str, str] = {
    "image_encoder.blocks.0.Adapter.spatial.0.weight": "sam_med2d",
    "image_encoder.blocks.0.Space_Adapter.D_fc1.weight": "med_sa",
    "resnet.stage1.0.conv3.weight": "sam_unet50",
    "resnet.stage1.0.conv1.weight": "sam_unet",
    "image_encoder.pos_embed": "sam",
}
"""A parameter that only this host has, the more particular first; MedSAM has SAM's."""


def official_path(facts: HostFacts) -> Path:
    """Where this host's official file should be; `<name>.pth` where none is published."""
    return weights_dir() / (facts.official_file or f"{facts.name}.pth")


def detect(state: Mapping[str, Tensor], file_name: str) -> str:
    """The host that a state dict is of, by its names.

    Raises:
        CheckpointError: of none, or SAM's names, which MedSAM's files have as well.
    """
    if _TINY_STEM in state:
        if state[_TINY_STEM].shape[-1] == 1:
            return "litemedsam"
        raise CheckpointError(f"{file_name} holds MobileSAM, which is not among the hosts.")
    found = next((host for key, host in _MARKS.items() if key in state), None)
    if found == "sam":
        raise CheckpointError(
            f"{file_name} holds a ViT of SAM's format, which SAM and MedSAM share; say which it "
            f"is, as sam:{file_name} or medsam:{file_name}."
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


def build_host(
    name: str, state: Mapping[str, Tensor], file_name: str, *, adapt: bool = False
) -> Host:
    """A host of the published sizes with these weights.

    Args:
        name: in `HOSTS`.
        state: the file's tensors by name.
        file_name: for the messages.
        adapt: take plain SAM weights as the start of a host that adds to SAM, and resize tables of
            positions; otherwise both are refused.

    Raises:
        CheckpointError: naming the first names and shapes that differ.
    """
    host = HOSTS[name]()
    fit_host(host, state, file_name, adapt=adapt)
    return host


def fit_host(
    host: Host, state: Mapping[str, Tensor], file_name: str, *, adapt: bool = False
) -> None:
    """Load a published state dict into a host of any size; see `build_host`."""
    wanted = host.state_dict()
    state = {_our_name(key): value for key, value in state.items()}
    notes: list[str] = []
    if adapt:
        state = _started_from_sam(host, state, notes)
        state = {key: _resized(key, value, wanted.get(key), notes) for key, value in state.items()}
    try:
        load_exactly(host, state, file_name)
    except CheckpointError as error:
        if adapt or not _of_plain_sam(state, host) or set(state) == set(wanted):
            raise
        raise CheckpointError(
            f"{error} They are SAM's own; to start {host.facts.name} from them, ask for it to be "
            "adapted."
        ) from error
    host.loading_notes = tuple(_summary(notes, file_name))


def load_branch(host: SamUnet, state: Mapping[str, Tensor], file_name: str) -> None:
    """Start SAM-UNet's convolutional branch from torchvision's ResNet of the same depth (as its
    authors do, from ImageNet); the classifier is left out.

    Raises:
        CheckpointError: naming the first names and shapes that differ.
    """
    renamed = {}
    for key, value in state.items():
        part, _, rest = key.partition(".")
        if part != "fc":
            stage = _STEM.get(part) or part.replace("layer", "stage")
            renamed[f"{stage}.{rest}"] = value
    load_exactly(host.resnet, renamed, file_name)


def load_exactly(module: nn.Module, state: Mapping[str, Tensor], file_name: str) -> None:
    """Load a state dict of exactly the module's keys and shapes.

    Raises:
        CheckpointError: naming the first that differ.
    """
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


def _our_name(key: str) -> str:
    """Med-SA's files call SAM's tables of relative positions by another name."""
    for theirs, ours in ((".attn.rel_h", ".attn.rel_pos_h"), (".attn.rel_w", ".attn.rel_pos_w")):
        if key.endswith(theirs):
            return key.removesuffix(theirs) + ours
    return key


def _of_plain_sam(state: Mapping[str, Tensor], host: Host) -> bool:
    """Whether a state dict has exactly the names of a SAM as deep as the host."""
    blocks = {found[1] for key in host.state_dict() if (found := _BLOCK.search(key))}
    with torch.device("meta"):
        return set(state) == set(Sam(VitSizes(depth=len(blocks))).state_dict())


def _started_from_sam(host: Host, state: dict[str, Tensor], notes: list[str]) -> dict[str, Tensor]:
    """SAM's weights under the host's names, and the host's additions as they are; else `state`."""
    wanted = host.state_dict()
    if not _of_plain_sam(state, host) or set(state) == set(wanted):
        return state
    renamed = {name: value for key, value in state.items() if (name := host.name_of_sams(key))}
    new = [key for key in wanted if key not in renamed]
    notes.append(f"{len(new)} tensors that SAM does not have start new, the first {new[0]}")
    return {key: wanted[key] for key in new} | renamed


def _resized(key: str, value: Tensor, wanted: Tensor | None, notes: list[str]) -> Tensor:
    """A table of positions at the size wanted, interpolated linearly; all else as it is."""
    if wanted is None or value.shape == wanted.shape or value.shape[-1] != wanted.shape[-1]:
        return value
    if key.endswith("pos_embed") and value.ndim == wanted.ndim == 4:
        notes.append(f"{key} resized from {_sides(value)} to {_sides(wanted)}")
        planes = value.float().permute(0, 3, 1, 2)
        resized = F.interpolate(planes, wanted.shape[1:3], mode="bilinear", align_corners=False)
        return resized.permute(0, 2, 3, 1)
    if key.endswith(("rel_pos_h", "rel_pos_w")) and value.ndim == wanted.ndim == 2:
        notes.append(f"{key} resized from {len(value)} to {len(wanted)}")
        lines = value.float().T[None]
        resized = F.interpolate(lines, len(wanted), mode="linear", align_corners=False)
        return resized[0].T
    return value


def _sides(table: Tensor) -> str:
    return f"{table.shape[1]} x {table.shape[2]}"


def _summary(notes: list[str], file_name: str) -> list[str]:
    """The notes as sentences, tables of relative positions counted rather than listed."""
    tables = [note for note in notes if ".rel_pos_" in note]
    rest = [note for note in notes if note not in tables]
    if tables:
        rest.append(f"{len(tables)} tables of relative positions resized, the first {tables[0]}")
    return [f"From {file_name}: {note}." for note in rest]

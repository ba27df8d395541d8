"""Table of hosts for `segsam models`; no weights are allocated for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from segsam.errors import CheckpointError
from segsam.model.hosts import HOSTS, HostFacts, LiteMedSAM
from segsam.model.official import official_path
from segsam.model.packaged import litemedsam_path

HEADINGS = ("host", "size", "input", "parameters", "trainable", "frozen", "checkpoint", "licence")


@dataclass(frozen=True)
class HostRow:
    """Row of one host."""

    name: str
    size: str
    """Name of its image encoder."""
    input_size: int
    """Side of the square input image, in model pixels."""
    grid: int
    """Side of the square image embedding."""
    normalisation: str
    parameters: int
    """0 if a package that the host needs is not installed."""
    trainable: int
    frozen: str
    """Parts that never receive a gradient."""
    trained: str
    """Parts that do."""
    checkpoint: str
    """Path of its official weights; empty if they are not on this machine."""
    wanted: str
    """Path at which they are looked for."""
    prompts_trained: tuple[str, ...]
    preparation: str
    licence: str
    source: str

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, under `HEADINGS`."""
        return (
            self.name,
            self.size,
            f"{self.input_size} px, {self.input_size // self.grid} px a cell",
            f"{self.parameters:,}" if self.parameters else "package missing",
            f"{self.trainable:,}",
            self.frozen,
            "found" if self.checkpoint else "not found",
            self.licence,
        )


def host_table(names: Iterable[str] = HOSTS) -> tuple[HostRow, ...]:
    """Return a row for each named host, in the given order.

    Parameters are counted on PyTorch's meta device, which has shapes and no numbers.
    """
    return tuple(_row(name) for name in names)


def _row(name: str) -> HostRow:
    facts, counts = HOSTS[name].facts, _counts(name)
    path = _path(facts)
    return HostRow(
        name=facts.name,
        size=facts.encoder,
        input_size=facts.input_size,
        grid=facts.grid,
        normalisation=facts.normalisation,
        parameters=counts[0],
        trainable=counts[1],
        frozen=facts.frozen,
        trained=facts.trained,
        checkpoint=str(path) if path.is_file() else "",
        wanted=str(path),
        prompts_trained=facts.prompts_trained,
        preparation=facts.preparation,
        licence=facts.licence,
        source=facts.source,
    )


def _path(facts: HostFacts) -> Path:
    packaged = litemedsam_path() if facts.name == LiteMedSAM.facts.name else None
    return packaged or official_path(facts)


def _counts(name: str) -> tuple[int, int]:
    """Count the parameters of a host, and those that train; 0 if its package is missing."""
    try:
        with torch.device("meta"):
            host = HOSTS[name]()
    except CheckpointError:
        return 0, 0
    return _count(host, trainable=False), _count(host, trainable=True)


def _count(module: nn.Module, *, trainable: bool) -> int:
    """Count the parameters of a module, or those that train."""
    parameters = module.parameters()
    return sum(one.numel() for one in parameters if one.requires_grad or not trainable)

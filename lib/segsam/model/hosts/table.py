"""The table of hosts that `segsam models` prints, without building a single weight."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from segsam.model.hosts import HOSTS, HostFacts, LiteMedSAM
from segsam.model.official import official_path
from segsam.model.packaged import litemedsam_path

HEADINGS = ("host", "size", "input", "parameters", "trainable", "frozen", "checkpoint", "licence")


@dataclass(frozen=True)
class HostRow:
    """One host."""

    name: str
    size: str
    """Its image encoder, in a word."""
    input_size: int
    """Side of the square input image, in model pixels."""
    grid: int
    """Side of the square image embedding."""
    normalisation: str
    parameters: int
    trainable: int
    frozen: str
    """What never receives a gradient."""
    trained: str
    """What does."""
    checkpoint: str
    """Where its official weights are on this machine; empty when they are not."""
    wanted: str
    """Where they would be found."""
    prompts_trained: tuple[str, ...]
    preparation: str
    licence: str
    source: str

    def cells(self) -> tuple[str, ...]:
        """The row as text, under `HEADINGS`."""
        return (
            self.name,
            self.size,
            f"{self.input_size} px, {self.input_size // self.grid} px a cell",
            f"{self.parameters:,}",
            f"{self.trainable:,}",
            self.frozen,
            "found" if self.checkpoint else "not found",
            self.licence,
        )


def host_table(names: Iterable[str] = HOSTS) -> tuple[HostRow, ...]:
    """A row for each host named, in the order given.

    Parameters are counted on PyTorch's meta device, which keeps shapes and no numbers.
    """
    return tuple(_row(name) for name in names)


def _row(name: str) -> HostRow:
    with torch.device("meta"):
        host = HOSTS[name]()
    facts = host.facts
    wanted = _where(facts)
    return HostRow(
        name=facts.name,
        size=facts.encoder,
        input_size=facts.input_size,
        grid=facts.grid,
        normalisation=facts.normalisation,
        parameters=_count(host, trainable=False),
        trainable=_count(host, trainable=True),
        frozen=facts.frozen,
        trained=facts.trained,
        checkpoint=str(wanted) if wanted.is_file() else "",
        wanted=str(wanted),
        prompts_trained=facts.prompts_trained,
        preparation=facts.preparation,
        licence=facts.licence,
        source=facts.source,
    )


def _where(facts: HostFacts) -> Path:
    carried = litemedsam_path() if facts.name == LiteMedSAM.facts.name else None
    return carried or official_path(facts)


def _count(module: nn.Module, *, trainable: bool) -> int:
    """How many parameters a module has, or how many of them train."""
    parameters = module.parameters()
    return sum(one.numel() for one in parameters if one.requires_grad or not trainable)

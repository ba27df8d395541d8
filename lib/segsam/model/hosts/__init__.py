"""SAM-family hosts by name, one file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from segsam.model.hosts.base import Host, HostFacts
from segsam.model.hosts.litemedsam import LiteMedSAM

HOSTS: Mapping[str, Callable[[], Host]] = MappingProxyType({LiteMedSAM.facts.name: LiteMedSAM})

__all__ = ["HOSTS", "Host", "HostFacts", "LiteMedSAM"]

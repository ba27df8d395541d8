"""SAM-family hosts by name, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from segsam.model.hosts.base import Host, HostFacts
from segsam.model.hosts.litemedsam import LiteMedSAM
from segsam.model.hosts.med_sa import MedSa
from segsam.model.hosts.medsam import MedSam
from segsam.model.hosts.sam import Sam
from segsam.model.hosts.sam2 import MedSam2, Sam2, Sam2BasePlus, Sam2Large, Sam2Small
from segsam.model.hosts.sam_med2d import SamMed2d
from segsam.model.hosts.sam_unet import SamUnet, SamUnet50
from segsam.model.hosts.segsam_fast import SegSamFast
from segsam.model.hosts.vit import VitSizes

_CLASSES: tuple[type[Host], ...] = (
    LiteMedSAM,
    Sam,
    MedSam,
    SamMed2d,
    MedSa,
    SamUnet,
    SamUnet50,
    Sam2,
    Sam2Small,
    Sam2BasePlus,
    Sam2Large,
    MedSam2,
    SegSamFast,
)
HOSTS: Mapping[str, type[Host]] = MappingProxyType({host.facts.name: host for host in _CLASSES})
"""Hosts by name; a call without arguments builds the published sizes with random weights."""

__all__ = [
    "HOSTS",
    "Host",
    "HostFacts",
    "LiteMedSAM",
    "MedSa",
    "MedSam",
    "MedSam2",
    "Sam",
    "Sam2",
    "Sam2BasePlus",
    "Sam2Large",
    "Sam2Small",
    "SamMed2d",
    "SamUnet",
    "SamUnet50",
    "SegSamFast",
    "VitSizes",
]

"""Network: a SAM-family host, semantic decoder (SAWD), text enhancement (T2VSE), weights."""

from __future__ import annotations

from segsam.model.box_kinds import BoxKind
from segsam.model.card import Card, read_card
from segsam.model.checkpoint import PRETRAINED, load_pretrained, save_checkpoint
from segsam.model.config import SemanticConfig
from segsam.model.hosts import HOSTS, Host, HostFacts
from segsam.model.segsam import SegSam
from segsam.model.tensors import Decoded, ImageFeatures, PromptTensors
from segsam.model.variants import VARIANTS, Variant, build_variant, find_variant

__all__ = [
    "HOSTS",
    "PRETRAINED",
    "VARIANTS",
    "BoxKind",
    "Card",
    "Decoded",
    "Host",
    "HostFacts",
    "ImageFeatures",
    "PromptTensors",
    "SegSam",
    "SemanticConfig",
    "Variant",
    "build_variant",
    "find_variant",
    "load_pretrained",
    "read_card",
    "save_checkpoint",
]

"""Checkpoint on a tiny host that finds livers everywhere, for segmentation without prompts."""

from __future__ import annotations

from pathlib import Path

import torch

from segsam.model import Card, build_variant, load_pretrained, save_checkpoint

from ..lib.conftest import TinyHost
from .tuning import tiny_checkpoint

_SEED = 7
"""Seed of random weights whose masks are compact."""


def sure_checkpoint(folder: Path) -> Path:
    """Return an untrained checkpoint with a high confidence in its masks. `HOSTS` must have the
    tiny host.
    """
    categories = load_pretrained(tiny_checkpoint(folder / "tiny.safetensors")).categories
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = build_variant("segsam", TinyHost(), categories, head="maskcls")
    decoder, last = model.semantic_decoder, model.host.mask_decoder.iou_prediction_head.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(0.9)
        decoder.presence.weight.zero_()
        decoder.presence.bias.copy_(torch.tensor([9.0, -9.0, -9.0]))
        decoder.head.classes.weight.zero_()
        decoder.head.classes.bias.copy_(torch.tensor([-9.0, 9.0, -9.0, -9.0]))
    path = folder / "sure.safetensors"
    return save_checkpoint(model, path, Card("sure", semantic_is_trained=True))

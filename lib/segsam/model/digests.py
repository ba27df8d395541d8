"""Identifiers of weights, for cache keys and for the cards of checkpoints."""

from __future__ import annotations

import hashlib

from torch import nn

from segsam.model.hosts import Host
from segsam.model.segsam import SegSam


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 over names, types, shapes and values of a state dict, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def weights_id(model: SegSam) -> str:
    """Return the identifier of a model's weights: that of their file if they came from one.

    Weights that come from no file are hashed, which takes time: store the result. Weights that are
    trained after loading still have the identifier of their file.
    """
    digest, dash, host = model.card.sha256.partition("-")
    return (digest or weights_digest(model))[:16] + dash + host


def encoder_id(host: Host) -> str:
    """Return the identifier of all that an image embedding depends on, in float32.

    That is the host's name, because hosts prepare the same image differently, and the weights that
    `Host.encode` uses. Hashing takes time: store the result.
    """
    return f"{host.facts.name} {weights_digest(host.encoding_parts())[:16]}"


def embedding_id(model: SegSam) -> str:
    """Return the identifier of all that the embedding depends on which the decoders read: the
    host's encoder, and the reduction of the grid, which is trained. Hashing takes time.
    """
    reduction = model.reduction
    reduced = "" if reduction is None else f" {weights_digest(reduction)[:16]}"
    return encoder_id(model.host) + reduced

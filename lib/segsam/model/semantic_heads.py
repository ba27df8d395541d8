"""Heads that decode the semantic mask of K + 1 classes from one SO-token (equation 6).

The paper does not say how one token becomes K + 1 masks; these are two readings. Both give logits
whose softmax over the class axis is a probability: for the object as a whole, and per pixel (drawn
by `dense`, joined from class and mask in `Decoded.semantic_logits` for `maskcls`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from segsam.model.sam import MLP
from segsam.model.tensors import Semantics

_SMALLEST = 1e-12


class SemanticHead(nn.Module):
    """Head that reads the SO-token (P, C) and the upscaled embedding (P, 4h, 4w, C/8).

    It gives class logits (P, K+1), and either dense logits (P, K+1, 4h, 4w) or one mask.
    """

    def __init__(self, categories: int, dim: int) -> None:
        super().__init__()
        self.categories = categories
        self.dim = dim

    def start_from(self, hypernetwork: nn.Module) -> None:
        """Start with the mask that this hypernetwork, an MLP C -> C -> C -> C/8, would draw."""
        raise NotImplementedError


class DenseHead(SemanticHead):
    """Hypernetwork C -> C -> C -> (K+1) * C/8: every class has a kernel over the embedding.

    It changes SAM as little as possible: its mask decoder has one such kernel. The class of the
    whole object is the class distribution averaged over pixels, each weighted by its probability of
    belonging to the object; class logits are its logarithm.
    """

    def __init__(self, categories: int, dim: int) -> None:
        super().__init__(categories, dim)
        self.kernels = MLP(dim, dim, (categories + 1) * dim // 8, 3)

    @torch.no_grad()
    def start_from(self, hypernetwork: nn.Module) -> None:
        """Start categories with the host's kernel, the background with zeros.

        Argmax is then the host's mask: a category wins where the host's logit is above 0.
        """
        state = hypernetwork.state_dict()
        for name in ("layers.2.weight", "layers.2.bias"):
            state[name] = torch.cat(
                [torch.zeros_like(state[name]), *[state[name]] * self.categories]
            )
        self.kernels.load_state_dict(state)

    def forward(self, token: Tensor, upscaled: Tensor) -> Semantics:
        """Draw a map; shapes as of `SemanticHead`."""
        kernels = self.kernels(token).view(len(token), self.categories + 1, self.dim // 8)
        logits = torch.einsum("pkc,pyxc->pkyx", kernels, upscaled)
        probability = logits.softmax(dim=1).flatten(2)
        weight = 1 - probability[:, :1]
        shares = (probability * weight).sum(2) / weight.sum(2).clamp_min(_SMALLEST)
        return Semantics(shares.clamp_min(_SMALLEST).log(), logits)


class MaskClassHead(SemanticHead):
    """One mask and one class distribution, whose index 0 is "no object".

    As in Mask2Former, which the paper cites for its semantic loss. `Decoded.semantic_logits` joins
    both into a map on demand.
    """

    def __init__(self, categories: int, dim: int) -> None:
        super().__init__(categories, dim)
        self.kernel = MLP(dim, dim, dim // 8, 3)
        self.classes = nn.Linear(dim, categories + 1)

    @torch.no_grad()
    def start_from(self, hypernetwork: nn.Module) -> None:
        """Start with the host's mask."""
        self.kernel.load_state_dict(hypernetwork.state_dict())

    def forward(self, token: Tensor, upscaled: Tensor) -> Semantics:
        """Draw a mask and name it; shapes as of `SemanticHead`."""
        mask = torch.einsum("pc,pyxc->pyx", self.kernel(token), upscaled).unsqueeze(1)
        return Semantics(self.classes(token), object_logits=mask, class_tokens=token)


HEADS: Mapping[str, type[SemanticHead]] = MappingProxyType(
    {"dense": DenseHead, "maskcls": MaskClassHead}
)

"""Two readings of "decode the semantic mask" from one SO-token.

Both give logits whose softmax over the class axis is a probability: for the object as a whole, and
(drawn, or made of class and mask by `Decoded.semantic_logits`) per pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from segsam.model.records import Semantics
from segsam.model.sam import MLP

_SMALLEST = 1e-12


class SemanticHead(nn.Module):
    """SO-token (P, C) and upscaled embedding (P, 4h, 4w, C/8) -> a class and a map, or a mask.

    The class is class logits (P, K+1); the map is dense logits (P, K+1, 4h, 4w); a head that draws
    mask and class apart gives the mask in the map's place.
    """

    def __init__(self, categories: int, dim: int) -> None:
        super().__init__()
        self.categories = categories
        self.dim = dim

    def start_from(self, hypernetwork: nn.Module) -> None:
        """Begin with the mask that this hypernetwork, an MLP C -> C -> C -> C/8, would draw."""
        raise NotImplementedError


class DenseHead(SemanticHead):
    """A hypernetwork C -> C -> C -> (K+1) * C/8 gives every class a kernel over the embedding.

    Class logits are the logarithm of the class distribution averaged over pixels, each pixel
    weighted by its probability of belonging to the object.
    """

    def __init__(self, categories: int, dim: int) -> None:
        super().__init__(categories, dim)
        self.kernels = MLP(dim, dim, (categories + 1) * dim // 8, 3)

    @torch.no_grad()
    def start_from(self, hypernetwork: nn.Module) -> None:
        """Categories start with the host's kernel, the background with none; argmax is its mask."""
        state = hypernetwork.state_dict()
        for name in ("layers.2.weight", "layers.2.bias"):
            state[name] = torch.cat(
                [torch.zeros_like(state[name]), *[state[name]] * self.categories]
            )
        self.kernels.load_state_dict(state)

    def forward(self, token: Tensor, upscaled: Tensor) -> Semantics:
        """See `SemanticHead`."""
        kernels = self.kernels(token).view(len(token), self.categories + 1, self.dim // 8)
        logits = torch.einsum("pkc,pyxc->pkyx", kernels, upscaled)
        probability = logits.softmax(dim=1).flatten(2)
        weight = 1 - probability[:, :1]
        shares = (probability * weight).sum(2) / weight.sum(2).clamp_min(_SMALLEST)
        return Semantics(shares.clamp_min(_SMALLEST).log(), logits)


class MaskClassHead(SemanticHead):
    """One mask and one class distribution; index 0 of the distribution is "no object".

    `Decoded.semantic_logits` makes the map of them when it is wanted.
    """

    def __init__(self, categories: int, dim: int) -> None:
        super().__init__(categories, dim)
        self.kernel = MLP(dim, dim, dim // 8, 3)
        self.classes = nn.Linear(dim, categories + 1)

    @torch.no_grad()
    def start_from(self, hypernetwork: nn.Module) -> None:
        """The mask starts as the host's."""
        self.kernel.load_state_dict(hypernetwork.state_dict())

    def forward(self, token: Tensor, upscaled: Tensor) -> Semantics:
        """See `SemanticHead`."""
        mask = torch.einsum("pc,pyxc->pyx", self.kernel(token), upscaled).unsqueeze(1)
        return Semantics(self.classes(token), object_logits=mask)


HEADS: Mapping[str, type[SemanticHead]] = MappingProxyType(
    {"dense": DenseHead, "maskcls": MaskClassHead}
)

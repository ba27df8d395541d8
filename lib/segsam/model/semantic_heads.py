"""Two readings of "decode the semantic mask" from one SO-token, with the same outputs.

Both return logits whose softmax over the class axis is a probability: per pixel, and for the object
as a whole. So 1 - softmax(semantic_logits)[0] is the object's mask with its label stripped off
(paper section 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.records import Semantics
from segsam.model.sam import MLP

_SMALLEST = 1e-12


class SemanticHead(nn.Module):
    """SO-token (P, C) and upscaled embedding (P, 4h, 4w, C/8) -> a map and a class.

    The map is semantic logits (P, K+1, 4h, 4w), the class is class logits (P, K+1); a head that
    draws mask and class apart also gives its mask.
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
        return Semantics(logits, shares.clamp_min(_SMALLEST).log())


class MaskClassHead(SemanticHead):
    """One mask and one class distribution; index 0 of the distribution is "no object".

    A pixel belongs to category k with probability q_k * s: the class distribution times the mask's
    sigmoid. The semantic logits are the logarithms of these probabilities, background taking the
    rest.
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
        class_logits: Tensor = self.classes(token)
        log_class = class_logits.log_softmax(dim=1)[:, :, None, None]
        mask = torch.einsum("pc,pyxc->pyx", self.kernel(token), upscaled).unsqueeze(1)
        inside, outside = F.logsigmoid(mask), F.logsigmoid(-mask)
        background = torch.logaddexp(outside, inside + log_class[:, :1])
        semantic_logits = torch.cat([background, inside + log_class[:, 1:]], dim=1)
        return Semantics(semantic_logits, class_logits, mask)


HEADS: Mapping[str, type[SemanticHead]] = MappingProxyType(
    {"dense": DenseHead, "maskcls": MaskClassHead}
)

"""What a SAM-family host gives SEG-SAM: SAM's three parts, and its way of preparing an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.model.mask_decoding import decode_masks
from segsam.model.two_way import Source


@dataclass(frozen=True)
class HostFacts:
    """What is fixed about a host, for messages, cards and the geometry that surrounds it."""

    name: str
    input_size: int
    """Side of the square input image, in model pixels."""
    grid: int
    """Side of the square image embedding; a low-resolution mask is four times as wide."""
    embed_dim: int
    prompts_trained: tuple[str, ...]
    """The kinds of prompt it was trained on; others are accepted, with less reason for trust."""
    normalisation: str
    licence: str
    source: str
    encoder: str = ""
    """The image encoder, in a word."""
    frozen: str = "the image encoder"
    """What never receives a gradient."""
    trained: str = "prompt encoder and mask decoder"
    """What does."""
    preparation: str = ""
    """Where a slice is prepared otherwise than the host's authors did, and why."""
    official_file: str = ""
    """The name under which its authors publish the weights; empty where they publish none."""

    @property
    def stride(self) -> int:
        """Model pixels per cell of the image embedding."""
        return self.input_size // self.grid


class EncoderRuntime(Protocol):
    """What may compute a host's image encoder in PyTorch's place."""

    @property
    def mode(self) -> str:
        """How it computes: "exact" when equal to float32, else a name of its own."""

    @property
    def threads(self) -> int:
        """How many images it computes at a time, when they are encoded `alongside`."""

    def encode(self, images: Tensor, *, alongside: bool) -> tuple[Tensor, Tensor | None]:
        """As `Host.encode`; `alongside` says that it is not the only work there is."""


class Host(nn.Module, ABC):
    """An image encoder, a prompt encoder and a mask decoder with SAM's calling conventions.

    A host is one file: a subclass that sets `facts`, builds the three parts under these names (so
    that published state dicts load as they are) and implements `prepare`. The image encoder starts
    frozen, as in the paper (section 4.1), except for adapters that a host has put into it; while
    all of it is frozen, it also stays in evaluation mode, because batch statistics would change it
    as well.
    """

    facts: HostFacts
    image_encoder: nn.Module
    prompt_encoder: Any
    mask_decoder: Any
    loading_notes: tuple[str, ...] = ()
    """What was done to a weights file to make it fit, in sentences; empty if it fitted as it is."""

    @abstractmethod
    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Normalise a resized slice (h_px, w_px, 3), pad it bottom and right to (3, S, S)."""

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Prepared images (B, 3, S, S) -> image embedding f_v (B, C, h, w), and what the host's own
        mask decoder wants beside it (B, c, 4h, 4w), if anything.
        """
        return self.image_encoder(images), None

    def use_grid(self, side: int) -> None:
        """Have the prompt encoder speak of a grid of `side` cells: positions, and the size of a
        mask prompt. It has no weights that depend on it.
        """
        encoder = self.sams_prompt_encoder
        encoder.image_embedding_size = (side, side)
        encoder.mask_input_size = (4 * side, 4 * side)

    @property
    def sams_prompt_encoder(self) -> Any:
        """SAM's `PromptEncoder` itself, wherever a host keeps it."""
        return self.prompt_encoder

    def mask_prompt(self, logits: Tensor) -> Tensor:
        """An earlier mask (P, 1, 4h, 4w) as this host's prompt encoder wants it: logits, as SAM."""
        return logits

    def decode_masks(
        self,
        source: Source,
        image_pe: Tensor,
        prompt_tokens: Tensor,
        *,
        multimask: bool,
        detail: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The mask decoder (SAGD) on the prompts of one image; see `mask_decoding.decode_masks`.

        `detail` is what `encode` gave beside the embedding of this image.
        """
        return decode_masks(self.mask_decoder, source, image_pe, prompt_tokens, multimask=multimask)

    def name_of_sams(self, key: str) -> str | None:
        """This host's name for a parameter of SAM's; None if it has no place for it."""
        return key

    def train(self, mode: bool = True) -> Host:
        """As `nn.Module.train`, except that a frozen image encoder is left in evaluation mode."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.image_encoder.parameters()):
            self.image_encoder.eval()
        return self

"""Interface of a SAM-family host: SAM's three parts, and its way of preparing an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.mask_decoding import attend_and_upscale, decode_masks
from segsam.model.tensors import PromptTensors
from segsam.model.two_way import ImageSource


@dataclass(frozen=True)
class HostFacts:
    """Fixed properties of a host, for messages, cards and geometry."""

    name: str
    input_size: int
    """Side of the square input image, in model pixels."""
    grid: int
    """Side of the square image embedding; a low-resolution mask is four times as wide."""
    embed_dim: int
    prompts_trained: tuple[str, ...]
    """Kinds of prompt that it was trained on; others are accepted, and less reliable."""
    normalisation: str
    licence: str
    source: str
    encoder: str = ""
    """Name of the image encoder."""
    frozen: str = "the image encoder"
    """Parts that never receive a gradient."""
    trained: str = "prompt encoder and mask decoder"
    """Parts that do."""
    preparation: str = ""
    """Difference from the authors' preparation of a slice, and the reason for it."""
    official_file: str = ""
    """Name of the weights file that its authors publish; empty if they publish none."""


class Host(nn.Module, ABC):
    """An image encoder, a prompt encoder and a mask decoder with SAM's calling conventions.

    A host is one file: a subclass that sets `facts`, builds the three parts under these names (so
    that published state dicts load without renaming) and implements `prepare`.

    The image encoder starts frozen, as in the paper (section 4.1), except for adapters that a host
    adds to it. While all of it is frozen it also stays in evaluation mode, because batch statistics
    would change its output too.
    """

    facts: HostFacts
    image_encoder: nn.Module
    prompt_encoder: Any
    mask_decoder: Any
    always_multimask: bool = False
    """True if only the three masks of an ambiguous prompt were trained, not SAM's single mask."""
    shares_decoder: bool = True
    """True if a class token can be added to its mask decoder (the variant `baseline_sem`)."""
    has_memory: bool = False
    """True if it follows objects from slice to slice by a memory of its own."""
    loading_notes: tuple[str, ...] = ()
    """Sentences about what was changed to make a weights file fit; empty if it fitted."""

    @abstractmethod
    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Normalise a resized slice (h_px, w_px, 3), pad it bottom and right to (3, S, S)."""

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Encode prepared images (B, 3, S, S): f_v = E_img(I), equation 1.

        Returns:
            image embedding f_v (B, C, h, w), and finer maps (B, c, 4h, 4w) if the host's own mask
            decoder reads any.
        """
        return self.image_encoder(images), None

    def reduce_detail(self, detail: Tensor, factor: int) -> Tensor:
        """Reduce the finer maps of `encode`, (B, c, 4h, 4w), by averaging, to a coarser grid."""
        return F.avg_pool2d(detail, factor)

    def encoding_parts(self) -> nn.ModuleDict:
        """Return all parts that `encode` uses: the image encoder, and what a host adds to it."""
        others = ("prompt_encoder", "mask_decoder")
        return nn.ModuleDict({n: part for n, part in self.named_children() if n not in others})

    def encode_prompts(self, prompts: PromptTensors) -> tuple[Tensor, Tensor]:
        """Encode prompts: t_p = E_prompt(points or box), equation 1.

        Returns:
            prompt tokens t_p (P, N, C), and the dense prompt: (P, C, h, w) for mask prompts, else
            (1, C, h, w), SAM's learned embedding of "no mask", which all prompts share.
        """
        points = None
        if prompts.points_px is not None:
            points = (prompts.points_px, prompts.point_labels)
        boxes = None if prompts.boxes_px is None else prompts.boxes_px[:, None]
        mask = prompts.mask_logits
        masks = None if mask is None else self.mask_prompt(mask)
        tokens, dense = self.prompt_encoder(points, boxes, masks)
        return tokens, dense if masks is not None else dense[:1]

    def use_grid(self, side: int) -> None:
        """Set the prompt encoder's grid to `side` cells: positions, and the size of mask prompts.

        No weights depend on it.
        """
        encoder = self.sam_prompt_encoder
        encoder.image_embedding_size = (side, side)
        encoder.mask_input_size = (4 * side, 4 * side)

    @property
    def sam_prompt_encoder(self) -> Any:
        """SAM's `PromptEncoder` itself, which a host may keep inside of its own."""
        return self.prompt_encoder

    def mask_prompt(self, logits: Tensor) -> Tensor:
        """Convert an earlier mask (P, 1, 4h, 4w) for the prompt encoder; SAM reads logits."""
        return logits

    def decode_masks(
        self,
        source: ImageSource,
        image_pe: Tensor,
        prompt_tokens: Tensor,
        *,
        multimask: bool,
        detail: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run the mask decoder (SAGD, equation 2) on the prompts of one image.

        Arguments and result as of `mask_decoding.decode_masks`; `detail` are the finer maps that
        `encode` gave for this image.
        """
        multimask = multimask or self.always_multimask
        return decode_masks(self.mask_decoder, source, image_pe, prompt_tokens, multimask=multimask)

    def attend_and_upscale(
        self, source: ImageSource, image_pe: Tensor, prompt_tokens: Tensor, detail: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Run the mask decoder up to the drawing of masks.

        Arguments as of `decode_masks`, result as of `mask_decoding.attend_and_upscale`.
        """
        del detail
        return attend_and_upscale(self.mask_decoder, source, image_pe, prompt_tokens)

    def name_in_host(self, key: str) -> str:
        """Return this host's name for a parameter of its official file."""
        return key

    def name_for_sam(self, key: str) -> str | None:
        """Return this host's name for a parameter of SAM; None if it has no such parameter."""
        return key

    def train(self, mode: bool = True) -> Host:
        """Set the training mode; a frozen image encoder is left in evaluation mode."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.image_encoder.parameters()):
            self.image_encoder.eval()
        return self

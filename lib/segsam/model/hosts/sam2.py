"""SAM 2.1 and MedSAM2: Hiera encoders, a decoder that reads finer maps, and a memory of slices.

Ravi et al., "SAM 2: segment anything in images and videos" (2024),
https://github.com/facebookresearch/sam2, Apache-2.0; Ma et al., "MedSAM2: segment anything in 3D
medical images and videos" (2025), https://github.com/bowang-lab/MedSAM2, which is SAM 2.1 tiny at
512 px, trained on medical images. No weights come with this package.

Three things differ from SAM. A box is two more points, followed by the point that is none. The
embedding is what the memory attention would give without any memory. Two finer maps of the image
are added while the masks are upscaled; the semantic decoder reads the embedding alone, as on every
host. `propagate="memory"` follows objects by `sam2_memory`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segsam.model.hosts.base import Host, HostFacts
from segsam.model.hosts.preparation import normalise_by_imagenet
from segsam.model.hosts.sam2_memory import Memory
from segsam.model.mask_decoding import draw_masks, refine, upscale
from segsam.model.sam2 import (
    SAM2_BASE_PLUS,
    SAM2_LARGE,
    SAM2_SMALL,
    SAM2_TINY,
    HieraSizes,
    build_image_encoder,
    build_mask_decoder,
    build_prompt_encoder,
)
from segsam.model.tensors import PromptTensors
from segsam.model.two_way import ImageSource

_TOP_LEFT, _BOTTOM_RIGHT = 2, 3
"""Labels of a box's corners among the points."""
_PARTS = {"sam_prompt_encoder": "prompt_encoder", "sam_mask_decoder": "mask_decoder"}
"""Names of parts in official files, where they differ; all but the encoder is memory."""


class Sam2(Host):
    """SAM 2.1 tiny, and the base class of the other sizes; the keys of `sam2.1_hiera_tiny.pt`.

    Frozen are the image encoder, the projections of its two finer maps (they are stored with the
    embedding, which must not depend on weights that train) and the memory.
    """

    facts = HostFacts(
        name="sam2_tiny",
        input_size=1024,
        grid=64,
        embed_dim=256,
        prompts_trained=("point", "box", "mask"),
        normalisation="ImageNet mean and standard deviation, RGB",
        licence="Apache-2.0",
        source="https://github.com/facebookresearch/sam2",
        encoder="Hiera-T",
        frozen="the image encoder, its finer maps, the memory",
        official_file="sam2.1_hiera_tiny.pt",
        preparation="published with slices stretched to a square; here the aspect is kept and the "
        "rest padded with zeros, so that geometry stays exact",
    )
    sizes = SAM2_TINY
    has_memory = True
    image_encoder: Any

    def __init__(self, sizes: HieraSizes | None = None) -> None:
        """Build it with random weights; `sizes` other than the published ones are for tests.

        Raises:
            CheckpointError: the package sam2 is not installed.
        """
        super().__init__()
        sizes = sizes or self.sizes
        self.facts = replace(
            self.facts, input_size=sizes.input_size, grid=sizes.grid, embed_dim=sizes.embed_dim
        )
        self.image_encoder = build_image_encoder(sizes)
        self.prompt_encoder = build_prompt_encoder(sizes)
        self.mask_decoder = build_mask_decoder(sizes)
        self.memory = Memory(sizes)
        for part in self.encoding_parts().values():
            part.requires_grad_(False)

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Normalise a resized slice (h_px, w_px, 3), then pad it to float32 (3, S, S)."""
        return normalise_by_imagenet(image, self.facts.input_size)

    def encoding_parts(self) -> nn.ModuleDict:
        """Return the image encoder, the projections of its finer maps, and the memory."""
        decoder = self.mask_decoder
        return nn.ModuleDict(
            {
                "image_encoder": self.image_encoder,
                "conv_s0": decoder.conv_s0,
                "conv_s1": decoder.conv_s1,
                "memory": self.memory,
            }
        )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images (B, 3, S, S): embedding (B, C, h, w), detail (B, 3C / 16, 4h, 4w)."""
        fine, middle, embedding = self.image_encoder(images)["backbone_fpn"]
        decoder = self.mask_decoder
        detail = join_detail(decoder.conv_s0(fine), decoder.conv_s1(middle))
        return embedding + self.memory.no_mem_embed.view(1, -1, 1, 1), detail

    def reduce_detail(self, detail: Tensor, factor: int) -> Tensor:
        """Reduce the finer maps by averaging, each by itself."""
        return join_detail(*(F.avg_pool2d(each, factor) for each in split_detail(detail)))

    def encode_prompts(self, prompts: PromptTensors) -> tuple[Tensor, Tensor]:
        """Encode prompts; result as of `Host.encode_prompts`, a box's corners come last."""
        points, mask = _points(prompts), prompts.mask_logits
        tokens, dense = self.prompt_encoder(points, None, mask)
        if prompts.boxes_px is not None:  # the package puts its "not a point" after the corners
            tokens = torch.cat([tokens[:, :-3], tokens[:, -3:].roll(1, dims=1)], dim=1)
        return tokens, dense if mask is not None else dense[:1]

    def decode_masks(
        self,
        source: ImageSource,
        image_pe: Tensor,
        prompt_tokens: Tensor,
        *,
        multimask: bool,
        detail: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run the mask decoder; see `Host.decode_masks`.

        The package's fallback to three masks where the single one is unstable is left out: SEG-SAM
        trains the single mask.
        """
        _, tokens, upscaled = self.attend(source, image_pe, prompt_tokens, detail)
        return self.draw_masks(tokens, upscaled, multimask=multimask or self.always_multimask)

    def attend_and_upscale(
        self, source: ImageSource, image_pe: Tensor, prompt_tokens: Tensor, detail: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Run the mask decoder up to the drawing of masks; see `Host.attend_and_upscale`."""
        _, tokens, upscaled = self.attend(source, image_pe, prompt_tokens, detail)
        return tokens, upscaled

    def attend(
        self, source: ImageSource, image_pe: Tensor, prompt_tokens: Tensor, detail: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run `attend_and_upscale`; the token of the object's presence, (P, C), comes first.

        Raises:
            ValueError: no `detail` of `encode`.
        """
        if detail is None:
            raise ValueError("Expected the detail that SAM 2's encode gave, got None.")
        decoder = self.mask_decoder
        own = [decoder.obj_score_token, decoder.iou_token, decoder.mask_tokens]
        learnt = torch.cat([each.weight for each in own]).expand(len(prompt_tokens), -1, -1)
        tokens = torch.cat([learnt, prompt_tokens], dim=1)
        tokens, pixels = refine(decoder.transformer, source, image_pe, tokens)
        upscaled = upscale(decoder.output_upscaling, pixels, split_detail(detail))
        return tokens[:, 0], tokens[:, 1:], upscaled

    def draw_masks(
        self, tokens: Tensor, upscaled: Tensor, *, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """Draw masks from the output of `attend_and_upscale`; see `mask_decoding.draw_masks`."""
        return draw_masks(self.mask_decoder, tokens, upscaled, multimask=multimask)

    def name_in_host(self, key: str) -> str:
        """Return this host's name for a parameter of an official file."""
        part, _, rest = key.partition(".")
        if part in _PARTS:
            return f"{_PARTS[part]}.{rest}"
        return key if part == "image_encoder" else f"memory.{key}"

    def name_for_sam(self, key: str) -> str | None:
        """Return None: nothing of SAM fits."""
        return None


class Sam2Small(Sam2):
    """SAM 2.1 small; the keys of `sam2.1_hiera_small.pt`."""

    facts = replace(
        Sam2.facts,
        name="sam2_small",
        encoder="Hiera-S",
        official_file="sam2.1_hiera_small.pt",
    )
    sizes = SAM2_SMALL


class Sam2BasePlus(Sam2):
    """SAM 2.1 base+; the keys of `sam2.1_hiera_base_plus.pt`."""

    facts = replace(
        Sam2.facts,
        name="sam2_base_plus",
        encoder="Hiera-B+",
        official_file="sam2.1_hiera_base_plus.pt",
    )
    sizes = SAM2_BASE_PLUS


class Sam2Large(Sam2):
    """SAM 2.1 large; the keys of `sam2.1_hiera_large.pt`."""

    facts = replace(
        Sam2.facts,
        name="sam2_large",
        encoder="Hiera-L",
        official_file="sam2.1_hiera_large.pt",
    )
    sizes = SAM2_LARGE


class MedSam2(Sam2):
    """MedSAM2: the parameters and keys of SAM 2.1 tiny (`MedSAM2_latest.pt`) at 512 px.

    Its authors trained it with boxes, masks and corrective points.
    """

    facts = replace(
        Sam2.facts,
        name="medsam2",
        input_size=512,
        grid=32,
        prompts_trained=("box", "mask"),
        licence="CC-BY-SA-4.0 (weights, by their model card); code Apache-2.0",
        source="https://github.com/bowang-lab/MedSAM2, "
        "weights https://huggingface.co/wanglab/MedSAM2",
        official_file="MedSAM2_latest.pt",
    )
    sizes = replace(SAM2_TINY, input_size=512)


def join_detail(fine: Tensor, middle: Tensor) -> Tensor:
    """Join the finer maps (B, c, 4h, 4w) and (B, 2c, 2h, 2w) in one tensor (B, 3c / 2, 4h, 4w).

    Four channels of the smaller one become four neighbouring pixels, so that nothing is lost and
    nothing is stored twice.
    """
    return torch.cat([fine, F.pixel_shuffle(middle, 2)], dim=1)


def split_detail(detail: Tensor) -> tuple[Tensor, Tensor]:
    """Return the finer maps that `join_detail` joined."""
    channels = detail.shape[1] * 2 // 3
    return detail[:, :channels], F.pixel_unshuffle(detail[:, channels:], 2)


def _points(prompts: PromptTensors) -> tuple[Tensor, Tensor] | None:
    """Return points and labels with the corners of boxes after them; None without either."""
    points, labels = prompts.points_px, prompts.point_labels
    if prompts.boxes_px is None:
        return None if points is None or labels is None else (points, labels)
    corners = prompts.boxes_px.reshape(-1, 2, 2)
    ends = torch.tensor([_TOP_LEFT, _BOTTOM_RIGHT], device=corners.device)
    ends = ends.expand(len(corners), -1)
    if points is None or labels is None:
        return corners, ends
    return torch.cat([points, corners], dim=1), torch.cat([labels.to(ends.dtype), ends], dim=1)

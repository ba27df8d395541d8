"""SAM 2's parts from the installed package sam2.

Ravi et al., "SAM 2: segment anything in images and videos" (2024),
https://github.com/facebookresearch/sam2, Apache-2.0. Nothing is imported until a host of this
family is built: only these hosts need the package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from segsam.errors import CheckpointError

_MASK_TOKENS = 3
"""Number of masks of an ambiguous prompt."""
_ROPE_THETA = 10_000.0


@dataclass(frozen=True)
class HieraSizes:
    """Widths of a SAM 2 host; the defaults are SAM 2.1 tiny's, as in the package's `configs`."""

    input_size: int = 1024
    dim: int = 96
    """Width of the first of four stages; each doubles it and halves the grid."""
    heads: int = 1
    stages: tuple[int, int, int, int] = (1, 2, 7, 2)
    """Number of blocks of each stage."""
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    global_blocks: tuple[int, ...] = (5, 7, 9)
    """Blocks with attention over the whole grid; the others attend within windows."""
    background: int = 7
    """Side of the table of positions, which is resized to the grid and tiled with windows."""
    embed_dim: int = 256
    """Channels of the image embedding and of the decoders."""
    memory_dim: int = 64
    """Channels of the memory of a slice."""
    memory_layers: int = 4
    mlp: int = 2048
    """Width of the MLPs in the mask decoder and in the memory attention."""

    @property
    def grid(self) -> int:
        """Cells along a side of the image embedding."""
        return self.input_size // 16

    @property
    def depth(self) -> int:
        """Number of blocks of the image encoder."""
        return sum(self.stages)


SAM2_TINY = HieraSizes()
SAM2_SMALL = HieraSizes(stages=(1, 2, 11, 2), global_blocks=(7, 10, 13))
SAM2_BASE_PLUS = HieraSizes(
    dim=112, heads=2, stages=(2, 3, 16, 3), global_blocks=(12, 16, 20), background=14
)
SAM2_LARGE = HieraSizes(
    dim=144, heads=2, stages=(2, 6, 36, 4), windows=(8, 4, 16, 8), global_blocks=(23, 33, 43)
)


def build_image_encoder(sizes: HieraSizes) -> Any:
    """Build the image encoder: Hiera and a feature pyramid.

    It maps (B, 3, S, S) to `backbone_fpn`, three maps (B, C, 4h, 4w), (B, C, 2h, 2w) and
    (B, C, h, w).
    """
    trunk_part, neck_part = _part("backbones.hieradet"), _part("backbones.image_encoder")
    with _LinspaceOnCpu():
        trunk = trunk_part.Hiera(
            embed_dim=sizes.dim,
            num_heads=sizes.heads,
            stages=sizes.stages,
            global_att_blocks=sizes.global_blocks,
            window_pos_embed_bkg_spatial_size=(sizes.background, sizes.background),
            window_spec=sizes.windows,
        )
    neck = neck_part.FpnNeck(
        position_encoding=_sine(sizes.embed_dim),
        d_model=sizes.embed_dim,
        backbone_channel_list=trunk.channel_list,
        fpn_top_down_levels=[2, 3],
        fpn_interp_model="nearest",
    )
    return neck_part.ImageEncoder(trunk, neck, scalp=1)


def build_prompt_encoder(sizes: HieraSizes) -> Any:
    """Build the prompt encoder, SAM's with a box as two more points."""
    return _part("sam.prompt_encoder").PromptEncoder(
        embed_dim=sizes.embed_dim,
        image_embedding_size=(sizes.grid, sizes.grid),
        input_image_size=(sizes.input_size, sizes.input_size),
        mask_in_chans=16,
    )


def build_mask_decoder(sizes: HieraSizes) -> Any:
    """Build the mask decoder, SAM's with finer maps and a token for the presence of the object."""
    transformer = _part("sam.transformer").TwoWayTransformer(
        depth=2, embedding_dim=sizes.embed_dim, num_heads=8, mlp_dim=sizes.mlp
    )
    return _part("sam.mask_decoder").MaskDecoder(
        transformer_dim=sizes.embed_dim,
        transformer=transformer,
        num_multimask_outputs=_MASK_TOKENS,
        use_high_res_features=True,
        iou_prediction_use_sigmoid=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        use_multimask_token_for_obj_ptr=True,
    )


def build_memory_attention(sizes: HieraSizes) -> Any:
    """Build the attention of a slice to the memory of others."""
    attention = _part("sam.transformer").RoPEAttention
    shared = {
        "rope_theta": _ROPE_THETA,
        "feat_sizes": (sizes.grid, sizes.grid),
        "embedding_dim": sizes.embed_dim,
        "num_heads": 1,
        "dropout": 0.1,
    }
    part = _part("memory_attention")
    layer = part.MemoryAttentionLayer(
        activation="relu",
        cross_attention=attention(**shared, rope_k_repeat=True, kv_in_dim=sizes.memory_dim),
        d_model=sizes.embed_dim,
        dim_feedforward=sizes.mlp,
        dropout=0.1,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=attention(**shared),
    )
    return part.MemoryAttention(sizes.embed_dim, True, layer, sizes.memory_layers)


def build_memory_encoder(sizes: HieraSizes) -> Any:
    """Build the encoder of a slice and its mask into memory."""
    part = _part("memory_encoder")
    return part.MemoryEncoder(
        out_dim=sizes.memory_dim,
        mask_downsampler=part.MaskDownSampler(sizes.embed_dim, kernel_size=3, stride=2, padding=1),
        fuser=part.Fuser(part.CXBlock(sizes.embed_dim), num_layers=2),
        position_encoding=_sine(sizes.memory_dim),
        in_dim=sizes.embed_dim,
    )


def build_mlp(dim: int) -> Any:
    """Build an MLP of three layers of one width."""
    return _part("sam2_utils").MLP(dim, dim, dim, 3)


def sine_positions(offsets: torch.Tensor, dim: int) -> torch.Tensor:
    """Return the sine encoding of numbers (n,), (n, dim)."""
    encode: Callable[..., torch.Tensor] = _part("sam2_utils").get_1d_sine_pe
    return encode(offsets, dim=dim)


def _sine(dim: int) -> Any:
    return _part("position_encoding").PositionEmbeddingSine(dim, normalize=True)


def _part(name: str) -> Any:
    """Import a module of the package.

    Raises:
        CheckpointError: the package, or one that it needs, is not installed.
    """
    try:
        return import_module(f"sam2.modeling.{name}")
    except ImportError as error:
        missing = error.name or "sam2"
        raise CheckpointError(
            f"The hosts of SAM 2 need the package {missing.partition('.')[0]}, which is not "
            "installed; install it with: pip install sam2"
        ) from error


class _LinspaceOnCpu(TorchFunctionMode):
    """Mode in which `torch.linspace` computes on the CPU.

    The package reads numbers out of one while it builds Hiera, which has none on the meta device.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.linspace:
            given["device"] = "cpu"
        return func(*args, **given)

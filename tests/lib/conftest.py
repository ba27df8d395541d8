"""A host small enough to train in a test, with SAM's own parts inside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.categories import Categories, Category
from segsam.model import Host, HostFacts
from segsam.model.sam import MaskDecoder, PromptEncoder, TwoWayTransformer


class TinyHost(Host):
    """32 px images, an 8 x 8 grid, 32 channels."""

    facts = HostFacts(
        name="tiny",
        input_size=32,
        grid=8,
        embed_dim=32,
        prompts_trained=("point", "box"),
        normalisation="0 to 255 onto [0, 1]",
        licence="Apache-2.0",
        source="this test",
    )

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = nn.Sequential(nn.Conv2d(3, 32, 4, stride=4), nn.BatchNorm2d(32))
        self.prompt_encoder = PromptEncoder(32, (8, 8), (32, 32), 16)
        transformer = TwoWayTransformer(depth=2, embedding_dim=32, num_heads=8, mlp_dim=64)
        self.mask_decoder = MaskDecoder(transformer_dim=32, transformer=transformer)
        self.image_encoder.requires_grad_(False)

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """(h, w, 3) -> (3, 32, 32)."""
        padded = np.zeros((32, 32, 3), dtype=np.float32)
        padded[: image.shape[0], : image.shape[1]] = image / 255
        return torch.from_numpy(padded.transpose(2, 0, 1).copy())


@pytest.fixture
def tiny_host() -> TinyHost:
    torch.manual_seed(0)
    return TinyHost()


@pytest.fixture
def five_categories() -> Categories:
    """Five categories with 12-dimensional text embeddings."""
    rng = np.random.default_rng(0)
    items = tuple(
        Category(name, (k, k, k), texture="Grey.", shape="Round.", position="Inside.")
        for k, name in enumerate(["liver", "spleen", "heart", "nerve", "polyp"])
    )
    return Categories(items, rng.normal(size=(5, 12)).astype(np.float32), "made up for a test")

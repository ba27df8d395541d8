"""Decoders on a coarser grid: what they are given, how wide their masks are, what is refused."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model import Host, PromptTensors, SegSam, SemanticConfig, build_variant
from segsam.model.config import ReductionName
from segsam.model.grid import GridReduction

BOXES = PromptTensors(boxes_px=torch.tensor([[2.0, 3, 12, 20], [8, 8, 30, 28]]))


def model_on(host: Host, categories: Categories, grid: int, **choices: str) -> SegSam:
    torch.manual_seed(0)
    return build_variant("segsam", host, categories, head="maskcls", grid=grid, **choices).eval()


@pytest.mark.parametrize("kind", ["trained", "pooled"])
def test_a_reduction_begins_as_the_average_of_a_block(kind: ReductionName) -> None:
    embedding = torch.randn(2, 6, 8, 8)
    reduced = GridReduction(6, 2, kind)(embedding)
    torch.testing.assert_close(reduced, F.avg_pool2d(embedding, 2))


def test_only_a_trained_reduction_has_weights() -> None:
    assert not list(GridReduction(6, 2, "pooled").parameters())
    assert all(one.requires_grad for one in GridReduction(6, 2, "trained").parameters())


@pytest.mark.parametrize("grid", [8, 4, 2])
def test_masks_are_four_times_as_wide_as_the_grid(
    tiny_host: Host, five_categories: Categories, grid: int
) -> None:
    model = model_on(tiny_host, five_categories, grid)
    features = model.encode(torch.rand(1, 3, 32, 32))
    decoded = model.decode(features, BOXES, semantic=True)
    assert model.grid == grid
    assert features.embedding.shape[-2:] == (grid, grid)
    assert decoded.binary_logits.shape == (2, 1, 4 * grid, 4 * grid)
    assert decoded.object_logits is not None
    assert decoded.object_logits.shape == (2, 1, 4 * grid, 4 * grid)


def test_a_mask_prompt_has_the_size_of_the_masks(
    tiny_host: Host, five_categories: Categories
) -> None:
    model = model_on(tiny_host, five_categories, 4)
    features = model.encode(torch.rand(1, 3, 32, 32))
    first = model.decode(features, BOXES, semantic=False)
    again = PromptTensors(boxes_px=BOXES.boxes_px, mask_logits=first.binary_logits)
    second = model.decode(features, again, semantic=False)
    assert second.binary_logits.shape == first.binary_logits.shape
    assert not torch.equal(second.binary_logits, first.binary_logits)


def test_the_hosts_own_grid_needs_no_reduction(
    tiny_host: Host, five_categories: Categories
) -> None:
    assert model_on(tiny_host, five_categories, 0).reduction is None
    assert model_on(tiny_host, five_categories, 8).reduction is None


def test_a_host_that_served_a_coarser_grid_serves_its_own_again(
    tiny_host: Host, five_categories: Categories
) -> None:
    model_on(tiny_host, five_categories, 4)
    model = model_on(tiny_host, five_categories, 0)
    assert model.encode(torch.rand(1, 3, 32, 32)).embedding.shape[-2:] == (8, 8)
    assert model.host.prompt_encoder.get_dense_pe().shape[-2:] == (8, 8)


@pytest.mark.parametrize("grid", [3, 16])
def test_a_grid_that_does_not_divide_the_hosts_is_refused(
    tiny_host: Host, five_categories: Categories, grid: int
) -> None:
    with pytest.raises(CheckpointError, match=f"a divisor of 8, .* got {grid}"):
        SegSam(tiny_host, five_categories, SemanticConfig(grid=grid))


def test_a_negative_grid_is_refused() -> None:
    with pytest.raises(CheckpointError, match="from 0 to 1024 as the model's grid, got -8"):
        SemanticConfig(grid=-8)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(CheckpointError, match="'trained' or 'pooled' as the model's reduction"):
        SemanticConfig(reduction="largest")  # type: ignore[arg-type]

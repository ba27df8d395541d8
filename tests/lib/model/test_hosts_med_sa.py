"""Med-SA: bottleneck adapters in SAM's blocks, written from the description of the method."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model import PromptTensors, SegSam
from segsam.model.hosts import MedSa, Sam, VitSizes
from segsam.model.hosts.vit import attend
from segsam.model.official import detect, fit_host

SMALL = VitSizes(
    input_size=64, dim=32, depth=4, heads=2, window=3, global_blocks=(1, 3), embed_dim=32
)
POSITION_GRID = 8
BOXES = PromptTensors(boxes_px=torch.tensor([[3.0, 5, 40, 44], [20, 8, 60, 50]]))
ADAPTERS = ("MLP_Adapter", "Space_Adapter", "Depth_Adapter")


@pytest.fixture
def host() -> MedSa:
    torch.manual_seed(0)
    return MedSa(SMALL, position_grid=POSITION_GRID)


def official_state(sizes: VitSizes, position_grid: int) -> dict[str, Tensor]:
    """Random weights under the published names, with zero tables under their published ones."""
    generator = torch.Generator().manual_seed(5)
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in Sam(sizes).state_dict().items()}
    shapes["image_encoder.pos_embed"] = (1, position_grid, position_grid, sizes.dim)
    for block in range(sizes.depth):
        for adapter in ADAPTERS:
            stem = f"image_encoder.blocks.{block}.{adapter}"
            shapes[f"{stem}.D_fc1.weight"] = (sizes.dim // 4, sizes.dim)
            shapes[f"{stem}.D_fc1.bias"] = (sizes.dim // 4,)
            shapes[f"{stem}.D_fc2.weight"] = (sizes.dim, sizes.dim // 4)
            shapes[f"{stem}.D_fc2.bias"] = (sizes.dim,)
    state = {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    for key in [key for key in state if ".rel_pos_" in key]:
        state[key.replace("rel_pos_", "rel_")] = torch.zeros_like(state.pop(key))
    return state


def test_the_published_size_has_the_published_count() -> None:
    with torch.device("meta"):
        host = MedSa()
    state = host.state_dict()
    adapters = [value for key, value in state.items() if "_Adapter." in key]
    assert sum(value.numel() for value in adapters) == 3 * 12 * 295_872
    assert state["image_encoder.pos_embed"].shape == (1, 64, 64, 768)
    assert (host.facts.input_size, host.facts.grid) == (256, 16)


def test_a_block_is_what_the_description_says(host: MedSa) -> None:
    encoder = host.image_encoder
    block = encoder.blocks[0]
    x = torch.randn(1, 4, 4, 32)

    def bottleneck(adapter: str, tokens: Tensor) -> Tensor:
        parts = getattr(block, adapter)
        return parts.D_fc2(F.gelu(parts.D_fc1(tokens)))

    attended = attend(block, block.norm1(x))
    middle = x + attended + bottleneck("Space_Adapter", attended)
    normed = block.norm2(middle)
    wanted = middle + block.mlp(normed) + 0.5 * bottleneck("MLP_Adapter", normed)
    torch.testing.assert_close(encoder.run_block(block, x), wanted)


def test_silent_adapters_leave_sam(host: MedSa) -> None:
    for block in host.image_encoder.blocks:
        for adapter in ADAPTERS:
            getattr(block, adapter).D_fc2.weight.data.zero_()
            getattr(block, adapter).D_fc2.bias.data.zero_()
    torch.nn.init.normal_(host.image_encoder.pos_embed)
    sam = Sam(SMALL)
    shared = {key: value for key, value in host.state_dict().items() if "_Adapter." not in key}
    shared["image_encoder.pos_embed"] = F.interpolate(
        shared["image_encoder.pos_embed"].permute(0, 3, 1, 2), (4, 4), mode="bicubic"
    ).permute(0, 2, 3, 1)
    sam.load_state_dict(shared)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(host.image_encoder(image), sam.image_encoder(image))


def test_only_the_adapters_of_slices_train_in_the_encoder(host: MedSa) -> None:
    model = SegSam(host.train(), Categories.load())
    model(torch.rand(1, 3, 64, 64), BOXES).binary_logits.square().sum().backward()
    for name, parameter in host.image_encoder.named_parameters():
        trains = ".MLP_Adapter." in name or ".Space_Adapter." in name
        assert parameter.requires_grad is trains, name
        assert (parameter.grad is not None and bool(parameter.grad.any())) is trains, name


def test_a_file_of_its_authors_fits(host: MedSa) -> None:
    state = official_state(SMALL, POSITION_GRID)
    assert "image_encoder.blocks.1.attn.rel_h" in state
    assert detect(state, "a.pth") == "med_sa"
    fit_host(host, state, "a.pth")
    found = host.state_dict()
    for key, value in state.items():
        ours = key.replace(".attn.rel_", ".attn.rel_pos_")
        assert torch.equal(found[ours], value), key


@pytest.mark.slow
def test_a_file_of_its_authors_fits_at_full_size() -> None:
    host = MedSa()
    fit_host(host, official_state(VitSizes(input_size=256), 64), "a.pth")
    assert host.loading_notes == ()


def test_a_partial_file_is_refused(host: MedSa) -> None:
    state = official_state(SMALL, POSITION_GRID)
    del state["image_encoder.blocks.0.Depth_Adapter.D_fc2.bias"]
    with pytest.raises(CheckpointError, match=r"blocks.0.Depth_Adapter.D_fc2.bias is missing\.$"):
        fit_host(host, state, "a.pth")


def test_it_starts_from_sam_with_sams_tables_of_positions(host: MedSa) -> None:
    larger = VitSizes(
        input_size=128, dim=32, depth=4, heads=2, window=3, global_blocks=(1, 3), embed_dim=32
    )
    sam = {key: torch.randn(value.shape) for key, value in Sam(larger).state_dict().items()}
    fit_host(host, sam, "sam.pth", adapt=True)
    found = host.state_dict()
    # Its absolute positions stay at SAM's grid, and its windowed tables have SAM's size.
    for key in ("image_encoder.pos_embed", "image_encoder.blocks.0.attn.rel_pos_h"):
        assert torch.equal(found[key], sam[key])
    new, tables = host.loading_notes
    assert new.startswith("From sam.pth: 48 tensors that SAM does not have start new")
    assert tables.startswith("From sam.pth: 4 tables of relative positions resized")

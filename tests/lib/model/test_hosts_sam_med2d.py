"""SAM-Med2D: adapters beside the MLP, 386 names, and its own ways with images and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import segsam.model.official as official_module
from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model import Card, PromptTensors, SegSam, load_pretrained, read_card, save_checkpoint
from segsam.model.digests import weights_id
from segsam.model.hosts import HOSTS, Sam, SamMed2d, VitSizes
from segsam.model.hosts.sam_med2d import ConvolutionalAdapter
from segsam.model.mask_decoding import best_mask
from segsam.model.official import detect, fit_host

SMALL = VitSizes(
    input_size=64, dim=32, depth=4, heads=2, window=3, global_blocks=(1, 3), embed_dim=32
)
BOXES = PromptTensors(boxes_px=torch.tensor([[3.0, 5, 40, 44], [20, 8, 60, 50]]))


@pytest.fixture
def host() -> SamMed2d:
    torch.manual_seed(0)
    return SamMed2d(SMALL)


def adapter_shapes(dim: int) -> dict[str, tuple[int, ...]]:
    """The published names and shapes of one adapter."""
    return {
        "norm.weight": (dim,),
        "norm.bias": (dim,),
        "channel.0.weight": (dim // 4, dim),
        "channel.2.weight": (dim, dim // 4),
        "spatial.0.weight": (dim, dim, 3, 3),
        "spatial.2.weight": (dim, dim, 4, 4),
    }


def official_state(sizes: VitSizes) -> dict[str, Tensor]:
    """Random weights under the published names: SAM's at this size, and the adapters'."""
    generator = torch.Generator().manual_seed(5)
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in Sam(sizes).state_dict().items()}
    for block in range(sizes.depth):
        for name, shape in adapter_shapes(sizes.dim).items():
            shapes[f"image_encoder.blocks.{block}.Adapter.{name}"] = shape
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def test_the_published_size_has_the_published_names_and_counts() -> None:
    with torch.device("meta"):
        host = SamMed2d()
    state = host.state_dict()
    assert len(state) == 386
    assert sum(parameter.numel() for parameter in host.parameters()) == 271_241_776
    adapters = {key: value for key, value in state.items() if ".Adapter." in key}
    assert sum(value.numel() for value in adapters.values()) == 180_504_576
    for name, shape in adapter_shapes(768).items():
        assert state[f"image_encoder.blocks.11.Adapter.{name}"].shape == shape
    assert state["image_encoder.pos_embed"].shape == (1, 16, 16, 768)
    assert state["image_encoder.blocks.0.attn.rel_pos_h"].shape == (27, 64)
    assert state["image_encoder.blocks.2.attn.rel_pos_h"].shape == (31, 64)
    assert (host.facts.input_size, host.facts.grid) == (256, 16)


def test_an_adapter_is_what_the_description_says() -> None:
    torch.manual_seed(2)
    adapter = ConvolutionalAdapter(8)
    tokens = torch.randn(2, 4, 6, 8)
    squeeze, excite = adapter.channel[0].weight, adapter.channel[2].weight
    mean = tokens.mean(dim=(1, 2))
    gate = torch.sigmoid(F.relu(mean @ squeeze.T) @ excite.T)
    image = (tokens * gate[:, None, None]).permute(0, 3, 1, 2)
    down = F.relu(F.conv2d(image, adapter.spatial[0].weight, stride=2, padding=1))
    up = F.relu(F.conv_transpose2d(down, adapter.spatial[2].weight, stride=2, padding=1))
    assert down.shape[2:] == (2, 3)
    wanted = F.layer_norm(up.permute(0, 2, 3, 1) + tokens, (8,))
    torch.testing.assert_close(adapter(tokens), wanted)


def test_without_adapters_a_block_is_sams(host: SamMed2d) -> None:
    # The adapter's last layer silenced, what is left is SAM on the same weights.
    for block in host.image_encoder.blocks:
        block.Adapter.norm.weight.data.zero_()
    sam = Sam(SMALL)
    shared = {key: value for key, value in host.state_dict().items() if ".Adapter." not in key}
    sam.load_state_dict(shared)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(host.image_encoder(image), sam.image_encoder(image))


def test_only_sams_own_encoder_parameters_are_frozen(host: SamMed2d) -> None:
    host.train()
    model = SegSam(host, Categories.load())
    decoded = model(torch.rand(1, 3, 64, 64), BOXES)
    (decoded.binary_logits.square().sum() + decoded.predicted_iou.sum()).backward()
    for name, parameter in host.image_encoder.named_parameters():
        adapter = ".Adapter." in name
        assert parameter.requires_grad is adapter, name
        assert (parameter.grad is not None) is adapter, name
        if adapter:
            assert parameter.grad.any(), name


def test_the_best_of_three_masks_is_the_mask(host: SamMed2d) -> None:
    model = SegSam(host, Categories.load()).eval()
    with torch.inference_mode():
        features = model.encode(torch.rand(1, 3, 64, 64))
        decoded = model.decode(features, BOXES, semantic=False)
        tokens, dense = host.prompt_encoder(None, BOXES.boxes_px, None)
        masks, iou = host.mask_decoder(
            features.embedding, host.prompt_encoder.get_dense_pe(), tokens, dense, True
        )
    assert masks.shape == (2, 3, 16, 16)
    for prompt in range(2):
        best = int(iou[prompt].argmax())
        torch.testing.assert_close(decoded.binary_logits[prompt, 0], masks[prompt, best])
        torch.testing.assert_close(decoded.predicted_iou[prompt, 0], iou[prompt, best])


def test_an_earlier_mask_enters_as_probabilities(host: SamMed2d) -> None:
    model = SegSam(host, Categories.load()).eval()
    logits = torch.randn(2, 1, 16, 16) * 5
    boxes: Any = BOXES.boxes_px
    with torch.inference_mode():
        features = model.encode(torch.rand(1, 3, 64, 64))
        prompts = PromptTensors(boxes_px=boxes, mask_logits=logits)
        found = model.decode(features, prompts, semantic=False)
        tokens, dense = host.prompt_encoder(None, boxes[:, None], logits.sigmoid())
        masks = host.decode_masks(
            features.embedding + dense,
            host.prompt_encoder.get_dense_pe(),
            tokens,
            multimask=False,
        )
        wanted, _ = best_mask(*masks)
    torch.testing.assert_close(found.binary_logits, wanted)


def test_channels_are_reversed_and_standardised_in_the_order_of_rgb(host: SamMed2d) -> None:
    image = np.zeros((64, 20, 3), dtype=np.uint8)
    image[..., 0], image[..., 2] = 200, 10
    prepared = host.prepare(image)
    assert prepared[0, 0, 0].item() == pytest.approx((10 - 123.675) / 58.395, rel=1e-6)
    assert prepared[2, 0, 0].item() == pytest.approx((200 - 103.53) / 57.375, rel=1e-6)
    assert not prepared[:, :, 20:].any()


def test_a_file_of_its_authors_loads_past_the_optimizer(
    host: SamMed2d, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official_module, "HOSTS", dict(HOSTS) | {"sam_med2d": lambda: host})
    state = official_state(SMALL)
    layer = torch.nn.Linear(2, 2)
    content = {"model": state, "optimizer": torch.optim.Adam(layer.parameters(), lr=1e-4)}
    torch.save(content, tmp_path / "sam-med2d_b.pth")
    model = load_pretrained(tmp_path / "sam-med2d_b.pth")
    assert model.host.facts.name == "sam_med2d"
    for key, value in state.items():
        assert torch.equal(model.host.state_dict()[key], value), key
    assert model.host.loading_notes == ()
    assert not model.host.image_encoder.pos_embed.requires_grad
    monkeypatch.setenv("SEGSAM_WEIGHTS", str(tmp_path))
    assert weights_id(load_pretrained("sam_med2d")) == weights_id(model)


@pytest.mark.slow
def test_the_published_file_format_loads_at_full_size(tmp_path: Path) -> None:
    state = official_state(VitSizes(input_size=256))
    assert len(state) == 386
    layer = torch.nn.Linear(2, 2)
    content = {"model": state, "optimizer": torch.optim.Adam(layer.parameters(), lr=1e-4)}
    torch.save(content, tmp_path / "sam-med2d_b.pth")
    del content
    loaded = load_pretrained(tmp_path / "sam-med2d_b.pth").host.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


def test_a_checkpoint_tells_what_its_host_was_adapted_from(
    host: SamMed2d, five_categories: Categories, tmp_path: Path
) -> None:
    fit_host(host, Sam(SMALL).state_dict(), "sam.pth", adapt=True)
    path = save_checkpoint(SegSam(host, five_categories), tmp_path / "a.safetensors", Card("a"))
    assert read_card(path).parent.startswith("From sam.pth: 24 tensors that SAM does not have")


def test_a_partial_file_is_refused(host: SamMed2d) -> None:
    state = official_state(SMALL)
    del state["image_encoder.blocks.2.Adapter.norm.bias"]
    assert detect(state, "a.pth") == "sam_med2d"
    with pytest.raises(
        CheckpointError, match=r"a.pth do not fit .*blocks.2.Adapter.norm.bias is missing\.$"
    ):
        fit_host(host, state, "a.pth")


def test_sams_weights_are_refused_unless_asked_to_be_adapted(host: SamMed2d) -> None:
    larger = VitSizes(
        input_size=128, dim=32, depth=4, heads=2, window=3, global_blocks=(1, 3), embed_dim=32
    )
    torch.manual_seed(4)
    sam = Sam(larger).state_dict()
    for key in sam:
        if "pos" in key:
            sam[key] = torch.randn(sam[key].shape)
    with pytest.raises(CheckpointError, match=r"do not fit .* is missing.* set adapt to true\.$"):
        fit_host(host, sam, "sam.pth")
    before = {key: value.clone() for key, value in host.state_dict().items()}
    fit_host(host, sam, "sam.pth", adapt=True)
    found = host.state_dict()
    for key, value in found.items():
        if ".Adapter." in key:
            assert torch.equal(value, before[key]), key
        elif value.shape == sam[key].shape:
            assert torch.equal(value, sam[key]), key
    new, positions, tables = host.loading_notes
    assert new.startswith("From sam.pth: 24 tensors that SAM does not have start new, the first")
    assert positions == "From sam.pth: image_encoder.pos_embed resized from 8 x 8 to 4 x 4."
    assert tables.startswith("From sam.pth: 4 tables of relative positions resized, the first")
    wanted = sam["image_encoder.pos_embed"].reshape(1, 4, 2, 4, 2, 32).mean(dim=(2, 4))
    torch.testing.assert_close(found["image_encoder.pos_embed"], wanted)
    table = "image_encoder.blocks.1.attn.rel_pos_w"
    assert sam[table].shape == (15, 16)
    assert found[table].shape == (7, 16)
    torch.testing.assert_close(found[table][3], sam[table][7])

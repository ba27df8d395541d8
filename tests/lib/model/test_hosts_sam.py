"""SAM against the package segment-anything: the same random weights must give the same numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segsam.categories import Categories
from segsam.model import PromptTensors, SegSam, load_pretrained
from segsam.model.hosts import Sam, VitSizes
from segsam.model.hosts.vit import attend

SMALL = VitSizes(
    input_size=80, dim=32, depth=4, heads=2, window=3, global_blocks=(1, 3), embed_dim=32
)
"""A 5 x 5 grid under windows of 3: the last window of each row overhangs."""


@pytest.fixture(scope="module")
def package() -> Any:
    return pytest.importorskip("segment_anything.modeling")


def published(package: Any, sizes: VitSizes) -> Any:
    """The package's own SAM, random but for nothing: zero-initialised tables are filled as well."""
    transformer = package.TwoWayTransformer(
        depth=2, embedding_dim=sizes.embed_dim, num_heads=8, mlp_dim=sizes.decoder_mlp
    )
    sam = package.Sam(
        package.ImageEncoderViT(
            img_size=sizes.input_size,
            embed_dim=sizes.dim,
            depth=sizes.depth,
            num_heads=sizes.heads,
            out_chans=sizes.embed_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=sizes.window,
            global_attn_indexes=sizes.global_blocks,
        ),
        package.PromptEncoder(
            sizes.embed_dim, (sizes.grid, sizes.grid), (sizes.input_size, sizes.input_size), 16
        ),
        package.MaskDecoder(transformer_dim=sizes.embed_dim, transformer=transformer),
    )
    torch.manual_seed(3)
    for parameter in sam.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return sam.eval()


def assert_equal_to_published(package: Any, sizes: VitSizes) -> None:
    wanted_of = published(package, sizes)
    host = Sam(sizes)
    host.load_state_dict(wanted_of.state_dict())
    size = sizes.input_size
    image = np.random.default_rng(0).integers(0, 256, (size * 3 // 4, size, 3)).astype(np.uint8)
    boxes = torch.tensor([[4.0, 6, 40, 44], [20, 2, 70, 50]]) * size / 80
    points, labels = torch.tensor([[[30.0, 25]], [[50, 40]]]) * size / 80, torch.ones(2, 1)
    wanted = wanted_of(
        [
            {
                "image": torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32)),
                "original_size": image.shape[:2],
                "boxes": boxes,
                "point_coords": points,
                "point_labels": labels,
            }
        ],
        multimask_output=False,
    )[0]
    model = SegSam(host, Categories.load()).eval()
    with torch.inference_mode():
        features = model.encode(host.prepare(image)[None])
        prompts = PromptTensors(points, labels, boxes)
        decoded = model.decode(features, prompts, semantic=False)
    torch.testing.assert_close(
        decoded.binary_logits, wanted["low_res_logits"], atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        decoded.predicted_iou, wanted["iou_predictions"], atol=1e-5, rtol=1e-5
    )


def test_a_small_build_equals_the_package(package: Any) -> None:
    assert_equal_to_published(package, SMALL)


@pytest.mark.slow
def test_the_published_sizes_equal_the_package(package: Any) -> None:
    # Of the twelve blocks one with windows and one without: the others are the same again, and
    # which is which is told by the shapes of the tables of a file at full size, below.
    assert_equal_to_published(package, replace(VitSizes(), depth=2, global_blocks=(1,)))


@pytest.mark.slow
def test_a_file_of_the_published_format_loads_at_full_size(package: Any, tmp_path: Path) -> None:
    state = published(package, VitSizes()).state_dict()
    torch.save(state, tmp_path / "sam_vit_b_01ec64.pth")
    loaded = load_pretrained(f"sam:{tmp_path / 'sam_vit_b_01ec64.pth'}").host.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    adapted = load_pretrained(f"sam_med2d:{tmp_path / 'sam_vit_b_01ec64.pth'}", adapt=True).host
    assert [note.split(": ")[1].split(" ")[0] for note in adapted.loading_notes] == [
        "72",
        "image_encoder.pos_embed",
        "8",
    ]


def test_windows_that_fit_need_no_filling(package: Any) -> None:
    assert_equal_to_published(
        package,
        VitSizes(96, dim=32, depth=2, heads=2, window=3, global_blocks=(1,), embed_dim=32),
    )


def test_attention_equals_the_package_with_gradients(package: Any) -> None:
    block: Any = published(package, SMALL).image_encoder.blocks[0]
    block.norm1 = nn.Identity()
    block.mlp = nn.Identity()
    tokens = torch.randn(2, 5, 5, 32, requires_grad=True)
    ours = attend(block, tokens)
    # The package's block is x + attention, then x + mlp(norm2(x)): take the first sum out of it.
    sums: list[torch.Tensor] = []
    block.norm2.register_forward_hook(lambda _, given, __: sums.append(given[0]))
    block(tokens)
    theirs = sums[0] - tokens
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    direction = torch.randn_like(ours)
    names = [name for name, _ in block.attn.named_parameters()]
    parameters = list(block.attn.parameters())
    found = torch.autograd.grad(ours, [tokens, *parameters], direction)
    wanted = torch.autograd.grad(theirs, [tokens, *parameters], direction)
    for name, one, other in zip(["tokens", *names], found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4, msg=name)


def test_the_image_encoder_gets_no_gradient_and_the_rest_does() -> None:
    host = Sam(SMALL).train()
    assert not host.image_encoder.training
    model = SegSam(host, Categories.load())
    model(torch.rand(1, 3, 80, 80), PromptTensors(boxes_px=torch.tensor([[3.0, 3, 50, 60]])))
    assert all(parameter.grad is None for parameter in host.image_encoder.parameters())
    assert not any(parameter.requires_grad for parameter in host.image_encoder.parameters())
    assert all(parameter.requires_grad for parameter in host.prompt_encoder.parameters())
    assert all(parameter.requires_grad for parameter in host.mask_decoder.parameters())


def test_the_published_parameters_are_all_there() -> None:
    with torch.device("meta"):
        host = Sam()
    parts = (host.image_encoder, host.prompt_encoder, host.mask_decoder)
    counts = [sum(parameter.numel() for parameter in part.parameters()) for part in parts]
    assert counts == [89_670_912, 6_220, 4_058_340]
    state = host.state_dict()
    assert len(state) == 314
    assert state["image_encoder.pos_embed"].shape == (1, 64, 64, 768)
    assert state["image_encoder.blocks.0.attn.rel_pos_h"].shape == (27, 64)
    assert state["image_encoder.blocks.2.attn.rel_pos_h"].shape == (127, 64)
    assert (host.facts.input_size, host.facts.grid) == (1024, 64)


def test_a_slice_is_standardised_then_padded_with_zeros() -> None:
    image = np.full((10, 80, 3), 100, dtype=np.uint8)
    prepared = Sam(SMALL).prepare(image)
    assert prepared.shape == (3, 80, 80)
    assert prepared.dtype == torch.float32
    assert prepared[0, 0, 0].item() == pytest.approx((100 - 123.675) / 58.395)
    assert prepared[2, 9, 79].item() == pytest.approx((100 - 103.53) / 57.375)
    assert not prepared[:, 10:].any()

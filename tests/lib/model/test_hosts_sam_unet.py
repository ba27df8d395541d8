"""SAM-UNet: a convolutional branch beside a frozen ViT, several scales in the mask decoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import segsam.model.checkpoint as checkpoint_module
import segsam.model.official as official_module
from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model import (
    Card,
    PromptTensors,
    SegSam,
    SemanticConfig,
    load_pretrained,
    save_checkpoint,
)
from segsam.model.config import HeadName
from segsam.model.hosts import HOSTS, Sam, SamUnet, SamUnet50, VitSizes
from segsam.model.hosts.sam_unet import expected_iou
from segsam.model.official import detect, fit_host

SMALL = VitSizes(
    input_size=64, dim=32, depth=6, heads=2, window=3, global_blocks=(1, 2, 3, 5), embed_dim=32
)
BOXES = PromptTensors(boxes_px=torch.tensor([[3.0, 5, 40, 44], [20, 8, 60, 50]]))


def small(sizes: VitSizes = SMALL) -> SamUnet:
    return SamUnet(sizes, residual_blocks=(1, 1, 1, 1))


@pytest.fixture
def host() -> SamUnet:
    torch.manual_seed(0)
    return small()


@pytest.mark.parametrize(
    ("build", "total", "trainable"),
    [(SamUnet, 116_019_884, 29_347_244), (SamUnet50, 138_428_204, 51_755_564)],
)
def test_the_published_counts(build: type[SamUnet], total: int, trainable: int) -> None:
    # Published: 116.02 (29.35) and 138.43 (51.76) million.
    with torch.device("meta"):
        host = build()
    assert sum(parameter.numel() for parameter in host.parameters()) == total
    trains = [parameter for parameter in host.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in trains) == trainable
    stems = {".".join(key.split(".")[:2]) for key in host.state_dict()}
    assert {
        "image_encoder.sam_img_encoder",
        "prompt_encoder.sam_prompt_encoder",
        "mask_decoder.sam_mask_decoder",
        "mask_decoder.med_token",
        "mask_decoder.hf_mlp",
        "mask_decoder.embedding_maskfeature",
        *(f"resnet.stage{stage}" for stage in range(5)),
    } <= stems


def test_shapes_of_embedding_detail_and_masks(host: SamUnet) -> None:
    model = SegSam(host, Categories.load()).eval()
    with torch.inference_mode():
        features = model.encode(torch.rand(3, 3, 64, 64))
        assert features.embedding.shape == (3, 32, 4, 4)
        assert features.detail is not None
        assert features.detail.shape == (3, 4, 16, 16)
        decoded = model.decode(features.of(1), BOXES, semantic=False)
    assert decoded.binary_logits.shape == (2, 1, 16, 16)
    assert decoded.predicted_iou.shape == (2, 1)


def test_a_batch_equals_its_images_one_by_one(host: SamUnet) -> None:
    model = SegSam(host, Categories.load()).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        together = model(images, BOXES)
        apart = [
            model(images[k : k + 1], PromptTensors(boxes_px=BOXES.boxes_px[k : k + 1]))
            for k in range(2)
            if BOXES.boxes_px is not None
        ]
    for k in range(2):
        torch.testing.assert_close(together.binary_logits[k], apart[k].binary_logits[0])


def test_without_the_branch_the_embedding_is_sams(host: SamUnet) -> None:
    sam = Sam(SMALL).eval()
    sam.image_encoder.load_state_dict(
        host.image_encoder.get_submodule("sam_img_encoder").state_dict()
    )
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        host.eval()
        assert not torch.allclose(host.encode(image)[0], sam.image_encoder(image), atol=1e-3)
        for adapter in host.adapters_in:
            adapter[-1].weight.zero_()
            adapter[-1].bias.zero_()
        torch.testing.assert_close(host.encode(image)[0], sam.image_encoder(image))


def test_every_map_of_the_branch_enters_before_its_global_block(host: SamUnet) -> None:
    host.eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        plain, detail = host.encode(image)
        for stage, adapter in enumerate(host.adapters_in):
            adapter[-1].bias.add_(1.0)
            changed, changed_detail = host.encode(image)
            assert not torch.allclose(changed, plain, atol=1e-4), stage
            assert not torch.allclose(changed_detail, detail, atol=1e-4), stage
            adapter[-1].bias.sub_(1.0)


def test_the_frozen_vit_gets_no_gradient_and_everything_else_does(host: SamUnet) -> None:
    model = SegSam(host, Categories.load()).train()
    assert not host.image_encoder.training
    assert host.resnet.training
    mask = torch.randn(2, 1, 16, 16)
    points = PromptTensors(
        torch.rand(2, 2, 2) * 60, torch.tensor([[1, 0], [1, 0]]), BOXES.boxes_px, mask
    )
    images = torch.rand(2, 3, 64, 64)
    for prompts in (points, PromptTensors(points.points_px, points.point_labels)):
        model(images, prompts).binary_logits.square().sum().backward()
    for name, parameter in host.named_parameters():
        if name.startswith("image_encoder."):
            assert parameter.grad is None, name
            assert not parameter.requires_grad, name
        else:
            # In SAM's attention a key bias shifts all scores alike: zero up to rounding.
            assert parameter.grad is not None, name
            assert parameter.grad.any() or "k_proj.bias" in name, name


@pytest.mark.parametrize("head", ["dense", "maskcls"])
def test_semantic_parts_plug_in(host: SamUnet, five_categories: Categories, head: HeadName) -> None:
    model = SegSam(
        host, five_categories, SemanticConfig(head=head), semantics=True, text=True
    ).train()
    assert model.semantic_decoder is not None
    own = host.mask_decoder.med_token.weight
    torch.testing.assert_close(model.semantic_decoder.semantic_token.detach(), own.detach())
    decoded = model(torch.rand(2, 3, 64, 64), BOXES)
    assert decoded.semantic_logits is not None
    assert decoded.semantic_logits.shape == (2, 6, 16, 16)
    (decoded.semantic_logits.square().sum() + decoded.binary_logits.square().sum()).backward()
    assert own.grad is not None
    assert model.semantic_decoder.semantic_token.grad is not None


def test_masks_need_the_detail(host: SamUnet) -> None:
    with pytest.raises(ValueError, match="Expected the detail that SAM-UNet's encode gave"):
        host.decode_masks(
            torch.zeros(1, 32, 4, 4),
            torch.zeros(1, 32, 4, 4),
            torch.zeros(1, 2, 32),
            multimask=True,
        )


def test_expected_iou_of_sure_unsure_and_empty_masks() -> None:
    sure = torch.full((1, 1, 4, 4), -40.0)
    sure[..., :2, :] = 40
    assert expected_iou(sure).item() == pytest.approx(1)
    unsure = torch.full((1, 1, 4, 4), -40.0)
    unsure[..., :2, :] = torch.logit(torch.tensor(0.75))
    assert expected_iou(unsure).item() == pytest.approx(0.75)
    assert expected_iou(torch.full((1, 1, 4, 4), -40.0)).item() == pytest.approx(0, abs=1e-6)


def test_a_checkpoint_makes_the_round_trip(
    host: SamUnet, five_categories: Categories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_module, "HOSTS", dict(HOSTS) | {"sam_unet": small})
    model = SegSam(host, five_categories).eval()
    path = save_checkpoint(model, tmp_path / "unet.safetensors", Card("unet"))
    restored = load_pretrained(path)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        found, wanted = (one(image, BOXES).binary_logits for one in (restored, model))
    assert torch.equal(found, wanted)


def test_a_file_with_an_optimizer_object_loads(
    host: SamUnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {key: torch.randn(value.shape) for key, value in host.state_dict().items()}
    state |= {key: torch.tensor(3) for key in state if key.endswith("num_batches_tracked")}
    content = {"model": state, "optimizer": torch.optim.Adam(host.parameters(), lr=1e-4)}
    torch.save(content, tmp_path / "best.pth")
    monkeypatch.setattr(official_module, "HOSTS", dict(HOSTS) | {"sam_unet": small})
    restored = load_pretrained(tmp_path / "best.pth").host
    assert restored.facts.name == "sam_unet"
    for key, value in state.items():
        assert torch.equal(restored.state_dict()[key], value), key


def test_the_two_sizes_are_told_apart() -> None:
    with torch.device("meta"):
        states: list[dict[str, Tensor]] = [SamUnet().state_dict(), SamUnet50().state_dict()]
    assert [detect(state, "a.pth") for state in states] == ["sam_unet", "sam_unet50"]


def test_a_partial_file_is_refused(host: SamUnet) -> None:
    state = dict(host.state_dict())
    del state["mask_decoder.med_token.weight"]
    with pytest.raises(CheckpointError, match=r"mask_decoder.med_token.weight is missing\.$"):
        fit_host(small(), state, "a.pth")


def test_it_starts_from_sam(host: SamUnet) -> None:
    larger = VitSizes(
        input_size=128, dim=32, depth=6, heads=2, window=3, global_blocks=(1, 2, 3, 5), embed_dim=32
    )
    sam = {key: torch.randn(value.shape) for key, value in Sam(larger).state_dict().items()}
    with pytest.raises(CheckpointError, match=r"They are SAM's own; to start sam_unet from them"):
        fit_host(host, sam, "sam.pth")
    fit_host(host, sam, "sam.pth", adapt=True)
    found = host.state_dict()
    for key, prefix in (
        ("blocks.0.attn.qkv.weight", "image_encoder.sam_img_encoder."),
        ("no_mask_embed.weight", "prompt_encoder.sam_prompt_encoder."),
        ("transformer.layers.0.norm1.weight", "mask_decoder.sam_mask_decoder."),
        ("output_upscaling.3.weight", "mask_decoder.sam_mask_decoder."),
    ):
        assert torch.equal(found[prefix + key], sam[f"{prefix.split('.')[0]}.{key}"])
    new, positions, tables = host.loading_notes
    assert "tensors that SAM does not have start new, the first mask_decoder.med_token" in new
    assert "pos_embed resized from 8 x 8 to 4 x 4" in positions
    assert "8 tables of relative positions resized" in tables


def test_the_branch_is_torchvisions_resnet(host: SamUnet) -> None:
    resnet = pytest.importorskip("torchvision.models.resnet")
    torch.manual_seed(9)
    published = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1]).eval()
    names = {"conv1": "stage0.0", "bn1": "stage0.1"} | {
        f"layer{n}": f"stage{n}" for n in range(1, 5)
    }
    state = {key.partition("."): value for key, value in published.state_dict().items()}
    host.resnet.load_state_dict(
        {f"{names[part]}.{rest}": value for (part, _, rest), value in state.items() if part != "fc"}
    )
    host.eval()
    x = image = torch.rand(1, 3, 64, 64)
    for stage in range(5):
        x = host.resnet[f"stage{stage}"](x)
    wanted = published.maxpool(published.relu(published.bn1(published.conv1(image))))
    for layer in (published.layer1, published.layer2, published.layer3, published.layer4):
        wanted = layer(wanted)
    torch.testing.assert_close(x, wanted)

"""SAM 2.1 against the package sam2: the same random weights must give the same numbers."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model import Card, PromptTensors, SegSam, load_pretrained, save_checkpoint
from segsam.model.hosts import HOSTS, MedSam2, Sam2
from segsam.model.hosts.sam2 import join_detail, split_detail
from segsam.model.official import detect, fit_host
from segsam.model.runtimes import choose_runtime

from .sam2_package import SMALL, package_model, random_model

BOXES = torch.tensor([[6.0, 10, 64, 70], [32, 3, 112, 80]])
POINTS, LABELS = (
    torch.tensor([[[48.0, 40], [9, 9]], [[80, 64], [1, 2]]]),
    torch.tensor([[1, 0]] * 2),
)
MASKS = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(5))
PROMPTS = {
    "boxes": PromptTensors(boxes_px=BOXES),
    "points": PromptTensors(POINTS, LABELS),
    "boxes and points": PromptTensors(POINTS, LABELS, BOXES),
    "a mask and points": PromptTensors(POINTS, LABELS, mask_logits=MASKS),
    "masks": PromptTensors(mask_logits=MASKS),
}
FILES = {"sam2_tiny": "t", "sam2_small": "s", "sam2_base_plus": "b+", "sam2_large": "l"}


@pytest.fixture(scope="module")
def package() -> Any:
    return random_model(SMALL)


@pytest.fixture(scope="module")
def host(package: Any) -> Sam2:
    host = Sam2(SMALL)
    fit_host(host, package.state_dict(), "a.pt")
    return host.eval()  # type: ignore[return-value]


@pytest.fixture(scope="module")
def image() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)


def published(package: Any, image: Tensor, prompts: PromptTensors) -> tuple[Tensor, Tensor]:
    """What `SAM2ImagePredictor` computes: three masks after the single one, and their IoU."""
    parts = package.forward_image(image)
    _, features, _, sizes = package._prepare_backbone_features(parts)
    features[-1] = features[-1] + package.no_mem_embed
    maps = [
        one.permute(1, 2, 0).view(1, -1, *size) for one, size in zip(features, sizes, strict=True)
    ]
    coordinates, labels = prompts.points_px, prompts.point_labels
    if prompts.boxes_px is not None:
        corners, ends = prompts.boxes_px.reshape(-1, 2, 2), torch.tensor([[2, 3]] * 2)
        coordinates = corners if coordinates is None else torch.cat([corners, coordinates], dim=1)
        labels = ends if labels is None else torch.cat([ends, labels], dim=1)
    points = None if coordinates is None else (coordinates, labels)
    sparse, dense = package.sam_prompt_encoder(points=points, boxes=None, masks=prompts.mask_logits)
    found = [
        package.sam_mask_decoder(
            image_embeddings=maps[-1],
            image_pe=package.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            repeat_image=True,
            high_res_features=maps[:-1],
        )[:2]
        for several in (False, True)
    ]
    return torch.cat([one[0] for one in found], dim=1), torch.cat([one[1] for one in found], dim=1)


@pytest.mark.parametrize("kind", PROMPTS)
@torch.inference_mode()
def test_a_small_build_equals_the_package(
    package: Any, host: Sam2, image: np.ndarray[Any, np.dtype[np.uint8]], kind: str
) -> None:
    prepared, prompts = host.prepare(image)[None], PROMPTS[kind]
    logits, iou = published(package, prepared, prompts)
    assert logits.std() > 0.01
    for several, drawn in ((False, slice(0, 1)), (True, slice(1, 4))):
        embedding, detail = host.encode(prepared)
        tokens, dense = host.encode_prompts(prompts)
        found = host.decode_masks(
            embedding + dense,
            host.prompt_encoder.get_dense_pe(),
            tokens,
            multimask=several,
            detail=detail,
        )
        torch.testing.assert_close(found[0], logits[:, drawn], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found[1], iou[:, drawn], atol=1e-5, rtol=1e-5)
    decoded = SegSam(host, Categories.load()).eval()
    found_by_model = decoded.decode(decoded.encode(prepared), prompts, semantic=False)
    torch.testing.assert_close(found_by_model.binary_logits, logits[:, :1], atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_image_encoder_equals_the_package(
    package: Any, host: Sam2, image: np.ndarray[Any, np.dtype[np.uint8]]
) -> None:
    prepared = host.prepare(image)[None]
    fine, middle, coarse = package.forward_image(prepared)["backbone_fpn"]
    embedding, detail = host.encode(prepared)
    assert torch.equal(embedding, coarse + package.no_mem_embed.view(1, -1, 1, 1))
    assert detail.shape == (1, 6, 32, 32)
    for found, wanted in zip(split_detail(detail), (fine, middle), strict=True):
        assert torch.equal(found, wanted)


def test_gradients_equal_the_package(package: Any, host: Sam2) -> None:
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    prompts = PROMPTS["boxes and points"]
    theirs = published(package, image, prompts)[0][:, :1]
    embedding, detail = host.encode(image)
    tokens, dense = host.encode_prompts(prompts)
    ours, _ = host.decode_masks(
        embedding + dense,
        host.prompt_encoder.get_dense_pe(),
        tokens,
        multimask=False,
        detail=detail,
    )
    direction = torch.randn_like(ours)
    names = [name for name, one in host.named_parameters() if one.requires_grad]
    own, official = dict(host.named_parameters()), official_names(package)
    found, wanted = (
        torch.autograd.grad(
            output, [one[name] for name in names], direction, materialize_grads=True
        )
        for output, one in ((ours, own), (theirs, official))
    )
    assert sum(bool(one.any()) for one in found) > 60
    for name, one, other in zip(names, found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4, msg=name)


def official_names(package: Any) -> dict[str, Tensor]:
    """Return the package's parameters under the host's names."""
    return {Sam2.name_in_host(HOSTS["sam2_tiny"], key): v for key, v in package.named_parameters()}


def test_frozen_are_the_parts_that_are_stored_with_an_embedding(host: Sam2) -> None:
    frozen = {name for name, one in host.named_parameters() if not one.requires_grad}
    stored = ("image_encoder.", "mask_decoder.conv_s", "memory.")
    assert frozen == {name for name, _ in host.named_parameters() if name.startswith(stored)}
    assert not host.train().image_encoder.training
    host.eval()


@pytest.mark.parametrize("name", [*FILES, "medsam2"])
def test_the_published_sizes_have_the_packages_names_and_shapes(name: str) -> None:
    from segsam.model.sam2 import _LinspaceOnCpu

    with torch.device("meta"), _LinspaceOnCpu():
        theirs = package_model(FILES.get(name, "t")).state_dict()
    with torch.device("meta"):
        ours = HOSTS[name]()
    renamed = {ours.name_in_host(key): value.shape for key, value in theirs.items()}
    assert renamed == {key: value.shape for key, value in ours.state_dict().items()}
    assert ours.facts.grid * 16 == ours.facts.input_size == (512 if name == "medsam2" else 1024)


class TestFiles:
    """The official format: {"model": state dict}, here with random weights."""

    @pytest.fixture
    def small_hosts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for host in (Sam2, MedSam2):
            monkeypatch.setattr(host, "sizes", SMALL)
        monkeypatch.setattr(MedSam2, "sizes", replace(SMALL, input_size=64))

    def saved(self, folder: Path, package: Any, **others: Any) -> Path:
        path = folder / "sam2.1_hiera_tiny.pt"
        torch.save({"model": package.state_dict(), **others}, path)
        return path

    @pytest.mark.usefixtures("small_hosts")
    @pytest.mark.parametrize("name", ["sam2_tiny", "medsam2"])
    def test_they_load(self, package: Any, tmp_path: Path, name: str) -> None:
        path = self.saved(tmp_path, package, epoch=3, optimizer=torch.optim.SGD([torch.zeros(1)]))
        model = load_pretrained(f"{name}:{path}")
        own = model.host.state_dict()
        state = package.state_dict()
        assert len(own) == len(state)
        assert all(torch.equal(own[model.host.name_in_host(key)], state[key]) for key in state)
        assert model.host.facts.name == name
        assert model.card.sha256.endswith("-medsam2") is (name == "medsam2")
        assert model.host.facts.input_size == (64 if name == "medsam2" else 128)

    @pytest.mark.usefixtures("small_hosts")
    def test_a_file_is_found_by_the_name_of_its_host(
        self, package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SEGSAM_WEIGHTS", str(tmp_path))
        with pytest.raises(CheckpointError, match=r"put sam2.1_hiera_tiny.pt into"):
            load_pretrained("sam2_tiny")
        self.saved(tmp_path, package)
        assert isinstance(load_pretrained("sam2_tiny").host, Sam2)

    @pytest.mark.usefixtures("small_hosts")
    def test_a_file_of_two_hosts_wants_a_name(self, package: Any, tmp_path: Path) -> None:
        path = self.saved(tmp_path, package)
        with pytest.raises(
            CheckpointError, match=r"as sam2_tiny:.* or medsam2:sam2.1_hiera_tiny.pt"
        ):
            load_pretrained(path)

    @pytest.mark.parametrize(
        ("width", "blocks", "name"), [(96, 16, "small"), (112, 24, "base_plus"), (144, 48, "large")]
    )
    def test_the_other_sizes_are_recognised(self, width: int, blocks: int, name: str) -> None:
        state = {
            f"image_encoder.trunk.blocks.{n}.norm1.weight": torch.zeros(1) for n in range(blocks)
        }
        state["image_encoder.trunk.patch_embed.proj.weight"] = torch.zeros(width, 3, 7, 7)
        state["no_obj_embed_spatial"] = torch.zeros(1)
        assert detect(state, "a.pt") == f"sam2_{name}"

    def test_other_files_are_refused(self, package: Any) -> None:
        state = package.state_dict()
        with pytest.raises(CheckpointError, match="an encoder of width 16 with 5 blocks"):
            detect(state, "a.pt")
        del state["no_obj_embed_spatial"]
        with pytest.raises(CheckpointError, match=r"a.pt holds SAM 2.0, .*; expected SAM 2.1"):
            detect(state, "a.pt")

    def test_a_missing_part_is_named(self, package: Any) -> None:
        state = package.state_dict()
        del state["obj_ptr_tpos_proj.weight"]
        with pytest.raises(CheckpointError, match=r"memory.obj_ptr_tpos_proj.weight is missing"):
            fit_host(Sam2(SMALL), state, "a.pt")

    @pytest.mark.usefixtures("small_hosts")
    def test_a_checkpoint_of_ours_comes_back(
        self, five_categories: Categories, tmp_path: Path
    ) -> None:
        torch.manual_seed(0)
        model = SegSam(Sam2(), five_categories, semantics=True, text=True).eval()
        path = save_checkpoint(model, tmp_path / "model.safetensors", Card("a test"))
        restored = load_pretrained(path)
        images = torch.rand(1, 3, 128, 128)
        for key, value in vars(model(images, PROMPTS["boxes"])).items():
            again = getattr(restored(images, PROMPTS["boxes"]), key)
            assert again is None if value is None else torch.equal(again, value), key


def test_without_the_package_a_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one == "sam2" or one.startswith("sam2.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sam2", None)
    with pytest.raises(CheckpointError, match="need the package sam2, which is not installed"):
        Sam2(SMALL)


def test_a_slice_is_standardised_then_padded_with_zeros(host: Sam2) -> None:
    prepared = host.prepare(np.full((10, 128, 3), 100, dtype=np.uint8))
    assert prepared.shape == (3, 128, 128)
    # the package: (x / 255 - mean) / std, with 0.485 and 0.229 for red
    assert prepared[0, 0, 0].item() == pytest.approx((100 / 255 - 0.485) / 0.229, abs=1e-5)
    assert not prepared[:, 10:].any()


def test_the_finer_maps_are_joined_without_loss() -> None:
    fine, middle = torch.randn(2, 4, 16, 16), torch.randn(2, 8, 8, 8)
    joined = join_detail(fine, middle)
    assert joined.numel() == fine.numel() + middle.numel()
    assert all(
        torch.equal(*pair) for pair in zip(split_detail(joined), (fine, middle), strict=True)
    )


def test_a_coarser_grid_averages_each_map(host: Sam2) -> None:
    fine, middle = torch.randn(1, 4, 32, 32), torch.randn(1, 8, 16, 16)
    reduced = split_detail(host.reduce_detail(join_detail(fine, middle), 2))
    for found, wanted in zip(reduced, (fine, middle), strict=True):
        torch.testing.assert_close(found, torch.nn.functional.avg_pool2d(wanted, 2))


def test_openvino_computes_the_encoder_too(
    host: Sam2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = SegSam(host, Categories.load()).eval()
    runner = choose_runtime(model, "openvino", "exact")
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = host.encode(image)
    for one, other in zip(runner.encode(image), wanted, strict=True):
        assert one is not None
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)

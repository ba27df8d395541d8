"""Every variant of the paper forward and backward: which parts it has, and what teaches which."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import segsam.model.checkpoint as checkpoint_module
from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model import (
    VARIANTS,
    Card,
    Decoded,
    Host,
    PromptTensors,
    SegSam,
    SemanticConfig,
    build_variant,
    load_pretrained,
    read_card,
    save_checkpoint,
)
from segsam.model.config import HeadName
from segsam.model.hosts import (
    HOSTS,
    LiteMedSAM,
    MedSa,
    MedSam,
    Sam,
    Sam2,
    SamMed2d,
    SamUnet,
    VitSizes,
)
from segsam.model.hosts.vit import VisionTransformer
from segsam.training.loss_weights import LossWeights
from segsam.training.losses import segsam_loss
from segsam.training.targets import AnnotatedImage, Targets, build_targets

from .sam2_package import SMALL as SMALL_SAM2

PROMPTED = {"semantic_token", "transformer", "upscaling", "head"}
WITH_PRESENCE = PROMPTED | {"presence", "prior"}
PARTS: dict[str, tuple[set[str], bool]] = {
    "baseline": (set(), False),
    "baseline_sem": ({"semantic_token", "head"}, False),
    "so": (PROMPTED, False),
    "so_co": (WITH_PRESENCE, False),
    "so_full_image": (PROMPTED | {"full_image"}, False),
    "so_co_t2vse": (WITH_PRESENCE, True),
    "t2vse_v1": (WITH_PRESENCE, True),
    "segsam": (WITH_PRESENCE, True),
    "plug_in": (WITH_PRESENCE, False),
    "plug_in_sam_med2d": (WITH_PRESENCE, False),
    "plug_in_medsam": (WITH_PRESENCE, False),
    "plug_in_med_sa": (WITH_PRESENCE, False),
}
"""Parts of the semantic decoder, and whether there is text."""
SMALL = VitSizes(
    input_size=64,
    dim=16,
    depth=4,
    heads=2,
    window=3,
    global_blocks=(0, 1, 2, 3),
    embed_dim=32,
    decoder_mlp=32,
)
SMALL_HOSTS: dict[str, Callable[[], Host]] = {
    "sam": lambda: Sam(SMALL),
    "medsam": lambda: MedSam(SMALL),
    "sam_med2d": lambda: SamMed2d(SMALL),
    "med_sa": lambda: MedSa(SMALL),
    "sam_unet": lambda: SamUnet(SMALL, residual_blocks=(1, 1, 1, 1)),
    "sam2": lambda: Sam2(SMALL_SAM2),
}
BOXES = torch.tensor([[2.0, 3, 12, 20], [8, 8, 30, 28]])
every_variant = pytest.mark.parametrize("name", VARIANTS)
both_heads = pytest.mark.parametrize("head", ["dense", "maskcls"])


def built(name: str, host: Host, categories: Categories, **overrides: Any) -> SegSam:
    """A variant on a small host, which for a variant of one host goes by that one's name."""
    torch.manual_seed(0)
    host.facts = replace(host.facts, name=VARIANTS[name].host or host.facts.name)
    return build_variant(name, host, categories, **overrides).train()


def prompts_of_every_kind(size: int) -> Iterator[PromptTensors]:
    """All kinds together, then points alone, so that every embedding of a prompt is in use."""
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(2, 2, 2, generator=generator) * 32
    labels = torch.tensor([[1, 0], [1, 1]])
    yield PromptTensors(points, labels, BOXES, torch.randn(2, 1, size, size, generator=generator))
    yield PromptTensors(points, labels)


def targets_for(config: SemanticConfig, size: int) -> Targets:
    """One image with objects of classes 2 and 4; of five categories the last is not annotated."""
    masks = torch.zeros(2, size, size, dtype=torch.bool)
    masks[0, : size // 2, : size // 2] = True
    masks[1, size // 2 :, size // 4 :] = True
    annotated = torch.tensor([True, True, True, True, False])
    image = AnnotatedImage(masks, torch.tensor([2, 4]), annotated)
    return build_targets([image], [[0, 1]], config)


def teach(model: SegSam, weights: LossWeights) -> set[str]:
    """Names of the parameters that a backward pass of every kind of prompt reaches."""
    model.zero_grad()
    side = model.host.facts.input_size
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(2))
    grid = 4 * model.host.facts.grid
    for prompts in prompts_of_every_kind(grid):
        targets = targets_for(model.config, side)
        losses = segsam_loss(model(image, prompts), targets, weights, model.config)
        assert losses.total.isfinite()
        losses.total.backward()
    named = dict(model.named_parameters())
    return {name for name, value in named.items() if value.grad is not None and value.grad.any()}


def only(*terms: str) -> LossWeights:
    """A loss of these terms and no other."""
    zero = LossWeights.of(replace(VARIANTS["baseline"], losses=()))
    return zero.model_copy(update=dict.fromkeys(terms, 1.0))


def beyond_rounding(names: set[str]) -> set[str]:
    """Without key biases: they shift all of a query's scores alike, so what they get is rounding.

    And without the networks of the masks that were not asked for.
    """
    unused = tuple(f"host.mask_decoder.output_hypernetworks_mlps.{k}." for k in (1, 2, 3))
    return {name for name in names if "k_proj.bias" not in name and not name.startswith(unused)}


def parts_of(names: set[str]) -> set[str]:
    """`host.mask_decoder`, `semantic_decoder.presence` ...: what the parameters belong to."""
    return {".".join(name.split(".")[:2]) for name in names}


def test_the_table_is_complete() -> None:
    assert set(PARTS) == set(VARIANTS)
    assert all(VARIANTS[name].name == name for name in VARIANTS)
    for label in ("Baseline", "BaselineSem", "row 1", "row 2", "row 3", "row 4", "SEG-SAM"):
        assert any(label in variant.rows for variant in VARIANTS.values()), label


@every_variant
def test_a_variant_has_its_parts_and_no_others(
    tiny_host: Host, five_categories: Categories, name: str
) -> None:
    model = built(name, tiny_host, five_categories)
    wanted, text = PARTS[name]
    names = [key.split(".")[1:] for key in model.state_dict() if key.startswith("semantic_dec")]
    assert {key[0] for key in names} == wanted
    assert (model.text_enhancement is not None) is text
    assert model.card.variant == name
    assert not model.card.semantic_is_trained


@both_heads
@every_variant
def test_all_learn_except_the_image_encoder(
    tiny_host: Host, five_categories: Categories, name: str, head: HeadName
) -> None:
    model = built(name, tiny_host, five_categories, head=head)
    reached = teach(model, LossWeights.of(VARIANTS[name]))
    encoder = {f"host.image_encoder.{n}" for n, _ in tiny_host.image_encoder.named_parameters()}
    named = dict(model.named_parameters())
    assert all(named[parameter].grad is None for parameter in encoder)
    assert beyond_rounding(reached) == beyond_rounding(set(named) - encoder)


@every_variant
def test_the_outputs_are_those_of_the_variant(
    tiny_host: Host, five_categories: Categories, name: str
) -> None:
    decoded: Decoded = built(name, tiny_host, five_categories)(
        torch.rand(2, 3, 32, 32), PromptTensors(boxes_px=BOXES)
    )
    variant = VARIANTS[name]
    assert decoded.binary_logits.shape == (2, 1, 32, 32)
    assert (decoded.semantic_logits is not None) is variant.semantics
    assert (decoded.presence_logits is not None) is ("presence" in variant.losses)
    assert (decoded.full_image_logits is not None) is ("full_image" in variant.losses)
    if decoded.full_image_logits is not None:
        assert decoded.full_image_logits.shape == (2, 6, 32, 32)


class TestWhatTeachesWhat:
    """Each term alone."""

    def test_the_mask_loss_leaves_the_semantic_decoder_alone(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = built("segsam", tiny_host, five_categories)
        reached = parts_of(teach(model, only("focal", "dice")))
        assert {"host.prompt_encoder", "host.mask_decoder"} < reached
        assert not any(part.startswith("semantic_decoder") for part in reached)
        assert any(part.startswith("text_enhancement") for part in reached)

    @pytest.mark.parametrize(("name", "taught"), [("segsam", False), ("t2vse_v1", True)])
    def test_semantics_teach_the_text_only_in_t2vse_v1(
        self, tiny_host: Host, five_categories: Categories, name: str, taught: bool
    ) -> None:
        model = built(name, tiny_host, five_categories)
        reached = parts_of(teach(model, only("cross_entropy")))
        assert any(part.startswith("text_enhancement") for part in reached) is taught
        assert "host.mask_decoder" not in reached

    def test_semantics_teach_the_presence_branch_through_its_prior(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = built("so_co", tiny_host, five_categories)
        reached = parts_of(teach(model, only("cross_entropy", "segmentation")))
        assert {"semantic_decoder.presence", "semantic_decoder.prior"} < reached

    def test_presence_teaches_its_own_branch_alone(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = built("segsam", tiny_host, five_categories)
        reached = teach(model, only("presence"))
        assert parts_of(reached) == {"semantic_decoder.presence"}
        bias = dict(model.named_parameters())["semantic_decoder.presence.bias"].grad
        assert bias is not None
        assert (bias != 0).tolist() == [True, True, True, True, False]

    def test_alignment_teaches_both_decoders(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = built("segsam", tiny_host, five_categories)
        reached = parts_of(teach(model, only("alignment")))
        assert {"host.mask_decoder", "semantic_decoder.transformer"} < reached

    def test_a_shared_decoder_learns_both_tasks(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = built("baseline_sem", tiny_host, five_categories)
        for terms in (("focal",), ("cross_entropy",)):
            reached = teach(model, only(*terms))
            assert any(name.startswith("host.mask_decoder.transformer") for name in reached)

    def test_the_full_image_shares_the_mask_branch(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = built("so_full_image", tiny_host, five_categories)
        reached = parts_of(teach(model, only("full_image")))
        assert {"semantic_decoder.transformer", "semantic_decoder.full_image"} < reached
        assert "semantic_decoder.head" not in reached


class TestSharedDecoder:
    def test_its_class_token_sits_before_the_prompts(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        """The masks are the host's own for prompts that begin with the token."""
        model = built("baseline_sem", tiny_host, five_categories).eval()
        features = model.encode(torch.rand(1, 3, 32, 32))
        decoded = model.decode(features, PromptTensors(boxes_px=BOXES), semantic=True)
        tokens, dense = tiny_host.prompt_encoder(None, BOXES[:, None], None)
        token = dict(model.named_parameters())["semantic_decoder.semantic_token"]
        joined = torch.cat([token.expand(2, 1, -1), tokens], dim=1)
        source, positions = features.embedding + dense, tiny_host.prompt_encoder.get_dense_pe()
        logits, iou = tiny_host.decode_masks(source, positions, joined, multimask=False)
        assert torch.equal(decoded.binary_logits, logits)
        assert torch.equal(decoded.predicted_iou, iou)

    def test_of_three_masks_the_best_is_kept(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = built("baseline_sem", tiny_host, five_categories, multimask=True)
        decoded = model(torch.rand(1, 3, 32, 32), PromptTensors(boxes_px=BOXES))
        assert decoded.binary_logits.shape == (2, 1, 32, 32)

    def test_a_decoder_that_is_not_sams_is_refused(self, five_categories: Categories) -> None:
        with pytest.raises(CheckpointError, match="'sam_unet' decodes masks in another way"):
            build_variant("baseline_sem", SamUnet(SMALL), five_categories)

    def test_it_has_no_second_task(self) -> None:
        with pytest.raises(CheckpointError, match="expected unprompted 'none', got 'presence'"):
            SemanticConfig(decoder="shared")


def standing(host: str, name: str) -> bool:
    """Whether the variant can be built on the host."""
    shares = VARIANTS[name].config.decoder == "shared"
    return VARIANTS[name].host in ("", host) and not (shares and host == "sam_unet")


@pytest.mark.parametrize(
    ("host", "name"),
    [(host, name) for host in SMALL_HOSTS for name in VARIANTS if standing(host, name)],
)
def test_on_every_host_sams_own_encoder_stays_as_it_is(
    five_categories: Categories, host: str, name: str
) -> None:
    torch.manual_seed(0)
    model = build_variant(name, SMALL_HOSTS[host](), five_categories).train()
    reached = teach(model, LossWeights.of(VARIANTS[name]))
    own_encoder = model.host.image_encoder if host == "sam2" else VisionTransformer(SMALL)
    originals = {key for key, _ in own_encoder.named_parameters()}
    prefix = "host.image_encoder." + ("sam_img_encoder." if host == "sam_unet" else "")
    named = dict(model.named_parameters())
    assert all(named[prefix + key].grad is None for key in originals)
    frozen = {key for key, value in named.items() if not value.requires_grad}
    assert {prefix + key for key in originals} <= frozen
    assert not reached & frozen
    wanted, text = PARTS[name]
    own = {part for part in parts_of(reached) if part.startswith("semantic_decoder")}
    assert own == {f"semantic_decoder.{part}" for part in wanted}
    assert any(key.startswith("text_enhancement.") for key in reached) is text
    assert {"host.prompt_encoder", "host.mask_decoder"} <= parts_of(reached)


@pytest.mark.parametrize(
    ("host", "adapter"),
    [
        ("sam_med2d", "host.image_encoder.blocks.0.Adapter."),
        ("med_sa", "host.image_encoder.blocks.0.Space_Adapter."),
        ("med_sa", "host.image_encoder.blocks.0.MLP_Adapter."),
        ("sam_unet", "host.resnet.stage1."),
        ("sam_unet", "host.adapters_in.0."),
    ],
)
def test_adapters_learn(five_categories: Categories, host: str, adapter: str) -> None:
    torch.manual_seed(0)
    model = build_variant("segsam", SMALL_HOSTS[host](), five_categories).train()
    reached = teach(model, LossWeights.of(VARIANTS["segsam"]))
    assert any(name.startswith(adapter) for name in reached)


class TestRefusals:
    def test_an_unknown_variant(self, tiny_host: Host, five_categories: Categories) -> None:
        with pytest.raises(CheckpointError, match=r"one of baseline, .* got 'segsam2'"):
            build_variant("segsam2", tiny_host, five_categories)

    def test_another_host(self, tiny_host: Host, five_categories: Categories) -> None:
        with pytest.raises(CheckpointError, match="needs the host 'medsam', got 'tiny'"):
            build_variant("plug_in_medsam", tiny_host, five_categories)

    def test_a_switch_is_no_override(self, tiny_host: Host, five_categories: Categories) -> None:
        with pytest.raises(CheckpointError, match="is defined by its unprompted 'none'"):
            build_variant("so", tiny_host, five_categories, unprompted="presence")

    def test_an_override_that_is_none(self, tiny_host: Host, five_categories: Categories) -> None:
        with pytest.raises(
            CheckpointError,
            match=r"one of box_kinds, dense_head, depth, grid, head, .* got 'colour'",
        ):
            build_variant("so", tiny_host, five_categories, colour="red")

    def test_a_word_that_no_choice_has(self, tiny_host: Host, five_categories: Categories) -> None:
        with pytest.raises(CheckpointError, match="Expected 'dense' or 'maskcls'"):
            build_variant("so", tiny_host, five_categories, head="round")


class TestCheckpoints:
    @pytest.fixture(autouse=True)
    def _tiny_host_is_known(self, monkeypatch: pytest.MonkeyPatch, tiny_host: Host) -> None:
        hosts = {"litemedsam": LiteMedSAM, "tiny": type(tiny_host)}
        monkeypatch.setattr(checkpoint_module, "HOSTS", hosts)

    @pytest.mark.parametrize("name", [name for name in VARIANTS if not VARIANTS[name].host])
    def test_a_round_trip_rebuilds_the_variant(
        self, tiny_host: Host, five_categories: Categories, tmp_path: Path, name: str
    ) -> None:
        model = built(name, tiny_host, five_categories, head="maskcls").eval()
        path = save_checkpoint(model, tmp_path / "model.safetensors", Card("a test"))
        assert read_card(path).variant == name
        restored = load_pretrained(path)
        assert restored.card.variant == name
        assert restored.config == model.config
        image, prompts = torch.rand(1, 3, 32, 32), PromptTensors(boxes_px=BOXES)
        for key, value in vars(model(image, prompts)).items():
            again = getattr(restored(image, prompts), key)
            assert again is None if value is None else torch.equal(again, value), key

    def rewritten(self, weights: Path, change: Callable[[dict[str, Any]], None]) -> None:
        path = weights.with_suffix(".json")
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))

    @pytest.fixture
    def saved(self, tiny_host: Host, five_categories: Categories, tmp_path: Path) -> Path:
        model = built("so", tiny_host, five_categories)
        return save_checkpoint(model, tmp_path / "model.safetensors", Card("a test"))

    def test_a_card_from_before_there_were_variants(
        self, tiny_host: Host, five_categories: Categories, tmp_path: Path
    ) -> None:
        model = SegSam(tiny_host, five_categories, semantics=True, text=True)
        path = save_checkpoint(model, tmp_path / "old.safetensors", Card("old"))

        def older(record: dict[str, Any]) -> None:
            del record["variant"]
            for switch in ("decoder", "unprompted", "text_into"):
                del record["config"][switch]

        self.rewritten(path, older)
        restored = load_pretrained(path)
        assert restored.card.variant == ""
        assert restored.config == model.config

    def test_a_card_of_an_unknown_variant_is_refused(self, saved: Path) -> None:
        self.rewritten(saved, lambda record: record.update(variant="segsam2"))
        with pytest.raises(CheckpointError, match="as a variant of the model, got 'segsam2'"):
            load_pretrained(saved)

    @pytest.mark.parametrize("other", ["so_co", "baseline", "so_co_t2vse"])
    def test_a_card_that_contradicts_itself_is_refused(self, saved: Path, other: str) -> None:
        self.rewritten(saved, lambda record: record.update(variant=other))
        with pytest.raises(CheckpointError, match=f"names the variant '{other}', but describes"):
            load_pretrained(saved)


def test_every_host_of_the_tables_exists() -> None:
    assert {variant.host for variant in VARIANTS.values()} - {""} <= set(HOSTS)


def test_modules_take_no_part_of_another() -> None:
    """No parameter is registered twice, whichever the variant."""
    for name in ("baseline_sem", "so_full_image", "segsam"):
        torch.manual_seed(0)
        host = Sam(SMALL)
        model: nn.Module = build_variant(name, host, Categories.load())
        twice = [id(value) for _, value in model.named_parameters(remove_duplicate=False)]
        assert len(twice) == len(set(twice))

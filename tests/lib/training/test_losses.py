"""The training loss: values worked out by hand, what gives no signal, and extreme logits."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segsam.errors import TrainingError
from segsam.model import VARIANTS, Decoded, SemanticConfig, find_variant
from segsam.model.config import HeadName, PresenceName
from segsam.training.devices import to_device
from segsam.training.loss_weights import LossWeights
from segsam.training.losses import (
    alignment_loss,
    full_image_loss,
    hard_iou,
    presence_loss,
    segsam_loss,
)
from segsam.training.targets import (
    AnnotatedImage,
    Targets,
    build_targets,
    full_image_target,
    presence_target,
)

CATEGORIES = 3
LN2 = math.log(2)
EVEN = LossWeights(focal=1, dice=1)
both_heads = pytest.mark.parametrize("head", ["dense", "maskcls"])


def targets(prompts: int = 2, size: int = 4, **changes: Any) -> Targets:
    """The upper half of each image is an object of category 1 (class 2)."""
    masks = torch.zeros(prompts, 1, size, size)
    masks[:, :, : size // 2] = 1
    made = Targets(
        masks=masks,
        classes=torch.full((prompts,), 2),
        presence=torch.tensor([[1.0, 0, 0]]).repeat(prompts, 1),
        annotated=torch.ones(prompts, CATEGORIES, dtype=torch.bool),
    )
    return replace(made, **changes)


def decoded(
    head: HeadName = "dense", prompts: int = 2, size: int = 4, *, level: float = 0.0
) -> Decoded:
    """Every logit at one level, as leaves that take gradients."""

    def leaf(*shape: int) -> Tensor:
        return torch.full(shape, level, requires_grad=True)

    classes = CATEGORIES + 1
    return Decoded(
        binary_logits=leaf(prompts, 1, size, size),
        predicted_iou=leaf(prompts, 1),
        dense_logits=leaf(prompts, classes, size, size),
        class_logits=leaf(prompts, classes),
        presence_logits=leaf(1, CATEGORIES),
        object_logits=leaf(prompts, 1, size, size) if head == "maskcls" else None,
    )


def config(head: HeadName = "dense") -> SemanticConfig:
    return SemanticConfig(head=head)


def leaves(output: Decoded) -> dict[str, Tensor]:
    return {name: value for name, value in vars(output).items() if value is not None}


class TestValues:
    """Zero logits on 16 pixels of which 8 are the object: every probability is one half."""

    def test_binary_terms(self) -> None:
        found = segsam_loss(decoded(), targets(), EVEN, config()).numbers()
        # (1 - 1/2)^2 ln 2, weighted 1/4 on the object and 3/4 beside it
        assert found["focal"] == pytest.approx(0.25 * LN2 * 0.5 * (0.25 + 0.75))
        # twice 8 pixels at a half overlap by 4, with 1 added above and below
        assert found["dice"] == pytest.approx(1 - 9 / 17)
        # a logit of 0 is no object: the IoU reached is 0, as predicted
        assert found["predicted_iou"] == 0

    def test_dense_terms(self) -> None:
        found = segsam_loss(decoded(), targets(), EVEN, config()).numbers()
        # four classes at 1/4: background and class 2 cover 8 pixels each, the other two none
        assert found["cross_entropy"] == pytest.approx(math.log(4))
        assert found["segmentation"] == pytest.approx(1 - (2 * 2 + 1) / (4 + 8 + 1))

    def test_mask_class_terms(self) -> None:
        found = segsam_loss(decoded("maskcls"), targets(), EVEN, config("maskcls")).numbers()
        assert found["cross_entropy"] == pytest.approx(math.log(4))
        assert found["segmentation"] == pytest.approx(LN2 + 1 - 9 / 17)

    def test_presence(self) -> None:
        output = replace(decoded(), presence_logits=torch.tensor([[1.0, 0, -2]]))
        wanted = (math.log1p(math.exp(-1)) + LN2 + math.log1p(math.exp(-2))) / 3
        found = segsam_loss(output, targets(), EVEN, config()).numbers()
        assert found["presence"] == pytest.approx(wanted)

    def test_alignment_is_the_soft_iou_of_both_masks(self) -> None:
        found = segsam_loss(decoded(), targets(), EVEN, config()).numbers()
        # 3/4 that a pixel is of any category, 1/2 that it is of the object
        both, either = 0.75 * 0.5, 0.75 + 0.5 - 0.75 * 0.5
        assert found["alignment"] == pytest.approx(1 - both / either)

    @both_heads
    def test_the_total_is_the_weighted_sum(self, head: HeadName) -> None:
        chosen = LossWeights(
            focal=2, dice=3, predicted_iou=5, cross_entropy=7, segmentation=11, presence=13,
            alignment=17,
        )  # fmt: skip
        output = replace(decoded(head), predicted_iou=torch.tensor([[0.5], [0.1]]))
        terms = segsam_loss(output, targets(), chosen, config(head)).numbers()
        total = terms.pop("total")
        assert len(terms) == 7
        wanted = sum(getattr(chosen, name) * value for name, value in terms.items())
        assert total == pytest.approx(wanted)

    def test_predicted_iou_is_compared_with_the_thresholded_mask(self) -> None:
        logits = torch.full((2, 1, 4, 4), -0.1)
        logits[0, :, :1] = 0.1  # a quarter of the image: half of the object
        output = replace(
            decoded(), binary_logits=logits, predicted_iou=torch.tensor([[0.5], [0.25]])
        )
        found = segsam_loss(output, targets(), EVEN, config()).numbers()
        assert found["predicted_iou"] == pytest.approx(0.25**2 / 2)

    @both_heads
    def test_right_answers_cost_nothing(self, head: HeadName) -> None:
        wanted = targets()
        binary = 200 * wanted.masks - 100
        labels = F.one_hot((2 * wanted.masks[:, 0]).long(), 4).movedim(-1, 1)
        output = replace(
            decoded(head),
            binary_logits=binary,
            predicted_iou=torch.ones(2, 1),
            dense_logits=100.0 * labels,
            class_logits=100.0 * F.one_hot(wanted.classes, 4),
            presence_logits=200 * wanted.presence[:1] - 100,
            object_logits=binary if head == "maskcls" else None,
        )
        found = segsam_loss(output, wanted, LossWeights(), config(head)).numbers()
        assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-6)

    def test_monai_focal_and_dice_are_what_they_are_called(self) -> None:
        torch.manual_seed(0)
        output = replace(decoded(), binary_logits=torch.randn(2, 1, 4, 4))
        wanted = targets()
        found = segsam_loss(output, wanted, EVEN, config()).numbers()
        p = output.binary_logits.sigmoid()
        right = torch.where(wanted.masks > 0, p, 1 - p)
        alpha = torch.where(wanted.masks > 0, 0.25, 0.75)
        focal = (-alpha * (1 - right) ** 2 * right.log()).mean()
        overlap = (p * wanted.masks).sum((1, 2, 3))
        dice = 1 - (2 * overlap + 1) / (p.sum((1, 2, 3)) + wanted.masks.sum((1, 2, 3)) + 1)
        assert found["focal"] == pytest.approx(float(focal), rel=1e-5)
        assert found["dice"] == pytest.approx(float(dice.mean()), rel=1e-5)


class TestSizes:
    def test_binary_masks_are_compared_at_the_targets_size(self) -> None:
        small = segsam_loss(decoded(), targets(), EVEN, config()).numbers()
        large = segsam_loss(decoded(), targets(size=16), EVEN, config()).numbers()
        assert large["focal"] == pytest.approx(small["focal"])
        assert large["dice"] == pytest.approx(1 - (2 * 64 + 1) / (128 + 128 + 1))

    @both_heads
    def test_semantic_masks_are_compared_at_the_decoders_size(self, head: HeadName) -> None:
        small = segsam_loss(decoded(head), targets(), EVEN, config(head)).numbers()
        large = segsam_loss(decoded(head), targets(size=16), EVEN, config(head)).numbers()
        for name in ("cross_entropy", "segmentation"):
            assert large[name] == pytest.approx(small[name])


class TestNoSignal:
    def test_categories_not_annotated_get_no_gradient(self) -> None:
        wanted = targets(annotated=torch.tensor([[True, False, True]]).repeat(2, 1))
        output = decoded()
        segsam_loss(output, wanted, EVEN, config()).total.backward()
        assert output.presence_logits is not None
        assert output.presence_logits.grad is not None
        assert output.presence_logits.grad[0, 1] == 0
        assert (output.presence_logits.grad[0, [0, 2]] != 0).all()

    def test_categories_not_annotated_do_not_change_the_value(self) -> None:
        annotated = torch.tensor([[True, False, True]]).repeat(2, 1)
        values = set()
        for logit in (-50.0, 0.0, 50.0):
            for label in (0.0, 1.0):
                presence = torch.tensor([[1.0, label, 0.0]]).repeat(2, 1)
                wanted = targets(annotated=annotated, presence=presence)
                values.add(float(presence_loss(torch.tensor([[0.3, logit, -0.2]]), wanted)))
        assert len(values) == 1

    def test_each_image_has_annotations_of_its_own(self) -> None:
        annotated = torch.tensor([[True, False, True], [False, True, True]])
        logits = torch.zeros(2, 3, requires_grad=True)
        presence_loss(logits, targets(annotated=annotated)).backward()
        assert logits.grad is not None
        assert ((logits.grad != 0) == annotated).all()

    def test_nothing_annotated_is_no_presence_loss(self) -> None:
        wanted = targets(annotated=torch.zeros(2, 3, dtype=torch.bool))
        found = segsam_loss(decoded(), wanted, EVEN, config())
        assert float(found.presence) == 0  # type: ignore[arg-type]
        found.total.backward()

    def test_an_object_of_no_known_class_teaches_the_dense_head_nothing(self) -> None:
        output = decoded()
        chosen = EVEN.model_copy(update={"alignment": 0})
        wanted = targets(classes=torch.tensor([2, 0]))
        segsam_loss(output, wanted, chosen, config()).total.backward()
        assert output.semantic_logits is not None
        assert output.semantic_logits.grad is not None
        assert output.semantic_logits.grad[0].any()
        assert not output.semantic_logits.grad[1].any()
        assert output.binary_logits.grad is not None
        assert output.binary_logits.grad[1].any()

    def test_an_object_of_no_known_class_teaches_the_mask_class_head_its_mask(self) -> None:
        output = decoded("maskcls")
        wanted = targets(classes=torch.tensor([2, 0]))
        segsam_loss(output, wanted, EVEN, config("maskcls")).total.backward()
        assert output.class_logits is not None
        assert output.class_logits.grad is not None
        assert not output.class_logits.grad[1].any()
        assert output.object_logits is not None
        assert output.object_logits.grad is not None
        assert output.object_logits.grad[1].any()

    @both_heads
    def test_no_known_class_at_all(self, head: HeadName) -> None:
        wanted = targets(classes=torch.zeros(2, dtype=torch.long))
        found = segsam_loss(decoded(head), wanted, EVEN, config(head))
        assert found.numbers()["cross_entropy"] == 0
        assert found.total.isfinite()

    def test_a_class_that_is_absent_from_the_target_is_not_in_the_dice(self) -> None:
        """An object too small to be seen leaves the background alone."""
        wanted = targets(masks=torch.zeros(2, 1, 4, 4))
        found = segsam_loss(decoded(), wanted, EVEN, config()).numbers()
        assert found["segmentation"] == pytest.approx(1 - (2 * 4 + 1) / (4 + 16 + 1))

    def test_an_empty_target_is_no_object_for_the_mask_class_head(self) -> None:
        wanted = targets(masks=torch.zeros(2, 1, 4, 4))
        sure = torch.tensor([[100.0, 0, 0, 0]]).repeat(2, 1)
        output = replace(decoded("maskcls"), class_logits=sure)
        found = segsam_loss(output, wanted, EVEN, config("maskcls")).numbers()
        assert found["cross_entropy"] == pytest.approx(0)

    def test_what_has_weight_zero_is_left_out(self) -> None:
        found = segsam_loss(decoded(), targets(), LossWeights(predicted_iou=0), config())
        assert found.predicted_iou is None
        assert "predicted_iou" not in found.numbers()

    def test_a_host_alone_has_binary_terms_alone(self) -> None:
        output = Decoded(decoded().binary_logits, decoded().predicted_iou)
        found = segsam_loss(output, targets(), LossWeights(), config()).numbers()
        assert set(found) == {"total", "focal", "dice", "predicted_iou"}


class TestAlignment:
    def test_both_decoders_learn_from_it(self) -> None:
        stripped = torch.zeros(2, 1, 4, 4, requires_grad=True)
        binary = torch.ones(2, 1, 4, 4, requires_grad=True)
        alignment_loss(stripped, binary).backward()
        assert stripped.grad is not None
        assert binary.grad is not None
        assert stripped.grad.all()
        assert binary.grad.all()

    def test_of_masks_worked_out_by_hand(self) -> None:
        stripped = torch.tensor([0.0, 100, -100, -100]).view(1, 1, 2, 2)
        binary = torch.tensor([100.0, 100, 100, -100]).view(1, 1, 2, 2)
        assert float(alignment_loss(stripped, binary)) == pytest.approx(1 - 1.5 / 3)

    def test_two_empty_masks_agree(self) -> None:
        empty = torch.full((1, 1, 4, 4), -1000.0)
        assert float(alignment_loss(empty, empty)) == pytest.approx(0)

    def test_stripping_takes_one_minus_the_background(self) -> None:
        torch.manual_seed(0)
        output = replace(decoded(), dense_logits=torch.randn(2, 4, 4, 4))
        assert output.semantic_logits is not None
        wanted = 1 - output.semantic_logits.softmax(1)[:, :1]
        torch.testing.assert_close(output.stripped_logits().sigmoid(), wanted)

    def test_a_mask_class_head_is_stripped_already(self) -> None:
        output = decoded("maskcls")
        assert output.stripped_logits() is output.object_logits

    def test_without_semantics_there_is_nothing_to_strip(self) -> None:
        assert Decoded(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1)).stripped_logits() is None


class TestStability:
    @both_heads
    @pytest.mark.parametrize("level", [0.0, 100.0, -100.0, 1e4, -1e4])
    @pytest.mark.parametrize("filled", [0.0, 1.0, None])
    def test_no_loss_and_no_gradient_is_nan(
        self, head: HeadName, level: float, filled: float | None
    ) -> None:
        output = decoded(head, level=level)
        full = torch.full((2, CATEGORIES + 1, 4, 4), level, requires_grad=True)
        output = replace(output, full_image_logits=full)
        wanted = targets(full_image=torch.zeros(1, 4, 4, dtype=torch.long))
        if filled is not None:
            wanted = replace(wanted, masks=torch.full((2, 1, 4, 4), filled))
        found = segsam_loss(output, wanted, LossWeights(), config(head))
        assert all(math.isfinite(value) for value in found.numbers().values())
        found.total.backward()
        for name, leaf in leaves(output).items():
            assert leaf.grad is None or leaf.grad.isfinite().all(), name

    @both_heads
    def test_opposite_extremes(self, head: HeadName) -> None:
        torch.manual_seed(0)
        output = decoded(head)
        for leaf in leaves(output).values():
            leaf.data = torch.randn_like(leaf).sign() * 1e3
        found = segsam_loss(output, targets(), LossWeights(), config(head))
        found.total.backward()
        assert found.total.isfinite()
        for leaf in leaves(output).values():
            assert leaf.grad is None or leaf.grad.isfinite().all()

    @both_heads
    def test_half_precision_is_summed_in_single(self, head: HeadName) -> None:
        output = Decoded(
            **{name: value.to(torch.bfloat16) for name, value in leaves(decoded(head)).items()}
        )
        found = segsam_loss(output, targets(), LossWeights(), config(head))
        assert found.total.dtype == torch.float32
        assert found.total.isfinite()


class TestFullImage:
    def test_value_by_hand(self) -> None:
        labels = torch.zeros(1, 4, 4, dtype=torch.long)
        labels[:, :2] = 2
        found = full_image_loss(torch.zeros(2, 4, 4, 4), targets(full_image=labels), smooth=1)
        dice = 1 - (2 * 2 + 1) / (4 + 8 + 1)
        assert float(found) == pytest.approx(math.log(4) + dice)

    def test_the_background_may_be_what_is_not_annotated(self) -> None:
        """Probability moved from the background to an unannotated category changes nothing."""
        labels = torch.zeros(1, 4, 4, dtype=torch.long)
        labels[:, :2] = 1
        wanted = targets(
            full_image=labels, annotated=torch.tensor([[True, False, True]]).repeat(2, 1)
        )
        values = []
        for share in (0.1, 0.5, 0.9):
            chances = torch.tensor([0.6 * share, 0.3, 0.6 * (1 - share), 0.1])
            logits = chances.log().view(1, 4, 1, 1).expand(2, 4, 4, 4)
            values.append(float(full_image_loss(logits, wanted, smooth=1)))
        assert values == pytest.approx([values[0]] * 3)

    def test_ignored_pixels_give_no_gradient(self) -> None:
        labels = torch.zeros(1, 4, 4, dtype=torch.long)
        labels[:, 0] = -1
        logits = torch.randn(2, 4, 4, 4, requires_grad=True)
        full_image_loss(logits, targets(full_image=labels), smooth=1).backward()
        assert logits.grad is not None
        assert not logits.grad[:, :, 0].any()
        assert logits.grad[:, :, 1:].any()

    def test_nothing_known_is_no_loss(self) -> None:
        wanted = targets(full_image=torch.full((1, 4, 4), -1))
        assert float(full_image_loss(torch.randn(2, 4, 4, 4), wanted, smooth=1)) == 0

    def test_refuses_targets_without_a_map(self) -> None:
        with pytest.raises(ValueError, match="targets with a map of the full image, got none"):
            full_image_loss(torch.zeros(2, 4, 4, 4), targets(), smooth=1)


class TestTargets:
    @pytest.mark.parametrize(
        ("reading", "wanted"),
        [
            ("unprompted", [[1, 0, 0], [1, 0, 1], [1, 0, 1]]),
            ("all_present", [[1, 0, 1], [1, 0, 1], [1, 0, 1]]),
        ],
    )
    def test_presence_is_of_the_unprompted_or_of_all(
        self, reading: PresenceName, wanted: list[list[float]]
    ) -> None:
        """Two objects of class 1, one of class 3: while one of two is prompted, the class stays."""
        classes = torch.tensor([3, 1, 1])
        found = presence_target(
            classes, torch.tensor([0, 1, 2]), categories=CATEGORIES, reading=reading
        )
        assert found.tolist() == wanted

    def test_an_unknown_class_is_nobodys_presence(self) -> None:
        classes, prompted = torch.tensor([0, 2]), torch.tensor([0, 1])
        found = presence_target(classes, prompted, categories=3, reading="unprompted")
        assert found.tolist() == [[0, 1, 0], [0, 0, 0]]

    @staticmethod
    def images() -> list[AnnotatedImage]:
        """A large object of class 1 with a small one of class 3 in it; and one of no class."""
        masks = torch.zeros(2, 4, 4, dtype=torch.bool)
        masks[0, :3] = True
        masks[1, 1, 1] = True
        everything = torch.ones(CATEGORIES, dtype=torch.bool)
        nested = AnnotatedImage(masks, torch.tensor([1, 3]), everything)
        unknown = AnnotatedImage(masks[1:], torch.tensor([0]), torch.tensor([False, True, False]))
        return [nested, unknown]

    def test_a_batch(self) -> None:
        made = build_targets(self.images(), [[1, 0], [0, 0]], SemanticConfig())
        assert made.masks.shape == (4, 1, 4, 4)
        assert made.masks.flatten(1).sum(1).tolist() == [1, 12, 1, 1]
        assert made.classes.tolist() == [3, 1, 0, 0]
        assert made.presence.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
        assert made.annotated.tolist() == [[True] * 3] * 2 + [[False, True, False]] * 2
        assert made.full_image is None

    def test_a_map_of_the_full_image_where_it_is_wanted(self) -> None:
        chosen = SemanticConfig(unprompted="full_image")
        made = build_targets(self.images(), [[0], [0]], chosen)
        assert made.full_image is not None
        assert made.full_image.shape == (2, 4, 4)
        assert made.full_image[0].tolist() == [[1] * 4, [1, 3, 1, 1], [1] * 4, [0] * 4]
        assert made.full_image[1].unique().tolist() == [-1, 0]

    def test_pixels_of_what_is_not_annotated_throughout_are_ignored(self) -> None:
        nested = replace(self.images()[0], annotated=torch.tensor([True, True, False]))
        assert full_image_target(nested)[1].tolist() == [1, -1, 1, 1]

    def test_they_move_together(self) -> None:
        made = build_targets(self.images(), [[0], [0]], SemanticConfig(unprompted="full_image"))
        moved = to_device(made, "meta")
        assert {value.device.type for value in vars(moved).values()} == {"meta"}
        plain = build_targets(self.images(), [[0], [0]], SemanticConfig())
        assert to_device(plain, "cpu").full_image is None

    @pytest.mark.parametrize("prompted", [[[0]], [[0], [0, 0]]])
    def test_refuses_prompts_that_do_not_divide_among_the_images(
        self, prompted: list[list[int]]
    ) -> None:
        with pytest.raises(ValueError, match="in each of 2 images, got"):
            build_targets(self.images(), prompted, SemanticConfig())


class TestWeights:
    @pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
    def test_refuses_what_is_no_weight(self, value: float) -> None:
        with pytest.raises(TrainingError, match=r"Expected loss\.alignment to be"):
            LossWeights(alignment=value)

    def test_sams_ratio_by_default(self) -> None:
        assert (LossWeights().focal, LossWeights().dice) == (20, 1)

    @pytest.mark.parametrize(
        ("name", "off"),
        [
            ("baseline", ["cross_entropy", "segmentation", "presence", "full_image", "alignment"]),
            ("baseline_sem", ["presence", "full_image", "alignment"]),
            ("so", ["presence", "full_image", "alignment"]),
            ("so_co", ["full_image", "alignment"]),
            ("so_full_image", ["presence", "alignment"]),
            ("so_co_t2vse", ["full_image", "alignment"]),
            ("t2vse_v1", ["full_image", "alignment"]),
            ("segsam", ["full_image"]),
            ("plug_in", ["full_image", "alignment"]),
        ],
    )
    def test_of_a_variant(self, name: str, off: list[str]) -> None:
        found = LossWeights.of(find_variant(name))
        zero = [name for name, weight in found if weight == 0]
        assert zero == off

    def test_changes_have_the_last_word(self) -> None:
        found = LossWeights.of(VARIANTS["plug_in"], alignment=0.5, dice=2)
        assert (found.alignment, found.dice, found.full_image) == (0.5, 2, 0)


def test_iou_of_two_empty_masks_is_one() -> None:
    empty = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    assert hard_iou(empty, empty).tolist() == [[1]]
    assert hard_iou(empty, ~empty).tolist() == [[0]]


def test_refuses_outputs_of_another_head() -> None:
    with pytest.raises(ValueError, match="Expected class and mask of the head 'maskcls'"):
        segsam_loss(decoded("dense"), targets(), LossWeights(), config("maskcls"))


def test_inference_does_not_import_monai() -> None:
    code = "import sys, segsam.model, segsam.prediction.predictor; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "segsam.model.variants" in loaded
    assert "monai" not in loaded

"""The composition: what reaches which decoder, what learns, what depends on the image alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model import (
    BoxKind,
    Card,
    Decoded,
    Host,
    ImageFeatures,
    PromptTensors,
    SegSam,
    SemanticConfig,
)
from segsam.model.box_kinds import BoxKinds
from segsam.model.config import HeadName
from segsam.model.digests import weights_id

BOXES = PromptTensors(boxes_px=torch.tensor([[2.0, 3, 12, 20], [8, 8, 30, 28]]))
POINTS = PromptTensors(
    points_px=torch.tensor([[[5.0, 5], [20, 20]], [[9, 9], [30, 2]]]),
    point_labels=torch.tensor([[1, 0], [1, 1]]),
)
both_heads = pytest.mark.parametrize("head", ["dense", "maskcls"])


def full_model(
    host: Host, categories: Categories, head: HeadName = "dense", *, multimask: bool = False
) -> SegSam:
    torch.manual_seed(0)
    config = SemanticConfig(head=head, multimask=multimask)
    return SegSam(host, categories, config, semantics=True, text=True)


def images(count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(3))


@both_heads
@pytest.mark.parametrize("prompts", [BOXES, POINTS])
def test_shapes(
    tiny_host: Host, five_categories: Categories, head: HeadName, prompts: PromptTensors
) -> None:
    model = full_model(tiny_host, five_categories, head).eval()
    features = model.encode(images())
    assert features.embedding.shape == (1, 32, 8, 8)
    assert features.presence_logits is not None
    assert features.presence_logits.shape == (1, 5)

    decoded = model.decode(features, prompts, semantic=True)
    assert decoded.binary_logits.shape == (2, 1, 32, 32)
    assert decoded.predicted_iou.shape == (2, 1)
    assert decoded.semantic_logits is not None
    assert decoded.semantic_logits.shape == (2, 6, 32, 32)
    assert decoded.class_logits is not None
    assert decoded.class_logits.shape == (2, 6)
    assert decoded.presence_logits is features.presence_logits


def test_prepared_images_go_in(tiny_host: Host, five_categories: Categories) -> None:
    image = tiny_host.prepare(np.full((20, 32, 3), 200, dtype=np.uint8))
    assert full_model(tiny_host, five_categories).encode(image[None]).embedding.isfinite().all()


def test_presence_depends_on_the_image_alone(tiny_host: Host, five_categories: Categories) -> None:
    model = full_model(tiny_host, five_categories).eval()
    features = model.encode(images())
    presence = [
        model.decode(features, prompts, semantic=True).presence_logits
        for prompts in (BOXES, POINTS)
    ]
    assert presence[0] is presence[1] is features.presence_logits
    other = model.encode(1 - images()).presence_logits
    assert other is not None
    assert not torch.equal(other, features.presence_logits)  # type: ignore[arg-type]


def test_text_reaches_the_mask_decoder_and_not_the_semantic_one(
    tiny_host: Host, five_categories: Categories
) -> None:
    with_text = full_model(tiny_host, five_categories).eval()
    without = SegSam(tiny_host, five_categories, with_text.config, semantics=True).eval()
    same = with_text.semantic_decoder.state_dict()  # type: ignore[union-attr]
    without.semantic_decoder.load_state_dict(same)  # type: ignore[union-attr]
    features = with_text.encode(images())
    enhanced = with_text.decode(features, BOXES, semantic=True)
    plain = without.decode(features, BOXES, semantic=True)
    assert not torch.equal(enhanced.binary_logits, plain.binary_logits)
    assert torch.equal(enhanced.semantic_logits, plain.semantic_logits)  # type: ignore[arg-type]


def test_the_plain_path_is_the_host_alone(tiny_host: Host, five_categories: Categories) -> None:
    model = full_model(tiny_host, five_categories).eval()
    alone = SegSam(tiny_host, five_categories).eval()
    plain = model.decode(model.encode(images()), BOXES, semantic=False)
    wanted = alone.decode(alone.encode(images()), BOXES, semantic=False)
    assert torch.equal(plain.binary_logits, wanted.binary_logits)
    assert plain.semantic_logits is None
    assert plain.class_logits is None
    assert plain.presence_logits is None


def test_positions_are_kept_and_follow_what_they_are_made_of(
    tiny_host: Host, five_categories: Categories
) -> None:
    model = SegSam(tiny_host, five_categories).eval()
    layer = tiny_host.prompt_encoder.pe_layer

    def decoded() -> torch.Tensor:
        features = ImageFeatures(torch.ones(1, 32, *tiny_host.prompt_encoder.image_embedding_size))
        return model.decode(features, BOXES, semantic=False).binary_logits

    with torch.no_grad():
        first, calls = decoded(), []
        handle = layer.register_forward_hook(lambda *_: calls.append(1))
        assert torch.equal(decoded(), first)
        handle.remove()
        assert not calls, "nothing changed"
        layer.positional_encoding_gaussian_matrix.mul_(2)
        changed = decoded()
        assert not torch.equal(changed, first)
        tiny_host.use_grid(4)
        assert decoded().shape[-1] == 16
        tiny_host.use_grid(8)
        assert torch.equal(decoded(), changed)
    assert decoded().requires_grad, "a graph of its own while learning"


def test_a_mask_prompt_changes_the_mask(tiny_host: Host, five_categories: Categories) -> None:
    model = SegSam(tiny_host, five_categories).eval()
    features = model.encode(images())
    masked = PromptTensors(boxes_px=BOXES.boxes_px, mask_logits=torch.randn(2, 1, 32, 32))
    plain = model.decode(features, BOXES, semantic=False).binary_logits
    assert not torch.equal(model.decode(features, masked, semantic=False).binary_logits, plain)


def test_of_three_masks_the_best_by_its_own_estimate_is_kept(
    tiny_host: Host, five_categories: Categories
) -> None:
    model = full_model(tiny_host, five_categories, multimask=True).eval()
    features = model.encode(images())
    decoded = model.decode(features, BOXES, semantic=True)
    tokens, dense = tiny_host.prompt_encoder(None, BOXES.boxes_px[:, None], None)  # type: ignore[index]
    positions = tiny_host.prompt_encoder.get_dense_pe()
    assert model.text_enhancement is not None
    enhanced = model.text_enhancement(features.embedding, positions, tokens)
    masks, iou = tiny_host.mask_decoder(features.embedding, positions, enhanced, dense, True)
    for prompt in range(2):
        best = int(iou[prompt].argmax())
        torch.testing.assert_close(decoded.binary_logits[prompt, 0], masks[prompt, best])
        torch.testing.assert_close(decoded.predicted_iou[prompt, 0], iou[prompt].max())


@both_heads
def test_everything_learns_except_the_image_encoder(
    tiny_host: Host, five_categories: Categories, head: HeadName
) -> None:
    model = full_model(tiny_host, five_categories, head).train()
    mask = torch.randn(2, 1, 32, 32)
    prompts = PromptTensors(POINTS.points_px, POINTS.point_labels, BOXES.boxes_px, mask)
    for given in (prompts, POINTS):
        decoded = model(images(), given)
        parts = (
            decoded.binary_logits,
            decoded.predicted_iou,
            decoded.semantic_logits,
            decoded.class_logits,
            decoded.presence_logits,
        )
        torch.stack([part.square().sum() for part in parts]).sum().backward()
    idle = {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    }
    frozen = {name for name in idle if name.startswith("host.image_encoder.")}
    assert frozen == {
        f"host.image_encoder.{name}" for name, _ in tiny_host.image_encoder.named_parameters()
    }
    # SAM's decoder draws one mask here: the other mask tokens' own networks have nothing to do. In
    # SAM's attention a key bias shifts all scores alike, so its gradient is zero up to rounding.
    unused = tuple(f"host.mask_decoder.output_hypernetworks_mlps.{k}." for k in (1, 2, 3))
    learns = {
        name for name in idle - frozen if not name.startswith(unused) and "k_proj.bias" not in name
    }
    assert learns == set()


def test_a_batch_equals_its_images(tiny_host: Host, five_categories: Categories) -> None:
    model = full_model(tiny_host, five_categories).eval()
    boxes = torch.tensor([[2.0, 3, 12, 20], [8, 8, 30, 28], [1, 1, 9, 9], [4, 6, 31, 31]])
    batch = images(2)
    together = model(batch, PromptTensors(boxes_px=boxes))
    assert together.presence_logits is not None
    assert together.presence_logits.shape == (2, 5)
    for image in range(2):
        rows = slice(2 * image, 2 * image + 2)
        alone = model(batch[image : image + 1], PromptTensors(boxes_px=boxes[rows]))
        for name in ("binary_logits", "predicted_iou", "semantic_logits", "class_logits"):
            torch.testing.assert_close(
                getattr(together, name)[rows], getattr(alone, name), atol=1e-5, rtol=1e-4
            )


def test_a_batch_of_the_host_alone_has_no_semantics(
    tiny_host: Host, five_categories: Categories
) -> None:
    decoded = SegSam(tiny_host, five_categories)(images(2), BOXES)
    assert decoded.binary_logits.shape == (2, 1, 32, 32)
    assert decoded.semantic_logits is None


@pytest.mark.parametrize("prompts", [PromptTensors(), BOXES.rows(0, 1)])
def test_refuses_prompts_that_do_not_divide_among_the_images(
    tiny_host: Host, five_categories: Categories, prompts: PromptTensors
) -> None:
    with pytest.raises(ValueError, match=r"for each of 2 images, got [01]"):
        SegSam(tiny_host, five_categories)(images(2), prompts)


def test_refuses_semantics_of_a_host_alone(tiny_host: Host, five_categories: Categories) -> None:
    model = SegSam(tiny_host, five_categories)
    with pytest.raises(CheckpointError, match="with a semantic decoder"):
        model.decode(model.encode(images()), BOXES, semantic=True)


def test_refuses_semantics_of_features_without_presence(
    tiny_host: Host, five_categories: Categories
) -> None:
    model = full_model(tiny_host, five_categories)
    features = ImageFeatures(model.encode(images()).embedding)
    with pytest.raises(CheckpointError, match="with a semantic decoder"):
        model.decode(features, BOXES, semantic=True)


def test_weights_have_an_id_that_tells_them_apart(
    tiny_host: Host, five_categories: Categories
) -> None:
    first = SegSam(tiny_host, five_categories)
    assert weights_id(first) == weights_id(SegSam(tiny_host, five_categories))
    assert weights_id(first) != weights_id(full_model(tiny_host, five_categories))
    assert not first.card.semantic_is_trained


def test_the_card_describes_the_parts_and_is_replaced_only_by_another_model(
    tiny_host: Host, five_categories: Categories
) -> None:
    model = full_model(tiny_host, five_categories, "maskcls")
    card = model.card
    assert (card.host, card.config, card.categories) == (
        "tiny",
        model.config,
        five_categories.items,
    )
    assert (card.semantic_decoder, card.text_enhancement) == (True, True)
    assert (card.prompts_trained, card.categories_seen) == (("point", "box"), five_categories.names)
    other = model.with_card(Card(temperature=2.0, host="another", categories_seen=("liver",)))
    assert (other.card.temperature, other.card.host) == (2.0, "tiny")
    assert other.card.categories_seen == ("liver",)
    assert model.card is card
    assert all(a is b for a, b in zip(model.parameters(), other.parameters(), strict=True))
    with pytest.raises(AttributeError):
        model.card = other.card  # type: ignore[misc]


def test_records_count_and_cut_their_rows() -> None:
    assert len(PromptTensors()) == 0
    assert len(POINTS) == 2
    assert POINTS.rows(1, 2).points_px.shape == (1, 2, 2)  # type: ignore[union-attr]
    assert POINTS.rows(1, 2).boxes_px is None
    joined = Decoded.joined([Decoded(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1))] * 2)
    assert joined.binary_logits.shape == (2, 1, 4, 4)
    assert joined.class_logits is None


def test_kept_embeddings_give_what_images_do(tiny_host: Host, five_categories: Categories) -> None:
    model = full_model(tiny_host, five_categories).eval()
    batch = images(2)
    kept = model.host.encode(batch)
    found, wanted = model.decode_batch(model.features(*kept), BOXES), model(batch, BOXES)
    assert torch.equal(found.semantic_logits, wanted.semantic_logits)  # type: ignore[arg-type]
    assert torch.equal(found.presence_logits, wanted.presence_logits)  # type: ignore[arg-type]
    assert torch.equal(found.binary_logits, wanted.binary_logits)


def test_refuses_kept_embeddings_and_prompts_that_do_not_divide(
    tiny_host: Host, five_categories: Categories
) -> None:
    model = full_model(tiny_host, five_categories)
    with pytest.raises(ValueError, match=r"for each of 2 images, got 1"):
        model.decode_batch(model.encode(images(2)), BOXES.rows(0, 1))


class TestBoxKinds:
    ROUGH = PromptTensors(boxes_px=BOXES.boxes_px, box_kinds=torch.tensor([0, 2]))

    @staticmethod
    def told(host: Host, categories: Categories) -> SegSam:
        torch.manual_seed(0)
        return SegSam(
            host, categories, SemanticConfig(box_kinds=True), semantics=True, text=True
        ).eval()

    def both_ways(self, model: SegSam) -> tuple[Decoded, Decoded]:
        """The same boxes, as if drawn and as what they are."""
        features = model.encode(images())
        drawn = model.decode(features, BOXES, semantic=True)
        return drawn, model.decode(features, self.ROUGH, semantic=True)

    def test_untrained_every_box_is_a_box(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = self.told(tiny_host, five_categories)
        drawn, rough = self.both_ways(model)
        assert torch.equal(drawn.binary_logits, rough.binary_logits)

    def test_trained_it_moves_what_that_kind_asks_and_nothing_else(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = self.told(tiny_host, five_categories)
        assert model.box_kinds is not None
        with torch.no_grad():
            model.box_kinds.offsets[BoxKind.NEIGHBOUR - 1] += 1
        drawn, rough = self.both_ways(model)
        torch.testing.assert_close(drawn.binary_logits[0], rough.binary_logits[0])
        assert not torch.allclose(drawn.binary_logits[1], rough.binary_logits[1])
        assert not torch.allclose(drawn.class_logits[1], rough.class_logits[1])  # type: ignore[index]

    def test_points_before_the_box_stay_where_they_are(self) -> None:
        kinds = BoxKinds(4)
        with torch.no_grad():
            kinds.offsets += torch.arange(2.0)[:, None, None] + 1
        tokens = torch.zeros(3, 5, 4)
        moved = kinds(tokens, torch.tensor([0, 1, 2]))
        assert not moved[:, :3].any()
        assert (moved[:, 3:, 0] / moved[1, 3, 0]).tolist() == [[0, 0], [1, 1], [2, 2]]

    def test_a_model_without_them_does_not_care(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = full_model(tiny_host, five_categories).eval()
        assert model.box_kinds is None
        drawn, rough = self.both_ways(model)
        assert torch.equal(drawn.binary_logits, rough.binary_logits)

    def test_only_the_kinds_that_a_prompt_has_are_learnt(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = self.told(tiny_host, five_categories)
        decoded = model.decode(model.encode(images()), self.ROUGH, semantic=True)
        decoded.binary_logits.sum().backward()  # type: ignore[no-untyped-call]
        assert model.box_kinds is not None
        gradient = model.box_kinds.offsets.grad
        assert gradient is not None
        assert not gradient[BoxKind.SECTION - 1].any()
        assert gradient[BoxKind.NEIGHBOUR - 1].any()

"""The predictor: its mechanics on a tiny host, its masks on LiteMedSAM itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segsam.categories import Categories
from segsam.errors import CancelledError, CategoryError, PromptError, VolumeError
from segsam.imaging.volume import Volume
from segsam.model import Card, Host, SegSam
from segsam.model.digests import encoder_id, weights_id
from segsam.model.runtimes import EncoderRunner, RuntimeFacts
from segsam.prediction import naming
from segsam.prediction.embedding_files import EmbeddingFiles
from segsam.prediction.embeddings import EmbeddingCache
from segsam.prediction.predictor import Predictor
from segsam.prediction.result import EMPTY_NOTE, LONE_POINT_NOTE, UNTRAINED_NOTE
from segsam.prompting.prompts import Box, Point, Prompts

from ...conftest import StorageOrder

SOLID = Box((5, 6, 2), (14, 15, 6))
FLAT = Box((5, 6, 4), (14, 15, 4))


def speckle(shape: tuple[int, int, int] = (20, 22, 9)) -> Volume:
    values = np.random.default_rng(3).integers(0, 200, shape).astype(np.int16)
    return Volume.from_array(values, np.diag([-1.0, -1.0, 2.5, 1.0]), name="speckle")


@pytest.fixture
def predictor(tiny_host: Host, five_categories: Categories) -> Predictor:
    made = Predictor(SegSam(tiny_host, five_categories))
    made.set_volume(speckle())
    return made


@pytest.fixture
def trained(tiny_host: Host, five_categories: Categories) -> Predictor:
    """A predictor whose card calls the semantic parts trained; their weights are random."""
    card = Card(semantic_is_trained=True)
    made = Predictor(SegSam(tiny_host, five_categories, semantics=True, text=True, card=card))
    made.set_volume(speckle())
    return made


class TestDecodedSlices:
    def test_a_flat_box_decodes_its_slice(self, predictor: Predictor) -> None:
        result = predictor.predict(Prompts(boxes=[FLAT]))
        assert [(s.axis, s.index) for s in result.slices] == [(2, 4)]
        assert result.axes == ("k",)
        assert not np.delete(result.labels, 4, axis=2).any()

    def test_a_solid_box_decodes_all_its_slices(self, predictor: Predictor) -> None:
        for propagate in (None, False, True):
            result = predictor.predict(Prompts(boxes=[SOLID]), propagate=propagate)
            assert sorted(s.index for s in result.slices) == [2, 3, 4, 5, 6]
            prompted = [s.index for s in result.slices if not s.propagated]
            assert len(prompted) == (5 if propagate is False else 1)
            assert set(prompted) <= ({2, 3, 4, 5, 6} if propagate is False else {3, 4, 5})

    def test_all_axes_are_decoded_and_averaged(self, predictor: Predictor) -> None:
        result = predictor.predict(Prompts(boxes=[SOLID]), axis="all", propagate=False)
        assert result.axes == ("i", "j", "k")
        assert {s.axis for s in result.slices} == {0, 1, 2}
        assert len(result.slices) == 10 + 10 + 5

    def test_all_axes_of_a_flat_box_follow_the_mask_that_was_propagated(
        self, predictor: Predictor
    ) -> None:
        result = predictor.predict(Prompts(boxes=[FLAT]), axis="all", propagate=True)
        assert {s.axis for s in result.slices} == {0, 1, 2}

    def test_a_named_axis_is_taken(self, predictor: Predictor) -> None:
        result = predictor.predict(Prompts(boxes=[SOLID]), axis="i", propagate=False)
        assert sorted(s.index for s in result.slices) == list(range(5, 15))

    def test_largest_spacing_decides(self, tiny_host: Host, five_categories: Categories) -> None:
        predictor = Predictor(SegSam(tiny_host, five_categories))
        predictor.set_volume(Volume.from_array(speckle().voxels, np.diag([4.0, 1, 1, 1])))
        assert predictor.predict(Prompts(boxes=[SOLID])).axes == ("i",)

    def test_two_boxes_mark_parts_of_one_object(self, predictor: Predictor) -> None:
        left, right = Box((0, 0, 4), (6, 6, 4)), Box((12, 12, 4), (19, 20, 4))
        alone = [predictor.predict(Prompts(boxes=[box])).labels for box in (left, right)]
        together = predictor.predict(Prompts(boxes=[left, right])).labels
        assert not (alone[0] | alone[1])[together == 0].any()

    @pytest.mark.parametrize(
        ("axis", "propagate"), [("k", None), ("k", False), ("i", False), ("all", None)]
    )
    def test_a_negative_box_is_left_out_of_the_mask(
        self, predictor: Predictor, axis: Any, propagate: bool | None
    ) -> None:
        negative = Box((8, 0, 3), (11, 21, 5))
        inside = np.s_[8:12, :, 3:6]
        solid = Prompts(boxes=[SOLID])
        before = predictor.predict(solid, axis=axis, propagate=propagate).labels
        assert before[inside].any()
        both = replace(solid, negative_boxes=(negative,))
        after = predictor.predict(both, axis=axis, propagate=propagate).labels
        assert not after[inside].any()
        if propagate is False:  # nothing else changes where no slice is followed to the next
            before[inside] = 0
            assert np.array_equal(after, before)


class TestCache:
    def test_a_second_prompt_encodes_nothing(self, predictor: Predictor) -> None:
        first = predictor.predict(Prompts(boxes=[SOLID]))
        second = predictor.predict(Prompts([Point((8, 8, 4))], [SOLID]))
        assert (first.encoded, second.encoded) == (5, 0)

    def test_only_slices_in_the_range_are_encoded(self, predictor: Predictor) -> None:
        predictor.predict(Prompts(boxes=[FLAT]))
        assert predictor.embeddings.state.misses == 1

    def test_another_window_is_another_embedding(self, predictor: Predictor) -> None:
        predictor.predict(Prompts(boxes=[FLAT]))
        predictor.set_volume(speckle(), window=(0.0, 50.0))
        assert predictor.predict(Prompts(boxes=[FLAT])).encoded == 1

    def test_the_same_image_is_found_again_by_another_predictor(self, predictor: Predictor) -> None:
        predictor.predict(Prompts(boxes=[FLAT]))
        other = Predictor(predictor.model, embeddings=predictor.embeddings)
        other.set_volume(speckle())
        assert other.predict(Prompts(boxes=[FLAT])).encoded == 0

    def test_warm_encodes_the_middle_slice(self, predictor: Predictor) -> None:
        predictor.warm()
        assert predictor.predict(Prompts(boxes=[FLAT])).encoded == 0
        with pytest.raises(PromptError, match="Expected slice 0 to 8 along k, got 9"):
            predictor.warm(index=9)

    def test_warming_in_the_background_counts_as_prefetched(self, predictor: Predictor) -> None:
        predictor.warm(index=4, background=True)
        assert (predictor.embeddings.state.misses, predictor.embeddings.state.prefetched) == (0, 1)

    def test_a_private_volume_leaves_nothing_on_disk(
        self, predictor: Predictor, tmp_path: Path
    ) -> None:
        cache = EmbeddingCache(files=EmbeddingFiles(tmp_path, 1 << 20))
        predictor = Predictor(predictor.model, embeddings=cache)
        for private, files in ((True, 0), (False, 1)):
            cache.clear()
            predictor.set_volume(speckle(), private=private)
            predictor.predict(Prompts(boxes=[FLAT]))
            predictor.warm(index=4)
            cache.flush()
            assert len(list(tmp_path.iterdir())) == files

    def test_a_cache_without_room_still_answers(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        model = SegSam(tiny_host, five_categories)
        predictor = Predictor(model, embeddings=EmbeddingCache(0))
        predictor.set_volume(speckle())
        cached = Predictor(model)
        cached.set_volume(speckle())
        prompts = Prompts(boxes=[SOLID])
        assert np.array_equal(predictor.predict(prompts).labels, cached.predict(prompts).labels)


class TestGeometry:
    def test_every_storage_order_gives_the_same_anatomy(
        self, predictor: Predictor, storage_order: StorageOrder
    ) -> None:
        volume = speckle()
        prompts = Prompts([Point((9, 9, 4)), Point((6, 14, 4), positive=False)], [SOLID])
        labels = predictor.predict(prompts, axis="k").labels
        stored = storage_order.stored(volume)
        corners = storage_order.indices([SOLID.min_ijk, SOLID.max_ijk], volume.shape_ijk)
        clicks = storage_order.indices([p.ijk for p in prompts.points], volume.shape_ijk)
        turned = Prompts(
            [
                Point(tuple(ijk), p.positive)
                for ijk, p in zip(clicks.tolist(), prompts.points, strict=True)
            ],
            [Box(tuple(corners.min(axis=0).tolist()), tuple(corners.max(axis=0).tolist()))],
        )
        predictor.set_volume(stored)
        result = predictor.predict(turned, axis="ijk"[storage_order.axes.index(2)])
        expected = storage_order.stored(volume.like(labels)).voxels
        assert result.labels.shape == stored.shape_ijk
        assert np.array_equal(result.volume.affine_ras, stored.affine_ras)
        assert np.array_equal(result.labels, expected)
        assert result.encoded == 0 or storage_order.axes == (0, 1, 2)

    @pytest.mark.parametrize("shape", [(1, 12, 13), (12, 1, 13), (12, 13, 1), (2, 2, 2), (1, 9, 2)])
    def test_thin_volumes(self, predictor: Predictor, shape: tuple[int, int, int]) -> None:
        predictor.set_volume(speckle(shape))
        i, j, k = (side - 1 for side in shape)
        result = predictor.predict(Prompts(boxes=[Box((0, 0, 0), (i, j, k))]))
        assert result.labels.shape == shape
        assert result.labels.dtype == np.uint8

    def test_colour(self, predictor: Predictor) -> None:
        colour = np.random.default_rng(0).integers(0, 255, (15, 16, 1, 3)).astype(np.uint8)
        predictor.set_volume(Volume.from_array(colour))
        result = predictor.predict(Prompts(boxes=[Box((2, 2, 0), (9, 9, 0))]))
        assert result.labels.shape == (15, 16, 1)


class TestProgressAndCancel:
    def test_progress_counts_every_slice(self, predictor: Predictor) -> None:
        messages: list[tuple[int, int, str]] = []
        predictor.predict(
            Prompts(boxes=[SOLID]),
            propagate=False,
            progress=lambda done, total, what: messages.append((done, total, what)),
        )
        assert [(done, total) for done, total, _ in messages] == [(n, 5) for n in range(1, 6)]
        assert messages[0][2] == "segmented slice k 2"

    def test_progress_of_a_followed_box_counts_its_candidates_too(
        self, predictor: Predictor
    ) -> None:
        messages: list[tuple[int, int]] = []
        predictor.predict(
            Prompts(boxes=[SOLID]), progress=lambda done, total, _: messages.append((done, total))
        )
        assert messages[0] == (1, 4)
        assert messages[-1] == (3 + 5, 3 + 5)

    def test_cancel_stops_between_slices(self, predictor: Predictor) -> None:
        done: list[int] = []
        with pytest.raises(CancelledError, match="after 2 of 5 slices; nothing was kept"):
            predictor.predict(
                Prompts(boxes=[SOLID]),
                propagate=False,
                progress=lambda count, _, __: done.append(count),
                cancel=lambda: len(done) == 2,
            )
        assert done == [1, 2]

    def test_cancel_stops_a_propagation(self, predictor: Predictor) -> None:
        done: list[int] = []
        with pytest.raises(CancelledError):
            predictor.predict(
                Prompts(boxes=[SOLID]),
                progress=lambda count, _, __: done.append(count),
                cancel=lambda: len(done) == 5,
            )
        assert done == [1, 2, 3, 4, 5]  # three looked at, the best of them, one runtime it

    def test_cancel_stops_the_choice_of_the_seed(self, predictor: Predictor) -> None:
        with pytest.raises(CancelledError, match="after 0 of"):
            predictor.predict(Prompts(boxes=[SOLID]), cancel=lambda: True)


def with_facts(predictor: Predictor, **facts: Any) -> Predictor:
    """Return a predictor for the same volume, whose model's card has other facts."""
    model = predictor.model
    made = Predictor(model.with_card(replace(model.card, **facts)))
    if predictor.volume is not None:
        made.set_volume(predictor.volume)
    return made


class TwoAtATime:
    """Runtime that encodes two images at a time and records which were encoded alongside."""

    mode, threads = "exact", 2

    def __init__(self, host: Host) -> None:
        self.host = host
        self.alongside: list[bool] = []

    def encode(self, images: Tensor, *, alongside: bool) -> tuple[Tensor, Tensor | None]:
        self.alongside.append(alongside)
        return self.host.encode(images)


def encoded_by(runtime: TwoAtATime, predictor: Predictor) -> Predictor:
    """Return a predictor for the same volume, whose image encoder is computed by a runtime."""
    facts = RuntimeFacts("torch", "exact", "a test")
    encoder = EncoderRunner(predictor.model).with_runtime(runtime, facts)
    made = Predictor(predictor.model, encoder=encoder)
    assert predictor.volume is not None
    made.set_volume(predictor.volume)
    return made


class TestPrefetching:
    @pytest.mark.parametrize("propagate", [None, False])
    def test_the_result_is_the_same(self, predictor: Predictor, propagate: bool | None) -> None:
        prompts = Prompts(boxes=[SOLID])
        expected = predictor.predict(prompts, propagate=propagate)
        predictor.embeddings.clear()
        runtime = TwoAtATime(predictor.model.host)
        found = encoded_by(runtime, predictor).predict(prompts, propagate=propagate)
        np.testing.assert_array_equal(found.labels, expected.labels)
        assert found.encoded == expected.encoded == 5
        assert len(runtime.alongside) == 5
        assert sum(runtime.alongside) >= 3  # a single slice is not prefetched

    def test_a_click_has_all_threads(self, predictor: Predictor) -> None:
        runtime = TwoAtATime(predictor.model.host)
        predictor = encoded_by(runtime, predictor)
        predictor.warm(index=1)
        predictor.predict(Prompts(boxes=[FLAT]))
        assert runtime.alongside == [False, False]

    def test_a_cancelled_volume_leaves_nothing_behind(self, predictor: Predictor) -> None:
        predictor = encoded_by(TwoAtATime(predictor.model.host), predictor)
        with pytest.raises(CancelledError):
            predictor.predict(Prompts(boxes=[SOLID]), cancel=lambda: True)
        assert predictor.predict(Prompts(boxes=[FLAT])).slices


class TestSemantics:
    def test_an_untrained_decoder_gives_no_name_but_a_note(self, predictor: Predictor) -> None:
        result = predictor.predict(Prompts(boxes=[FLAT]))
        assert result.category is None
        assert result.confidence is None
        assert result.agreement is None
        assert result.present == {}
        assert UNTRAINED_NOTE in result.notes

    def test_a_trained_decoder_names_the_object_and_other_categories(
        self, trained: Predictor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(naming, "NAMED_FROM", 0.0)
        result = trained.predict(Prompts(boxes=[SOLID]))
        assert result.voxels
        assert result.category in trained.model.categories.names
        assert result.confidence is not None
        assert 0 < result.confidence < 1
        assert result.agreement is not None
        assert 0 <= result.agreement <= 1
        for present in result.present.values():
            assert all(0.5 <= probability <= 1 for probability in present.values())
        assert UNTRAINED_NOTE not in result.notes

    def test_an_uncertain_name_is_only_mentioned_in_a_note(
        self, trained: Predictor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(naming, "NAMED_FROM", 1.0)
        result = trained.predict(Prompts(boxes=[SOLID]))
        assert result.category is None
        assert result.confidence is None
        assert any(note.startswith("Not named: the best guess, ") for note in result.notes)

    def test_no_name_in_a_modality_where_the_card_withholds_all(
        self, trained: Predictor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(naming, "NAMED_FROM", 0.0)
        trained = with_facts(trained, unnamed_in=("CT",))
        assert trained.volume is not None
        trained.set_volume(replace(trained.volume, modality="CT"))
        result = trained.predict(Prompts(boxes=[SOLID]))
        assert result.category is None
        assert any("not reliable in CT volumes" in note for note in result.notes)

    def test_the_card_may_withhold_a_single_name(
        self, trained: Predictor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(naming, "NAMED_FROM", 0.0)
        assert trained.volume is not None
        trained.set_volume(replace(trained.volume, modality="CT"))
        name = trained.predict(Prompts(boxes=[SOLID])).category
        trained = with_facts(trained, unnamed_in=("CT: another", f"MR: {name}"))
        assert trained.predict(Prompts(boxes=[SOLID])).category == name
        trained = with_facts(trained, unnamed_in=(f"CT: {name}",))
        result = trained.predict(Prompts(boxes=[SOLID]))
        assert result.category is None
        assert any(f"most like {name}, a name that" in note for note in result.notes)

    def test_semantic_decoder_gives_another_mask(self, trained: Predictor) -> None:
        prompts = Prompts(boxes=[SOLID])
        binary, semantic = (
            trained.predict(prompts, decoder=decoder).labels for decoder in ("binary", "semantic")
        )
        assert not np.array_equal(binary, semantic)

    def test_the_users_category_names_the_result(self, trained: Predictor) -> None:
        result = trained.predict(Prompts(boxes=[FLAT]), decoder="semantic", category="heart")
        whole = trained.predict(Prompts(boxes=[FLAT]), decoder="semantic")
        assert result.category in ("heart", None)
        assert result.voxels <= whole.voxels

    def test_an_untrained_decoder_refuses_semantic_requests(self, predictor: Predictor) -> None:
        with pytest.raises(PromptError, match="trained semantic decoder for its mask"):
            predictor.predict(Prompts(boxes=[FLAT]), decoder="semantic")
        with pytest.raises(PromptError, match="trained semantic decoder for the category heart"):
            predictor.predict(Prompts(boxes=[FLAT]), category="heart")

    def test_unknown_category(self, predictor: Predictor) -> None:
        with pytest.raises(CategoryError, match="livr"):
            predictor.predict(Prompts(boxes=[FLAT]), category="livr")


class TestRefusals:
    @pytest.mark.parametrize(
        ("prompts", "sentence"),
        [
            (Prompts(), "Expected at least one point or box, got none"),
            (Prompts([Point((40, 2, 2))]), r"\(40, 2, 2\) is outside the volume of 20x22x9"),
            (Prompts(boxes=[Box((9, 2, 2), (3, 5, 4))]), "reversed along i"),
            (Prompts(boxes=[Box((3, 3, 4), (3, 9, 4))]), "degenerate"),
        ],
    )
    def test_prompts(self, predictor: Predictor, prompts: Prompts, sentence: str) -> None:
        with pytest.raises(PromptError, match=sentence):
            predictor.predict(prompts)

    def test_a_box_that_is_a_line_on_the_requested_axis(self, predictor: Predictor) -> None:
        with pytest.raises(PromptError, match="only a line on slices across i; slice across k"):
            predictor.predict(Prompts(boxes=[FLAT]), axis="i")

    def test_flat_prompts_on_all_axes(self, predictor: Predictor) -> None:
        with pytest.raises(PromptError, match=r"Expected a 3D box, .* for axis all"):
            predictor.predict(Prompts(boxes=[FLAT]), axis="all")

    def test_unknown_axis_and_decoder(self, predictor: Predictor) -> None:
        with pytest.raises(PromptError, match="Expected an axis auto, i, j, k or all, got 'z'"):
            predictor.predict(Prompts(boxes=[FLAT]), axis="z")  # type: ignore[arg-type]
        with pytest.raises(
            PromptError, match="Expected the decoder binary or semantic, got 'both'"
        ):
            predictor.predict(Prompts(boxes=[FLAT]), decoder="both")  # type: ignore[arg-type]

    def test_predict_without_a_volume(self, predictor: Predictor) -> None:
        predictor.reset()
        with pytest.raises(VolumeError, match="call set_volume before"):
            predictor.predict(Prompts(boxes=[FLAT]))

    def test_a_clipped_box_has_a_note(self, predictor: Predictor) -> None:
        result = predictor.predict(Prompts(boxes=[Box((5, 6, 4), (30, 15, 4))]))
        assert any("was clipped to" in note for note in result.notes)


CENTRE_IJK, RADIUS_MM, SPACING_MM = (20, 24, 5), 10.0, (1.0, 1.0, 3.0)


@pytest.fixture(scope="module")
def ball() -> Volume:
    """A ball of 60 HU in fat, 44 x 48 x 11 voxels of 1 x 1 x 3 mm, with a little noise."""
    shape = (44, 48, 11)
    offsets = np.indices(shape).astype(float)
    for axis, (centre, spacing) in enumerate(zip(CENTRE_IJK, SPACING_MM, strict=True)):
        offsets[axis] = (offsets[axis] - centre) * spacing
    inside = np.linalg.norm(offsets, axis=0) <= RADIUS_MM
    noise = np.random.default_rng(0).normal(0, 8, shape)
    values = (np.where(inside, 60, -100) + noise).round().astype(np.int16)
    affine = np.diag([-1.0, -1.0, 3.0, 1.0])
    return Volume.from_array(values, affine, modality="CT", name="ball")


@pytest.fixture(scope="module")
def litemedsam(ball: Volume) -> Iterator[Predictor]:
    predictor = Predictor.from_pretrained("litemedsam")
    predictor.set_volume(ball)
    yield predictor
    predictor.reset()


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


class TestManyCheckpoints:
    """Checkpoints on one encoder: a slice is encoded once, each checkpoint answers for itself."""

    def checkpoint(self, host: Host, categories: Categories, seed: int) -> SegSam:
        torch.manual_seed(seed)
        card = Card(semantic_is_trained=True)
        return SegSam(host, categories, semantics=True, text=True, card=card).eval()

    def test_embeddings_are_shared_and_answers_are_not(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        models = [self.checkpoint(tiny_host, five_categories, seed) for seed in (1, 2)]
        cache, alone, together = EmbeddingCache(), [], []
        for model in models:
            for embeddings, answers in ((EmbeddingCache(), alone), (cache, together)):
                predictor = Predictor(model, embeddings=embeddings)
                predictor.set_volume(speckle())
                answers.append(predictor.predict(Prompts(boxes=[FLAT])))
        assert [result.encoded for result in together] == [1, 0]
        assert encoder_id(models[0].host) == encoder_id(models[1].host)
        assert weights_id(models[0]) != weights_id(models[1])
        for own, shared in zip(alone, together, strict=True):
            assert own.slices == shared.slices
            assert np.array_equal(own.labels, shared.labels)
        assert together[0].slices[0].present != together[1].slices[0].present

    def test_a_host_alone_finds_the_same_embeddings(
        self, tiny_host: Host, five_categories: Categories
    ) -> None:
        cache = EmbeddingCache()
        full = self.checkpoint(tiny_host, five_categories, 1)
        for model, encoded in ((full, 1), (SegSam(tiny_host, five_categories), 0)):
            predictor = Predictor(model, embeddings=cache)
            predictor.set_volume(speckle())
            assert predictor.predict(Prompts(boxes=[FLAT])).encoded == encoded


class TestOnLiteMedSAM:
    def truth(self, ball: Volume) -> np.ndarray:
        return ball.voxels > -20

    def test_rounded_embeddings_give_the_same_mask(
        self, litemedsam: Predictor, ball: Volume
    ) -> None:
        masks = []
        for precision in (torch.float32, torch.float16):
            predictor = Predictor(litemedsam.model, embeddings=EmbeddingCache(precision=precision))
            predictor.set_volume(ball)
            box = Box((10, 14, 8), (30, 34, 8))
            masks.append(predictor.predict(Prompts(boxes=[box])).labels > 0)
        assert dice(*masks) > 0.999

    def test_a_box_on_one_slice(self, litemedsam: Predictor, ball: Volume) -> None:
        result = litemedsam.predict(Prompts(boxes=[Box((10, 14, 5), (30, 34, 5))]))
        assert dice(result.labels[..., 5] > 0, self.truth(ball)[..., 5]) > 0.95
        assert result.predicted_iou is not None
        assert result.predicted_iou > 0.8

    def test_propagation_finds_both_ends_by_itself(
        self, litemedsam: Predictor, ball: Volume
    ) -> None:
        result = litemedsam.predict(Prompts(boxes=[Box((10, 14, 5), (30, 34, 5))]), propagate=True)
        assert dice(result.labels > 0, self.truth(ball)) > 0.93
        filled = np.flatnonzero(result.labels.any(axis=(0, 1)))
        assert abs(int(filled[0]) - 2) <= 1
        assert abs(int(filled[-1]) - 8) <= 1

    def test_following_a_solid_box_beats_its_sections(
        self, litemedsam: Predictor, ball: Volume
    ) -> None:
        prompts = Prompts(boxes=[Box((10, 14, 2), (30, 34, 8))])
        followed, sections = (
            dice(litemedsam.predict(prompts, propagate=p).labels > 0, self.truth(ball))
            for p in (None, False)
        )
        assert followed > 0.88
        assert followed >= sections - 0.01

    def test_a_lone_point_gets_a_mask_and_a_note(self, litemedsam: Predictor) -> None:
        result = litemedsam.predict(Prompts([Point(CENTRE_IJK)]))
        assert LONE_POINT_NOTE in result.notes

    def test_weights_trained_with_points_need_no_note(self, litemedsam: Predictor) -> None:
        trained = with_facts(litemedsam, prompts_trained=("box", "point"))
        assert LONE_POINT_NOTE not in trained.predict(Prompts([Point(CENTRE_IJK)])).notes

    def test_an_empty_mask_has_a_note(self, litemedsam: Predictor) -> None:
        empty = Volume.from_array(np.full((32, 32, 3), -100, np.int16), modality="CT")
        litemedsam.set_volume(empty)
        result = litemedsam.predict(Prompts([Point((5, 5, 1))]))
        assert (EMPTY_NOTE in result.notes) == (result.voxels == 0)

    def test_runs_without_gradients(self, litemedsam: Predictor) -> None:
        entries = litemedsam.embeddings._entries.values()
        assert entries
        assert not any(entry.encoded.embedding.requires_grad for entry in entries)

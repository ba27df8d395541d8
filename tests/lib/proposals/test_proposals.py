"""Automatic segmentation, on a tiny model that names at random and on a packaged checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from click.testing import Result
from numpy.typing import NDArray
from typer.testing import CliRunner

import segsam.model.checkpoint as checkpoint_module
from segsam.categories import Categories
from segsam.cli.app import app
from segsam.datasets.folder import load_case, open_dataset
from segsam.errors import CancelledError, CategoryError, OutputError, PromptError, VolumeError
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.model import Card, SegSam, build_variant, load_pretrained, save_checkpoint
from segsam.prediction import naming
from segsam.prediction.completion.carried import CarriedState, Gain
from segsam.prediction.labels import Region
from segsam.prediction.predictor import Predictor
from segsam.prediction.result import Result as Predicted
from segsam.prediction.result import SliceReport
from segsam.prediction.taught import matching
from segsam.prediction.taught.examples import TaughtExample, TaughtName, TaughtNames
from segsam.prompting.prompts import Box, Point, Prompts
from segsam.proposals.automatic import Search, segment_automatically
from segsam.proposals.boxes import (
    Proposal,
    box_of_mask,
    centres_of_shares,
    chain_of,
    projected_iou,
)
from segsam.proposals.first_labels import (
    NOTHING_NOTE,
    UNNAMED_NOTE,
    UNSEEN_PRESENCE_NOTE,
    FirstLabels,
    FoundObject,
)
from segsam.proposals.overview import (
    mean_disagreement,
    mean_embedding,
    overview,
    sampled_slices,
)
from segsam.proposals.probing import Probe, attention_points, best_by_category, grid_points, probe
from segsam.proposals.requested import (
    ABSENT_REASON,
    MEMORYLESS_REASON,
    MODALITY_REASON,
    OTHER_ENCODER_REASON,
    RENAMED_REASON,
    UNCERTAIN_REASON,
    UNNAMED_REASON,
    UNSEEN_REASON,
    Rejected,
    allowed_categories,
    read_requested,
)

from ..conftest import TinyHost
from ..made_memory import with_distances


@pytest.fixture(autouse=True)
def agreeing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept the agreement of these models' decoders, whose weights were drawn at random."""
    monkeypatch.setattr(naming, "AGREEING_FROM", 0.0)


@pytest.fixture
def model(five_categories: Categories) -> SegSam:
    """An untrained model that is marked as trained and predicts a high IoU for every mask."""
    torch.manual_seed(3)
    host = TinyHost()
    last = host.mask_decoder.iou_prediction_head.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(0.9)
    made = build_variant("segsam", host, five_categories, head="maskcls").eval()
    return made.with_card(replace(made.card, semantic_is_trained=True))


@pytest.fixture
def volume() -> Volume:
    voxels = np.random.default_rng(0).integers(0, 40, (32, 28, 6)).astype(np.int16)
    voxels[8:20, 6:18, 1:5] += 200
    return Volume.from_array(voxels, np.diag([1.0, 1.0, 4.0, 1.0]), name="blob")


@pytest.fixture
def predictor(model: SegSam, volume: Volume) -> Predictor:
    made = Predictor(model)
    made.set_volume(volume)
    return made


def with_facts(predictor: Predictor, **facts: Any) -> Predictor:
    """Return a predictor for the same volume, whose model's card has other facts."""
    model = predictor.model
    made = Predictor(model.with_card(replace(model.card, **facts)))
    if predictor.volume is not None:
        made.set_volume(predictor.volume)
    return made


def sees_everywhere(model: SegSam, *present: int) -> None:
    """Make presence find these categories on every slice, and no others."""
    branch = model.semantic_decoder.presence  # type: ignore[union-attr]
    with torch.no_grad():
        branch.weight.zero_()  # type: ignore[union-attr]
        branch.bias.fill_(-9)  # type: ignore[union-attr]
        branch.bias[list(present)] = 9  # type: ignore[union-attr]


def calls_all(model: SegSam, category: int) -> None:
    with torch.no_grad():
        model.semantic_decoder.head.classes.weight.zero_()  # type: ignore[union-attr]
        model.semantic_decoder.head.classes.bias.fill_(-9)  # type: ignore[union-attr]
        model.semantic_decoder.head.classes.bias[1 + category] = 9  # type: ignore[union-attr]


class TestProbes:
    def test_grid_points_are_the_centres_of_cells(self) -> None:
        points = grid_points((30, 20), 2)
        assert points.tolist() == [[5, 7.5], [15, 7.5], [5, 22.5], [15, 22.5]]

    def test_attention_is_a_distribution_over_the_image(self, predictor: Predictor) -> None:
        features = predictor.slices(2).features(3)
        looked = predictor.model.presence_attention(features)
        assert looked is not None
        assert looked.shape == (1, 5, 8, 8)
        torch.testing.assert_close(looked.flatten(2).sum(2), torch.ones(1, 5))

    def test_attention_is_what_the_branch_itself_uses(self, predictor: Predictor) -> None:
        """Attending with the maps gives the tokens that `forward` gives."""
        branch = predictor.model.semantic_decoder.presence  # type: ignore[union-attr]
        block = branch.blocks[0]  # type: ignore[union-attr]
        cross = block.cross_attention
        features = predictor.slices(2).features(3)
        tokens, keys, values = branch._inputs(  # type: ignore[union-attr]
            features.embedding.float(), predictor.model._inputs.positions()
        )
        tokens = block.norm_self(tokens + block.self_attention(q=tokens, k=tokens, v=tokens))
        with torch.no_grad():
            expected = cross(q=tokens, k=keys, v=values)
            queries = cross._separate_heads(cross.q_proj(tokens), cross.num_heads)
            seen = cross._separate_heads(cross.k_proj(keys), cross.num_heads)
            each = (queries @ seen.transpose(-1, -2) / queries.shape[-1] ** 0.5).softmax(-1)
            heads = each @ cross._separate_heads(cross.v_proj(values), cross.num_heads)
            torch.testing.assert_close(cross.out_proj(cross._recombine_heads(heads)), expected)

    def test_the_peaks_lie_in_the_picture(self, predictor: Predictor) -> None:
        slices = predictor.slices(2)
        features, size_px = slices.features(3), slices.view.size_px
        points = attention_points(predictor.model, features, [0, 4], size_px)
        assert points.shape == (2, 2)
        assert (points >= 0).all()
        assert (points[:, 0] < size_px[1]).all()
        assert (points[:, 1] < size_px[0]).all()
        assert attention_points(predictor.model, features, [], size_px).shape == (0, 2)

    def test_a_probe_gives_the_answer_of_a_click(self, predictor: Predictor) -> None:
        model, slices = predictor.model, predictor.slices(2)
        found = probe(model, slices.features(3), grid_points(slices.view.size_px, 3))
        assert found
        for one in found:
            assert one.mask.any()
            assert 0 <= one.category < 5
            assert 0 <= one.agreement <= 1
            assert 0 <= one.certainty <= one.confidence <= 1

    def test_without_trained_semantics_it_is_refused(self, predictor: Predictor) -> None:
        predictor = with_facts(predictor, semantic_is_trained=False)
        with pytest.raises(PromptError, match="no trained semantic decoder"):
            probe(predictor.model, predictor.slices(2).features(0), grid_points((32, 32), 1))

    def test_the_best_of_each_category(self) -> None:
        some = [made(1, 0.9), made(1, 0.5), made(2, 0.3), made(3, 0.1)]
        assert best_by_category(some) == {1: some[0], 2: some[2], 3: some[3]}


def made(category: int, agreement: float, *, confidence: float = 1.0, iou: float = 1.0) -> Probe:
    mask = np.ones((2, 2), bool)
    return Probe((0.0, 0.0), mask, category, confidence, agreement, iou, probability=confidence)


class TestOverview:
    def test_disagreement_is_weighted_by_confidence(self) -> None:
        assert mean_disagreement([made(0, 0.8)]) == pytest.approx(0.2)
        noise = made(0, 0.0, confidence=0.0)
        assert mean_disagreement([made(0, 0.8), noise]) == pytest.approx(0.2)
        assert mean_disagreement([made(0, 0.8), made(0, 0.2)]) == pytest.approx(0.5)
        assert mean_disagreement([noise]) == mean_disagreement([]) == 1.0

    def test_the_padding_is_not_part_of_the_embedding(self, predictor: Predictor) -> None:
        features = predictor.slices(2).features(3)
        whole = mean_embedding(features, (32, 32), 32)
        np.testing.assert_allclose(whole, features.embedding[0].float().mean((1, 2)), rtol=1e-5)
        half = mean_embedding(features, (16, 32), 32)
        np.testing.assert_allclose(
            half, features.embedding[0, :, :4].float().mean((1, 2)), rtol=1e-5
        )

    def test_an_overview_uses_the_given_slices_in_order(self, predictor: Predictor) -> None:
        slices = predictor.slices(2)
        used: list[int] = []

        def of(index: int) -> Any:
            used.append(index)
            return slices.features(index)

        functions = [lambda index=index: of(index) for index in sampled_slices(slices.view.depth)]
        found = overview(predictor.model, functions, slices.view.size_px)
        assert used == [1, 2, 4]
        assert found.disagreement is not None
        assert 0 <= found.disagreement <= 1
        assert np.linalg.norm(found.embedding) == pytest.approx(1, abs=1e-5)
        predictor = with_facts(predictor, semantic_is_trained=False)
        assert overview(predictor.model, functions, slices.view.size_px).disagreement is None
        with pytest.raises(ValueError, match="at least one slice"):
            overview(predictor.model, [], (32, 32))

    def test_slices_of_the_middle_half(self) -> None:
        assert sampled_slices(100) == (25, 50, 74)
        assert sampled_slices(1) == (0,)


class TestSegmentingAutomatically:
    def test_labels_fit_the_volume_and_the_record(
        self, predictor: Predictor, model: SegSam, volume: Volume
    ) -> None:
        sees_everywhere(model, 1)
        calls_all(model, 1)
        messages: list[tuple[int, int, str]] = []
        found = segment_automatically(
            predictor, Search(min_certainty=0.0), progress=lambda *one: messages.append(one)
        )
        assert found.label_names == {"spleen": 1}
        assert found.labels.shape == volume.shape_ijk
        assert set(np.unique(found.labels)) == {0, 1}
        assert found.axis == "k"
        (one,) = found.objects
        assert one.confidence > 0.99
        assert found.certainty == one.certainty
        assert set(one.slice_certainties) == {s.index for s in one.result.slices}
        assert set(one.presence) == set(range(6))
        assert min(one.presence.values()) > 0.99
        record = found.to_json()
        assert record["certainties"]["spleen"]["certainty"] == one.certainty
        assert messages[-1][0] == messages[-1][1]
        assert [done for done, _, _ in messages] == sorted(done for done, _, _ in messages)
        assert any("read the presence on" in what for _, _, what in messages)

    def test_an_absent_category_is_not_searched_for(
        self, predictor: Predictor, model: SegSam
    ) -> None:
        sees_everywhere(model, 0)
        calls_all(model, 1)
        found = segment_automatically(predictor, Search(min_certainty=0.0))
        assert found.objects == ()
        assert found.notes == (NOTHING_NOTE,)
        assert not found.labels.any()

    def test_where_nothing_is_present_nothing_is_searched(
        self, predictor: Predictor, model: SegSam
    ) -> None:
        sees_everywhere(model)
        found = segment_automatically(predictor, Search(min_certainty=0.0))
        assert (found.searched_slices, found.objects) == ((), ())

    def test_where_presence_is_not_trained_agreement_alone_decides(
        self, predictor: Predictor, model: SegSam
    ) -> None:
        predictor = with_facts(predictor, presence_is_trained=False)
        calls_all(model, 1)
        found = segment_automatically(predictor, Search(min_certainty=0.0, slices=2))
        assert found.searched_slices == (1, 4)
        assert UNSEEN_PRESENCE_NOTE in found.notes
        assert found.label_names == {"spleen": 1}
        assert found.objects[0].presence == {}

    def test_an_uncertain_object_is_left_out(self, predictor: Predictor, model: SegSam) -> None:
        predictor = with_facts(predictor, presence_is_trained=False)
        calls_all(model, 1)
        assert segment_automatically(predictor, Search(min_certainty=1.0)).objects == ()

    def test_only_requested_categories(self, predictor: Predictor, model: SegSam) -> None:
        predictor = with_facts(predictor, presence_is_trained=False)
        calls_all(model, 1)
        search = Search(min_certainty=0.0, categories=("Liver",))
        assert segment_automatically(predictor, search).objects == ()
        search = Search(min_certainty=0.0, categories=("SPLEEN", "liver"))
        assert segment_automatically(predictor, search).label_names == {"spleen": 1}
        with pytest.raises(CategoryError, match="no category 'leber'"):
            segment_automatically(predictor, Search(categories=("leber",)))

    def test_a_picture_is_a_volume_of_one_slice(self, model: SegSam) -> None:
        sees_everywhere(model, 1)
        calls_all(model, 1)
        predictor = Predictor(model)
        voxels = np.random.default_rng(0).integers(0, 255, (32, 32, 1)).astype(np.uint8)
        predictor.set_volume(Volume.from_array(voxels))
        found = segment_automatically(predictor, Search(min_certainty=0.0))
        assert found.labels.shape == (32, 32, 1)
        assert found.searched_slices == (0,)

    def test_cancel_stops_the_search(self, predictor: Predictor) -> None:
        calls: list[bool] = []

        def cancel() -> bool:
            calls.append(True)
            return len(calls) > 2

        with pytest.raises(CancelledError, match="nothing was kept"):
            segment_automatically(predictor, cancel=cancel)

    def test_invalid_settings_are_refused(self, predictor: Predictor, model: SegSam) -> None:
        with pytest.raises(PromptError, match=r"Expected one axis .* got 'all'"):
            Search(axis="all")  # type: ignore[arg-type]
        with pytest.raises(PromptError, match="Expected 1 to 1000 slices"):
            Search(slices=0)
        with pytest.raises(PromptError, match="Expected a certainty of 0 to 1"):
            Search(min_certainty=2)
        with pytest.raises(VolumeError, match="No volume is set"):
            segment_automatically(Predictor(model))
        untrained = with_facts(predictor, semantic_is_trained=False)
        with pytest.raises(PromptError, match="without prompts: this checkpoint has no trained"):
            segment_automatically(untrained)


class TestNotFound:
    """The decoder calls everything spleen."""

    def reasons(self, predictor: Predictor, *names: str, **search: float) -> dict[str, Any]:
        settings = {"min_certainty": 0.0, **search}
        found = segment_automatically(predictor, Search(categories=names, **settings))  # type: ignore[arg-type]
        assert found.to_json()["not_found"] == [one.to_json() for one in found.not_found]
        return {one.requested: (one.reason, one.probability) for one in found.not_found}

    def test_what_presence_does_not_see(self, predictor: Predictor, model: SegSam) -> None:
        sees_everywhere(model, 1)
        calls_all(model, 1)
        ((name, (reason, probability)),) = self.reasons(predictor, "LIVER", "SPLEEN").items()
        assert (name, reason) == ("LIVER", ABSENT_REASON)
        assert probability == pytest.approx(0, abs=1e-3)

    def test_what_is_not_certain_enough(self, predictor: Predictor, model: SegSam) -> None:
        predictor = with_facts(predictor, presence_is_trained=False)
        calls_all(model, 1)
        found = self.reasons(predictor, "spleen", "liver", min_certainty=1.0)
        assert [reason for reason, _ in found.values()] == [UNCERTAIN_REASON] * 2
        assert 0 < found["spleen"][1] < 1, "how certain the best candidate was"
        assert found["liver"][1] == 0, "nothing was a candidate"

    def test_what_presence_sees_and_nothing_was_like(
        self, predictor: Predictor, model: SegSam
    ) -> None:
        sees_everywhere(model, 0, 1)
        calls_all(model, 1)
        reason, probability = self.reasons(predictor, "liver")["liver"]
        assert reason == UNCERTAIN_REASON
        assert probability == pytest.approx(1, abs=1e-3), "it may be there after all"

    def test_what_gets_another_name_or_none(self, model: SegSam, volume: Volume) -> None:
        rejected = Rejected()
        requested = read_requested(model, volume, ["liver", "spleen", "nerve"], TaughtNames(), "")
        rejected.add("liver", 0.3, given="spleen")
        rejected.add("liver", 0.2)
        rejected.add("nerve", 0.4, given="")
        left = rejected.not_found(requested, ["spleen"], {}, present_from=0.5)
        assert [(one.name, one.reason, one.probability) for one in left] == [
            ("liver", RENAMED_REASON.format(name="spleen"), 0.3),
            ("nerve", UNNAMED_REASON, 0.4),
        ]
        assert left[0].in_words == (
            "Not found: liver, because what looked like it would be named spleen (that it is there "
            "after all: 30%)."
        )

    def test_what_the_model_cannot_look_for(self, model: SegSam, volume: Volume) -> None:
        predictor = Predictor(model)
        predictor.set_volume(replace(volume, modality="PT"))
        predictor = with_facts(predictor, categories_seen=("spleen",), unnamed_in=("PT: spleen",))
        assert self.reasons(predictor, "spleen", "liver") == {
            "spleen": (MODALITY_REASON.format(modality="PT"), None),
            "liver": (UNSEEN_REASON, None),
        }


def test_what_is_counted_is_in_the_labels(volume: Volume, tmp_path: Path) -> None:
    """Of two objects that overlap, the less probable one loses the voxels that they share."""
    objects = []
    for value, (name, span, probability) in enumerate(
        [
            ("liver", slice(4, 14), 0.9),
            ("spleen", slice(10, 20), 0.8),
            ("aorta", slice(25, 30), 0.7),
        ],
        start=1,
    ):
        mask = np.zeros(volume.shape_ijk, dtype=bool)
        mask[span, 5:10, 2] = True
        region = Region.of_mask(mask)
        region = replace(region, values=region.values * np.float32(probability))
        result = Predicted(region, volume, ("k",), (SliceReport(2, 2, 0.9),), (), {}, 0)
        objects.append(FoundObject(value, name, 0.9, result, {}))
    found = FirstLabels(volume, "k", tuple(objects), (2,), (), {}, 0)
    found.save(tmp_path / "out.nii.gz")
    stored = np.asarray(nibabel.load(tmp_path / "out.nii.gz").dataobj)
    record = found.to_json()
    for one in objects:
        assert record["certainties"][one.name]["voxels"] == np.count_nonzero(stored == one.value)
    assert [found.voxels[value] for value in (1, 2, 3)] == [50, 30, 25]
    assert record["notes"] == [
        "The spleen overlaps others: 20 of its 50 voxels are labelled as those, which are more "
        "probable there; a label volume holds one value per voxel."
    ]


class TestWithAMemory:
    """The decoder calls everything spleen, and presence finds one on every slice."""

    def predictor(self, model: SegSam, volume: Volume, distance: float, **rule: float) -> Predictor:
        sees_everywhere(model, 1)
        calls_all(model, 1)
        made = Predictor(with_distances(model, {0: 3.0, 1: distance}, **rule))
        made.set_volume(volume)
        return made

    def test_what_is_like_its_examples_is_found(self, model: SegSam, volume: Volume) -> None:
        predictor = self.predictor(model, volume, 0.0)
        found = segment_automatically(predictor, Search(min_certainty=0.0))
        assert found.label_names == {"spleen": 1}
        assert found.objects[0].confidence == pytest.approx(0.982, abs=1e-3), "P(known) at 0"
        assert found.notes == ()

    def test_a_probe_of_something_unlike_has_no_confidence(
        self, model: SegSam, volume: Volume
    ) -> None:
        slices = self.predictor(model, volume, 2.0).slices(2)
        model = self.predictor(model, volume, 2.0).model
        found = probe(model, slices.features(3), grid_points(slices.view.size_px, 3))
        assert found
        assert max(one.certainty for one in found) < 1e-3
        assert max(one.confidence for one in found) < 1e-3
        assert min(one.probability for one in found) > 0.99, "the decoder is certain"
        assert 0 < mean_disagreement(found) < 1, "and learning from it is worth while"

    def test_what_is_unlike_is_left_out_with_a_note(self, model: SegSam, volume: Volume) -> None:
        predictor = self.predictor(model, volume, 2.0, image_limit=5.0)
        found = segment_automatically(predictor, Search(min_certainty=0.0))
        assert found.objects == ()
        assert found.notes == (NOTHING_NOTE, UNNAMED_NOTE.format(names="spleen"))
        assert not found.labels.any()
        found = segment_automatically(predictor, Search())
        assert found.notes == (NOTHING_NOTE,), "nothing was certain enough to be followed"

    def test_an_image_unlike_those_with_the_category_is_not_searched(
        self, model: SegSam, volume: Volume
    ) -> None:
        predictor = self.predictor(model, volume, 0.5, image_limit=0.2)
        found = segment_automatically(predictor, Search(min_certainty=0.0))
        assert (found.searched_slices, found.objects) == ((), ())


def test_a_modality_in_which_names_are_not_reliable_is_refused(
    model: SegSam, ct_like: Volume
) -> None:
    unnamed = model.with_card(replace(model.card, unnamed_in=("CT",)))
    with pytest.raises(PromptError, match="without prompts in CT volumes"):
        allowed_categories(unnamed, ct_like, ())
    model = model.with_card(replace(model.card, categories_seen=("liver", "nerve")))
    assert allowed_categories(model, ct_like, ()) == (0, 3)
    model = model.with_card(replace(model.card, unnamed_in=(f"CT: {model.categories.names[0]}",)))
    assert allowed_categories(model, ct_like, ()) == (3,)


@pytest.fixture
def ct_like(volume: Volume) -> Volume:
    return replace(volume, modality="CT")


class TestTaughtNames:
    """The checkpoint knows nothing like what this volume shows; every mask looks alike, so that
    its place alone tells it from others.
    """

    @pytest.fixture
    def predictor(
        self, model: SegSam, volume: Volume, monkeypatch: pytest.MonkeyPatch
    ) -> Predictor:
        monkeypatch.setattr(matching, "POSITION_WEIGHT", 0.1)  # weights at random draw anywhere
        calls_all(model, 1)
        made = Predictor(with_distances(model, {0: 3.0, 1: 3.0}))
        made.set_volume(volume)
        return made

    @pytest.fixture
    def taught(self, predictor: Predictor) -> TaughtNames:
        """Return two names: one of what a click in the blob marks, one of what is elsewhere."""
        result = predictor.predict(Prompts(points=[Point((14, 12, 3))]))
        (one,) = result.descriptions
        places = {"blob": one.position, "Elsewhere": (9.0, 9.0)}
        embedding = predictor.encoder.embedding_id
        return TaughtNames(
            tuple(
                TaughtName(
                    name, name, (TaughtExample(one.description, place, embedding, "a", "k", 3),)
                )
                for name, place in places.items()
            )
        )

    def test_they_are_found_like_categories(
        self, predictor: Predictor, taught: TaughtNames
    ) -> None:
        search = Search(categories=("BLOB", "elsewhere", "liver"), min_certainty=0.0, slices=2)
        found = segment_automatically(predictor, search, taught=taught)
        assert found.label_names == {"blob": 1}
        assert len(found.searched_slices) <= 4
        (one,) = found.objects
        assert one.result.name_source == "taught"
        assert one.certainty == pytest.approx(one.confidence * (one.result.predicted_iou or 0))
        assert {each.name: each.requested for each in found.not_found} == {
            "Elsewhere": "elsewhere",
            "liver": "liver",
        }

    @pytest.fixture
    def learnt(self, predictor: Predictor) -> CarriedState:
        """Return what was learnt about the blob in another case: other weights, as good as any."""
        weights = predictor.model.host.mask_decoder.state_dict()
        changed = {name: 1.01 * value for name, value in weights.items()}
        return CarriedState(predictor.encoder.weights_id, changed, "blob", ("b",), Gain(0.5, 0.8))

    def test_what_was_learnt_in_other_cases_draws_them(
        self, predictor: Predictor, taught: TaughtNames, learnt: CarriedState
    ) -> None:
        search = Search(categories=("blob", "liver"), min_certainty=0.0, slices=2)

        def drawn(state: CarriedState | None) -> FirstLabels:
            states = {"blob": state}
            return segment_automatically(predictor, search, taught=taught, carried=states.get)

        before, after = drawn(None), drawn(learnt)
        assert (before.objects[0].learnt_in, after.objects[0].learnt_in) == ((), ("b",))
        assert "The blob is drawn by what was learnt as 'blob' in b." in after.notes
        values = [one.objects[0].result.region.values for one in (before, after)]
        assert values[0].shape != values[1].shape or (values[0] != values[1]).any()
        same = drawn(replace(learnt, learnt=predictor.model.host.mask_decoder.state_dict()))
        assert (same.objects[0].result.region.values == values[0]).all(), "all else is the same"

    def test_that_of_another_checkpoint_is_not_used(
        self, predictor: Predictor, taught: TaughtNames, learnt: CarriedState
    ) -> None:
        other = replace(learnt, parent="another")
        search = Search(categories=("blob",), min_certainty=0.0, slices=2)
        found = segment_automatically(predictor, search, taught=taught, carried=lambda _: other)
        assert found.objects[0].learnt_in == ()
        assert "of another checkpoint: what was learnt as 'blob' in b." in found.notes[0]

    def test_without_a_request_those_are_found_about_which_something_was_learnt(
        self, predictor: Predictor, taught: TaughtNames, learnt: CarriedState
    ) -> None:
        search = Search(min_certainty=0.0, slices=2)
        found = segment_automatically(
            predictor, search, taught=taught, carried={"blob": learnt}.get
        )
        assert "blob" in found.label_names
        assert found.not_found == ()
        found = segment_automatically(predictor, search, taught=taught)
        assert "blob" not in found.label_names

    def test_one_that_is_not_certain_enough(
        self, predictor: Predictor, taught: TaughtNames
    ) -> None:
        search = Search(categories=("blob",), min_certainty=1.0, slices=1)
        (left,) = segment_automatically(predictor, search, taught=taught).not_found
        assert left.reason == UNCERTAIN_REASON
        assert 0 < (left.probability or 0) < 1

    def test_an_unknown_name_is_answered_with_the_nearest_of_both(
        self, predictor: Predictor, taught: TaughtNames
    ) -> None:
        search = Search(categories=("bloob",))
        with pytest.raises(CategoryError, match=r"no taught name 'bloob'; the nearest are 'blob'"):
            segment_automatically(predictor, search, taught=taught)

    def test_without_a_memory_it_says_so(self, model: SegSam, taught: TaughtNames) -> None:
        volume = Volume.from_array(np.zeros((4, 4, 2), np.uint8))
        (one,) = read_requested(model, volume, ["blob"], taught, "other")
        assert (one.taught, one.reason) == (0, MEMORYLESS_REASON)
        model = with_distances(model, {0: 3.0})
        (one,) = read_requested(model, volume, ["blob"], taught, "other")
        assert (one.taught, one.reason) == (0, OTHER_ENCODER_REASON)

    def test_a_category_that_cannot_be_looked_for_may_have_been_taught(
        self, model: SegSam, volume: Volume, taught: TaughtNames
    ) -> None:
        named = TaughtNames((replace(taught.names[0], name="Liver"),))
        model = with_distances(model, {0: 3.0})
        embedding = named.names[0].examples[0].embedding
        (one,) = read_requested(model, volume, ["liver"], named, embedding)
        assert (one.category, one.taught) == (0, None)
        model = model.with_card(replace(model.card, categories_seen=("spleen",)))
        (one,) = read_requested(model, volume, ["liver"], named, embedding)
        assert (one.category, one.taught, one.reason) == (None, 0, None)


class TestBoxes:
    @pytest.fixture
    def view(self, volume: Volume) -> SliceView:
        return SliceView.of(volume, 2, 32)

    def test_slices_at_the_centres_of_equal_shares(self) -> None:
        assert centres_of_shares(range(10), 5) == (1, 3, 5, 7, 9)
        assert centres_of_shares(range(1), 5) == (0,)
        assert centres_of_shares(range(3), 5) == (0, 1, 2)

    def test_the_box_of_the_largest_part(self, view: SliceView) -> None:
        mask = np.zeros((32, 32), bool)
        mask[4:12, 6:10] = mask[20, 20] = True
        box = box_of_mask(view, mask, 3)
        assert box is not None
        assert view.rectangle(box.min_ijk, box.max_ijk) == (6, 4, 9, 11)
        assert box.min_ijk[2] == box.max_ijk[2] == 3

    def test_a_mask_in_the_padding_has_no_box(self, view: SliceView) -> None:
        mask = np.zeros((32, 32), bool)
        mask[29:, :] = True  # the picture has 28 rows
        assert box_of_mask(view, mask, 0) is None

    def test_a_chain_leaves_out_boxes_elsewhere(self, view: SliceView) -> None:
        here, aside = ((4, 4), (12, 12)), ((20, 18), (28, 26))
        chain = [on(0, here, 0.5), on(1, aside, 0.6), on(2, here, 0.9), on(3, here, 0.4)]
        found = chain_of(chain, 2)
        assert [one.index for one in found] == [0, 2, 3]
        assert projected_iou(chain[0].box, chain[2].box, 2) == 1
        assert projected_iou(chain[0].box, chain[1].box, 2) == 0


def on(index: int, corners: tuple[tuple[int, int], tuple[int, int]], certainty: float) -> Proposal:
    (i0, j0), (i1, j1) = corners
    return Proposal(0, index, Box((i0, j0, index), (i1, j1, index)), certainty)


class TestOnTheCommandLine:
    @pytest.fixture
    def run(
        self, model: SegSam, volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., Result]:
        """A command on the blob, with a checkpoint that names everything spleen."""
        monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
        sees_everywhere(model, 1)
        calls_all(model, 1)
        path = save_checkpoint(
            model, tmp_path / "sure.safetensors", Card("sure", semantic_is_trained=True)
        )
        volume.save(tmp_path / "blob.nii.gz")

        def invoke(*arguments: str, command: str = "auto") -> Result:
            image = [str(tmp_path / "blob.nii.gz"), "--checkpoint", str(path)]
            return CliRunner().invoke(app, [command, *image, *arguments])

        return invoke

    def test_it_writes_labels_with_names_and_certainties(
        self, run: Callable[..., Result], tmp_path: Path
    ) -> None:
        out, record = tmp_path / "out.seg.nrrd", tmp_path / "out.json"
        done = run("-o", str(out), "--least", "0", "--slices", "1", "--json", str(record))
        assert done.exit_code == 0, done.output
        assert re.search(r"1 +. spleen . \d+%", done.output), done.output
        content = json.loads(record.read_text())
        assert content["label_names"] == {"spleen": 1}
        assert 0 <= content["certainties"]["spleen"]["certainty"] <= 1
        assert out.is_file()

    @pytest.mark.parametrize(
        ("arguments", "kind"),
        [
            (("-o", "out.jpg"), OutputError),
            (("-o", "nowhere/out.nrrd"), OutputError),
            (("-o", "out.nrrd", "--axis", "all"), PromptError),
            (("-o", "out.nrrd", "--category", "leber"), CategoryError),
        ],
        ids=str,
    )
    def test_a_refused_command_writes_nothing(
        self,
        run: Callable[..., Result],
        arguments: tuple[str, ...],
        kind: type[Exception],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert isinstance(run(*arguments).exception, kind)
        assert not list(tmp_path.glob("out*"))

    def test_what_is_named_is_found_or_not_found(
        self, run: Callable[..., Result], tmp_path: Path
    ) -> None:
        out, record = tmp_path / "out.nii.gz", tmp_path / "out.json"
        names = ("--find", "Heart", "--find", "polyp")
        done = run("-o", str(out), *names, "--json", str(record), command="segment")
        assert done.exit_code == 0, done.output
        content = json.loads(record.read_text())
        assert content["label_names"] == {}
        assert [one["name"] for one in content["not_found"]] == ["heart", "polyp"]
        assert "Not found: heart (Heart), because none of the slices" in done.output
        assert out.is_file()

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--find", "heart", "--box", "1,1,1,5,5,1"), "--find alone.*got also --box"),
            (("--find", "heart", "--no-propagate"), "got also --propagate or --no-propagate"),
            (("--find", "hart"), "no category 'hart'; the nearest are 'heart'"),
            (("--find", "heart", "--taught", "nowhere"), "Expected a studies folder"),
            (("--taught", "nowhere"), "Expected --taught beside --find"),
        ],
        ids=str,
    )
    def test_what_does_not_go_with_a_name_is_refused(
        self, run: Callable[..., Result], arguments: tuple[str, ...], words: str, tmp_path: Path
    ) -> None:
        done = run("-o", str(tmp_path / "out.nii.gz"), *arguments, command="segment")
        assert re.search(words, str(done.exception))
        assert not (tmp_path / "out.nii.gz").exists()


@pytest.mark.slow
def test_the_shipped_checkpoint_finds_the_ventricles_of_a_heart(shared_data: Any) -> None:
    dataset = open_dataset(shared_data / "acdc_cardiac")
    volume, labels = load_case(dataset, "patient006_frame01")
    part = Volume.from_array(volume.voxels[..., 4:7], volume.affine_ras)
    predictor = Predictor(load_pretrained("segsam"))
    predictor.set_volume(part)
    found = segment_automatically(predictor, Search(slices=1))
    for value in (1, 3):
        mask = found.labels == found.label_names.get(dataset.labels[value], -1)
        assert dice(mask, labels[..., 4:7] == value) > 0.6


def dice(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return 2 * int((mask & truth).sum()) / max(int(mask.sum() + truth.sum()), 1)

"""Completion on a host of two weights that draws what is brighter than a level."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segsam.errors import CancelledError, PromptError, VolumeError
from segsam.imaging.volume import Volume
from segsam.model import SegSam
from segsam.model.digests import weights_digest
from segsam.prediction.completion import teaching
from segsam.prediction.completion.completion import Completion
from segsam.prediction.completion.confirmed import ConfirmedSlices
from segsam.prediction.predictor import Predictor
from segsam.prompting.prompts import Box, Prompts

from ....conftest import ALL_48, StorageOrder
from ...bright_objects import CONFIRMED, SHAPE, planes, scene, threshold_model


@pytest.fixture(scope="module")
def model() -> SegSam:
    return threshold_model()


@pytest.fixture
def predictor(model: SegSam) -> Predictor:
    made = Predictor(model)
    made.set_volume(scene()[0])
    return made


@pytest.fixture(autouse=True)
def short_courses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps are enough for two weights."""
    for name, steps in (("FOLD", 5), ("FINAL", 8), ("FURTHER", 4), ("SINGLE", 8)):
        monkeypatch.setattr(teaching, f"{name}_STEPS", steps)


def dice(first: NDArray[Any], second: NDArray[Any]) -> float:
    return 2 * float(((first > 0) & second).sum()) / float((first > 0).sum() + second.sum())


@pytest.fixture(scope="module")
def first(model: SegSam) -> Completion:
    """The completion of three slices, which others are compared with."""
    predictor = Predictor(model)
    predictor.set_volume(scene()[0])
    with pytest.MonkeyPatch.context() as patch:
        short_courses.__wrapped__(patch)
        return predictor.complete(planes(scene()[1], *CONFIRMED))


class TestAnswer:
    def test_the_object_is_found_in_the_whole_volume(self, first: Completion) -> None:
        assert first.state.is_adapted
        assert dice(first.labels, scene()[1]) > 0.95
        assert not first.labels[..., [0, 1, 2, 17, 18, 19]].any()

    def test_confirmed_slices_are_as_they_were(self, predictor: Predictor) -> None:
        _, tube = scene()
        drawn = tube.copy()
        drawn[2:5, 20:24, 5] = True  # two parts, a hole and a notch that no model would draw
        drawn[12, 12, 5] = False
        result = predictor.complete(planes(drawn, *CONFIRMED))
        for index in CONFIRMED:
            assert np.array_equal(result.labels[..., index] > 0, drawn[..., index])
            assert result.certainties[index] > 0.99
        assert result.confirmed == CONFIRMED
        assert result.least_certain not in CONFIRMED

    def test_slices_across_two_axes(self, predictor: Predictor) -> None:
        _, tube = scene()
        both: dict[Any, Any] = planes(tube, *CONFIRMED) | {
            ("i", 15): tube[15],
            ("j", 12): tube[:, 12],
        }
        result = predictor.complete(both)
        assert np.array_equal(result.labels[15] > 0, tube[15])
        assert np.array_equal(result.labels[:, 12] > 0, tube[:, 12])
        assert dice(result.labels, tube) > 0.95

    def test_one_slice_and_two(self, predictor: Predictor) -> None:
        _, tube = scene()
        for indices in ((9,), (5, 13)):
            result = predictor.complete(planes(tube, *indices))
            assert dice(result.labels, tube) > 0.9

    def test_a_sparse_label_volume(self, predictor: Predictor, first: Completion) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[..., CONFIRMED] = 7 * scene()[1][..., CONFIRMED]
        result = predictor.complete(ConfirmedSlices.of_labels(labels, 7))
        assert np.array_equal(result.labels, first.labels)

    def test_to_json(self, first: Completion) -> None:
        value = first.to_json()
        assert value["confirmed"] == [5, 9, 13]
        assert value["adapted"] is True
        assert value["self_check"]["adapted"] > value["self_check"]["unadapted"]
        assert value["certainties"]["9"] > 0.99


class TestWhatIsNotTheObject:
    def test_an_empty_slice_ends_it(self, predictor: Predictor) -> None:
        _, tube = scene()
        result = predictor.complete(planes(tube & (np.arange(20) != 15), *CONFIRMED, 15))
        assert not result.labels[..., 15:].any()
        assert result.labels[..., 14].any()

    def test_empty_slices_across_another_axis_are_kept(self, predictor: Predictor) -> None:
        _, tube = scene()
        empty: dict[Any, Any] = {("i", index): np.zeros((28, 20), int) for index in (0, 25, 28)}
        result = predictor.complete(planes(tube, 9) | empty)
        assert (result.axes, result.confirmed) == (("k",), (9,))
        assert not result.labels[25].any()
        assert np.array_equal(result.labels[..., 9] > 0, tube[..., 9])

    def test_the_object_is_not_another_one(self, predictor: Predictor) -> None:
        _, tube = scene()
        with pytest.raises(PromptError, match=r"other objects beside this one, got .* k = 9"):
            predictor.complete(planes(tube, 9), others=tube)

    def test_other_objects_are_left_out(self, predictor: Predictor) -> None:
        _, tube = scene()
        others = np.zeros(SHAPE, np.bool_)
        others[14:] = True
        result = predictor.complete(planes(tube, *CONFIRMED), others=others)
        assert np.array_equal(result.labels[..., 9] > 0, tube[..., 9])
        assert not result.labels[14:, :, 7].any()
        assert result.labels[:14, :, 7].any()


class TestNeverWorse:
    def test_a_wrong_lesson_is_rejected(self, predictor: Predictor, model: SegSam) -> None:
        rng = np.random.default_rng(4)
        _, tube = scene()
        shuffled = {
            key: rng.permutation(plane.ravel()).reshape(plane.shape)
            for key, plane in planes(tube, *CONFIRMED).items()
        }
        result = predictor.complete(shuffled)
        assert not result.state.is_adapted
        assert any("without adapting" in note for note in result.notes)

    def test_what_the_parent_knows_is_not_adapted(self, predictor: Predictor) -> None:
        volume, tube = scene(bright=135)
        predictor.set_volume(volume, window=(0, 255))
        result = predictor.complete(planes(tube, *CONFIRMED))
        assert not result.state.is_adapted
        assert dice(result.labels, tube) > 0.9


class TestStates:
    def test_another_correction_goes_on_from_the_state(
        self, predictor: Predictor, first: Completion
    ) -> None:
        _, tube = scene()
        steps: list[str] = []
        more = predictor.complete(
            planes(tube, *CONFIRMED, 16),
            previous=first.state,
            progress=lambda done, total, what: steps.append(what),
        )
        assert sum("learning" in what for what in steps) <= teaching.FURTHER_STEPS
        assert more.state.is_adapted
        assert more.state is not first.state
        assert dice(more.labels, tube) > 0.95

    def test_undo_is_exact(self, predictor: Predictor, first: Completion) -> None:
        _, tube = scene()
        before = {name: value.clone() for name, value in (first.state.learnt or {}).items()}
        predictor.complete(planes(tube, *CONFIRMED, 16), previous=first.state)
        again = predictor.complete(planes(tube, *CONFIRMED), previous=first.state)
        assert again.state is first.state
        assert np.array_equal(again.region.values, first.region.values)
        assert all(torch.equal(before[name], value) for name, value in first.state.learnt.items())

    def test_the_same_question_has_the_same_answer(
        self, predictor: Predictor, first: Completion
    ) -> None:
        torch.manual_seed(99)
        drawn = torch.rand(3)
        torch.manual_seed(99)
        result = predictor.complete(planes(scene()[1], *CONFIRMED))
        assert torch.equal(torch.rand(3), drawn)
        assert np.array_equal(result.region.values, first.region.values)

    def test_nothing_touches_the_model(self, predictor: Predictor, model: SegSam) -> None:
        volume, tube = scene()
        other = Predictor(model, embeddings=predictor.embeddings)
        other.set_volume(volume)
        prompts = Prompts(boxes=[Box((9, 7, 8), (20, 17, 8))])
        answer, digest = other.predict(prompts).region.values, weights_digest(model)
        with torch.inference_mode():
            predictor.complete(planes(tube, *CONFIRMED))
        assert weights_digest(model) == digest
        assert all(parameter.grad is None for parameter in model.parameters())
        assert np.array_equal(other.predict(prompts).region.values, answer)

    def test_a_state_of_another_checkpoint_is_refused(
        self, predictor: Predictor, first: Completion
    ) -> None:
        with pytest.raises(PromptError, match="learnt with this checkpoint, got one of another"):
            predictor.complete(
                planes(scene()[1], *CONFIRMED), previous=replace(first.state, parent="other")
            )


class TestRefusalsAndCancel:
    def test_pictures_and_planes_that_do_not_fit(self, predictor: Predictor) -> None:
        with pytest.raises(PromptError, match="Expected 30 x 28 pixels"):
            predictor.complete({("k", 3): np.ones((3, 3), np.uint8)})
        predictor.set_volume(Volume.from_array(scene()[0].voxels[..., :1]))
        with pytest.raises(PromptError, match="got a picture"):
            predictor.complete({("k", 0): np.ones((30, 28), np.uint8)})
        predictor.reset()
        with pytest.raises(VolumeError, match="No volume is set"):
            predictor.complete({})

    @pytest.mark.parametrize("after", [0, 4, 25])
    def test_cancel(self, predictor: Predictor, after: int) -> None:
        asked = iter(range(1000))
        with pytest.raises(CancelledError, match="Cancelled after"):
            predictor.complete(planes(scene()[1], *CONFIRMED), cancel=lambda: next(asked) >= after)

    def test_progress_counts_to_the_end(self, predictor: Predictor) -> None:
        seen: list[tuple[int, int, str]] = []
        predictor.complete(
            planes(scene()[1], *CONFIRMED), progress=lambda *update: seen.append(update)
        )
        assert [done for done, _, _ in seen] == list(range(1, len(seen) + 1))
        assert seen[0][2] == "learning from the confirmed slices"
        assert seen[-1][2].startswith("completed slice k ")
        assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("order", ALL_48[::7], ids=str)
def test_every_storage_order_gives_the_same_anatomy(
    predictor: Predictor, first: Completion, order: StorageOrder
) -> None:
    volume, tube = scene()
    stored, mask = order.stored(volume), order.stored(volume.like(tube.astype(np.uint8)))
    axis = order.axes.index(2)
    flipped = order.flipped[axis]
    indices = [SHAPE[2] - 1 - index if flipped else index for index in CONFIRMED]
    predictor.set_volume(stored)
    result = predictor.complete({(axis, index): mask.voxels.take(index, axis) for index in indices})
    expected = order.stored(volume.like(first.labels)).voxels
    assert np.array_equal(result.labels, expected)

"""What was learnt about a name in other cases: learnt, used where it helps, and refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segsam.errors import CancelledError, PromptError
from segsam.model import SegSam
from segsam.model.digests import weights_digest
from segsam.prediction.completion import teaching
from segsam.prediction.completion.carried import CarriedState, Gain
from segsam.prediction.completion.completing import CARRIED_NOTE, NOT_CARRIED_NOTE
from segsam.prediction.completion.completion import Completion
from segsam.prediction.completion.learning_on import LabelledObject, learn_on
from segsam.prediction.predictor import Predictor

from ...bright_objects import planes, scene, threshold_model

DIM = 40
"""Brightness of a tube that the model, which takes half of the range as its level, misses."""


@pytest.fixture(scope="module")
def model() -> SegSam:
    return threshold_model()


@pytest.fixture(autouse=True)
def short_courses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps are enough for two weights."""
    for name, steps in (("FOLD", 5), ("FINAL", 8), ("FURTHER", 4), ("SINGLE", 8)):
        monkeypatch.setattr(teaching, f"{name}_STEPS", steps)


def opened(model: SegSam, seed: int = 0) -> tuple[Predictor, NDArray[np.bool_]]:
    volume, tube = scene(seed, bright=DIM)
    predictor = Predictor(model)
    predictor.set_volume(volume)
    return predictor, tube


def labelled(model: SegSam, seed: int, *, shuffled: bool = False) -> LabelledObject:
    predictor, tube = opened(model, seed)
    labels = tube.astype(np.uint8)
    if shuffled:
        labels = np.random.default_rng(seed).permutation(labels.ravel()).reshape(labels.shape)
    return LabelledObject.of(predictor.slices(2), labels, 1, case=f"case{seed}", annotator="anna")


def learnt(model: SegSam, *objects: LabelledObject) -> CarriedState:
    state, _ = learn_on(model, Predictor(model).encoder.weights_id, "left tube", objects)
    assert state is not None
    return state


@pytest.fixture(scope="module")
def carried(model: SegSam) -> CarriedState:
    return learnt(model, labelled(model, 1), labelled(model, 2))


def complete(model: SegSam, *indices: int, start: CarriedState | None) -> Completion:
    predictor, tube = opened(model)
    return predictor.complete(planes(tube, *indices), name="left tube", carried=lambda _: start)


class TestLearningOn:
    def test_what_is_held_out_is_drawn_better(self, model: SegSam, carried: CarriedState) -> None:
        assert carried.gain.after > carried.gain.before + 0.3
        assert (carried.cases, carried.annotators) == (("case1", "case2"), ("anna",))
        assert carried.in_words == "what was learnt as 'left tube' in 2 cases, case2 the last"
        assert learnt(model, labelled(model, 1)).in_words.endswith("in case1")

    def test_the_model_is_only_read(self, model: SegSam) -> None:
        before = weights_digest(model)
        learnt(model, labelled(model, 1))
        assert weights_digest(model) == before

    def test_a_wrong_lesson_is_not_kept(self, model: SegSam) -> None:
        wrong = [labelled(model, seed, shuffled=True) for seed in (1, 2)]
        state, gain = learn_on(model, "parent", "tube", wrong)
        assert (state, gain.after < gain.before + 0.01) == (None, True)

    def test_nothing_takes_the_place_of_what_is_better(self, model: SegSam) -> None:
        before = learnt(model, labelled(model, 1), labelled(model, 2))
        wrong = labelled(model, 4, shuffled=True)
        newest = labelled(model, 3)
        cases = (wrong, wrong, wrong, newest)
        state, _ = learn_on(model, before.parent, "tube", cases, previous=before)
        assert state is None

    def test_it_can_be_ended_at_each_step(self, model: SegSam) -> None:
        def end() -> None:
            raise CancelledError("enough")

        with pytest.raises(CancelledError):
            learn_on(model, "parent", "tube", [labelled(model, 1)], after_step=end)

    def test_slices_can_be_chosen(self, model: SegSam) -> None:
        predictor, tube = opened(model)
        slices = predictor.slices(2)
        labels = tube.astype(np.uint8)
        few = LabelledObject.of(slices, labels, 1, case="case0", indices=[1, 5, 9])
        assert len(few.lessons) == 2, "slice 1 does not show the tube"
        nothing = learn_on(model, "parent", "tube", [few])
        assert nothing == (None, Gain(0.0, 0.0)), "too few to hold some out"


class TestTheNextCase:
    @pytest.mark.parametrize("indices", [(9,), (5, 13), (5, 9, 13)], ids=len)
    def test_it_starts_from_what_was_learnt(
        self, model: SegSam, carried: CarriedState, indices: tuple[int, ...]
    ) -> None:
        result = complete(model, *indices, start=carried)
        assert CARRIED_NOTE.format(source=carried.in_words) in result.notes
        assert result.state.start is carried
        offer = result.to_json()["start"]
        assert (offer["used"], offer["cases"]) == (True, ["case1", "case2"])
        assert offer["carried"] > offer["unadapted"] + 0.3
        assert result.state.check.adapted > result.state.check.unadapted + 0.3  # type: ignore[operator]

    @pytest.mark.parametrize("indices", [(9,), (5, 9, 13)], ids=len)
    def test_a_start_that_does_not_help_changes_nothing(
        self, model: SegSam, carried: CarriedState, indices: tuple[int, ...]
    ) -> None:
        level = {"level": torch.tensor(0.1 / 500)}
        wrong = replace(carried, learnt={**carried.learnt, **level})
        result, plain = (complete(model, *indices, start=one) for one in (wrong, None))
        assert NOT_CARRIED_NOTE.format(source=wrong.in_words) in result.notes
        assert result.state.start is None
        assert result.to_json()["start"]["used"] is False
        assert np.array_equal(result.labels, plain.labels)

    def test_the_carried_start_alone_is_enough(
        self, model: SegSam, carried: CarriedState, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With no step here, what was carried is drawn with as it is."""
        for name in ("FOLD", "FINAL", "SINGLE"):
            monkeypatch.setattr(teaching, f"{name}_STEPS", 0)
        result = complete(model, 5, 9, 13, start=carried)
        assert (result.state.learnt, result.state.start) == (None, carried)
        assert result.state.is_adapted
        drawn = result.state.adapted(model).host.mask_decoder.state_dict()["level"]
        assert drawn == carried.learnt["level"]

    def test_a_correction_continues_from_it(self, model: SegSam, carried: CarriedState) -> None:
        predictor, tube = opened(model)
        first = complete(model, 5, 9, 13, start=carried)
        further = predictor.complete(planes(tube, 3, 5, 9, 13), previous=first.state)
        assert further.state.start is carried
        assert CARRIED_NOTE.format(source=carried.in_words) in further.notes
        again = predictor.complete(planes(tube, 5, 9, 13), previous=first.state)
        assert again.state is first.state, "undo is exact"

    def test_that_of_another_checkpoint_is_refused(
        self, model: SegSam, carried: CarriedState
    ) -> None:
        other = replace(carried, parent="another")
        with pytest.raises(PromptError, match=r"as 'left tube' in 2 cases.* got that of another"):
            complete(model, 5, 9, 13, start=other)

    def test_it_is_found_by_the_name_of_the_caller(
        self, model: SegSam, carried: CarriedState
    ) -> None:
        asked: list[str] = []

        def find(name: str) -> CarriedState | None:
            asked.append(name)
            return carried if name == "tube" else None

        predictor, tube = opened(model)
        assert predictor.complete(planes(tube, 9), carried=find).state.start is None
        assert predictor.complete(planes(tube, 9), name="tube", carried=find).state.start
        assert asked == ["tube"]

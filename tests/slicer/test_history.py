"""Undo and redo as a stack of steps."""

from __future__ import annotations

import numpy as np
from SEGSAMLib.Values.Masks import VoxelChange
from SEGSAMLib.Values.Prompts import NO_PROMPTS, Point, PromptSet
from SEGSAMLib.Values.UndoStack import History, Step

ONE = PromptSet((Point((1, 1, 1)),))
TWO = ONE.plus(Point((2, 2, 2)))


def change(seed: int = 1, side: int = 8) -> VoxelChange:
    after = np.random.default_rng(seed).random((side, side, side)) > 0.5
    found = VoxelChange.between((0, 0, 0), np.zeros_like(after), after)
    assert found is not None
    return found


def prompt(before: PromptSet, after: PromptSet, segment: str = "a") -> Step:
    return Step(segment, "point", before, after)


def result(prompts: PromptSet, segment: str = "a", **more: object) -> Step:
    return Step(segment, "result", prompts, prompts, {segment: change()}, **more)  # type: ignore[arg-type]


def test_undo_and_redo() -> None:
    history = History()
    first, second = prompt(NO_PROMPTS, ONE), prompt(ONE, TWO)
    history.push(first)
    history.push(second)
    assert history.undo() is second
    assert history.undo_text == "point"
    assert history.undo() is first
    assert history.undo() is None
    assert history.redo() is first
    assert history.redo() is second
    assert history.redo() is None


def test_a_new_step_ends_redo() -> None:
    history = History()
    history.push(prompt(NO_PROMPTS, ONE))
    history.undo()
    history.push(prompt(NO_PROMPTS, TWO))
    assert history.redo() is None


def test_a_result_joins_the_prompt_that_it_answers() -> None:
    history = History()
    history.push(prompt(NO_PROMPTS, ONE))
    history.push_result(result(ONE))
    step = history.undo()
    assert step is not None
    assert step.changes
    assert step.prompts_before == NO_PROMPTS
    assert history.undo() is None


def test_a_result_of_other_prompts_is_a_step_of_its_own() -> None:
    history = History()
    history.push(prompt(NO_PROMPTS, ONE))
    history.push_result(result(TWO))
    assert history.undo_text == "result"
    history.undo()
    assert history.undo_text == "point"


def test_a_second_result_is_a_step_of_its_own() -> None:
    history = History()
    history.push(prompt(NO_PROMPTS, ONE))
    history.push_result(result(ONE))
    history.push_result(result(ONE))
    history.undo()
    step = history.undo()
    assert step is not None
    assert step.what == "point"


def test_the_oldest_go_when_there_are_too_many() -> None:
    history = History(most_steps=3)
    for _ in range(10):
        history.push(prompt(NO_PROMPTS, ONE))
    assert sum(history.undo() is not None for _ in range(10)) == 3


def test_memory_is_bounded() -> None:
    history = History(most_bytes=50_000)
    for _ in range(60):
        history.push(result(ONE))
        assert history.cost_bytes <= 50_000
    assert history.undo() is not None


def test_a_removed_segment_is_forgotten() -> None:
    history = History()
    history.push(prompt(NO_PROMPTS, ONE, "a"))
    history.push(prompt(NO_PROMPTS, ONE, "b"))
    history.forget_segment("b")
    step = history.undo()
    assert step is not None
    assert step.segment_id == "a"
    assert history.undo() is None

"""Undo stack of steps."""

from __future__ import annotations

import numpy as np
from SEGSAMLib.Values.Masks import VoxelChange
from SEGSAMLib.Values.Prompts import NO_PROMPTS, Point, PromptSet
from SEGSAMLib.Values.UndoStack import SegmentState, UndoStack, UndoStep

ONE = PromptSet((Point((1, 1, 1)),))
TWO = ONE.plus(Point((2, 2, 2)))


def change(seed: int = 1, side: int = 8) -> VoxelChange:
    after = np.random.default_rng(seed).random((side, side, side)) > 0.5
    found = VoxelChange.between((0, 0, 0), np.zeros_like(after), after)
    assert found is not None
    return found


def prompt(before: PromptSet, after: PromptSet, segment: str = "a") -> UndoStep:
    return UndoStep(segment, "point", SegmentState(before), SegmentState(after))


def result(prompts: PromptSet, segment: str = "a") -> UndoStep:
    state = SegmentState(prompts)
    return UndoStep(segment, "result", state, state, {segment: change()})


def description(step: UndoStep | None) -> str:
    assert step is not None
    return step.description


def test_undo_and_redo() -> None:
    stack = UndoStack()
    first, second = prompt(NO_PROMPTS, ONE), prompt(ONE, TWO)
    stack.push(first)
    stack.push(second)
    assert stack.undo() is second
    assert description(stack.next_undo) == "point"
    assert stack.undo() is first
    assert stack.undo() is None
    assert stack.redo() is first
    assert stack.redo() is second
    assert stack.redo() is None


def test_a_new_step_ends_redo() -> None:
    stack = UndoStack()
    stack.push(prompt(NO_PROMPTS, ONE))
    stack.undo()
    stack.push(prompt(NO_PROMPTS, TWO))
    assert stack.redo() is None


def test_a_result_joins_the_prompt_that_it_answers() -> None:
    stack = UndoStack()
    stack.push(prompt(NO_PROMPTS, ONE))
    stack.push_result(result(ONE))
    step = stack.undo()
    assert step is not None
    assert step.changes
    assert step.before.prompts == NO_PROMPTS
    assert stack.undo() is None


def test_a_result_of_other_prompts_is_a_step_of_its_own() -> None:
    stack = UndoStack()
    stack.push(prompt(NO_PROMPTS, ONE))
    stack.push_result(result(TWO))
    assert description(stack.next_undo) == "result"
    stack.undo()
    assert description(stack.next_undo) == "point"


def test_a_second_result_is_a_step_of_its_own() -> None:
    stack = UndoStack()
    stack.push(prompt(NO_PROMPTS, ONE))
    stack.push_result(result(ONE))
    stack.push_result(result(ONE))
    stack.undo()
    step = stack.undo()
    assert step is not None
    assert step.description == "point"


def test_the_oldest_go_when_there_are_too_many() -> None:
    stack = UndoStack(max_steps=3)
    for _ in range(10):
        stack.push(prompt(NO_PROMPTS, ONE))
    assert sum(stack.undo() is not None for _ in range(10)) == 3


def test_memory_is_bounded() -> None:
    stack = UndoStack(max_bytes=50_000)
    for _ in range(60):
        stack.push(result(ONE))
        assert stack.cost_bytes <= 50_000
    assert stack.undo() is not None


def test_a_removed_segment_is_forgotten() -> None:
    stack = UndoStack()
    stack.push(prompt(NO_PROMPTS, ONE, "a"))
    stack.push(prompt(NO_PROMPTS, ONE, "b"))
    stack.forget_segment("b")
    step = stack.undo()
    assert step is not None
    assert step.segment_id == "a"
    assert stack.undo() is None

"""Records of values from outside: what passes, and in which sentence the rest is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from segsam.errors import StudyError
from segsam.system.records import ByName, Number, Record, Several, sentence_of


class Run(Record):
    refusal: ClassVar = StudyError

    out: str
    host: str
    steps: int = Field(default=3, ge=0, le=9, description="Steps of the optimiser.")
    rate: Number = Field(default=1.0, gt=0)
    halve_at: Several[Number] = (0.5,)
    by_name: ByName[int] = Field(default_factory=dict)
    head: Literal["dense", "maskcls"] = "dense"
    is_quiet: bool = False
    tables: Mapping[Literal["a", "b"], str] = Field(default_factory=dict)
    choices: ByName[str | int | float | bool] = Field(default_factory=dict)


def a_run(**values: Any) -> Run:
    return Run.model_validate({"out": "o", "host": "h"} | values)


def test_what_passes() -> None:
    found = a_run(rate="1e-4", halve_at=1, by_name={2024: 3}, choices={"a": True, "b": 2})
    assert (found.rate, found.halve_at, found.by_name) == (1e-4, (1.0,), {"2024": 3})
    assert found.choices == {"a": True, "b": 2}
    assert type(a_run(rate=2).rate) is float
    with pytest.raises(ValidationError):
        found.steps = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"steps": "many"}, "Expected steps to be a whole number, got 'many'."),
        ({"steps": True}, "Expected steps to be a whole number, got True."),
        ({"steps": 1.0}, "Expected steps to be a whole number, got 1.0."),
        ({"steps": 10}, "Expected steps to be less than or equal to 9, got 10."),
        ({"rate": "fast"}, "Expected rate to be a number, got 'fast'."),
        ({"rate": True}, "Expected rate to be a number, got True."),
        ({"rate": float("nan")}, "Expected rate to be greater than 0, got nan."),
        ({"halve_at": [1, "a"]}, "Expected halve_at.1 to be a number, got 'a'."),
        ({"by_name": 3}, "Expected by_name to hold values by name, got 3."),
        ({"by_name": {"a": 0.5}}, "Expected by_name.a to be a whole number, got 0.5."),
        ({"head": "round"}, "Expected head to be 'dense' or 'maskcls', got 'round'."),
        ({"tables": {"c": "x"}}, "Expected the keys of tables to be 'a' or 'b', got 'c'."),
        ({"is_quiet": "yes"}, "Expected is_quiet to be true or false, got 'yes'."),
        (
            {"choices": {"a": [2]}},
            "Expected choices.a to be text or a whole number or a number or true or false, "
            "got [2].",
        ),
        ({"out": 3, "host": "x" * 200}, "Expected out to be text, got 3."),
    ],
    ids=str,
)
def test_what_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StudyError) as found:
        a_run(**values)
    assert str(found.value) == sentence


def test_keys_come_before_values() -> None:
    with pytest.raises(StudyError, match=r"keys out, host, .*, got stepps\. The nearest is steps"):
        a_run(stepps=1, rate="fast")
    with pytest.raises(StudyError, match="Expected values for out, host, got none"):
        Run.model_validate({"steps": "many"})


def test_a_wrong_value_is_repeated_in_part() -> None:
    with pytest.raises(StudyError) as found:
        a_run(steps="x" * 1000)
    assert len(str(found.value)) < 150


def test_a_sentence_of_any_model() -> None:
    class Item(BaseModel):
        name: str = Field(pattern="^a")

    with pytest.raises(ValidationError) as found:
        Item(name="b")
    assert sentence_of(found.value) == "Expected name to match pattern '^a', got 'b'."


def test_a_sentence_of_a_list_of_another_length() -> None:
    class Item(BaseModel):
        colour: list[int] = Field(min_length=3, max_length=3)
        names: list[str] = Field(default=[], min_length=1)

    with pytest.raises(ValidationError) as found:
        Item(colour=[1, 2])
    assert sentence_of(found.value) == "Expected colour to have at least 3 values, got [1, 2]."
    with pytest.raises(ValidationError) as found:
        Item(colour=[1, 2, 3, 4])
    assert sentence_of(found.value) == "Expected colour to have at most 3 values, got [1, 2, 3, 4]."
    with pytest.raises(ValidationError) as found:
        Item(colour=[1, 2, 3], names=[])
    assert sentence_of(found.value) == "Expected names to have at least 1 value, got []."


def test_a_sentence_of_an_empty_text() -> None:
    class Item(BaseModel):
        name: str = Field(min_length=1)

    with pytest.raises(ValidationError) as found:
        Item(name="")
    assert sentence_of(found.value) == "Expected name to be text, not empty, got ''."


def test_a_file_and_its_changes(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("out: o\nhost: h\nby_name: {a: 1}\n")
    found = Run.load(path, ["steps=4", "by_name.b=2", "host="])
    assert (found.steps, found.by_name, found.host) == (4, {"a": 1, "b": 2}, "")
    assert Run.model_validate_json(found.to_json()) == found
    with pytest.raises(StudyError, match="Expected key=value, got 'steps'"):
        Run.load(path, ["steps"])
    with pytest.raises(StudyError, match="Expected YAML as the value of steps"):
        Run.load(path, ["steps=["])
    with pytest.raises(StudyError, match=r"Cannot read the file none\.yaml"):
        Run.load(tmp_path / "none.yaml")
    path.write_text("out: o\nsteps: 4\nout: p\n")
    with pytest.raises(StudyError, match=r"run\.yaml as YAML: the key 'out' comes twice\.$"):
        Run.load(path)
    path.write_text("- a")
    with pytest.raises(StudyError, match=r"Expected keys and values in the file run\.yaml"):
        Run.load(path)


def test_a_line_for_each_key() -> None:
    lines = Run.described().splitlines()
    assert lines[2] == "steps: Steps of the optimiser. At least 0. At most 9. Default: 3."
    assert "One of dense, maskcls." in lines[6]
    assert len(lines) == len(Run.model_fields)

"""Taught names on disk: what was written is read, and nothing that is damaged is believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsam.prediction.taught.examples import TaughtExample, TaughtName
from segsam.prediction.taught.files import (
    MOST_EXAMPLES,
    MOST_RECORDS,
    damaged_records,
    read_folder,
    records_of,
    write_change,
)

NOW = "2026-11-30T10:00:00Z"


def example(case: str = "case7", index: int = 3) -> TaughtExample:
    values = np.linspace(-2, 2, 8, dtype=np.float32)
    return TaughtExample(
        values, (0.25, 0.75), "encoder", case, "k", index, created=NOW, annotator="anna"
    )


def psoas(*examples: TaughtExample, name: str = "left iliopsoas") -> TaughtName:
    return TaughtName("0123456789ab", name, examples, (1, 2, 3), ("68455001", "Iliopsoas muscle"))


def write(folder: Path, name: TaughtName, change: str = "taught") -> Path:
    return write_change(folder, name, change, user="anna", now=NOW)  # type: ignore[arg-type]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path, psoas(example()))
    (found,) = read_folder(tmp_path).names
    (one,) = found.examples
    assert found.segment == psoas().segment
    assert one.to_json() == example().to_json()
    assert np.allclose(one.description, example().description, atol=1e-3)
    assert found.cases == ("case7",)


def test_the_newest_record_holds_and_a_removed_name_is_gone(tmp_path: Path) -> None:
    write(tmp_path, psoas(example()))
    write(tmp_path, psoas(example(), name="psoas"), "changed")
    assert [one.name for one in read_folder(tmp_path).names] == ["psoas"]
    write(tmp_path, psoas(), "removed")
    assert len(read_folder(tmp_path).names) == 0


def test_examples_and_records_are_bounded(tmp_path: Path) -> None:
    many = [example(index=number) for number in range(MOST_EXAMPLES + 5)]
    for _ in range(MOST_RECORDS + 3):
        write(tmp_path, psoas(*many))
    (found,) = read_folder(tmp_path).names
    assert [one.index for one in found.examples] == list(range(5, MOST_EXAMPLES + 5))
    numbers = [number for number, _ in records_of(tmp_path / found.id)]
    assert numbers == list(range(4, MOST_RECORDS + 4))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"anna", b"ann\xff"),
        (b'"k"', b'"q"'),
        (b"left iliopsoas", b"left iliopsoaz"),
        (b"}", b""),
    ],
    ids=["not UTF-8", "axis", "another byte", "cut off"],
)
def test_of_a_damaged_record_the_one_before_holds(tmp_path: Path, old: bytes, new: bytes) -> None:
    write(tmp_path, psoas(name="before"))
    file = write(tmp_path, psoas(example()))
    file.write_bytes(file.read_bytes().replace(old, new))
    contents = read_folder(tmp_path)
    assert [one.name for one in contents.names] == ["before"]
    assert [one.path for one in contents.damaged] == [file]
    assert [one.path for one in damaged_records(tmp_path)] == [file]
    assert write(tmp_path, psoas(name="after")).name == "0003.json"


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "0123456789ab").write_text("no folder")
    assert len(read_folder(tmp_path).names) == 0
    assert len(read_folder(tmp_path / "none").names) == 0

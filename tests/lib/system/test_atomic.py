"""Atomic writes: the complete file, or an OutputError and the old content."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsam.errors import OutputError
from segsam.system.atomic import write_bytes, write_json


def test_write_json_indents_by_one_and_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "ä", "values": [1]})
    content = (tmp_path / "a.json").read_bytes()
    assert content == b'{\n "name": "\\u00e4",\n "values": [\n  1\n ]\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_write_json_takes_an_indent_and_a_default(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"place": Path("b")}, indent=None, default=str)
    assert (tmp_path / "a.json").read_bytes() == b'{"place": "b"}\n'


def test_nan_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.json", b"old")
    with pytest.raises(OutputError, match=r"a\.json could not be written"):
        write_json(tmp_path / "a.json", {"dsc": float("nan")})
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_missing_folder_is_refused_by_the_file_name(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.bin could not be written: No such file"):
        write_bytes(tmp_path / "missing" / "a.bin", b"")

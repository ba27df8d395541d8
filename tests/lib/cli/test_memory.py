"""`segsam memory`: the names of a studies folder; those of a server are in the app's tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from segsam.cli.app import app
from segsam.errors import OutputError, PromptError
from segsam.prediction.taught.examples import TaughtExample, TaughtName
from segsam.prediction.taught.files import FOLDER, read_folder, write_change
from segsam.remote.client import Client, ServerError

from ..remote.test_client import Answers, scripted

__all__ = ["scripted"]


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    for number, name in enumerate(("left iliopsoas", "psoas")):
        what = np.ones(8, np.float32), (0.5, 0.5), "encoder"
        examples = tuple(TaughtExample(*what, case, "k", 3, "anna") for case in ("a", "b"))
        taught = TaughtName(f"{number:012x}", name, examples)
        write_change(tmp_path / FOLDER, taught, "taught", user="anna", now="")
    return tmp_path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["memory", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_list_rename_and_remove(studies: Path, tmp_path: Path) -> None:
    listed = run("list", str(studies), "--json", str(tmp_path / "names.json"))
    assert "left iliopsoas" in listed
    assert "left iliopsoas and psoas were given to the same object" in listed
    found = json.loads((tmp_path / "names.json").read_text())
    assert [one["case"] for one in found["names"][0]["examples"]] == ["a", "b"]
    run("rename", str(studies), "PSOAS", "psoas major")
    assert "Removed: 1 examples" in run("remove", str(studies), "psoas major", "--case", "a")
    assert "Removed: 2 examples" in run("remove", str(studies), "left iliopsoas")
    (left,) = read_folder(studies / FOLDER).names
    assert (left.name, left.cases) == ("psoas major", ("b",))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("rename", "psoas", "Left Iliopsoas"), PromptError, "is taught already"),
        (("rename", "psoas", "a\nb"), PromptError, "shown in one line"),
        (
            ("rename", "psoas", "a\u202eb"),
            PromptError,
            r"shown in one line, got the character U\+202E",
        ),
        (("rename", "psoas", "../../victim"), PromptError, "got the path '../../victim'"),
        (("rename", "psoas", "background"), PromptError, "which unnamed segments have"),
        (("rename", "liver", "x"), PromptError, r"left iliopsoas, psoas\), got 'liver'"),
        (("remove", "psoas", "--case", "c"), PromptError, "got 'c'"),
    ],
    ids=str,
)
def test_what_cannot_be_changed_is_a_sentence(
    studies: Path, arguments: tuple[str, ...], error: type[Exception], words: str
) -> None:
    command, *rest = arguments
    with pytest.raises(error, match=words):
        run(command, str(studies), *rest)
    with pytest.raises(OutputError, match="Expected a studies folder or the address"):
        run(command, str(studies / "none"), *rest)


def test_a_folder_of_nobody_says_so(tmp_path: Path) -> None:
    assert "Note: nothing was taught in" in run("list", str(tmp_path))
    with pytest.raises(PromptError, match="in which names were taught, got"):
        run("remove", str(tmp_path), "liver")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="Expected a studies folder or the address"):
        run("list", "")


@pytest.mark.parametrize(
    "reply",
    [{}, {"names": [], "more": 1}, {"names": [{"name": 5}], "conflicts": []}, {"names": "x"}],
    ids=str,
)
@pytest.mark.parametrize(
    "arguments", [("list",), ("rename", "a", "b"), ("remove", "a")], ids=lambda words: words[0]
)
def test_the_reply_of_another_service_is_a_sentence(
    scripted: tuple[Client, type[Answers]], arguments: tuple[str, ...], reply: object
) -> None:
    client, answers = scripted
    content = (200, "application/json", json.dumps(reply).encode())
    answers.script = {"/memory": content, "/memory/a": content}
    command, *rest = arguments
    with pytest.raises(ServerError, match="Is it another service, or another version"):
        run(command, client._address, *rest)

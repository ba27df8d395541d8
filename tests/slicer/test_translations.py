"""Texts of the module: each goes through `_()`, and the languages that ship have each of them.

Nothing here needs Slicer or Qt; `test_language.py` shows the panel in another language.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "slicer_module" / "SEGSAM"
sys.path.insert(0, str(ROOT / "slicer_module"))

import update_translations  # noqa: E402 - the folder above holds it
from SEGSAMLib import Translation  # noqa: E402
from SEGSAMLib.Errors import ClientError  # noqa: E402
from SEGSAMLib.Values.Address import Address  # noqa: E402

DEVELOPERS = ("SelfTest.py", "SourceDownload.py")
"""What only developers read, and a program that runs outside Slicer."""
SOURCES = sorted(
    path
    for path in [MODULE / "SEGSAM.py", *(MODULE / "SEGSAMLib").rglob("*.py")]
    if path.name not in DEVELOPERS
)
UNTRANSLATED = {
    "The SEG-SAM authors": "name",
    "SEG-SAM abdomen CT": "name of the sample, by which Slicer's Sample Data finds it",
    "in boxes": "value that is saved with the scene; Panels/Choices.py has its name",
    "keep others": "value that is saved with the scene; Panels/Choices.py has its name",
    "allow overlap": "value that is saved with the scene; Panels/Choices.py has its name",
    "Uvicorn running on": "read in the server's log",
    "Binary labelmap": "key of Slicer's",
    "Closed surface": "key of Slicer's",
    "Decimation factor": "key of Slicer's",
    "Joint smoothing": "key of Slicer's",
    "Conversion method": "key of Slicer's",
    "Smoothing factor": "key of Slicer's",
    "Compute surface normals": "key of Slicer's",
    "SEGSAM progress": "name of a thread",
    "space directions": "field of an NRRD file",
    "space directions: ": "field of an NRRD file",
    "space origin: ": "field of an NRRD file",
    "Expected bits for ": "for code that passes another size",
    " voxels, got ": "for code that passes another size",
    "not a list of prompts": "caught by the reader, which raises the sentence",
    "not a prompt": "caught by the reader, which raises the sentence",
    "not a voxel": "caught by the reader, which raises the sentence",
    " bytes": "for code that passes another size",
    "Ctrl+Z": "key",
    "Ctrl+Y": "key",
    "not an outline": "caught by the reader, which raises the sentence",
}
"""Texts that look like a user's and are not translated, and why."""
CODE = ("import sys", "Segmentation category and type")
"""Beginnings of a program and of an entry of Slicer's terminology."""
SHOWN = ("text", "toolTip", "format", "placeholderText", "title", "helpText", "acknowledgementText")
"""Properties that a user reads."""
SHOWING = (
    *("show_status", "_show_state", "setText", "setToolTip", "addItem", "addItems", "drawText"),
    *("QLabel", "QPushButton", "QToolButton", "QCheckBox", "Progress", "UndoStep", "_add", "_set"),
)
"""Functions with an argument that a user reads."""
FIELD = re.compile(r"\{\w+\}")
KEY = re.compile(r"\((?:Ctrl\+|Shift\+)?(?:[A-Z]|Backspace|Esc)\)|\bT:")
FOUND_BY_SLICER = re.compile(r'_\(\s*"(?:(?!"\s*\)).)+"\s*\)', re.DOTALL)
"""A call as Slicer's `update_translations.py` finds it, by a regular expression."""
TRANSLATED = {
    language: update_translations.translations(update_translations.FOLDER / f"SEGSAM_{language}.ts")
    for language in update_translations.LANGUAGES
}


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_translation(node: ast.AST) -> bool:
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return is_call and name_of(node) in ("_", "translate")


def bare_texts(node: ast.AST) -> Iterator[ast.Constant]:
    """Text literals outside `_()`, without docstrings."""
    if is_translation(node):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from bare_texts(child)


class TestSources:
    def test_sentences_are_translated(self) -> None:
        found = [
            f"{path.name}:{text.lineno}: {text.value!r}"
            for path in SOURCES
            for text in bare_texts(tree(path))
            if re.search(r"[A-Za-z]{2,},? [A-Za-z]{2,}", text.value)
            and text.value not in UNTRANSLATED
            and not text.value.startswith(CODE)
        ]
        assert not found, "put it in _(), or name the reason in UNTRANSLATED:\n" + "\n".join(found)

    def test_every_exception_is_still_there(self) -> None:
        there = {text.value for path in SOURCES for text in bare_texts(tree(path))}
        assert set(UNTRANSLATED) <= there

    def test_single_words_that_are_shown_are_translated(self) -> None:
        found = []
        for path in SOURCES:
            for node in ast.walk(tree(path)):
                shown: list[ast.AST] = []
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                    shown = [node.value] if node.targets[0].attr in SHOWN else []
                elif isinstance(node, ast.Call):
                    is_error = name_of(node).endswith("Error")
                    shown = list(node.args) if is_error or name_of(node) in SHOWING else []
                texts = [text for each in shown for text in bare_texts(each)]
                found += [
                    f"{path.name}:{text.lineno}: {text.value!r}"
                    for text in texts
                    if re.search(r"[A-Za-z]{2,}", FIELD.sub("", text.value))
                    and text.value not in UNTRANSLATED
                ]
        assert not found, "put it in _():\n" + "\n".join(found)

    def test_a_text_is_one_literal(self) -> None:
        """Slicer's tools read the sources: they find no f-string, name or sum of texts."""
        for path in SOURCES:
            for node in ast.walk(tree(path)):
                if is_translation(node):
                    assert isinstance(node, ast.Call)
                    count = 1 if name_of(node) == "_" else 2
                    where = f"{path.name}:{node.lineno}"
                    assert len(node.args) == count, where
                    assert not node.keywords, where
                    assert all(isinstance(each, ast.Constant) for each in node.args), where
                    text = ast.get_source_segment(path.read_text(encoding="utf-8"), node) or ""
                    assert count == 2 or FOUND_BY_SLICER.fullmatch(text), where

    def test_nothing_is_translated_on_import(self) -> None:
        """Slicer knows its language later."""
        for path in SOURCES:
            waiting: list[ast.AST] = [tree(path)]
            while waiting:
                node = waiting.pop()
                assert not is_translation(node), f"{path.name}:{getattr(node, 'lineno', 0)}"
                inner = ast.iter_child_nodes(node)
                waiting += [each for each in inner if not isinstance(each, ast.FunctionDef)]

    def test_the_name_of_the_translation_has_no_other_meaning(self) -> None:
        for path in SOURCES:
            if " as _\n" not in path.read_text(encoding="utf-8"):
                continue
            for node in ast.walk(tree(path)):
                is_name = isinstance(node, ast.Name) and node.id == "_"
                assert not is_name or isinstance(node.ctx, ast.Load), f"{path.name}:{node.lineno}"
                if isinstance(node, (ast.FunctionDef, ast.Lambda)):
                    arguments = {
                        each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)
                    }
                    calls = [each for each in ast.walk(node) if is_translation(each)]
                    assert "_" not in arguments or not calls, f"{path.name}:{node.lineno}"

    def test_names_for_programs_are_not_offered_to_translators(self) -> None:
        """By the rules of Slicer's guide for developers."""
        root = ElementTree.parse(MODULE / "Resources" / "UI" / "SEGSAM.ui").getroot()  # noqa: S314
        for name in ("nodeTypes", "SlicerParameterName"):
            values = [each[0] for each in root.iter("property") if each.get("name") == name]
            assert values
            assert all(value.get("notr") == "true" for value in values), name


class TestTranslation:
    @pytest.fixture(autouse=True)
    def english_afterwards(self) -> Iterator[None]:
        yield
        Translation.use({})

    def test_texts_are_english_outside_slicer(self) -> None:
        assert Translation.tr("Run") == "Run"

    def test_contexts_are_named_as_in_slicer(self) -> None:
        text = "Type the server's address, such as {local} or {remote}."
        found = "Adresse, etwa {local} oder {remote}."
        Translation.use({("Values.Address", text): found, ("Address", text): "{local} {remote}"})
        with pytest.raises(ClientError, match=r"^Adresse, etwa http://127.* oder https://"):
            Address.parse("")

    @pytest.mark.parametrize(
        "found", ["Gespeichert", "{pfad}", "{path} {", "{path} {path.anchor}", "{path!r}", "{}"]
    )
    def test_a_translation_with_other_fields_is_refused(self, found: str) -> None:
        """`format` would fail with it, and the error would be lost; or it would show more."""
        context = ".".join(__name__.split(".")[-2:])
        Translation.use({(context, "Saved: {path}"): found})
        assert Translation.tr("Saved: {path}") == "Saved: {path}"


@pytest.mark.parametrize("language", update_translations.LANGUAGES)
class TestLanguages:
    def test_every_text_has_a_translation(self, language: str) -> None:
        expected = {
            (context, text)
            for context, text in update_translations.messages()
            if context != update_translations.SLICERS_OWN
        }
        there = {message for message, found in TRANSLATED[language].items() if found}
        problems = [f"missing: {each}" for each in sorted(expected - there)]
        problems += [f"no longer used: {each}" for each in sorted(there - expected)]
        assert not problems, (
            "run `.venv-slicer/bin/python slicer_module/update_translations.py`, translate what is "
            f"unfinished in Resources/Translations/SEGSAM_{language}.ts, and run it again:\n"
            + "\n".join(problems)
        )

    def test_fields_keys_and_lines_are_those_of_the_text(self, language: str) -> None:
        for (context, text), found in TRANSLATED[language].items():
            place = f"{context}: {text!r} -> {found!r}"
            assert sorted(FIELD.findall(text)) == sorted(FIELD.findall(found)), place
            assert sorted(KEY.findall(text)) == sorted(KEY.findall(found)), place
            assert text.count("\n") == found.count("\n"), place
            assert found == found.strip(), place
            assert re.findall(r'href="[^"]*"', text) == re.findall(r'href="[^"]*"', found), place

    def test_one_text_is_translated_in_one_way(self, language: str) -> None:
        by_text: dict[str, set[str]] = {}
        for (_, text), found in TRANSLATED[language].items():
            by_text.setdefault(text, set()).add(found)
        assert {text: found for text, found in by_text.items() if len(found) > 1} == {}

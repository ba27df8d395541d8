"""Structural rules that ruff does not know: lengths, docstrings, names of files.

Ruff refuses broad excepts, `print`, `eval`, pickle, loose ends and long argument lists
(`pyproject.toml`). Each test here loops over the whole tree and lists every place at once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (ROOT / "lib" / "segsam", ROOT / "monailabel_app" / "segsam_app")
MODULES = sorted(
    [
        *(path for package in PACKAGES for path in package.rglob("*.py")),
        *(ROOT / "slicer_module" / "SEGSAM" / "SEGSAMLib").rglob("*.py"),
        ROOT / "monailabel_app" / "main.py",
        ROOT / "slicer_module" / "SEGSAM" / "SEGSAM.py",
    ]
)
MAX_MODULE_LINES = 450
MAX_FUNCTION_LINES = 60
P90_FUNCTION_LINES = 35
OPENINGS = (
    "Of", "As", "With", "What", "Whether", "How", "Which", "Where", "Who", "Whose", "From", "By",
    "For", "When", "If", "And", "But", "To",
)  # fmt: skip
"""First words of docstrings that do not begin with what the thing is or does."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Described = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> list[Function]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, Function)]


def is_command(node: Function) -> bool:
    """A command of the command line: its parameters are a table of options for typer."""
    called = [item.func for item in node.decorator_list if isinstance(item, ast.Call)]
    return any(isinstance(func, ast.Attribute) and func.attr == "command" for func in called)


def length(node: Function) -> int:
    """Lines from `def` to the last, without the docstring: well described is not long.

    Of a command, the body only: its signature is the help that a user reads.
    """
    first = node.body[0]
    start = first.lineno if is_command(node) else node.lineno
    lines = (node.end_lineno or start) - start + 1
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def public_docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """(place, docstring) of a module and of its public classes, functions and methods."""
    module = tree(path)
    described: list[Described] = [module]
    described += [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_")
    ]
    for node in described:
        text = ast.get_docstring(node)
        if text:
            yield f"{name_of(path)}:{getattr(node, 'lineno', 1)}", text


def test_modules_are_short() -> None:
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > MAX_MODULE_LINES} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{name_of(path)}:{node.name}": length(node) for path in MODULES for node in functions(path)
    }
    assert {name: count for name, count in lengths.items() if count > MAX_FUNCTION_LINES} == {}
    assert sorted(lengths.values())[int(0.9 * (len(lengths) - 1))] <= P90_FUNCTION_LINES


def test_every_module_says_what_it_is_for() -> None:
    assert [name_of(path) for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_public_docstrings_begin_with_what_the_thing_is_or_does() -> None:
    found = [
        f"{place}: {text.splitlines()[0]}"
        for path in MODULES
        for place, text in public_docstrings(path)
        if re.match(r"\w+", text) and re.match(r"\w+", text)[0] in OPENINGS  # type: ignore[index]
    ]
    assert not found, f"{len(found)} docstrings:\n" + "\n".join(found)


def test_no_module_has_a_vague_name() -> None:
    vague = re.compile("util|helper|misc|common")
    assert [name_of(path) for path in MODULES if vague.search(path.stem)] == []


def test_types_are_published() -> None:
    assert [package.name for package in PACKAGES if not (package / "py.typed").exists()] == []

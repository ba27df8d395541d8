"""The house rules that a formatter cannot see: lengths, loose ends, words that do not belong."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (ROOT / "lib" / "segsam", ROOT / "monailabel_app" / "segsam_app")
ENTRY_FILES = (
    ROOT / "monailabel_app" / "main.py",
    ROOT / "slicer_module" / "SEGSAM" / "SEGSAM.py",
)
SLICER_LIB = ROOT / "slicer_module" / "SEGSAM" / "SEGSAMLib"
MODULES = sorted(
    [path for package in (*PACKAGES, SLICER_LIB) for path in package.rglob("*.py")]
    + [path for path in ENTRY_FILES if path.exists()]
)

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 60
P90_FUNCTION_LINES = 35
MAX_POSITIONAL = 5
TALKING = ("cli.py", "cli", "demo")
"""Where the program speaks to a person."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


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


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


@each_module
def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


@each_module
def test_functions_are_short(path: Path) -> None:
    too_long = {node.name: length(node) for node in functions(path)}
    assert {name: n for name, n in too_long.items() if n > MAX_FUNCTION_LINES} == {}


def test_nine_functions_in_ten_fit_a_screen() -> None:
    lengths = sorted(length(node) for path in MODULES for node in functions(path))
    assert lengths, "no function found"
    assert lengths[int(0.9 * (len(lengths) - 1))] <= P90_FUNCTION_LINES


@each_module
def test_no_more_than_five_arguments_by_position(path: Path) -> None:
    for node in functions(path):
        if is_command(node):
            continue
        positional = [arg.arg for arg in [*node.args.posonlyargs, *node.args.args]]
        positional = [name for name in positional if name not in ("self", "cls")]
        assert len(positional) <= MAX_POSITIONAL, f"{node.name} takes {positional} by position"


@each_module
def test_no_broad_except(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{name_of(path)}:{node.lineno} catches everything"
            caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            assert not caught & {"Exception", "BaseException"}, f"{name_of(path)}:{node.lineno}"


@each_module
def test_only_the_command_line_and_the_demo_speak(path: Path) -> None:
    if any(part in TALKING for part in path.parts):
        return
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    spoken = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
    assert spoken == [], f"{name_of(path)} prints"


@each_module
def test_no_code_from_data(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec"), f"{name_of(path)}:{node.lineno}"
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & {"pickle", "dill", "marshal"}


@each_module
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree(path)), f"{name_of(path)} has no docstring"


@each_module
def test_no_loose_ends(path: Path) -> None:
    found = re.findall(r"\b(?:TODO|FIXME|XXX|HACK)\b", path.read_text(encoding="utf-8"))
    assert found == []


def test_no_grab_bags() -> None:
    grab_bag = re.compile("util|helper|misc|common")
    assert [name_of(path) for path in MODULES if grab_bag.search(path.stem)] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_types_are_published(package: Path) -> None:
    assert (package / "py.typed").exists()

"""Who may import whom: the arrow of the architecture, read from the source with `ast`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SEGSAM = ROOT / "lib" / "segsam"
SEGSAM_APP = ROOT / "monailabel_app" / "segsam_app"
SLICER_LIB = ROOT / "slicer_module" / "SEGSAM" / "SEGSAMLib"

# The path of the data, left to right: a folder imports only from itself and from those before it.
FOLDERS = (
    "errors",
    "types",
    "system",
    "imaging",
    "prompting",
    "categories",
    "datasets",
    "model",
    "prediction",
    "proposals",
    "training",
    "evaluation",
    "batch",
    "remote",
    "demo",
    "research",
    "cli",
)
STAGE_OF = {name: number for number, name in enumerate(FOLDERS)}

FORBIDDEN = {
    "segsam": {
        "monailabel",
        "fastapi",
        "starlette",
        "uvicorn",
        "segsam_app",
        "slicer",
        "qt",
        "vtk",
        "ctk",
    },
    "segsam_app": {"slicer", "qt", "vtk", "ctk"},
    "SEGSAMLib": {"segsam", "segsam_app", "monailabel", "torch", "monai"},
}


def modules(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def imported_names(path: Path, package_root: Path) -> Iterator[str]:
    """Every dotted name a module imports, relative ones made absolute, lazy ones included."""
    parts = path.relative_to(package_root.parent).with_suffix("").parts
    package = parts if path.name == "__init__.py" else parts[:-1]
    package = package[:-1] if path.name == "__init__.py" else package
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def stage_name(dotted: str) -> str | None:
    """`segsam.model.hosts` is of stage `model`; `segsam.Volume`, of the front door, of none."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "segsam" and parts[1] in STAGE_OF else None


@pytest.mark.parametrize("path", modules(SEGSAM), ids=lambda path: str(path.relative_to(SEGSAM)))
def test_a_module_imports_only_from_its_left(path: Path) -> None:
    own = path.relative_to(SEGSAM).parts[0].removesuffix(".py")
    if own == "__init__":
        return  # the front door names everything
    assert own in STAGE_OF, f"{own} is not in the table of stages: give it its place"
    for name in imported_names(path, SEGSAM):
        assert name != "segsam", f"{path.name} imports through the front door"
        other = stage_name(name)
        if other is None:
            assert not name.startswith("segsam."), f"{own} imports {name} through the front door"
            continue
        assert STAGE_OF[other] <= STAGE_OF[own], f"{own} imports {name}, which is at its right"


@pytest.mark.parametrize(
    ("package", "folder"),
    [("segsam", SEGSAM), ("segsam_app", SEGSAM_APP), ("SEGSAMLib", SLICER_LIB)],
)
def test_a_package_stays_on_its_side(package: str, folder: Path) -> None:
    for path in modules(folder):
        roots = {name.split(".")[0] for name in imported_names(path, folder)}
        crossed = roots & FORBIDDEN[package]
        assert not crossed, f"{path.relative_to(ROOT)} imports {sorted(crossed)}"


def test_the_app_is_built_on_the_library() -> None:
    names = {name for path in modules(SEGSAM_APP) for name in imported_names(path, SEGSAM_APP)}
    assert any(name.startswith("segsam.") for name in names)


def test_the_folder_lib_is_no_package() -> None:
    # MONAI Label throws a package called `lib` out of sys.modules when it loads an app.
    assert not (ROOT / "lib" / "__init__.py").exists()


class TestTheReaderOfImports:
    """The test above is only as good as its eyes."""

    def test_relative_and_lazy_imports_are_seen(self, tmp_path: Path) -> None:
        package = tmp_path / "segsam"
        (package / "model").mkdir(parents=True)
        module = package / "model" / "hosts.py"
        module.write_text(
            "from ..volume import Volume\n"
            "from . import checkpoint\n"
            "def f():\n    import monailabel.client\n"
        )
        assert set(imported_names(module, package)) == {
            "segsam.imaging.volume.Volume",
            "segsam.model.checkpoint",
            "monailabel.client",
        }

    def test_an_init_file_is_its_own_package(self, tmp_path: Path) -> None:
        package = tmp_path / "segsam"
        (package / "demo").mkdir(parents=True)
        module = package / "demo" / "__init__.py"
        module.write_text("from .run import run_demo\nfrom ..sample import Sample\n")
        assert set(imported_names(module, package)) == {
            "segsam.demo.run.run_demo",
            "segsam.datasets.sample.Sample",
        }

"""Which folder may import which, read from the source with `ast`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "segsam": ROOT / "lib" / "segsam",
    "segsam_app": ROOT / "monailabel_app" / "segsam_app",
    "SEGSAMLib": ROOT / "slicer_module" / "SEGSAM" / "SEGSAMLib",
}

# One row per folder, or file beside the folders: it imports from itself and from the rows above it.
ORDER = {
    "segsam": (
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
    ),
    "segsam_app": (
        "errors",
        "ids",
        "server_paths",
        "strict_json",
        "records",
        "limits",
        "config",
        "task_requests",
        "task_ends",
        "task_record",
        "web",
        "storage",
        "dicomweb",
        "versions",
        "inference",
        "choosing",
        "training",
        "task_start",
        "check_files",
        "routes",
        "guard",
        "asgi",
        "browser",
        "loop",
    ),
    "SEGSAMLib": (
        "Translation",
        "Errors",
        "Values",
        "Parameters",
        "Server",
        "Scene",
        "Drafts",
        "Workflow",
        "Panels",
        "Widget",
        "SelfTest",
    ),
}
FORBIDDEN = {
    "segsam": {"monailabel", "fastapi", "starlette", "uvicorn", "segsam_app", "slicer", "qt"},
    "segsam_app": {"slicer", "qt", "vtk", "ctk"},
    "SEGSAMLib": {"segsam", "segsam_app", "monailabel", "torch", "monai"},
}


def imported_names(path: Path, package_root: Path) -> Iterator[str]:
    """Every dotted name that a module imports, lazily or not; relative ones made absolute."""
    parts = path.relative_to(package_root.parent).with_suffix("").parts
    folder = parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(folder[: len(folder) - node.level + 1]) if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def own_part(path: Path, package_root: Path) -> str:
    """The folder of a module, or its name where it lies beside the folders."""
    return path.relative_to(package_root).parts[0].removesuffix(".py")


def wrong_arrows(package: str) -> Iterator[str]:
    """Imports of a package's own modules from below their row, or through the package itself."""
    folder, order = PACKAGES[package], ORDER[package]
    for path in sorted(folder.rglob("*.py")):
        own = own_part(path, folder)
        if own == "__init__":
            continue
        for name in imported_names(path, folder):
            root, _, rest = name.partition(".")
            if root != package:
                continue
            other = rest.partition(".")[0]
            if other not in order or order.index(other) > order.index(own):
                yield f"{path.relative_to(folder)} -> {name}"


def test_every_folder_has_its_row() -> None:
    for package, folder in PACKAGES.items():
        parts = {own_part(path, folder) for path in folder.rglob("*.py")} - {"__init__"}
        assert parts == set(ORDER[package]), package


def test_a_folder_imports_only_from_those_above_it() -> None:
    assert [arrow for package in PACKAGES for arrow in wrong_arrows(package)] == []


def test_only_the_command_line_imports_research() -> None:
    folder = PACKAGES["segsam"]
    importers = {
        own_part(path, folder)
        for path in folder.rglob("*.py")
        if any(name.startswith("segsam.research") for name in imported_names(path, folder))
    }
    assert importers <= {"research", "cli"}


def test_a_package_stays_on_its_side() -> None:
    crossed = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*.py")
        for name in imported_names(path, folder)
        if name.partition(".")[0] in FORBIDDEN[package]
    ]
    assert crossed == []


def test_the_folder_lib_is_no_package() -> None:
    # MONAI Label removes a package called `lib` from sys.modules when it loads an app.
    assert not (ROOT / "lib" / "__init__.py").exists()


def test_the_reader_of_imports_sees_relative_and_lazy_ones(tmp_path: Path) -> None:
    package = tmp_path / "segsam"
    (package / "model").mkdir(parents=True)
    module = package / "model" / "hosts.py"
    module.write_text(
        "from ..imaging import Volume\n"
        "from . import checkpoint\n"
        "def f():\n    import monailabel.client\n"
    )
    (package / "model" / "__init__.py").write_text("from .hosts import f\n")
    assert set(imported_names(module, package)) == {
        "segsam.imaging.Volume",
        "segsam.model.checkpoint",
        "monailabel.client",
    }
    assert set(imported_names(module.with_name("__init__.py"), package)) == {"segsam.model.hosts.f"}

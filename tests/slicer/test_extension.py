"""Checks of the module's code and files, by the rules of the Extensions Index and its reviewers.

Nothing here needs Slicer; what needs its libraries or Qt is in the other files of this folder. The
repository that the Index builds from is checked by `test_repository.py`.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "slicer_module" / "SEGSAM"
LIB = MODULE / "SEGSAMLib"
BUNDLED = {
    *(
        "certifi",
        "ctk",
        "numpy",
        "qt",
        "requests",
        "scipy",
        "SimpleITK",
        "slicer",
        "vtk",
        "SampleData",
    ),
    *("SEGSAM", "SEGSAMLib"),
}
OLDEST_PYTHON = (3, 9)
SOURCES = sorted([*LIB.rglob("*.py"), MODULE / "SEGSAM.py"])
LAYERS = (
    *("Translation", "Errors", "Values", "Parameters", "Scene", "Server", "Drafts"),
    *("Workflow", "Panels", "Widget"),
)
"""A folder or file of `SEGSAMLib` imports from itself and from those before it in this order."""
SEPARATE = {"Scene": {"Server"}, "Server": {"Parameters", "Scene"}, "Values": {"Parameters"}}
"""Additional imports that are refused: the scene and the server know nothing of each other."""


def cmake_list(name: str) -> list[str]:
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf"set\({name}\s+([^)]*)\)", text)
    assert found is not None
    return found.group(1).split()


def imported(path: Path) -> list[str]:
    """Names of all modules that a file imports, in functions too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module or "")
    return names


class TestPackage:
    def test_every_script_is_in_the_list(self) -> None:
        there = {"SEGSAM.py", *(path.relative_to(MODULE).as_posix() for path in LIB.rglob("*.py"))}
        assert set(cmake_list("MODULE_PYTHON_SCRIPTS")) == there

    def test_every_resource_is_in_the_list(self) -> None:
        files = [path for path in (MODULE / "Resources").rglob("*") if path.is_file()]
        there = {path.relative_to(MODULE).as_posix() for path in files}
        assert set(cmake_list("MODULE_PYTHON_RESOURCES")) == there

    def test_every_icon_that_the_code_names_is_there(self) -> None:
        text = (LIB / "Widget.py").read_text(encoding="utf-8")
        table = re.search(r"^ICONS = \{(.*?)^\}", text, re.MULTILINE | re.DOTALL)
        assert table is not None
        named = set(re.findall(r': "(\w+)"', table.group(1)))
        drawn = {path.stem for path in (MODULE / "Resources" / "Icons").glob("*.svg")}
        assert drawn == named | {"SEGSAM"}

    def test_icons_are_drawings_without_scripts_or_links(self) -> None:
        for path in (MODULE / "Resources" / "Icons").glob("*.svg"):
            tree = ElementTree.parse(path)  # noqa: S314 - our own files
            tags = {element.tag.split("}")[1] for element in tree.iter()}
            assert not tags & {"script", "image", "use", "a"}, path.name


class TestCode:
    def test_it_is_python_3_9(self) -> None:
        for path in SOURCES:
            ast.parse(path.read_text(encoding="utf-8"), path.name, feature_version=OLDEST_PYTHON)

    def test_it_imports_only_what_slicer_bundles(self) -> None:
        allowed = BUNDLED | set(sys.stdlib_module_names)
        for path in SOURCES:
            found = {name.split(".")[0] for name in imported(path)}
            assert found <= allowed, f"{path.name}: {found - allowed}"

    def test_nothing_runs_when_it_is_loaded(self) -> None:
        """At file scope: words, imports, definitions, values; no statement that does something."""
        body = [(p, n) for p in SOURCES for n in ast.parse(p.read_text(encoding="utf-8")).body]
        for path, node in body:
            is_word = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_main = isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
            defines = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
            is_value = isinstance(node, (ast.Assign, ast.AnnAssign))
            assert is_word or is_main or is_value or isinstance(node, defines), path.name
            if is_value:
                called = {ast.unparse(c.func) for c in ast.walk(node) if isinstance(c, ast.Call)}
                assert not called & {"open", "requests.get", "subprocess.run"}

    def test_no_widget_loses_its_parent(self) -> None:
        """PythonQt deletes a widget without a parent at once, also inside its own signal."""
        for path in SOURCES:
            assert "setParent(None)" not in path.read_text(encoding="utf-8"), path.name

    def test_slicers_python_gets_no_package(self) -> None:
        for path in SOURCES:
            text = path.read_text(encoding="utf-8")
            assert "pip_install" not in text, path.name
            assert "pip_ensure" not in text, path.name

    def test_qt_http_and_mrml_stay_in_their_folders(self) -> None:
        for path in SOURCES:
            folder = path.parent.name
            roots = {name.split(".")[0] for name in imported(path)}
            assert folder == "Panels" or path.name == "Widget.py" or not roots & {"qt", "ctk"}, path
            assert folder == "Server" or not roots & {"requests", "http", "socket"}, path
            assert folder not in ("Server", "Values") or not roots & {"slicer", "vtk"}, path

    def test_imports_follow_the_order_of_the_layers(self) -> None:
        for path in (path for path in SOURCES if path.parent != MODULE):
            own = path.relative_to(LIB).parts[0].removesuffix(".py")
            if own in ("__init__", "SelfTest"):
                continue  # the self-test opens the whole panel
            allowed = set(LAYERS[: LAYERS.index(own) + 1]) - SEPARATE.get(own, set())
            used = {n.split(".")[1] for n in imported(path) if n.startswith("SEGSAMLib.")}
            assert used <= allowed, f"{path.relative_to(LIB)} imports {sorted(used - allowed)}"


class TestPanel:
    tree = ElementTree.parse(MODULE / "Resources" / "UI" / "SEGSAM.ui").getroot()  # noqa: S314

    def test_every_button_field_and_list_has_a_tool_tip(self) -> None:
        spoken = ("QPushButton", "QToolButton", "QComboBox", "QCheckBox", "QSpinBox", "QLineEdit")
        spoken += (
            "QSlider",
            "QTreeWidget",
            "QPlainTextEdit",
            "qMRMLNodeComboBox",
            "ctkPathLineEdit",
        )
        for widget in self.tree.iter("widget"):
            if widget.get("class") in spoken:
                tips = [p for p in widget.findall("property") if p.get("name") == "toolTip"]
                assert tips, f"{widget.get('name')} has no tool tip"

    def test_tool_tips_promise_no_click_that_does_nothing(self) -> None:
        """Boxes and scribbles are dragged; a double click is two clicks."""
        for text in self.tree.iter("string"):
            assert not re.search(r"double.click|click two|opposite corners", text.text or "")

    def test_folders_are_browsed_for_as_folders(self) -> None:
        """CTK's field browses for files unless its filters are of folders."""
        for name in ("studiesPath", "environmentPath"):
            (field,) = self.tree.iterfind(f".//widget[@name='{name}']")
            filters = field.findtext("property[@name='filters']/set") or ""
            assert "::Dirs" in filters
            assert "::Files" not in filters

    def test_names_are_used_once(self) -> None:
        names = [widget.get("name") for widget in self.tree.iter("widget")]
        assert len(names) == len(set(names))

    def test_nothing_is_styled_by_hand(self) -> None:
        names = {prop.get("name") for prop in self.tree.iter("property")}
        assert "styleSheet" not in names

    def test_every_bound_parameter_is_one(self) -> None:
        source = ast.parse((MODULE / "SEGSAM.py").read_text(encoding="utf-8"))
        node = next(
            each
            for each in source.body
            if isinstance(each, ast.ClassDef) and each.name == "SEGSAMParameterNode"
        )
        known = {ast.unparse(each.target) for each in node.body if isinstance(each, ast.AnnAssign)}
        bound = {
            prop.findtext("string")
            for prop in self.tree.iter("property")
            if prop.get("name") == "SlicerParameterName"
        }
        assert bound
        assert bound <= known


def test_the_sample_ct_is_the_one_of_the_library() -> None:
    here = (LIB / "Scene" / "SampleCT.py").read_text(encoding="utf-8")
    there = (ROOT / "lib" / "segsam" / "datasets" / "sample.py").read_text(encoding="utf-8")
    checksum = re.findall(r'^SHA256 = "([0-9a-f]{64})"', here, re.MULTILINE)
    assert len(checksum) == 1
    assert f'"ct.nii.gz": "{checksum[0]}"' in there


def test_categories_are_coded() -> None:
    """Each with a colour; those that no source has a certain code for (docs/categories.md) have
    none, and are few.
    """
    rows = json.loads((MODULE / "Resources" / "Categories.json").read_text(encoding="utf-8"))
    assert len(rows) > 30
    coded = [re.search(r"~SCT\^\d+\^", entry) for _, _, entry, _ in rows if entry]
    assert all(coded)
    assert len(coded) > 0.8 * len(rows)
    for name, colour, _, _ in rows:
        assert all(0 <= value <= 255 for value in colour), name


@pytest.mark.parametrize("name", ["comparison.md", "publishing.md"])
def test_every_test_that_a_page_names_is_there(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    named = r"`((?:tests/(?:\w+/)*)?test_\w+\.py)((?:::\w+)?)`((?:, `::\w+`)*)"
    for words in re.findall(named, page):
        path = ROOT / words[0] if "/" in words[0] else ROOT / "tests" / "slicer" / words[0]
        assert path.is_file(), words[0]
        text = path.read_text(encoding="utf-8")
        for test in re.findall(r"::(\w+)", words[1] + words[2]):
            assert re.search(rf"(?:def|class) {test}\b", text), f"{words[0]} has no {test}"


def test_each_yes_of_ours_names_a_test() -> None:
    page = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    ours = {row[0]: (row[6], row[7]) for row in rows[1:]}
    assert len(ours) > 50
    assert {answer.strip("*○ ") for answer, _ in ours.values()} == {"Y", "~", "n"}
    without = [
        name
        for name, (answer, why) in ours.items()
        if "Y" in answer and not re.search("`(?:tests/|test_)", why)
    ]
    assert without == []

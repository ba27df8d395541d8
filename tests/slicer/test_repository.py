"""The repository SlicerSEGSAM, as `make slicer-extension` writes it, by the rules of the Extensions
Index: its scripts `check_description_files.py` and `extension_ai_analysis.py`, its check list for
new extensions and the catalogue schema 1.0.2 (docs/publishing.md says which versions of them).
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENTRY = ROOT / "slicer_module" / "SEGSAM.json"
WRITER = ROOT / "slicer_module" / "write_repository.py"
OWN_RAW = "https://raw.githubusercontent.com/SEG-SAM/SlicerSEGSAM/main/"
SCHEMA = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "dicom_support_rule": str,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
"""Keys of the schema 1.0.2 and the types of their values; there are no others."""
REQUIRED = {"$schema", "category", "scm_url"}
TIERS = (1, 3, 5)
MOST_MEGABYTES = 100
PIECE_CHARACTERS = 400_000
"""As many of one kind of file as the Index's AI check reads at once."""
PIECES = {"*.py": 2, "*.md": 1}
COMPILED = {".cxx", ".cpp", ".cc", ".c", ".h", ".hpp", ".hxx", ".txx", ".so", ".dll", ".dylib"}
COMMANDS = {
    *("cmake_minimum_required", "project", "set", "if", "endif", "include", "find_package"),
    *("add_subdirectory", "slicermacrobuildscriptedmodule", "slicer_add_python_unittest"),
    "slicer_add_python_test",
}
"""CMake commands of an extension of scripts; others would build, fetch or look for something."""
JARGON = ("segmentation", "prompt", "voxel", "monai", "encoder", "checkpoint", "inference", "dice")


def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_repository", WRITER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository, written once by the command behind `make slicer-extension`."""
    folder = tmp_path_factory.mktemp("index") / "SlicerSEGSAM"
    subprocess.run([sys.executable, str(WRITER), str(folder)], check=True, capture_output=True)
    return folder


def files(tree: Path) -> list[Path]:
    return sorted(path for path in tree.rglob("*") if path.is_file())


def cmake(tree: Path) -> str:
    return (tree / "CMakeLists.txt").read_text(encoding="utf-8")


def cmake_value(tree: Path, name: str) -> str:
    """A value as the Index reads it, with its pattern."""
    found = re.findall(rf'set\s*\({name}\s*"([^"]+)"\s*\)', cmake(tree))
    assert len(found) == 1, f"{name} is set {len(found)} times"
    return str(found[0])


def readme(tree: Path) -> str:
    return (tree / "README.md").read_text(encoding="utf-8")


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n", f"{path.name} is no PNG"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


class TestCatalogueEntry:
    entry: dict[str, Any] = json.loads(ENTRY.read_text(encoding="utf-8"))

    def test_keys_and_types_are_those_of_the_schema(self) -> None:
        assert REQUIRED <= set(self.entry) <= set(SCHEMA)
        for key, value in self.entry.items():
            assert type(value) is SCHEMA[key], key
        assert self.entry["$schema"].endswith("/slicer-extension-catalog-entry-schema-v1.0.2.json#")
        assert self.entry["tier"] in TIERS
        assert self.entry.get("scm_type", "git") in ("git", "local")

    def test_the_category_is_one_of_the_indexs(self) -> None:
        assert self.entry["category"] == "Segmentation"

    def test_the_repository_is_slicer_and_the_extensions_name(self) -> None:
        assert not ENTRY.stem.lower().startswith("slicer")
        scheme, _, rest = self.entry["scm_url"].partition("://")
        assert scheme in ("https", "git")
        assert rest.rsplit("/", 1)[1] == f"Slicer{ENTRY.stem}.git"

    def test_nothing_has_to_be_built_before(self) -> None:
        assert self.entry["build_dependencies"] == []
        assert self.entry["build_subdirectory"] == "."

    def test_lines_end_with_a_line_feed_only(self) -> None:
        data = ENTRY.read_bytes()
        assert b"\r" not in data
        assert b"\t" not in data
        assert data.endswith(b"}\n")

    def test_it_says_what_the_cmake_file_says(self, tree: Path) -> None:
        found = re.findall(r"project\s*\(\s*([^\s\)\n\r]+)", cmake(tree), re.IGNORECASE)
        assert found[0] == ENTRY.stem
        assert cmake_value(tree, "EXTENSION_DEPENDS") == "NA"
        home = self.entry["scm_url"].removesuffix(".git")
        assert cmake_value(tree, "EXTENSION_HOMEPAGE") == f"{home}#readme"
        assert OWN_RAW.split("/")[3:5] == home.split("/")[3:5]
        assert OWN_RAW.rstrip("/").endswith(self.entry["scm_revision"])


class TestTree:
    def test_the_cmake_file_and_the_licence_are_in_the_root(self, tree: Path) -> None:
        for line in (
            "find_package(Slicer REQUIRED)",
            "include(${Slicer_USE_FILE})",
            "add_subdirectory(SEGSAM)",
            "include(${Slicer_EXTENSION_GENERATE_CONFIG})",
            "include(${Slicer_EXTENSION_CPACK})",
        ):
            assert line in cmake(tree)
        licence = (tree / "LICENSE.txt").read_text(encoding="utf-8")
        assert licence.split() == (ROOT / "LICENSE").read_text(encoding="utf-8").split()
        assert "Apache License" in licence[:300]

    def test_it_holds_the_module_and_nothing_else(self, tree: Path) -> None:
        parts = {path.name for path in tree.iterdir()}
        single = {"CMakeLists.txt", "LICENSE.txt", "README.md", "SEGSAM.png"}
        assert parts == single | {"SEGSAM", "Screenshots", "docs"}
        kinds = {path.suffix for path in files(tree)}
        assert kinds == {".txt", ".md", ".png", ".py", ".json", ".svg", ".ui", ".ts", ".qm"}

    def test_nothing_is_compiled_fetched_or_looked_for(self, tree: Path) -> None:
        """Extensions of Python alone are packaged on each pull request, without a Slicer build."""
        assert not [path for path in files(tree) if path.suffix.lower() in COMPILED]
        for path in tree.rglob("CMakeLists.txt"):
            text = re.sub(r"#.*|\"[^\"]*\"", "", path.read_text(encoding="utf-8"))
            used = {name.lower() for name in re.findall(r"(\w+)\s*\(", text)}
            assert used <= COMMANDS, f"{path.relative_to(tree)}: {used - COMMANDS}"
            assert set(re.findall(r"find_package\((\w+)", text)) <= {"Slicer"}

    def test_the_checkout_is_small_enough(self, tree: Path) -> None:
        assert sum(path.stat().st_size for path in files(tree)) < MOST_MEGABYTES * 1e6

    def test_lines_end_with_a_line_feed_only(self, tree: Path) -> None:
        for path in files(tree):
            assert path.suffix in (".png", ".qm") or b"\r" not in path.read_bytes(), path

    def test_icon_and_screenshots_are_pngs_of_this_repository(self, tree: Path) -> None:
        urls = [cmake_value(tree, "EXTENSION_ICONURL")]
        urls += cmake_value(tree, "EXTENSION_SCREENSHOTURLS").split()
        assert len(urls) > 1
        for url in urls:
            assert url.startswith(OWN_RAW)
            assert min(png_size(tree / url[len(OWN_RAW) :])) >= 128

    def test_links_of_its_pages_lead_somewhere(self, tree: Path) -> None:
        for page in tree.rglob("*.md"):
            for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
                where = page.parent / target.partition("#")[0]
                assert target.startswith("https://") or where.exists(), f"{page.name}: {target}"

    def test_links_to_other_pages_of_the_project_lead_to_files_of_it(self, tree: Path) -> None:
        prefix = f"]({writer().PROJECT_URL}/"
        text = "".join(page.read_text(encoding="utf-8") for page in tree.rglob("*.md"))
        named = re.findall(re.escape(prefix) + r"([^)#\s]+)", text)
        assert "docs/operator.md" in named
        assert [name for name in named if not (ROOT / name).exists()] == []

    def test_the_server_is_fetched_from_the_project_which_has_it(self) -> None:
        """The repository of the extension has no server."""
        install = ROOT / "slicer_module" / "SEGSAM" / "SEGSAMLib" / "Server" / "Install.py"
        project = writer().PROJECT_URL.removesuffix("/blob/main")
        assert f'"{project}/archive/refs/heads/main.zip"' in install.read_text(encoding="utf-8")
        assert not project.endswith("SlicerSEGSAM")

    @pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
    def test_cmake_configures_it_and_finds_every_file(self, tree: Path, tmp_path: Path) -> None:
        """With a stand-in for Slicer's build, as the Index packages extensions of Python alone."""
        (tmp_path / "SlicerConfig.cmake").write_text(STAND_IN, encoding="utf-8")
        (tmp_path / "Nothing.cmake").write_text("", encoding="utf-8")
        text = cmake(tree).replace(
            "project(SEGSAM)", "project(SEGSAM NONE)"
        )  # no look for compilers
        text = text.replace("add_subdirectory(SEGSAM)", f'add_subdirectory("{tree}/SEGSAM" SEGSAM)')
        (tmp_path / "CMakeLists.txt").write_text(text, encoding="utf-8")
        command = ["cmake", f"-DSlicer_DIR={tmp_path}", "-S", str(tmp_path), "-B"]
        command += [str(tmp_path / "build")]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert "module SEGSAM is complete" in ran.stdout


STAND_IN = """
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake")
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  foreach(file ${MODULE_SCRIPTS} ${MODULE_RESOURCES})
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "missing: ${file}")
    endif()
  endforeach()
  message(STATUS "module ${MODULE_NAME} is complete")
endmacro()
"""


class TestQuestions:
    """Those of the eleven that can be read off the tree; `test_extension.py` has those of the code
    (what runs and is imported at file scope, what is installed).
    """

    def test_it_is_read_in_few_pieces(self, tree: Path) -> None:
        for kind, pieces in PIECES.items():
            count = sum(len(path.read_text(encoding="utf-8")) for path in tree.rglob(kind))
            assert count < pieces * PIECE_CHARACTERS, kind

    def test_the_description_is_for_people_outside_the_field(self, tree: Path) -> None:
        said = cmake_value(tree, "EXTENSION_DESCRIPTION")
        assert 100 < len(said) < 700
        assert ";" not in said, "CMake would read a list"
        assert [word for word in JARGON if word in said.lower()] == []

    def test_the_description_names_licence_limits_and_patents(self, tree: Path) -> None:
        said = cmake_value(tree, "EXTENSION_DESCRIPTION")
        for words in ("Apache-2.0", "weights", "research only", "related patents"):
            assert words in said

    def test_the_homepage_begins_with_one_or_two_sentences(self, tree: Path) -> None:
        title, first, *_ = readme(tree).split("\n\n")
        assert title == "# SEG-SAM for 3D Slicer"
        assert len(re.findall(r"\.(?:\s|$)", first)) in (1, 2)

    def test_the_homepage_has_pictures_of_the_module(self, tree: Path) -> None:
        shown = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", readme(tree))
        assert shown
        for words, target in shown:
            assert len(words) > 20
            assert min(png_size(tree / target)) >= 400

    def test_the_homepage_describes_each_module(self, tree: Path) -> None:
        modules = [path.parent for path in tree.glob("*/CMakeLists.txt")]
        assert [module.name for module in modules] == ["SEGSAM"]
        code = (modules[0] / "SEGSAM.py").read_text(encoding="utf-8")
        (title,) = re.findall(r'parent\.title = _\("([^"]+)"\)', code)
        assert f"- **{title}** (category *Segmentation*): " in readme(tree)

    def test_the_homepage_names_publication_licence_and_patents(self, tree: Path) -> None:
        text = readme(tree)
        assert "https://arxiv.org/abs/2412.12660" in text
        assert "please cite" in text
        assert "[Apache License 2.0](LICENSE.txt)" in text
        assert "for research only" in text
        assert "patents on it" in text

    def test_the_tutorial_has_steps_and_says_where_the_sample_is(self, tree: Path) -> None:
        sample = (tree / "SEGSAM" / "SEGSAMLib" / "Scene" / "SampleCT.py").read_text("utf-8")
        (name,) = re.findall(r'^NAME = "([^"]+)"', sample, re.MULTILINE)
        for page in (tree / "README.md", tree / "docs" / "tutorial.md"):
            text = page.read_text(encoding="utf-8")
            assert f"*File > Download Sample Data > SEG-SAM > {name}*" in text
            assert len(re.findall(r"^\d\. ", text, re.MULTILINE)) >= 5

    def test_what_is_downloaded_and_how_it_is_removed_is_said(self, tree: Path) -> None:
        text = " ".join(readme(tree).split())
        for words in ("ask before they install", "To remove it, delete that folder", "10 GB"):
            assert words in text


class TestWriting:
    def test_it_is_written_anew_beside_git(self, tmp_path: Path) -> None:
        write = writer().write_repository
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
        names = write(tmp_path)
        (tmp_path / "SEGSAM" / "left_over.py").write_text("")
        assert write(tmp_path) == names
        assert not (tmp_path / "SEGSAM" / "left_over.py").exists()
        assert (tmp_path / ".git" / "HEAD").is_file()
        there = {path.relative_to(tmp_path).as_posix() for path in files(tmp_path)}
        assert there == {*names, ".git/HEAD"}

    def test_another_folder_is_left_alone(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "thesis.txt").write_text("")
        assert writer().main([str(tmp_path)]) == 2
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
        assert capsys.readouterr().out.startswith("Expected a new, empty or earlier written folder")

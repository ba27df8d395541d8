"""Writer of the repository SlicerSEGSAM, from which the Extensions Index builds the extension.

    python slicer_module/write_repository.py FOLDER

It holds this folder without this file and the catalogue entry, the licence, and the tutorial with
its pictures. Links to other pages of the project become links to the project's own repository.
Standard library only.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path, PurePosixPath
from typing import Iterator

MODULE = Path(__file__).resolve().parent
ROOT = MODULE.parent
PROJECT_URL = "https://github.com/SEG-SAM/SEG-SAM/blob/main"
_SINGLE = ("CMakeLists.txt", "README.md", "SEGSAM.png")
_FOLDERS = ("SEGSAM", "Screenshots")
_TUTORIAL = ROOT / "docs" / "tutorial.md"
_LINK = re.compile(r"\]\(([^)\s#]+)((?:#[^)\s]*)?)\)")


class FolderError(Exception):
    """Folder that holds something else, which must not be replaced."""


def repository_files() -> dict[str, Path]:
    """Return the files of the repository: path in it -> file of the project."""
    files = {name: MODULE / name for name in _SINGLE}
    files |= {"LICENSE.txt": ROOT / "LICENSE", "docs/tutorial.md": _TUTORIAL}
    for folder in _FOLDERS:
        for path in sorted((MODULE / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files[path.relative_to(MODULE).as_posix()] = path
    for target, _ in _LINK.findall(_TUTORIAL.read_text(encoding="utf-8")):
        if target.startswith("pictures/"):
            files[f"docs/{target}"] = _TUTORIAL.parent / target
    return files


def write_repository(folder: Path) -> list[str]:
    """Write the repository, and return its paths. What an earlier call wrote there is replaced; a
    `.git` beside it stays.

    Raises `FolderError` if the folder holds anything else.
    """
    _clear(folder)
    files = repository_files()
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".md":
            target.write_text(_page(name, source, files), encoding="utf-8", newline="\n")
        else:
            shutil.copyfile(source, target)
    return sorted(files)


def _page(name: str, source: Path, files: dict[str, Path]) -> str:
    """Return the text of a page, with its links as they are right at its place."""
    places = {path.resolve(): where for where, path in files.items()}

    def moved(found: re.Match[str]) -> str:
        target, anchor = found.groups()
        if re.match(r"[a-z]+:", target):
            return found.group(0)
        path = (source.parent / target).resolve()
        if path in places:
            return f"]({_relative(places[path], name)}{anchor})"
        return f"]({PROJECT_URL}/{path.relative_to(ROOT).as_posix()}{anchor})"

    return _LINK.sub(moved, source.read_text(encoding="utf-8"))


def _relative(target: str, page: str) -> str:
    """Return the path from a page to a file, both in the repository."""
    up = len(PurePosixPath(page).parts) - 1
    folder = str(PurePosixPath(page).parent)
    if folder != "." and target.startswith(f"{folder}/"):
        return target[len(folder) + 1 :]
    return "../" * up + target


def _clear(folder: Path) -> None:
    """Remove what an earlier call wrote."""
    found = list(_entries(folder))
    if not found:
        return
    entry = folder / "CMakeLists.txt"
    if not entry.is_file() or "project(SEGSAM)" not in entry.read_text(encoding="utf-8"):
        raise FolderError(f"Expected a new, empty or earlier written folder, got {folder}.")
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _entries(folder: Path) -> Iterator[Path]:
    if folder.exists():
        yield from (path for path in folder.iterdir() if path.name != ".git")


def main(arguments: list[str]) -> int:
    """Write the repository. Return exit status 0, or 2 after a line about the problem."""
    if len(arguments) != 1:
        sys.stdout.write("Expected one folder: python slicer_module/write_repository.py FOLDER\n")
        return 2
    folder = Path(arguments[0])
    try:
        names = write_repository(folder)
    except (FolderError, OSError) as error:
        sys.stdout.write(f"{error}\n")
        return 2
    size = sum((folder / name).stat().st_size for name in names)
    sys.stdout.write(f"{len(names)} files, {size / 1e6:.1f} MB: {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

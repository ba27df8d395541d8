"""Paths of this computer, which no reply names: where the studies are, and who runs the server, is
of no use to a client and of much to a stranger. The log names them.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_END = r"""(?=[\s'",:;()<>\]]|\.(?:\s|$)|$)"""


class ServerPaths:
    """Folders whose place on this computer is hidden."""

    def __init__(self, folders: Iterable[str | Path | None]) -> None:
        """None and the root of a file system are passed over."""
        found = {text for folder in folders if folder for text in _spellings(Path(folder))}
        longest_first = sorted(found, key=len, reverse=True)
        names = "|".join(re.escape(one) for one in longest_first)
        self._pattern = re.compile(rf"(?<![\w.])({names})(?:([/\\]+)|{_END})") if names else None

    def removed_from(self, value: Any) -> Any:
        """Return a JSON value in which files are named by their path within these folders."""
        if isinstance(value, str):
            return value if self._pattern is None else self._pattern.sub(_replacement, value)
        if isinstance(value, Mapping):
            return {self.removed_from(key): self.removed_from(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.removed_from(item) for item in value]
        return value


def folders_of_process() -> list[str | Path]:
    """Return the folders that are known without any setting."""
    package = Path(__file__).resolve().parents[2]
    known: list[str | Path] = [tempfile.gettempdir(), sys.prefix, sys.base_prefix, package]
    for find in (Path.home, Path.cwd):
        with suppress(RuntimeError, OSError):  # the user has no home; the folder was deleted
            known.append(find())
    return known


def hide_folders(folders: Iterable[str | Path | None]) -> None:
    """Hide these folders as well, from now on."""
    _hidden.extend(folder for folder in folders if folder)
    _paths[0] = ServerPaths(_hidden)


def without_paths(value: Any) -> Any:
    """Return a JSON value without the paths of this computer."""
    return _paths[0].removed_from(value)


def _spellings(folder: Path) -> set[str]:
    if len(folder.parts) < 2:
        return set()
    real = os.path.realpath(folder)
    spellings = {str(folder), str(folder.absolute()), real}
    return {one for one in spellings if len(Path(one).parts) > 1 and Path(one).is_absolute()}


def _replacement(match: re.Match[str]) -> str:
    return "" if match[2] else "a folder of the server"


_hidden: list[str | Path] = folders_of_process()
_paths = [ServerPaths(_hidden)]

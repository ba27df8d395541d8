"""Folders of this user for files that are downloaded or computed once and used again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from segsam.errors import OutputError


def default_cache_dir() -> Path:
    """Return the folder in SEGSAM_CACHE, or the platform's cache folder of this user."""
    named = os.environ.get("SEGSAM_CACHE")
    if named:
        return Path(named).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "segsam/Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/segsam"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segsam"


def weights_dir() -> Path:
    """Return the folder in SEGSAM_WEIGHTS, or `weights` in the cache folder."""
    named = os.environ.get("SEGSAM_WEIGHTS")
    return Path(named).expanduser() if named else default_cache_dir() / "weights"


def make_folder(folder: Path) -> None:
    """Create a folder and its parents if missing. Raises OutputError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error

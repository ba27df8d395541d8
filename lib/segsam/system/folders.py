"""Where files live that are fetched or made once and used again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def default_cache_dir() -> Path:
    """The folder SEGSAM_CACHE names, or the platform's place for caches of this user."""
    named = os.environ.get("SEGSAM_CACHE")
    if named:
        return Path(named).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "segsam/Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/segsam"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segsam"


def weights_dir() -> Path:
    """The folder SEGSAM_WEIGHTS names, or `weights` in the cache folder."""
    named = os.environ.get("SEGSAM_WEIGHTS")
    return Path(named).expanduser() if named else default_cache_dir() / "weights"

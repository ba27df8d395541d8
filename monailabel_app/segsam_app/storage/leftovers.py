"""Files that killed servers left in the folder of temporary files, swept when a server starts.

An upload lies in `segsam-upload-<process id>-...` while it is read, and MONAI Label writes a
description of the log (`tmp....json`) for each start and never removes it.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import psutil

_OF_PROCESS = re.compile(r"segsam-(?:upload|reply)-(\d{1,10})-.*")
_START_FILE = re.compile(r"tmp[a-z0-9_]{8}\.json")
_LARGEST_START_FILE = 1 << 16


def prefix(kind: str) -> str:
    """Return how the names of this process's temporary files begin; `kind` is upload or reply."""
    return f"segsam-{kind}-{os.getpid()}-"


def sweep(folder: Path, logs: Path) -> None:
    """Remove what ended servers left in `folder`; `logs` is the folder that their start files
    name. What cannot be removed stays.
    """
    started = psutil.Process().create_time()
    with suppress(OSError):
        for path in list(folder.iterdir()):
            with suppress(OSError):
                if _is_of_ended_process(path) or _is_start_file(path, logs, started):
                    _remove(path)


def _is_of_ended_process(path: Path) -> bool:
    found = _OF_PROCESS.fullmatch(path.name)
    return found is not None and not psutil.pid_exists(int(found[1]))


def _is_start_file(path: Path, logs: Path, before: float) -> bool:
    """Return True for a description of the log that names `logs`, older than this process."""
    if not _START_FILE.fullmatch(path.name) or path.is_symlink() or not path.is_file():
        return False
    status = path.stat()
    if status.st_mtime >= before or status.st_size > _LARGEST_START_FILE:
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return '"disable_existing_loggers"' in text and str(logs) in text


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

"""Atomic file writes: a reader sees the old file or the new one, never a part of it.

The content is written to a temporary file in the same folder, flushed to disk and renamed. If that
fails, the old file is unchanged.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from segsam.errors import OutputError

_STARTED, _STARTED_STEADY = time.time(), time.monotonic()


@contextlib.contextmanager
def replacing(path: Path, ending: str = "") -> Iterator[Path]:
    """Yield a temporary path, to which the block writes; rename it to `path` when the block ends.

    `ending` is the ending of the temporary name, for writers that choose the format by it. If the
    block fails, the temporary file is deleted. Raises OutputError if the file cannot be written.
    """
    temporary = path.parent / f".{secrets.token_hex(8)}.partial{ending}"
    try:
        yield temporary
        flush_path(temporary)
        temporary.replace(path)
        flush_path(path.parent)
    except (OSError, ValueError) as error:
        system = getattr(error, "strerror", None)
        reason = system or "its content does not fit the format"
        raise OutputError(f"{path.name} could not be written: {reason}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def seconds_old(path: Path) -> float:
    """Return the age of a file by its modification time; raises OSError.

    The system clock may be set while a file is being written. So the age is also measured with a
    clock that goes on steadily from the start of this process, and the smaller one counts.
    """
    steady = _STARTED + time.monotonic() - _STARTED_STEADY
    return min(time.time(), steady) - path.stat().st_mtime


def flush_path(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk (fsync). Raises OSError.

    Does nothing for a folder on Windows, which cannot open folders and need not flush them.
    """
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file. Raises OutputError if it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(
    path: Path,
    value: object,
    *,
    indent: int | None = 1,
    default: Callable[[object], object] | None = None,
) -> None:
    """Write `value` as JSON (UTF-8, final newline); `default` converts what JSON does not know.

    Raises OutputError if the file cannot be written, or if `value` holds NaN or infinity.
    """
    with replacing(path) as temporary:
        text = json.dumps(value, indent=indent, default=default, allow_nan=False)
        temporary.write_bytes(f"{text}\n".encode())

"""Files that appear whole or not at all: written beside their place, flushed to disk, renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from segsam.errors import OutputError


@contextlib.contextmanager
def replacing(path: Path, ending: str = "") -> Iterator[Path]:
    """A fresh path in the folder of `path`, with the same `ending`; it takes its place at the end.

    Nothing is left behind when the block fails. Raises OutputError when the disk refuses.
    """
    fresh = path.parent / f".{secrets.token_hex(8)}.partial{ending}"
    try:
        yield fresh
        flush_path(fresh)
        fresh.replace(path)
        flush_path(path.parent)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        raise OutputError(f"{path.name} could not be written: {reason}.") from error
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


def flush_path(path: Path) -> None:
    """Put a file, or the names in a folder, on the disk (fsync). Raises OSError.

    Windows cannot open folders and does not need them flushed.
    """
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """A whole file in one go. Raises OutputError when the disk refuses."""
    with replacing(path) as fresh:
        fresh.write_bytes(content)

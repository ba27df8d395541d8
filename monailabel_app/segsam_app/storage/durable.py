"""Copies that are on the disk when they are said to be, and one sentence when a disk refuses."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path

from segsam.errors import OutputError

PARTIAL = ".partial"
"""Ending of files that are still being written; those of a killed process are swept later."""

STALE_SECONDS = 3600.0
"""Age from which a file that is still being written is taken for one that nobody writes."""

_PIECE = 1 << 20

_WAITING = ThreadPoolExecutor(4, thread_name_prefix="flush")
"""Threads that wait for a disk, made when first needed. They are kept, because on a busy processor
making one takes longer than a disk."""


@contextmanager
def disk(what: str) -> Iterator[None]:
    """Turn the refusal of a disk (full, read-only, gone) while doing `what` into `OutputError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{what} is not possible: {reason}; nothing was changed.") from error


def is_abandoned(path: Path) -> bool:
    """Whether `path` is a file that some process began to write an hour ago and never finished."""
    if PARTIAL not in path.name:
        return False
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > STALE_SECONDS
    return False


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written in `folder`. Raises OSError."""
    for path in folder.glob(f".*{PARTIAL}*"):
        if is_abandoned(path):
            path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def copy_durably(source: Path, target: Path) -> str:
    """Write `source` to `target` (a new file), flush it, and return its SHA-256. Raises OSError."""
    sha256 = copy(source, target)
    flush(target)
    return sha256


def copy(source: Path, *targets: Path) -> str:
    """Write `source` to each of `targets` (new files) and return its SHA-256.

    The source is read once, so that all copies are of one content. Raises OSError.
    """
    digest = hashlib.sha256()
    handles = [os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644) for target in targets]
    try:
        with source.open("rb") as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
                for handle in handles:
                    write_all(handle, piece)
    finally:
        for handle in handles:
            os.close(handle)
    return digest.hexdigest()


def write_all(handle: int, content: bytes) -> None:
    """`os.write` until all is written: a disk that fills writes less, then refuses."""
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def flush(*paths: Path) -> None:
    """Put files, and what was renamed in folders, on the disk: all at once, because a disk writes
    its journal once for several that wait. Raises OSError.
    """
    if len(paths) == 1:
        _flush(paths[0])
        return
    try:
        flushes = [_WAITING.submit(_flush, path) for path in paths]
    except RuntimeError:  # the program is ending, and begins no threads any more
        for path in paths:
            _flush(path)
        return
    wait(flushes)
    for one in flushes:
        one.result()


def _flush(path: Path) -> None:
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":  # opens no folders and needs none flushed
        return
    handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

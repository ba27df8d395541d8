"""Disk primitives of the store: copies, flushes (fsync), hashes, and disk errors as `OutputError`.

A single file that replaces another one is written by `segsam.system.atomic`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from segsam.errors import OutputError
from segsam.system.atomic import flush_path, seconds_old

PARTIAL = ".partial"
"""Part of the name of every file or folder that is still being written."""

ABANDONED_SECONDS = 3600.0
"""Age from which a partial file counts as left behind by a killed process."""

_CHUNK_BYTES = 1 << 20

_FLUSH_THREADS = ThreadPoolExecutor(4, thread_name_prefix="flush")
"""Kept for the life of the process: on a busy processor, starting a thread takes longer than a
flush."""


@contextmanager
def output_errors(action: str) -> Iterator[None]:
    """Turn an OSError (disk full, read-only, gone) during `action` into `OutputError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{action} is not possible: {reason}; nothing was changed.") from error


def is_abandoned(path: Path) -> bool:
    """Return True if a process began to write `path` more than an hour ago and never finished."""
    if PARTIAL not in path.name:
        return False
    with suppress(OSError):
        return seconds_old(path) > ABANDONED_SECONDS
    return False


def remove_abandoned(folder: Path) -> None:
    """Remove the partial files and folders that killed processes left in `folder`.

    Younger ones stay: another process may be writing them. Raises OSError.
    """
    for path in filter(is_abandoned, folder.glob(f".*{PARTIAL}*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class FileStamp(NamedTuple):
    """State of a file; another one means that the file may have changed.

    A program can set the time of the last change of the content, but not that of the state.
    """

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def stamp_of(path: Path) -> FileStamp | None:
    """Return the state of a regular file, None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileStamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def copy(source: Path, *targets: Path) -> str:
    """Write `source` to each of `targets` (new files) and return its SHA-256.

    The source is read only once, so that all copies and the hash have the same content. Raises
    OSError.
    """
    digest = hashlib.sha256()
    handles = [os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644) for target in targets]
    try:
        with source.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                for handle in handles:
                    write_all(handle, chunk)
    finally:
        for handle in handles:
            os.close(handle)
    return digest.hexdigest()


def write_all(handle: int, content: bytes) -> None:
    """Call `os.write` until all of `content` is written.

    A disk that runs full first writes less than was asked for, and only then raises OSError.
    """
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def flush(*paths: Path) -> None:
    """Put files, and the names in folders, on the disk (fsync). Raises OSError.

    Several paths are flushed in parallel, because a file system commits its journal once for all
    flushes that are pending.
    """
    if len(paths) == 1:
        flush_path(paths[0])
        return
    try:
        flushes = [_FLUSH_THREADS.submit(flush_path, path) for path in paths]
    except RuntimeError:  # the interpreter is shutting down and starts no more threads
        for path in paths:
            flush_path(path)
        return
    wait(flushes)
    for one in flushes:
        one.result()

"""Disk primitives of the store: copies, flushes (fsync), hashes, and disk errors as `OutputError`.

A single file that replaces another one is written by `segsam.system.atomic`.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from segsam.errors import OutputError
from segsam.system.atomic import flush_path, seconds_old

PARTIAL = ".partial"
"""Part of the name of every file or folder that is still being written."""

ABANDONED_SECONDS = 3600.0
"""Age from which a partial file counts as left behind by a killed process."""

_CHUNK_BYTES = 1 << 20

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link to nothing",
}
_HERE = -100
"""Linux: names are relative to the working folder (AT_FDCWD)."""
_EXCHANGE = 2
"""Linux: two names change places (RENAME_EXCHANGE)."""

_FLUSH_THREADS = ThreadPoolExecutor(4, thread_name_prefix="flush")
"""Kept for the life of the process: on a busy processor, starting a thread takes longer than a
flush."""


class StagedCopies(NamedTuple):
    """Two copies of one file: one for the version, one for the current label."""

    version: Path
    current: Path
    sha256: str
    size: int


@contextmanager
def output_errors(action: str) -> Iterator[None]:
    """Turn an OSError (disk full, read-only, gone) during `action` into `OutputError`.

    A file that this user may not use is named, without its folder.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if isinstance(error, PermissionError) and error.filename:
            reason += f" ({Path(error.filename).name})"
        raise OutputError(f"{action} is not possible: {reason}; nothing was changed.") from error


def is_abandoned(path: Path) -> bool:
    """Return True if a process began to write `path` more than an hour ago and never finished."""
    if PARTIAL not in path.name:
        return False
    with suppress(OSError):
        return seconds_old(path) > ABANDONED_SECONDS
    return False


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, which is removed afterwards. Raises OSError."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f".{secrets.token_hex(8)}{PARTIAL}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
    return _stamp(status) if stat.S_ISREG(status.st_mode) else None


def _stamp(status: os.stat_result) -> FileStamp:
    return FileStamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def copy_whole(source: Path, target: Path) -> FileStamp | None:
    """Write `source` to `target` (a new file) and return the state that it was in.

    None if it was written to meanwhile; that it was renamed, or that another file took its name,
    changes nothing of what is read. Raises OSError.
    """
    with open_regular(source) as stream, target.open("xb") as copied:
        before = _stamp(os.fstat(stream.fileno()))
        shutil.copyfileobj(stream, copied, _CHUNK_BYTES)
        status = os.fstat(stream.fileno())
    after = _stamp(status)
    is_same = after[:3] == before[:3] if status.st_nlink == 0 else after == before
    return before if is_same else None


def in_the_way(path: Path, *, is_folder: bool = False) -> str | None:
    """Return in words what lies where a file (or a folder) has to be and is none; None if the place
    is free, or holds what it has to.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # a folder above is a link to itself, or may not be read
        return f"what cannot be looked at ({error.strerror or type(error).__name__})"
    if stat.S_ISLNK(mode):
        with suppress(OSError):
            mode = path.stat().st_mode
    kind = stat.S_IFMT(mode)
    if kind == (stat.S_IFDIR if is_folder else stat.S_IFREG):
        return None
    return _KINDS.get(kind, "something else")


def is_entry(entry: os.DirEntry[str], *, is_folder: bool = False) -> bool:
    """Return True if an entry of a folder is, or leads to, a file (or a folder); False for a link
    to itself, and what cannot be looked at.
    """
    with suppress(OSError):
        return entry.is_dir() if is_folder else entry.is_file()
    return False


def state_of_place(path: Path) -> tuple[object, ...]:
    """Return the state of whatever lies at a place, and of what a link there leads to."""
    found: list[object] = []
    for look in (path.lstat, path.stat):
        try:
            status = look()
        except OSError as error:
            found.append(error.errno)
        else:
            found += [status.st_mode, _stamp(status)]
    return tuple(found)


def sentence_of_place(name: str, found: str, *, is_folder: bool = False) -> str:
    """Return the sentence about what lies in the way at the place `name`."""
    return f"expected {'a folder' if is_folder else 'a file'} as {name}, got {found}; move it away"


def check_place(path: Path, name: str = "", *, is_folder: bool = False) -> None:
    """Raise OSError with a sentence if something else lies where a file (or a folder) has to be.

    `name` is what the sentence calls the place; its last part without one.
    """
    if found := in_the_way(path, is_folder=is_folder):
        raise OSError(
            errno.EEXIST, sentence_of_place(name or path.name, found, is_folder=is_folder)
        )


def check_may_write(folder: Path, name: str) -> None:
    """Raise OSError with a sentence if this user may not change a folder that is there."""
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, f"the folder {name} may not be written to")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read. Raises OSError, at once for a pipe that nobody writes to."""
    check_place(path)
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # it has come after the look at the place
        os.close(handle)
        check_place(path)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return os.fdopen(handle, "rb")


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file. Raises OSError."""
    with open_regular(path) as stream:
        return stream.read()


def sha256_of_stream(stream: BinaryIO) -> str:
    """Return the SHA-256 of what a stream still holds, in hexadecimal digits."""
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with open_regular(path) as stream:
        return sha256_of_stream(stream)


def put_in_place(new: Path, place: Path, aside: Path) -> bool:
    """Rename `new` to `place`, and what is there at that moment to `aside`; True if it was a file.

    On Linux the two change places at once. Elsewhere, and on file systems that cannot do that,
    `place` is empty for a moment. Raises OSError.
    """
    check_place(place)
    if give_back(new, place):
        return False
    if _exchange(new, place):
        new.rename(aside)
        return True
    try:
        place.rename(aside)
    except FileNotFoundError:
        new.replace(place)
        return False
    new.replace(place)
    return True


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two files; False if that is not possible here, or `second` does not exist."""
    with suppress(AttributeError, OSError):
        rename = ctypes.CDLL(None).renameat2
        failed = rename(_HERE, os.fsencode(first), _HERE, os.fsencode(second), _EXCHANGE)
        return not failed
    return False


def give_back(moved: Path, place: Path) -> bool:
    """Rename `moved` to `place` unless something is there; True if that was possible."""
    try:
        os.link(moved, place)
    except OSError:
        return False
    moved.unlink()
    return True


def copy(source: Path, *targets: Path) -> str:
    """Write `source` to each of `targets` (new files) and return its SHA-256.

    The source is read only once, so that all copies and the hash have the same content. Raises
    OSError.
    """
    digest = hashlib.sha256()
    handles = [os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644) for target in targets]
    try:
        with open_regular(source) as stream:
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

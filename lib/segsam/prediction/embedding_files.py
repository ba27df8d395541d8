"""Embeddings in a folder: a safetensors file for each slice, whole or not at all.

The form is one for everybody: training keeps what it learns from in it, without a limit, and the
server what it may want again, under one. Several processes may share a folder. With a limit the
files that were not used for longest go first; when a file was used is its modification time, so
the order outlives the process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from segsam.errors import OutputError
from segsam.system.atomic import replacing

logger = logging.getLogger(__name__)

_ENDING = ".safetensors"
_MOST_UNWRITTEN = 32
_LEFT_OVER_SECONDS = 3600.0
_KEPT_SHARE = 0.9
"""Of the limit, after room was made: looking through a full folder at each write would cost more
than the write."""


@dataclass(frozen=True)
class _File:
    used: float
    bytes: int
    path: Path


class EmbeddingFiles:
    """The embeddings in `folder` by key; see the module. Safe to use from any thread."""

    def __init__(
        self, folder: Path, limit_bytes: int | None = None, *, private: bool = False
    ) -> None:
        """Open the folder, or make it.

        Args:
            folder: where the files are.
            limit_bytes: of all files together; None for no limit.
            private: nobody but this user may read what is made from now on.

        Raises:
            OutputError: a folder that cannot be made or read.
        """
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._private = private
        self._bytes = 0
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
            if limit_bytes is not None:
                self._sweep()
                self._shrink(limit_bytes)
        except OSError as error:
            raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error

    @property
    def bytes(self) -> int:
        """Of all files, as far as this process knows; counted under a limit only."""
        return self._bytes

    def __contains__(self, key: str) -> bool:
        """Whether there is a whole file for `key`; a torn one is removed."""
        try:
            with safetensors.safe_open(self._path(key), framework="pt"):
                return True
        except FileNotFoundError:
            return False
        except SafetensorError:
            self._remove(key)
            return False

    def read(self, key: str, device: torch.device | str = "cpu") -> dict[str, Tensor] | None:
        """The tensors kept under `key`; None when there are none, or only a torn file, which is
        removed.
        """
        path = self._path(key)
        try:
            found: dict[str, Tensor] = safetensors.torch.load_file(path, device=str(device))
        except SafetensorError:
            self._remove(key)
            return None
        except OSError:  # not there, or removed by another process, or a disk that failed
            return None
        if self.limit_bytes is not None:
            with contextlib.suppress(OSError):
                os.utime(path)
        return found

    def write(self, key: str, tensors: dict[str, Tensor]) -> None:
        """Keep tensors under `key`. Raises OutputError when the disk refuses."""
        content = safetensors.torch.save(tensors)
        with replacing(self._path(key)) as fresh:
            fresh.touch(mode=0o600 if self._private else 0o666)
            fresh.write_bytes(content)
        if self.limit_bytes is None:
            return
        with self._lock:
            self._bytes += len(content)
            if self._bytes > self.limit_bytes:
                self._shrink(int(self.limit_bytes * _KEPT_SHARE))

    def _files(self) -> list[_File]:
        """What is there, the one that was not used for longest first."""
        found = []
        for path in self.folder.glob(f"*{_ENDING}"):
            with contextlib.suppress(OSError):  # another process removed it just now
                stat = path.stat()
                found.append(_File(stat.st_mtime, stat.st_size, path))
        return sorted(found, key=lambda file: file.used)

    def _shrink(self, most: int) -> None:
        files = self._files()
        total = sum(file.bytes for file in files)
        for file in files:
            if total <= most:
                break
            with contextlib.suppress(OSError):
                file.path.unlink()
                total -= file.bytes
        self._bytes = total

    def _sweep(self) -> None:
        """Remove what a killed process left half-written."""
        for path in self.folder.glob(".*.partial"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFT_OVER_SECONDS:
                    path.unlink()

    def _remove(self, key: str) -> None:
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_ENDING}"


class Writer:
    """Writes embeddings some time soon, in a thread of its own: nobody waits for a disk.

    Of a disk that is too slow or refuses, nothing is heard but a line in the log.
    """

    def __init__(self, files: EmbeddingFiles) -> None:
        self._files = files
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segsam-embeddings")
        self._waiting: set[Future[None]] = set()

    def write(self, key: str, tensors: dict[str, Tensor]) -> None:
        """Returns at once; what comes while too many wait is not written."""
        if len(self._waiting) >= _MOST_UNWRITTEN:
            return
        with contextlib.suppress(RuntimeError):  # the interpreter is about to end
            future = self._thread.submit(self._write, key, tensors)
            self._waiting.add(future)
            future.add_done_callback(self._waiting.discard)

    def flush(self) -> None:
        """Returns when all that came so far is on disk, or was given up."""
        self._thread.submit(int).result()

    def _write(self, key: str, tensors: dict[str, Tensor]) -> None:
        try:
            self._files.write(key, tensors)
        except OutputError as error:
            logger.warning("an embedding stays in memory only: %s", error)

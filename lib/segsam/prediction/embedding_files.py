"""Folder of embeddings on disk: one safetensors file per slice, written whole or not at all.

Training keeps the embeddings that it learns from in such a folder, without a size limit. The server
keeps the embeddings that it may need again, under a limit. Several processes may share a folder.
Under a limit, the least recently used files are removed first. The time of last use is the file's
modification time, so the order survives a restart.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from segsam.errors import OutputError
from segsam.system.atomic import replacing, seconds_old

logger = logging.getLogger(__name__)

_ENDING = ".safetensors"
_KEY = "key"
"""Of the metadata: the key of the file, which files of earlier versions lack."""
_MAX_UNWRITTEN = 32
"""Embeddings that wait for the disk; memory must not fill up if the disk is slow."""
_ABANDONED_SECONDS = 3600.0
"""Age from which a partial file is taken to belong to a killed process."""
_SHRINK_TO = 0.9
"""Share of the limit that is left after files were removed. Listing a full folder at every write
would take longer than the write."""


@dataclass(frozen=True)
class _File:
    used: float
    bytes: int
    path: Path


class EmbeddingFiles:
    """Embeddings in `folder` by key; safe to use from any thread and process."""

    def __init__(
        self, folder: Path, limit_bytes: int | None = None, *, private: bool = False
    ) -> None:
        """Open the folder, or create it.

        Args:
            folder: where the files are.
            limit_bytes: size limit of all files together; None for no limit.
            private: create the folder and files with access for the current user only.

        Raises:
            OutputError: a folder that cannot be created or read.
        """
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._private = private
        self._bytes = 0
        self._has_warned = False
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
            if limit_bytes is not None:
                self._remove_abandoned()
                self._shrink(limit_bytes)
        except OSError as error:
            raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error

    @property
    def bytes(self) -> int:
        """Size of all files, as far as this process knows; 0 without a limit."""
        return self._bytes

    def __contains__(self, key: str) -> bool:
        """Return True if there is a complete file for `key`; a damaged one is removed."""
        return self.holds(key, {})

    def holds(self, key: str, shapes: Mapping[str, tuple[str, Sequence[int]]]) -> bool:
        """Return True if the file for `key` is complete and has tensors of these types, as
        safetensors names them, and shapes. A damaged or another one is removed.
        """
        if not self._path(key).exists():
            return False
        try:
            with safetensors.safe_open(self._path(key), framework="pt") as file:
                names = set(file.keys())
                found = {name: file.get_slice(name) for name in names & set(shapes)}
                kinds = {name: (one.get_dtype(), one.get_shape()) for name, one in found.items()}
                wanted = {name: (kind, list(shape)) for name, (kind, shape) in shapes.items()}
                if _is_of(file, key) and kinds == wanted:
                    return True
        except SafetensorError:
            pass
        except OSError:  # removed by another process, or a disk error
            return False
        self._remove(key)
        return False

    def read(self, key: str, device: torch.device | str = "cpu") -> dict[str, Tensor] | None:
        """Return the tensors stored under `key`; None if there are none.

        A damaged file, one of another key, or one with values that are no numbers is removed and
        counts as none.
        """
        path = self._path(key)
        if not path.exists():
            return None
        try:
            with safetensors.safe_open(path, framework="pt", device=str(device)) as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                is_whole = _is_of(file, key) and all(map(_is_finite, tensors.values()))
        except SafetensorError:
            tensors, is_whole = {}, False
        except OSError:  # removed by another process, or a disk error
            return None
        if not is_whole:
            self._remove(key)
            return None
        if self.limit_bytes is not None:
            with contextlib.suppress(OSError):
                os.utime(path)
        return tensors

    def write(self, key: str, tensors: dict[str, Tensor]) -> None:
        """Store tensors under `key`.

        Raises:
            OutputError: the disk refuses.
        """
        content = safetensors.torch.save(tensors, {_KEY: key})
        with replacing(self._path(key)) as partial:
            partial.touch(mode=0o600 if self._private else 0o666)
            partial.write_bytes(content)
        if self.limit_bytes is None:
            return
        with self._lock:
            self._bytes += len(content)
            if self._bytes > self.limit_bytes:
                self._shrink(int(self.limit_bytes * _SHRINK_TO))

    def _files(self) -> list[_File]:
        """Return all files, the least recently used first."""
        found = []
        for path in self.folder.glob(f"*{_ENDING}"):
            with contextlib.suppress(OSError):  # another process removed it just now
                stat = path.stat()
                found.append(_File(stat.st_mtime, stat.st_size, path))
        return sorted(found, key=lambda file: file.used)

    def _shrink(self, max_bytes: int) -> None:
        files = self._files()
        total = sum(file.bytes for file in files)
        for file in files:
            if total <= max_bytes:
                break
            with contextlib.suppress(OSError):
                file.path.unlink()
                total -= file.bytes
        self._bytes = total

    def _remove_abandoned(self) -> None:
        """Remove partial files of killed processes, but none that a process writes now."""
        for path in self.folder.glob(".*.partial"):
            with contextlib.suppress(OSError):
                if seconds_old(path) > _ABANDONED_SECONDS:
                    path.unlink()

    def _remove(self, key: str) -> None:
        if not self._has_warned:
            logger.warning(
                "embeddings in %s are damaged or of another kind; they are computed anew",
                self.folder.name,
            )
            self._has_warned = True
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        path = self.folder / f"{key}{_ENDING}"
        return path.with_name(f"{key}-1{_ENDING}") if path.is_dir() else path


def _is_of(file: Any, key: str) -> bool:
    """Return False for the open file of another key, such as one that was copied over."""
    return bool((file.metadata() or {}).get(_KEY, key) == key)


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    low, high = tensor.aminmax()
    return bool(low.isfinite() and high.isfinite())


class BackgroundWriter:
    """Writer of embeddings in a thread of its own, so that no request waits for the disk.

    If the disk is too slow, embeddings are skipped; if it refuses, the log has a warning.
    """

    def __init__(self, files: EmbeddingFiles) -> None:
        self._files = files
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segsam-embeddings")
        self._pending: set[Future[None]] = set()

    def write(self, key: str, tensors: dict[str, Tensor]) -> None:
        """Queue tensors to be written, or skip them if too many are waiting; returns at once."""
        if len(self._pending) >= _MAX_UNWRITTEN:
            return
        with contextlib.suppress(RuntimeError):  # the interpreter is about to end
            future = self._thread.submit(self._write, key, tensors)
            self._pending.add(future)
            future.add_done_callback(self._pending.discard)

    def flush(self) -> None:
        """Wait until all queued tensors are written or given up."""
        self._thread.submit(int).result()

    def _write(self, key: str, tensors: dict[str, Tensor]) -> None:
        try:
            self._files.write(key, tensors)
        except OutputError as error:
            logger.warning("an embedding stays in memory only: %s", error)

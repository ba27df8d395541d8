"""Cache of slice embeddings: encoding a slice takes twenty times as long as decoding a click on it.

The key of a slice is made of what was really encoded: the resized 8-bit image, which depends on
voxels, axis, orientation and intensity window, and the encoder: its weights, and its precision if
that differs from float32. The same slice is therefore encoded once for every annotator and every
checkpoint on that encoder. Other weights or another CT window can never get an outdated embedding.
What a checkpoint derives from an embedding before any prompt (a coarser grid, presence) is stored
with it under the checkpoint's name, and removed with it.

    memory, float16, under a limit --miss--> disk, under a limit --miss--> encoder

Embeddings are rounded to float16 before anything is derived from them. The first answer is then the
same as all later ones, whether the embedding comes from memory, from disk or from the files of a
training run. The effect on masks is measured in `docs/lab/performance.md`, "Embeddings in half
precision".
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.model import ImageFeatures
from segsam.prediction.embedding_files import BackgroundWriter, EmbeddingFiles

DEFAULT_BYTES = 1 << 30
"""One GiB: 512 slices of LiteMedSAM's 2 MiB embeddings."""


@dataclass(frozen=True)
class CacheState:
    """Contents and statistics of the cache.

    Entries and bytes (of at most `limit_bytes`) are in memory; the disk has 0 of 0 bytes if there
    is none. Of the slices that a request waited for, `hits` were in memory, `disk_hits` on disk,
    and `misses` were encoded. `prefetched` slices were encoded before a request.
    """

    entries: int = 0
    bytes: int = 0
    limit_bytes: int = 0
    hits: int = 0
    misses: int = 0
    disk_bytes: int = 0
    disk_limit_bytes: int = 0
    disk_hits: int = 0
    prefetched: int = 0


@dataclass
class _Entry:
    """Embedding of one slice, and what each checkpoint derived from it."""

    encoded: ImageFeatures
    derived: dict[str, ImageFeatures] = field(default_factory=dict)
    bytes: int = 0

    def remeasure(self) -> int:
        """Update `bytes` and return the change; a tensor that is stored twice counts once."""
        stored = (self.encoded, *self.derived.values())
        values = (getattr(each, f.name) for each in stored for f in fields(each))
        tensors = {id(t): t for t in values if isinstance(t, Tensor)}
        before = self.bytes
        self.bytes = sum(t.element_size() * t.nelement() for t in tensors.values())
        return self.bytes - before


class EmbeddingCache:
    """Least-recently-used cache of image embeddings under a byte limit, with a disk behind it if
    `files` are given; safe to share between threads and checkpoints.

    It stores the output of the image encoder as `ImageFeatures` without presence, and returns
    float32. Encoding for a request happens under a lock: two annotators who click on the same new
    slice cause one encoding, and two slices are never encoded at the same time, which is slower on
    a CPU than one after the other. Background encoding takes no lock, because no request may wait
    for it.
    """

    def __init__(
        self,
        limit_bytes: int = DEFAULT_BYTES,
        *,
        files: EmbeddingFiles | None = None,
        precision: torch.dtype = torch.float16,
    ) -> None:
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must not be negative, got {limit_bytes}")
        self.limit_bytes = limit_bytes
        self._files = files
        self._precision = precision
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._counts: Counter[str] = Counter()
        self._encode_lock = threading.Lock()
        self._lock = threading.Lock()
        self._writer = None if files is None else BackgroundWriter(files)

    def get(self, key: str) -> ImageFeatures | None:
        """Return the features under `key` from memory and mark them as used; None on a miss."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            stored = entry.encoded
        return _as_type(stored, torch.float32)

    def get_or_encode(
        self,
        key: str,
        encode: Callable[[], ImageFeatures],
        *,
        background: bool = False,
        private: bool = False,
    ) -> tuple[ImageFeatures, bool]:
        """Return the features under `key`, and True if they were encoded now.

        Args:
            key: from `slice_key`.
            encode: runs the encoder; never called twice at the same time, except in the background.
            background: encode without a lock, for a slice that no request waits for yet.
            private: never write to disk.
        """
        found = self._find(key, background=background)
        if found is not None:
            return found, False
        if background:
            return self._encode(key, encode, background=True, private=private), True
        with self._encode_lock:
            found = self.get(key)  # another thread may have encoded it while this one waited
            if found is not None:
                self._count("hits")
                return found, False
            return self._encode(key, encode, background=False, private=private), True

    def get_or_derive(
        self,
        key: str,
        weights_id: str,
        encoded: ImageFeatures,
        derive: Callable[[ImageFeatures], ImageFeatures],
    ) -> ImageFeatures:
        """Return what the checkpoint `weights_id` derives from `encoded`, the features under `key`.

        If the entry has been removed meanwhile, it is computed and not stored. Two threads may
        compute it at the same time, with the same result.
        """
        with self._lock:
            entry = self._entries.get(key)
            found = None if entry is None else entry.derived.get(weights_id)
        if entry is not None and found is not None:
            return _exchange(found, entry.encoded, encoded)
        derived = derive(encoded)
        with self._lock:
            if entry is not None and self._entries.get(key) is entry:
                entry.derived.setdefault(weights_id, _exchange(derived, encoded, entry.encoded))
                self._bytes += entry.remeasure()
                self._shrink()
        return derived

    def clear(self) -> None:
        """Remove everything from memory; the disk and the statistics stay."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def flush(self) -> None:
        """Wait until everything encoded so far is on disk or was given up."""
        if self._writer is not None:
            self._writer.flush()

    @property
    def state(self) -> CacheState:
        """Contents and statistics at this moment."""
        files = self._files
        with self._lock:
            return CacheState(
                entries=len(self._entries),
                bytes=self._bytes,
                limit_bytes=self.limit_bytes,
                disk_bytes=0 if files is None else files.bytes,
                disk_limit_bytes=0 if files is None else files.limit_bytes or 0,
                **self._counts,
            )

    def _find(self, key: str, *, background: bool) -> ImageFeatures | None:
        """Return features from memory or from disk; disk features are put into memory."""
        found, place = self.get(key), "hits"
        if found is None:
            found, place = self._read(key), "disk_hits"
        if found is not None and not background:
            self._count(place)
        return found

    def _read(self, key: str) -> ImageFeatures | None:
        tensors = None if self._files is None else self._files.read(key)
        if tensors is None or "embedding" not in tensors:
            return None
        stored = ImageFeatures(tensors["embedding"], detail=tensors.get("detail"))
        self._put(key, stored)
        return _as_type(stored, torch.float32)

    def _encode(
        self, key: str, encode: Callable[[], ImageFeatures], *, background: bool, private: bool
    ) -> ImageFeatures:
        stored = _as_type(encode(), self._precision)
        self._count("prefetched" if background else "misses")
        self._put(key, stored)
        if self._writer is not None and not private:
            self._writer.write(key, _on_cpu(stored))
        return _as_type(stored, torch.float32)

    def _put(self, key: str, stored: ImageFeatures) -> None:
        entry = _Entry(stored)
        size = entry.remeasure()
        with self._lock:
            if size > self.limit_bytes or key in self._entries:
                return
            self._entries[key] = entry
            self._bytes += size
            self._shrink()

    def _shrink(self) -> None:
        while self._bytes > self.limit_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.bytes

    def _count(self, event: str) -> None:
        with self._lock:
            self._counts[event] += 1


def _on_cpu(features: ImageFeatures) -> dict[str, Tensor]:
    tensors = {"embedding": features.embedding, "detail": features.detail}
    return {name: t.cpu().contiguous() for name, t in tensors.items() if t is not None}


def _as_type(features: ImageFeatures, dtype: torch.dtype) -> ImageFeatures:
    """Return features with their large tensors (embedding and detail) as another type."""
    convert = _half if dtype is torch.float16 else lambda tensor: tensor.to(dtype)
    detail = None if features.detail is None else convert(features.detail)
    return ImageFeatures(convert(features.embedding), features.presence_logits, detail)


def _half(tensor: Tensor) -> Tensor:
    """Return a tensor as float16, or unchanged if it has values beyond the range of float16."""
    rounded = tensor.half()
    return rounded if bool(torch.isfinite(rounded).all()) else tensor


def _exchange(
    derived: ImageFeatures, old_source: ImageFeatures, new_source: ImageFeatures
) -> ImageFeatures:
    """Return `derived` with tensors that are those of `old_source` replaced by `new_source`'s.

    A checkpoint on the host's own grid derives the embedding unchanged. The cache then stores the
    reference to its own float16 tensor, and callers get the float32 tensor that they hold anyway.
    """

    def exchanged(name: str) -> Any:
        value = getattr(derived, name)
        return getattr(new_source if value is getattr(old_source, name) else derived, name)

    return ImageFeatures(**{f.name: exchanged(f.name) for f in fields(derived)})


def slice_key(image: NDArray[np.uint8], weights_id: str) -> str:
    """Return the cache key of a resized slice, uint8 (h_px, w_px, 3), for weights of that name."""
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
    digest.update(repr(image.shape).encode())
    digest.update(weights_id.encode())
    return digest.hexdigest()

"""Slice embeddings kept in memory: encoding a slice costs a hundred times what a click on it costs.

A slice is known by what was really encoded: the resized 8-bit image (so voxels, axis, orientation
and intensity are all in the key) and the weights. The same slice of the same image is therefore
encoded once for every annotator, and changed weights or another CT window can never serve a stale
embedding.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model import ImageFeatures

DEFAULT_BYTES = 1 << 30
"""One GiB: 256 slices of LiteMedSAM's 4 MiB embeddings."""


@dataclass(frozen=True)
class CacheState:
    """What the cache holds and how it served: entries, bytes (of at most `limit_bytes`), hits and
    misses.
    """

    entries: int
    bytes: int
    limit_bytes: int
    hits: int
    misses: int


class EmbeddingCache:
    """A least-recently-used cache of `ImageFeatures` under a byte limit, safe to share between
    threads.

    Encoding happens under the lock: two annotators who click on the same new slice cost one
    encoding, and the processor is never asked to encode two slices at once (which on a CPU is
    slower than one after the other).
    """

    def __init__(self, limit_bytes: int = DEFAULT_BYTES) -> None:
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must not be negative, got {limit_bytes}")
        self.limit_bytes = limit_bytes
        self._kept: OrderedDict[str, tuple[ImageFeatures, int]] = OrderedDict()
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._encoding = threading.Lock()
        self._books = threading.Lock()

    def get(self, key: str) -> ImageFeatures | None:
        """The features kept under `key`, which become the most recently used; None when they are
        not there.
        """
        with self._books:
            entry = self._kept.get(key)
            if entry is None:
                return None
            self._kept.move_to_end(key)
            self._hits += 1
            return entry[0]

    def get_or_encode(
        self, key: str, encode: Callable[[], ImageFeatures]
    ) -> tuple[ImageFeatures, bool]:
        """(features, whether they were encoded now). `encode` is called at most once at a time,
        over all threads.
        """
        found = self.get(key)
        if found is not None:
            return found, False
        with self._encoding:
            found = self.get(key)
            if found is not None:
                return found, False
            features = encode()
            self._put(key, features)
        return features, True

    def clear(self) -> None:
        """Forget everything; the counts of hits and misses stay."""
        with self._books:
            self._kept.clear()
            self._bytes = 0

    @property
    def state(self) -> CacheState:
        with self._books:
            return CacheState(
                len(self._kept), self._bytes, self.limit_bytes, self._hits, self._misses
            )

    def _put(self, key: str, features: ImageFeatures) -> None:
        size = _bytes_of(features)
        with self._books:
            self._misses += 1
            if size > self.limit_bytes:
                return
            self._kept[key] = (features, size)
            self._bytes += size
            while self._bytes > self.limit_bytes:
                _, (_, freed) = self._kept.popitem(last=False)
                self._bytes -= freed


def slice_key(image: NDArray[np.uint8], weights_id: str) -> str:
    """The key of a resized slice, uint8 (h_px, w_px, 3), under the weights of `weights_id`."""
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
    digest.update(repr(image.shape).encode())
    digest.update(weights_id.encode())
    return digest.hexdigest()


def _bytes_of(features: ImageFeatures) -> int:
    tensors = (getattr(features, f.name) for f in fields(features))
    return sum(t.element_size() * t.nelement() for t in tensors if isinstance(t, torch.Tensor))

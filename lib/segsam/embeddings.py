"""Slice embeddings kept in memory: encoding a slice costs a hundred times what a click on it costs.

A slice is known by what was really encoded: the resized 8-bit image (so voxels, axis, orientation
and intensity are all in the key) and the encoder's weights. The same slice of the same image is
therefore encoded once for every annotator and for every checkpoint on that encoder, and changed
weights or another CT window can never serve a stale embedding. What a checkpoint makes of an
embedding before any prompt (a coarser grid, presence) is kept beside it under the checkpoint's own
name, and goes when it goes.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, fields

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


@dataclass
class _Entry:
    """One slice: what the encoder said, and what each checkpoint made of it."""

    encoded: ImageFeatures
    derived: dict[str, ImageFeatures] = field(default_factory=dict)
    bytes: int = 0

    def measure(self) -> int:
        """By how much it has grown since; a tensor that is handed on as it is counts once."""
        kept = (self.encoded, *self.derived.values())
        values = (getattr(each, f.name) for each in kept for f in fields(each))
        tensors = {id(t): t for t in values if isinstance(t, torch.Tensor)}
        before = self.bytes
        self.bytes = sum(t.element_size() * t.nelement() for t in tensors.values())
        return self.bytes - before


class EmbeddingCache:
    """A least-recently-used cache of what `SegSam.host.encode` gives, as `ImageFeatures` without
    presence, under a byte limit; safe to share between threads and checkpoints.

    Encoding happens under the lock: two annotators who click on the same new slice cost one
    encoding, and the processor is never asked to encode two slices at once (which on a CPU is
    slower than one after the other).
    """

    def __init__(self, limit_bytes: int = DEFAULT_BYTES) -> None:
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must not be negative, got {limit_bytes}")
        self.limit_bytes = limit_bytes
        self._kept: OrderedDict[str, _Entry] = OrderedDict()
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
            return entry.encoded

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

    def get_or_derive(
        self, key: str, weights_id: str, derive: Callable[[], ImageFeatures]
    ) -> ImageFeatures:
        """What the checkpoint `weights_id` makes of the embedding under `key`; computed anew, and
        not kept, when that embedding has gone. Two threads may compute it at once, to one result.
        """
        with self._books:
            entry = self._kept.get(key)
            found = None if entry is None else entry.derived.get(weights_id)
        if found is not None:
            return found
        features = derive()
        with self._books:
            if entry is not None and self._kept.get(key) is entry:
                found = entry.derived.setdefault(weights_id, features)
                self._bytes += entry.measure()
                self._shrink()
        return found or features

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
        entry = _Entry(features)
        with self._books:
            self._misses += 1
            size = entry.measure()
            if size > self.limit_bytes:
                return
            self._kept[key] = entry
            self._bytes += size
            self._shrink()

    def _shrink(self) -> None:
        while self._bytes > self.limit_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.bytes


def slice_key(image: NDArray[np.uint8], weights_id: str) -> str:
    """The key of a resized slice, uint8 (h_px, w_px, 3), under weights of that name."""
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
    digest.update(repr(image.shape).encode())
    digest.update(weights_id.encode())
    return digest.hexdigest()

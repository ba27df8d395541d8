"""Slice embeddings, kept: encoding a slice costs twenty times what a click on it costs.

A slice is known by what was really encoded: the resized 8-bit image (so voxels, axis, orientation
and intensity are all in the key) and the encoder: its weights, and how it is computed if that does
not equal float32. The same slice of the same image is therefore encoded once for every annotator
and for every checkpoint on that encoder, and changed weights or another CT window can never serve a
stale embedding. What a checkpoint makes of an embedding before any prompt (a coarser grid,
presence) is kept beside it under the checkpoint's own name, and goes when it goes.

    memory, float16, under a limit --not there--> disk, under a limit --not there--> encoder

Embeddings are rounded to float16 before anything is made of them, so that the first answer is the
one that memory, disk and the embeddings of a training give as well. `docs/performance.md` tells
what that does to masks.
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
from torch import Tensor

from segsam.model import ImageFeatures
from segsam.prediction.embedding_files import EmbeddingFiles, Writer

DEFAULT_BYTES = 1 << 30
"""One GiB: 512 slices of LiteMedSAM's 2 MiB embeddings."""


@dataclass(frozen=True)
class CacheState:
    """What the cache holds and how it served.

    Entries and bytes (of at most `limit_bytes`) in memory, bytes on disk (0 of 0 without one).
    Slices that somebody waited for: found in memory (`hits`), on disk (`disk_hits`), encoded
    (`misses`); `ahead` were encoded before anybody asked.
    """

    entries: int = 0
    bytes: int = 0
    limit_bytes: int = 0
    hits: int = 0
    misses: int = 0
    disk_bytes: int = 0
    disk_limit_bytes: int = 0
    disk_hits: int = 0
    ahead: int = 0


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
        tensors = {id(t): t for t in values if isinstance(t, Tensor)}
        before = self.bytes
        self.bytes = sum(t.element_size() * t.nelement() for t in tensors.values())
        return self.bytes - before


@dataclass
class _Counts:
    hits: int = 0
    misses: int = 0
    disk_hits: int = 0
    ahead: int = 0


class EmbeddingCache:
    """A least-recently-used cache of what `SegSam.host.encode` gives, as `ImageFeatures` without
    presence, under a byte limit and, if it is given `files`, with a disk behind it; safe to share
    between threads and checkpoints. It hands out float32.

    Encoding happens under a lock: two annotators who click on the same new slice cost one
    encoding, and the processor is never asked to encode two slices at once (which on a CPU is
    slower than one after the other). Only what is encoded in the background stands outside of it:
    nobody ever waits for that.
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
        self._kept: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._counts = _Counts()
        self._encoding = threading.Lock()
        self._books = threading.Lock()
        self._writer = None if files is None else Writer(files)

    def get(self, key: str) -> ImageFeatures | None:
        """The features kept in memory under `key`, which become the most recently used; None when
        they are not there.
        """
        with self._books:
            entry = self._kept.get(key)
            if entry is None:
                return None
            self._kept.move_to_end(key)
            kept = entry.encoded
        return _as_type(kept, torch.float32)

    def get_or_encode(
        self,
        key: str,
        encode: Callable[[], ImageFeatures],
        *,
        background: bool = False,
        private: bool = False,
    ) -> tuple[ImageFeatures, bool]:
        """(features, whether they were encoded now).

        Args:
            key: of `slice_key`.
            encode: the encoder; called at most once at a time over all threads, those that call in
                the background apart.
            background: nobody waits for it yet.
            private: never written to disk.
        """
        found = self._find(key, background=background)
        if found is not None:
            return found, False
        if background:
            return self._encode(key, encode, background=True, private=private), True
        with self._encoding:
            found = self.get(key)  # what another thread encoded while this one waited
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
        """What the checkpoint `weights_id` makes of `encoded`, the features under `key`; computed
        anew, and not kept, when they have gone. Two threads may compute it at once, to one result.
        """
        with self._books:
            entry = self._kept.get(key)
            found = None if entry is None else entry.derived.get(weights_id)
        if entry is not None and found is not None:
            return _exchange(found, entry.encoded, encoded)
        made = derive(encoded)
        with self._books:
            if entry is not None and self._kept.get(key) is entry:
                entry.derived.setdefault(weights_id, _exchange(made, encoded, entry.encoded))
                self._bytes += entry.measure()
                self._shrink()
        return made

    def clear(self) -> None:
        """Forget everything in memory; the disk keeps what it has, and the counts stay."""
        with self._books:
            self._kept.clear()
            self._bytes = 0

    def flush(self) -> None:
        """Return when all that was encoded so far is on disk, or was given up."""
        if self._writer is not None:
            self._writer.flush()

    @property
    def state(self) -> CacheState:
        files, counts = self._files, self._counts
        with self._books:
            return CacheState(
                entries=len(self._kept),
                bytes=self._bytes,
                limit_bytes=self.limit_bytes,
                hits=counts.hits,
                misses=counts.misses,
                disk_bytes=0 if files is None else files.bytes,
                disk_limit_bytes=0 if files is None else files.limit_bytes or 0,
                disk_hits=counts.disk_hits,
                ahead=counts.ahead,
            )

    def _find(self, key: str, *, background: bool) -> ImageFeatures | None:
        """From memory, else from disk, from where it comes into memory."""
        found, where = self.get(key), "hits"
        if found is None:
            found, where = self._read(key), "disk_hits"
        if found is not None and not background:
            self._count(where)
        return found

    def _read(self, key: str) -> ImageFeatures | None:
        tensors = None if self._files is None else self._files.read(key)
        if tensors is None or "embedding" not in tensors:
            return None
        kept = ImageFeatures(tensors["embedding"], detail=tensors.get("detail"))
        self._put(key, kept)
        return _as_type(kept, torch.float32)

    def _encode(
        self, key: str, encode: Callable[[], ImageFeatures], *, background: bool, private: bool
    ) -> ImageFeatures:
        kept = _as_type(encode(), self._precision)
        self._count("ahead" if background else "misses")
        self._put(key, kept)
        if self._writer is not None and not private:
            self._writer.write(key, _on_cpu(kept))
        return _as_type(kept, torch.float32)

    def _put(self, key: str, kept: ImageFeatures) -> None:
        entry = _Entry(kept)
        size = entry.measure()
        with self._books:
            if size > self.limit_bytes or key in self._kept:
                return
            self._kept[key] = entry
            self._bytes += size
            self._shrink()

    def _shrink(self) -> None:
        while self._bytes > self.limit_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.bytes

    def _count(self, what: str) -> None:
        with self._books:
            setattr(self._counts, what, getattr(self._counts, what) + 1)


def _on_cpu(kept: ImageFeatures) -> dict[str, Tensor]:
    given = {"embedding": kept.embedding, "detail": kept.detail}
    return {name: t.cpu().contiguous() for name, t in given.items() if t is not None}


def _as_type(features: ImageFeatures, wanted: torch.dtype) -> ImageFeatures:
    """With its large tensors of another type; values beyond float16's range stay as they are."""
    if wanted is torch.float16:
        return _map_large(features, _half)
    return _map_large(features, lambda tensor: tensor.to(wanted))


def _half(tensor: Tensor) -> Tensor:
    rounded = tensor.half()
    return rounded if bool(torch.isfinite(rounded).all()) else tensor


def _map_large(features: ImageFeatures, change: Callable[[Tensor], Tensor]) -> ImageFeatures:
    detail = None if features.detail is None else change(features.detail)
    return ImageFeatures(change(features.embedding), features.presence_logits, detail)


def _exchange(made: ImageFeatures, ours: ImageFeatures, others: ImageFeatures) -> ImageFeatures:
    """`made`, with each tensor that it merely took over from `ours` as it is in `others`."""

    def exchanged(name: str) -> Tensor | None:
        value = getattr(made, name)
        chosen = others if value is getattr(ours, name) else made
        tensor: Tensor | None = getattr(chosen, name)
        return tensor

    return ImageFeatures(**{f.name: exchanged(f.name) for f in fields(made)})  # type: ignore[arg-type]


def slice_key(image: NDArray[np.uint8], weights_id: str) -> str:
    """The key of a resized slice, uint8 (h_px, w_px, 3), under weights of that name."""
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
    digest.update(repr(image.shape).encode())
    digest.update(weights_id.encode())
    return digest.hexdigest()

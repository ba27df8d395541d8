"""What the image encoder says of a slice: read from a folder of kept embeddings, or encoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model import ImageFeatures, SegSam
from segsam.prediction.embeddings import EmbeddingCache, slice_key
from segsam.training.embedding_store import EmbeddingStore

_CACHE_BYTES = 1 << 28


class FeatureSource:
    """Features of slices by their pictures, kept in a folder if there is one."""

    def __init__(self, model: SegSam, folder: Path | None = None) -> None:
        self.model = model
        self._encoded = 0
        self._store = None if folder is None else EmbeddingStore(folder, model)

    @property
    def encoded(self) -> int:
        """Slices that were not in the folder and had to be encoded."""
        return self._encoded if self._store is None else self._store.encoded

    @torch.inference_mode()
    def of(self, picture: NDArray[np.uint8]) -> ImageFeatures:
        """Features of a resized slice (h_px, w_px, 3); raises OutputError when they cannot be
        kept.
        """
        if self._store is not None:
            return self._store.features(self._store.add(picture))
        self._encoded += 1
        device = next(self.model.parameters()).device
        return self.model.encode(self.model.host.prepare(picture)[None].to(device))


class StoredEmbeddings(EmbeddingCache):
    """The predictor's cache on top of a `FeatureSource`: a slice that was announced is taken from
    there, ready for the decoders, so that following an object through a volume encodes nothing
    anew. It serves the source's model alone.
    """

    def __init__(self, source: FeatureSource, limit_bytes: int = _CACHE_BYTES) -> None:
        super().__init__(limit_bytes, precision=torch.float32)
        self._source = source
        self._pictures: dict[str, NDArray[np.uint8]] = {}

    def announce(self, pictures: list[NDArray[np.uint8]]) -> None:
        """Forget the last volume and expect these slices (h_px, w_px, 3)."""
        self.clear()
        weights = self._source.model.encoder_id
        self._pictures = {slice_key(picture, weights): picture for picture in pictures}

    def get_or_encode(
        self, key: str, encode: Callable[[], ImageFeatures], **how: Any
    ) -> tuple[ImageFeatures, bool]:
        """As of every cache; whether it was encoded now is said of the source."""
        picture = self._pictures.get(key)
        if picture is None:
            return super().get_or_encode(key, encode, **how)
        before = self._source.encoded
        features, _ = super().get_or_encode(key, lambda: self._source.of(picture))
        return features, self._source.encoded > before

    def get_or_derive(
        self,
        key: str,
        weights_id: str,
        encoded: ImageFeatures,
        derive: Callable[[ImageFeatures], ImageFeatures],
    ) -> ImageFeatures:
        """Of an announced slice what the source gave, which needs nothing more."""
        if key in self._pictures:
            return encoded
        return super().get_or_derive(key, weights_id, encoded, derive)

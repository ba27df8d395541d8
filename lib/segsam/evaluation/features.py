"""Image features of slices: read from a folder of stored embeddings, or encoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.model import ImageFeatures, SegSam
from segsam.model.runtimes import EncoderRunner
from segsam.prediction.embeddings import EmbeddingCache, slice_key
from segsam.training.embedding_store import EmbeddingStore

_CACHE_BYTES = 1 << 28


class FeatureSource:
    """Features of slices, stored in a folder if one is given."""

    def __init__(
        self, model: SegSam, folder: Path | None = None, encoder: EncoderRunner | None = None
    ) -> None:
        self.model = model
        self.encoder = encoder or EncoderRunner(model)
        self._encoded = 0
        self._store = None if folder is None else EmbeddingStore(folder, model, self.encoder)

    @property
    def encoded(self) -> int:
        """Number of slices that were not in the folder and had to be encoded."""
        return self._encoded if self._store is None else self._store.encoded

    @torch.inference_mode()
    def features(self, picture: NDArray[np.uint8]) -> ImageFeatures:
        """Return the features of a resized slice (h_px, w_px, 3); raises OutputError when they
        cannot be stored.
        """
        if self._store is not None:
            return self._store.features_of(picture)
        self._encoded += 1
        device = next(self.model.parameters()).device
        image = self.model.host.prepare(picture)[None].to(device)
        return self.model.features(*self.encoder.encode(image))


class StoredEmbeddings(EmbeddingCache):
    """Cache of the predictor in front of a `FeatureSource`, so that propagation through a volume
    uses the stored embeddings of its slices. It serves the source's model alone.
    """

    def __init__(self, source: FeatureSource) -> None:
        super().__init__(_CACHE_BYTES, precision=torch.float32)
        self._source = source
        self._pictures: dict[str, NDArray[np.uint8]] = {}

    def set_slices(self, pictures: list[NDArray[np.uint8]]) -> None:
        """Clear the cache, and take the features of these slices (h_px, w_px, 3) from the
        source.
        """
        self.clear()
        weights = self._source.encoder.encoder_id
        self._pictures = {slice_key(picture, weights): picture for picture in pictures}

    def get_or_encode(
        self, key: str, encode: Callable[[], ImageFeatures], **how: Any
    ) -> tuple[ImageFeatures, bool]:
        """Return features from the cache, the source or `encode`, and True if they were encoded
        now.
        """
        picture = self._pictures.get(key)
        if picture is None:
            return super().get_or_encode(key, encode, **how)
        before = self._source.encoded
        features, _ = super().get_or_encode(key, lambda: self._source.features(picture))
        return features, self._source.encoded > before

    def get_or_derive(
        self,
        key: str,
        weights_id: str,
        encoded: ImageFeatures,
        derive: Callable[[ImageFeatures], ImageFeatures],
    ) -> ImageFeatures:
        """Return derived features; those of the source are complete already."""
        if key in self._pictures:
            return encoded
        return super().get_or_derive(key, weights_id, encoded, derive)

"""Store of embeddings on disk: after the first epoch, a step costs the decoders' work only.

A file is named after the picture and the encoder's weights, so that runs of every variant on one
host may share a folder. If the host's encoder is trained, the picture is stored instead, and
encoded anew in every step.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.errors import OutputError
from segsam.model import ImageFeatures, SegSam
from segsam.model.digests import weights_digest
from segsam.model.runtimes import EncoderRunner
from segsam.prediction.embedding_files import EmbeddingFiles
from segsam.prediction.embeddings import slice_key


class EmbeddingStore:
    """Features of slices by key, in a folder."""

    def __init__(self, folder: Path, model: SegSam, encoder: EncoderRunner | None = None) -> None:
        self.encoded = 0
        """Slices that this object has encoded."""
        self._model = model
        self._encoder = encoder or EncoderRunner(model)
        parts = model.host.encoding_parts()
        self.is_live = any(parameter.requires_grad for parameter in parts.parameters())
        """True if the encoder is trained, so that embeddings cannot be stored."""
        stored = parts if len(parts) > 1 else model.host.image_encoder
        weights = "slices" if self.is_live else weights_digest(stored)
        self._weights_id = f"{model.host.facts.name} {weights}{self._encoder.mode}"
        self.files = EmbeddingFiles(folder)
        """Where they are."""

    def add(self, picture: NDArray[np.uint8]) -> str:
        """Store a resized slice (h_px, w_px, 3), encoded if needed, and return its key.

        Raises:
            OutputError: when it cannot be written.
        """
        key = slice_key(picture, self._weights_id)
        if not self.files.holds(key, self._shapes(picture)):
            pixels = {"picture": torch.from_numpy(np.ascontiguousarray(picture))}
            self.files.write(key, pixels if self.is_live else self._encode(picture))
        return key

    def features_of(self, picture: NDArray[np.uint8]) -> ImageFeatures:
        """Return the features of a resized slice (h_px, w_px, 3), as `features`; it is stored if it
        is not there, or if what is there is damaged. Raises OutputError.
        """
        key = self.add(picture)
        stored = self.files.read(key, self._device)
        if stored is None or self.is_live:
            return self.features(self.add(picture))
        return self._features(stored)

    def _shapes(self, picture: NDArray[np.uint8]) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return type and shape of what the file of a slice holds at least."""
        if self.is_live:
            return {"picture": ("U8", picture.shape)}
        facts = self._model.host.facts
        return {"embedding": ("F16", (1, facts.embed_dim, facts.grid, facts.grid))}

    def picture(self, key: str) -> NDArray[np.uint8]:
        """Return a slice (h_px, w_px, 3) of a store for a trained encoder (`is_live`).

        Raises:
            OutputError: as `features`.
        """
        return np.asarray(self._read(key)["picture"].cpu().numpy(), dtype=np.uint8)

    def encode(self, picture: NDArray[np.uint8]) -> ImageFeatures:
        """Return the features of a slice (h_px, w_px, 3) by the model's current weights, with
        gradients.
        """
        return self._model.encode(self._model.host.prepare(picture)[None].to(self._device))

    def features(self, key: str) -> ImageFeatures:
        """Return the features of one image (1, ...), float32, by the model's current weights.

        Raises:
            OutputError: the file that `add` wrote was removed.
        """
        if self.is_live:
            return self.encode(self.picture(key))
        return self._features(self._read(key))

    def _features(self, stored: dict[str, Tensor]) -> ImageFeatures:
        detail = stored.get("detail")
        return self._model.features(
            stored["embedding"].float(), None if detail is None else detail.float()
        )

    def embedding(self, key: str) -> Tensor:
        """Return a frozen encoder's embedding of one image (1, C, h, w), float32, before any
        reduction.

        Raises:
            OutputError: as `features`.
        """
        return self._read(key)["embedding"].float()

    def reduced(self, key: str) -> Tensor:
        """Return the embedding of one image (1, C, h, w) that `features` has, without the work of
        the rest.

        Raises:
            OutputError: as `features`.
        """
        if self.is_live:
            return self.features(key).embedding
        embedding, reduction = self.embedding(key), self._model.reduction
        return embedding if reduction is None else reduction(embedding)

    def _read(self, key: str) -> dict[str, Tensor]:
        stored = self.files.read(key, self._device)
        if stored is None:
            raise OutputError(
                f"Expected an embedding in {self.files.folder.name} that was there before, got "
                "none; start again to compute it anew."
            )
        return stored

    @property
    def _device(self) -> torch.device:
        return next(self._model.host.parameters()).device  # the model may have moved

    @torch.no_grad()
    def _encode(self, picture: NDArray[np.uint8]) -> dict[str, Tensor]:
        self.encoded += 1
        prepared = self._model.host.prepare(picture)
        embedding, detail = self._encoder.encode(prepared[None].to(self._device))
        stored = {"embedding": embedding.half().cpu().contiguous()}
        return stored if detail is None else stored | {"detail": detail.half().cpu().contiguous()}

"""What the encoder says of each slice, kept on disk: an epoch then costs the decoders' work only.

A file is named after the picture and the encoder's weights, so that runs of every variant on one
host may share a folder. Of a host whose encoder learns, the prepared picture is kept instead, and
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
    """Features of slices by key; see the module."""

    def __init__(self, folder: Path, model: SegSam, encoder: EncoderRunner | None = None) -> None:
        self.encoded = 0
        """Slices that were encoded by this object."""
        self._model = model
        self._encoder = encoder or EncoderRunner(model)
        parameters = model.host.image_encoder.parameters()
        self.is_live = any(parameter.requires_grad for parameter in parameters)
        weights = "pictures" if self.is_live else weights_digest(model.host.image_encoder)
        self._weights_id = f"{model.host.facts.name} {weights}{self._encoder.mode}"
        self._files = EmbeddingFiles(folder)

    def add(self, picture: NDArray[np.uint8]) -> str:
        """Keep what is needed of a resized slice (h_px, w_px, 3); its key.

        Raises:
            OutputError: when it cannot be written.
        """
        key = slice_key(picture, self._weights_id)
        if key not in self._files:
            prepared = self._model.host.prepare(picture)
            self._files.write(key, {"image": prepared} if self.is_live else self._encode(prepared))
        return key

    def features(self, key: str) -> ImageFeatures:
        """Features of one image (1, ...), float32, by the model as it is now.

        Raises:
            OutputError: when what `add` wrote is not there any more.
        """
        kept = self._read(key)
        if self.is_live:
            return self._model.encode(kept["image"][None])
        detail = kept.get("detail")
        return self._model.features(
            kept["embedding"].float(), None if detail is None else detail.float()
        )

    def embedding(self, key: str) -> Tensor:
        """What a frozen encoder said of one image (1, C, h, w), float32, before any reduction.

        Raises:
            OutputError: as `features`.
        """
        return self._read(key)["embedding"].float()

    def _read(self, key: str) -> dict[str, Tensor]:
        kept = self._files.read(key, self._device)
        if kept is None:
            raise OutputError(
                f"An embedding has gone from {self._files.folder.name} while it was needed; "
                "start again, and it is made anew."
            )
        return kept

    @property
    def _device(self) -> torch.device:
        """The model's, which may have moved."""
        return next(self._model.host.parameters()).device

    @torch.no_grad()
    def _encode(self, prepared: Tensor) -> dict[str, Tensor]:
        self.encoded += 1
        embedding, detail = self._encoder.encode(prepared[None].to(self._device))
        kept = {"embedding": embedding.half().cpu().contiguous()}
        return kept if detail is None else kept | {"detail": detail.half().cpu().contiguous()}

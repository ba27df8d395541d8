"""What the encoder says of each slice, kept on disk: an epoch then costs the decoders' work only.

A file is named after the picture and the encoder's weights, so that runs of every variant on one
host may share a folder. Of a host whose encoder learns, the prepared picture is kept instead, and
encoded anew in every step.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from segsam.atomic import write_bytes
from segsam.embeddings import slice_key
from segsam.errors import OutputError
from segsam.model import ImageFeatures, SegSam
from segsam.model.segsam import weights_digest


class EmbeddingStore:
    """Features of slices by key; see the module."""

    def __init__(self, folder: Path, model: SegSam) -> None:
        self.encoded = 0
        """Slices that were encoded by this object."""
        self._folder = folder
        self._model = model
        parameters = model.host.image_encoder.parameters()
        self.is_live = any(parameter.requires_grad for parameter in parameters)
        weights = "pictures" if self.is_live else weights_digest(model.host.image_encoder)
        self._weights_id = f"{model.host.facts.name} {weights}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error

    def add(self, picture: NDArray[np.uint8]) -> str:
        """Keep what is needed of a resized slice (h_px, w_px, 3); its key.

        Raises:
            OutputError: when it cannot be written.
        """
        key = slice_key(picture, self._weights_id)
        if not self._is_whole(key):
            prepared = self._model.host.prepare(picture)
            content = {"image": prepared} if self.is_live else self._encode(prepared)
            write_bytes(self._path(key), safetensors.torch.save(content))
        return key

    def features(self, key: str) -> ImageFeatures:
        """Features of one image (1, ...), float32, by the model as it is now."""
        kept = safetensors.torch.load_file(self._path(key), device=str(self._device))
        if self.is_live:
            return self._model.encode(kept["image"][None])
        detail = kept.get("detail")
        return self._model.features(
            kept["embedding"].float(), None if detail is None else detail.float()
        )

    @property
    def _device(self) -> torch.device:
        """The model's, which may have moved."""
        return next(self._model.host.parameters()).device

    @torch.no_grad()
    def _encode(self, prepared: Tensor) -> dict[str, Tensor]:
        self.encoded += 1
        embedding, detail = self._model.host.encode(prepared[None].to(self._device))
        kept = {"embedding": embedding.half().cpu().contiguous()}
        return kept if detail is None else kept | {"detail": detail.half().cpu().contiguous()}

    def _is_whole(self, key: str) -> bool:
        if not self._path(key).is_file():
            return False
        try:
            with safetensors.safe_open(self._path(key), framework="pt"):
                return True
        except SafetensorError:
            return False

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"

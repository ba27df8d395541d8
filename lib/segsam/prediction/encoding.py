"""Image features of single slices: cut, resized, and encoded unless they are in the cache.

    volume --SliceView--> picture --image encoder--> embedding (cached) --checkpoint--> features

This is all of a prediction that does not depend on prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.model import ImageFeatures
from segsam.model.runtimes import EncoderRunner
from segsam.prediction.embeddings import EmbeddingCache, slice_key
from segsam.prediction.job import Job
from segsam.prediction.prefetch import Prefetcher


@dataclass(frozen=True, eq=False)
class LoadedVolume:
    """The volume that is being segmented, and how its values are displayed.

    The embeddings of a `private` volume are never written to disk.
    """

    volume: Volume
    intensity: Intensity
    private: bool = False


class SliceEncoder:
    """Image features of the slices across one axis of a volume, through the shared cache.

    Features depend on the image encoder and the checkpoint, never on prompts. They therefore stay
    valid for every `SliceDecoder` on top of them.
    """

    def __init__(
        self,
        runner: EncoderRunner,
        embeddings: EmbeddingCache,
        loaded: LoadedVolume,
        axis: int,
        job: Job,
    ) -> None:
        self.loaded = loaded
        self.view = SliceView.of(loaded.volume, axis, runner.model.host.facts.input_size)
        self.job = job
        self._runner = runner
        self._embeddings = embeddings
        self._prefetcher: Prefetcher[tuple[ImageFeatures, bool]] | None = None

    def prefetch(self, indices: Sequence[int]) -> None:
        """Encode these slices early, in this order, while others are decoded; `close` ends it.

        Does nothing if the runtime encodes one slice at a time. A single slice is not prefetched:
        it is ready sooner if the encoder has all threads.
        """
        if self._prefetcher is None and self._runner.threads > 1:
            self._prefetcher = Prefetcher(self._encode_beside_decoder, self._runner.threads)
        if self._prefetcher is not None:
            self._prefetcher.schedule(indices if len(indices) > 1 else ())

    def close(self) -> None:
        """Stop prefetching."""
        if self._prefetcher is not None:
            self._prefetcher.close()

    def features(self, index: int, *, background: bool = False) -> ImageFeatures:
        """Return the features of slice `index`, encoded now unless they are in the cache.

        `background` encodes without holding up requests in other threads.

        Raises:
            CancelledError: the job was cancelled; asked before each slice.
        """
        self.job.raise_if_cancelled()
        with self.job.timed("encode"):
            prefetched = None if self._prefetcher is None else self._prefetcher.pop(index)
            features, encoded_now = prefetched or self._features(index, background=background)
            self.job.encoded += encoded_now
        return features

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return next(self._runner.model.parameters()).device

    def _encode_beside_decoder(self, index: int) -> tuple[ImageFeatures, bool]:
        return self._features(index, background=True)

    @torch.inference_mode()
    def _features(self, index: int, *, background: bool) -> tuple[ImageFeatures, bool]:
        """Return the features, and True if the slice was encoded now."""
        picture = self.view.image(self.loaded.volume, self.loaded.intensity, index)
        key = slice_key(picture, self._runner.encoder_id)
        encoded, encoded_now = self._embeddings.get_or_encode(
            key,
            lambda: self._encode(picture, alongside=background),
            background=background,
            private=self.loaded.private,
        )
        features = self._embeddings.get_or_derive(
            key,
            self._runner.weights_id,
            encoded.to(self.device),
            lambda found: self._runner.model.features(found.embedding, found.detail),
        )
        return features, encoded_now

    def _encode(self, picture: NDArray[np.uint8], *, alongside: bool) -> ImageFeatures:
        image = self._runner.model.host.prepare(picture)[None].to(self.device)
        embedding, detail = self._runner.encode(image, alongside=alongside)
        return ImageFeatures(embedding, detail=detail)

"""Decoder inputs that do not depend on the prompts: positions of the grid, and the image."""

from __future__ import annotations

from torch import Tensor

from segsam.model.cache import LastValueCache
from segsam.model.hosts import Host
from segsam.model.semantic_decoder import SemanticDecoder, SharedDecoder
from segsam.model.two_way import ImageSource, SharedImage, first_layer_weights


class DecoderInputs:
    """Positions and image as the decoders of one model read them, cached from click to click.

    The first layer of a two-way transformer projects the image before any prompt has changed it.
    A second click on the same slice finds these keys, values and queries here
    (docs/lab/performance.md, "Decoders").
    """

    def __init__(self, host: Host, decoder: SemanticDecoder | SharedDecoder | None) -> None:
        self._host = host
        self._transformers = [host.mask_decoder.transformer]
        if isinstance(decoder, SemanticDecoder):
            self._transformers.append(decoder.transformer)
        self._positions: LastValueCache[Tensor] = LastValueCache()
        self._image: LastValueCache[SharedImage] = LastValueCache()

    def positions(self) -> Tensor:
        """Return the positional encoding of the grid, (1, C, h, w)."""
        encoder = self._host.sam_prompt_encoder
        return self._positions.get(
            [encoder.pe_layer.positional_encoding_gaussian_matrix],
            self._host.prompt_encoder.get_dense_pe,
            grid=encoder.image_embedding_size,
        )

    def image(self, embedding: Tensor, dense: Tensor, *, shared: bool) -> ImageSource:
        """Return the image embedding plus the dense prompt, as the transformers read it.

        Args:
            embedding: f_v, (1, C, h, w).
            dense: dense prompt, (1 or P, C, h, w).
            shared: `dense` is the host's learned "no mask" embedding, the same for all prompts. A
                mask prompt must not be cached: it is new on every call.
        """
        if not shared:
            return embedding + dense
        positions = self.positions()
        weights = (w for each in self._transformers for w in first_layer_weights(each))
        return self._image.get(
            [dense, *weights],
            lambda: SharedImage(embedding + dense, positions),
            image=embedding,
            grid=id(positions),
        )

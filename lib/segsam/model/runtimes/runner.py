"""Image encoder of a model, as the chosen runtime computes it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from torch import Tensor

from segsam.model.digests import embedding_id, encoder_id, weights_id
from segsam.model.runtimes.encode_times import EncodeTimes
from segsam.model.segsam import SegSam
from segsam.types import PrecisionName, RuntimeName


@dataclass(frozen=True)
class RuntimeFacts:
    """Runtime that computes an image encoder, and why it was chosen."""

    runtime: RuntimeName
    """torch or openvino."""
    precision: PrecisionName
    why: str
    """A sentence."""
    times: EncodeTimes | None = None
    """Times of both precisions here; None if they were not compared."""
    note: str = ""
    """Sentence for whoever asked for a precision that is slower here; empty if nobody did."""


class EncoderRuntime(Protocol):
    """Runtime that computes a host's image encoder in place of PyTorch."""

    @property
    def mode(self) -> str:
        """Name of the mode: "exact" if the result equals float32."""

    @property
    def threads(self) -> int:
        """Number of images that are worth encoding at the same time, one thread each."""

    def encode(self, images: Tensor, *, alongside: bool) -> tuple[Tensor, Tensor | None]:
        """Compute `Host.encode`; see `EncoderRunner.encode`."""


class EncoderRunner:
    """Image encoder of one model and one runtime, with the identifiers for cache keys.

    Identifiers are computed when they are first read. Training changes weights, not identifiers:
    make a new runner for weights that have changed.
    """

    def __init__(self, model: SegSam) -> None:
        """PyTorch computes the encoder; `choose_runtime` gives a runner with another runtime."""
        self.model = model
        self.facts = RuntimeFacts("torch", "exact", "PyTorch is the default.")
        self._runtime: EncoderRuntime | None = None

    def with_runtime(self, runtime: EncoderRuntime | None, facts: RuntimeFacts) -> EncoderRunner:
        """Return a runner of the same model by another runtime; None stands for PyTorch."""
        other = copy.copy(self)
        other.facts = facts
        other._runtime = runtime
        return other

    @property
    def threads(self) -> int:
        """Number of images that are worth encoding at the same time."""
        return 1 if self._runtime is None else self._runtime.threads

    @property
    def mode(self) -> str:
        """Suffix of cache keys; empty for results that equal float32."""
        if self._runtime is None or self._runtime.mode == "exact":
            return ""
        return f" {self._runtime.mode}"

    @cached_property
    def host_id(self) -> str:
        """Identifier of the encoder's weights; see `digests.encoder_id`."""
        return encoder_id(self.model.host)

    @property
    def encoder_id(self) -> str:
        """Identifier of the embeddings in cache keys: `host_id`, and the runtime's mode."""
        return self.host_id + self.mode

    @cached_property
    def embedding_id(self) -> str:
        """Identifier of what the decoders read of an image; see `digests.embedding_id`."""
        return embedding_id(self.model)

    @cached_property
    def weights_id(self) -> str:
        """Identifier of the whole model; see `digests.weights_id`."""
        return weights_id(self.model)

    def encode(self, images: Tensor, *, alongside: bool = False) -> tuple[Tensor, Tensor | None]:
        """Compute `Host.encode` for prepared images (B, 3, S, S).

        `alongside` other work, a runtime may use fewer threads for each image.
        """
        if self._runtime is None:
            return self.model.host.encode(images)
        return self._runtime.encode(images, alongside=alongside)

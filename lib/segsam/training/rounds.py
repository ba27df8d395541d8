"""One image in one step: objects and prompts are drawn, the model answers, the answer is judged."""

from __future__ import annotations

import numpy as np
import torch

from segsam.errors import TrainingError
from segsam.model import SegSam
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.losses import Losses, segsam_loss
from segsam.training.placing import mixed_precision, moved
from segsam.training.preparing import Sample
from segsam.training.sampling import draw_objects, draw_prompts
from segsam.training.targets import build_targets


class Judge:
    """Turns a sample into gradients."""

    def __init__(self, model: SegSam, store: EmbeddingStore, config: TrainConfig) -> None:
        self._model = model
        self._store = store
        self._config = config
        self._device = next(model.parameters()).device
        self._weights = config.loss_weights()

    def learn(self, sample: Sample, *, step: int, place: int, share: float) -> dict[str, float]:
        """Add `share` times the gradients of one sample; every term of its loss.

        Objects and prompts follow from the seed, the step and the place in the step.

        Raises:
            TrainingError: a loss that is no number.
        """
        losses = self._losses(sample, np.random.default_rng([self._config.seed, step, place]))
        if not torch.isfinite(losses.total):
            raise TrainingError(f"The loss of step {step + 1} is {float(losses.total)}.")
        (losses.total * share).backward()  # type: ignore[no-untyped-call]
        return losses.numbers()

    def _losses(self, sample: Sample, rng: np.random.Generator) -> Losses:
        image, values = sample.annotated(self._model)
        chosen = draw_objects(sample.prompted, values, self._config.prompts_per_image, rng)
        height, width = sample.labels.shape
        prompts = draw_prompts(image, chosen, self._config, rng, size_px=(height, width))
        targets = build_targets([image], [chosen], self._model.config).to(self._device)
        with mixed_precision(self._config, self._device):
            features = self._store.features(sample.key)
            decoded = self._model.decode_batch(features, moved(prompts, self._device))
        return segsam_loss(decoded, targets, self._weights, self._model.config)

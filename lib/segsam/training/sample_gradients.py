"""Gradients of one image: objects and prompts are drawn, the model answers, the loss is computed,
and in correction rounds the answer is corrected by clicks into its error.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.errors import TrainingError
from segsam.model import Decoded, ImageFeatures, PromptTensors, SegSam
from segsam.model.readout import resize_logits
from segsam.training.config import TrainConfig
from segsam.training.devices import mixed_precision, to_device
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.losses import Losses, segsam_loss
from segsam.training.prompt_simulation import corrective_prompts
from segsam.training.samples import Sample
from segsam.training.sampling import correction_rounds_of, draw_prompts
from segsam.training.targets import Targets, build_targets

CORRECTED = "corrected"
"""Name of the total loss of the last round, beside the terms of the first."""


class SampleGradients:
    """Adds the gradients of one sample after the other to a model."""

    def __init__(self, model: SegSam, store: EmbeddingStore, config: TrainConfig) -> None:
        self._model = model
        self._store = store
        self._config = config
        self._device = next(model.parameters()).device
        self._weights = config.loss_weights()

    def add(self, sample: Sample, *, step: int, place: int, share: float) -> dict[str, float]:
        """Add `share` times the gradients of one sample, summed over its rounds.

        Objects and prompts follow from the seed, the step and the place in the batch alone. Each
        round is decoded from detached features, where its gradients stop and are summed; at the end
        one backward pass sends the sum to the encoder. So memory is that of one round.

        Returns:
            Every term of the first round's loss, and the total of the last round.

        Raises:
            TrainingError: a loss that is not finite.
        """
        config = self._config
        rng = np.random.default_rng([config.seed, step, place])
        image, large = sample.annotated(self._model)
        # With replacement, as the paper draws 5 objects from each image.
        chosen: list[int] = rng.choice(large, config.prompts_per_image).tolist()
        size_px = (sample.labels.shape[0], sample.labels.shape[1])
        in_volume = not config.volumes_of or sample.modality in config.volumes_of
        prompts = draw_prompts(image, chosen, config, rng, size_px=size_px, in_volume=in_volume)
        true_masks = [image.masks[index].numpy() for index in chosen]
        targets = to_device(build_targets([image], [chosen], self._model.config), self._device)
        with mixed_precision(config, self._device):
            features = self._store.features(sample.key)
        detached = _detached(features)
        decoded, losses = self._round(detached, prompts, targets, step=step, share=share)
        terms = losses.numbers()
        for _ in range(correction_rounds_of(step, config)):
            masks = _masks(decoded, true_masks[0].shape)
            count = int(rng.choice(config.points_per_round))
            prompts = corrective_prompts(
                prompts, masks, true_masks, rng, count=count, size_px=size_px
            )
            if rng.random() < config.mask_share:
                prompts = replace(prompts, mask_logits=decoded.binary_logits.detach().float())
            decoded, losses = self._round(detached, prompts, targets, step=step, share=share)
            terms[CORRECTED] = float(losses.total.detach())
        _propagate(features, detached)
        return terms

    def _round(
        self,
        features: ImageFeatures,
        prompts: PromptTensors,
        targets: Targets,
        *,
        step: int,
        share: float,
    ) -> tuple[Decoded, Losses]:
        """Decode once, and add the gradients of the loss."""
        with mixed_precision(self._config, self._device):
            decoded = self._model.decode_batch(features, to_device(prompts, self._device))
        losses = segsam_loss(decoded, targets, self._weights, self._model.config)
        if not torch.isfinite(losses.total):
            raise TrainingError(f"The loss of step {step + 1} is {float(losses.total)}.")
        (losses.total * share).backward()  # type: ignore[no-untyped-call]
        return decoded, losses


def _detached(features: ImageFeatures) -> ImageFeatures:
    """Return the same values as leaves of the graph, which gather gradients of their own."""
    leaves = {
        name: value.detach().requires_grad_(value.requires_grad)
        for name, value in _tensors(features)
    }
    return replace(features, **leaves)


def _propagate(features: ImageFeatures, detached: ImageFeatures) -> None:
    """Continue the backward pass from the gradients of the detached features."""
    pairs = [(value, getattr(detached, name).grad) for name, value in _tensors(features)]
    used = [(value, gradient) for value, gradient in pairs if gradient is not None]
    if used:
        torch.autograd.backward([value for value, _ in used], [gradient for _, gradient in used])


def _tensors(features: ImageFeatures) -> list[tuple[str, Tensor]]:
    named = [(entry.name, getattr(features, entry.name)) for entry in fields(features)]
    return [(name, value) for name, value in named if value is not None]


def _masks(decoded: Decoded, shape: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    """Return the binary decoder's masks (S, S), one per prompt."""
    masks = resize_logits(decoded.binary_logits.detach().float(), (shape[0], shape[1])) > 0
    return list(masks[:, 0].cpu().numpy())

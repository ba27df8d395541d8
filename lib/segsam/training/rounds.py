"""One image in one step: objects and prompts are drawn, the model answers, the answer is judged,
and in later rounds corrected by clicks into what it got wrong.
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
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.losses import Losses, segsam_loss
from segsam.training.placing import mixed_precision, moved
from segsam.training.preparing import Sample
from segsam.training.sampling import corrections_in, draw_objects, draw_prompts
from segsam.training.simulation import corrective_prompts
from segsam.training.targets import Targets, build_targets

CORRECTED = "corrected"
"""The total loss of the last round, beside the terms of the first."""


class Judge:
    """Turns a sample into gradients."""

    def __init__(self, model: SegSam, store: EmbeddingStore, config: TrainConfig) -> None:
        self._model = model
        self._store = store
        self._config = config
        self._device = next(model.parameters()).device
        self._weights = config.loss_weights()

    def learn(self, sample: Sample, *, step: int, place: int, share: float) -> dict[str, float]:
        """Add `share` times the gradients of one sample, summed over its rounds; every term of the
        first round's loss, and the total of the last.

        Objects and prompts follow from the seed, the step and the place in the step. Memory is that
        of one round: each sends its gradients as far as the image's features, and they go on from
        there together.

        Raises:
            TrainingError: a loss that is no number.
        """
        config = self._config
        rng = np.random.default_rng([config.seed, step, place])
        image, large = sample.annotated(self._model)
        chosen = draw_objects(large, config.prompts_per_image, rng)
        size_px = (sample.labels.shape[0], sample.labels.shape[1])
        in_volume = not config.volumes_of or sample.modality in config.volumes_of
        prompts = draw_prompts(image, chosen, config, rng, size_px=size_px, in_volume=in_volume)
        wanted = [image.masks[index].numpy() for index in chosen]
        targets = build_targets([image], [chosen], self._model.config).to(self._device)
        with mixed_precision(config, self._device):
            features = self._store.features(sample.key)
        leaves = _leaves(features)
        decoded, losses = self._round(leaves, prompts, targets, step=step, share=share)
        terms = losses.numbers()
        for _ in range(corrections_in(step, config)):
            found = _drawn(decoded, wanted[0].shape)
            count = int(rng.choice(config.points_per_round))
            prompts = corrective_prompts(prompts, found, wanted, rng, count=count, size_px=size_px)
            if rng.random() < config.mask_share:
                prompts = replace(prompts, mask_logits=decoded.binary_logits.detach().float())
            decoded, losses = self._round(leaves, prompts, targets, step=step, share=share)
            terms[CORRECTED] = float(losses.total.detach())
        _pass_on(features, leaves)
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
        """One answer and its gradients."""
        with mixed_precision(self._config, self._device):
            decoded = self._model.decode_batch(features, moved(prompts, self._device))
        losses = segsam_loss(decoded, targets, self._weights, self._model.config)
        if not torch.isfinite(losses.total):
            raise TrainingError(f"The loss of step {step + 1} is {float(losses.total)}.")
        (losses.total * share).backward()  # type: ignore[no-untyped-call]
        return decoded, losses


def _leaves(features: ImageFeatures) -> ImageFeatures:
    """The same values, at which gradients stop and gather."""
    cut = {
        name: value.detach().requires_grad_(value.requires_grad) for name, value in _given(features)
    }
    return replace(features, **cut)


def _pass_on(features: ImageFeatures, leaves: ImageFeatures) -> None:
    """Send what has gathered at the leaves to what made the features."""
    gathered = [(value, getattr(leaves, name).grad) for name, value in _given(features)]
    reached = [(value, gradient) for value, gradient in gathered if gradient is not None]
    if reached:
        torch.autograd.backward(
            [value for value, _ in reached], [gradient for _, gradient in reached]
        )


def _given(features: ImageFeatures) -> list[tuple[str, Tensor]]:
    named = [(entry.name, getattr(features, entry.name)) for entry in fields(features)]
    return [(name, value) for name, value in named if value is not None]


def _drawn(decoded: Decoded, shape: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    """The masks (S, S) as the model drew them."""
    masks = resize_logits(decoded.binary_logits.detach().float(), (shape[0], shape[1])) > 0
    return list(masks[:, 0].cpu().numpy())

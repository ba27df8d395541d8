"""Gradients of one image: objects and prompts are drawn, the model answers, the loss is computed,
and in correction rounds the answer is corrected by clicks into its error.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.datasets.transforms import augmented
from segsam.errors import TrainingError
from segsam.model import Decoded, ImageFeatures, PromptTensors, SegSam
from segsam.model.readout import resize_logits
from segsam.training.config import TrainConfig
from segsam.training.devices import mixed_precision, to_device
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.loss_weights import LossWeights
from segsam.training.losses import Losses, segsam_loss
from segsam.training.negative_prompts import NegativePrompts, draw_negative_prompts
from segsam.training.prompt_simulation import corrective_prompts
from segsam.training.samples import Sample
from segsam.training.sampling import correction_rounds_of, draw_prompts
from segsam.training.targets import AnnotatedImage, Targets, build_targets, empty_targets

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
        sample, features = self._features(sample, rng, copy=f"{step}.{place}")
        image, large = sample.annotated(self._model)
        negative = draw_negative_prompts(sample, config, rng)
        if negative is not None:
            return self._add_negative(image, negative, features, step=step, share=share)
        # With replacement, as the paper draws 5 objects from each image.
        chosen: list[int] = rng.choice(large, config.prompts_per_image).tolist()
        size_px = (sample.labels.shape[0], sample.labels.shape[1])
        in_volume = not config.volumes_of or sample.modality in config.volumes_of
        prompts = draw_prompts(image, chosen, config, rng, size_px=size_px, in_volume=in_volume)
        true_masks = [image.masks[index].numpy() for index in chosen]
        targets = to_device(build_targets([image], [chosen], self._model.config), self._device)
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

    def _features(
        self, sample: Sample, rng: np.random.Generator, *, copy: str
    ) -> tuple[Sample, ImageFeatures]:
        """Return the features of a sample, or of an augmented copy of it where the encoder learns
        too; the copy's labels moved with its picture.
        """
        if not self._store.is_live:
            return sample, self._store.features(sample.key)
        keep_statistics(self._model.host.image_encoder)
        picture = self._store.picture(sample.key)
        if self._config.augment_share and rng.random() < self._config.augment_share:
            made = augmented(sample.slice(picture), seed=self._config.seed, copy=copy)
            sample, picture = sample.moved(made), made.picture
        with mixed_precision(self._config, self._device):
            return sample, self._store.encode(picture)

    def _add_negative(
        self,
        image: AnnotatedImage,
        negative: NegativePrompts,
        features: ImageFeatures,
        *,
        step: int,
        share: float,
    ) -> dict[str, float]:
        """Add the gradients of prompts of nothing that is labelled, logged apart."""
        targets = empty_targets(image, torch.tensor(negative.classes), self._model.config)
        weights = self._weights.of_names()
        if negative.masks is not None:
            weights = self._weights
            height, width = negative.masks.shape[1:]
            targets.masks[:, 0, :height, :width] = torch.from_numpy(negative.masks)
        detached = _detached(features)
        _, losses = self._round(
            detached,
            negative.prompts,
            to_device(targets, self._device),
            step=step,
            share=share,
            weights=weights,
        )
        _propagate(features, detached)
        total = float(losses.total.detach())
        return {"total": total, negative.term: total}

    def _round(
        self,
        features: ImageFeatures,
        prompts: PromptTensors,
        targets: Targets,
        *,
        step: int,
        share: float,
        weights: LossWeights | None = None,
    ) -> tuple[Decoded, Losses]:
        """Decode once, and add the gradients of the loss."""
        with mixed_precision(self._config, self._device):
            decoded = self._model.decode_batch(features, to_device(prompts, self._device))
        losses = segsam_loss(decoded, targets, weights or self._weights, self._model.config)
        if not torch.isfinite(losses.total):
            raise TrainingError(f"The loss of step {step + 1} is {float(losses.total)}.")
        (losses.total * share).backward()  # type: ignore[no-untyped-call]
        return decoded, losses


def keep_statistics(encoder: nn.Module) -> None:
    """Let the batch norms of an encoder that learns from one image at a time use the statistics
    that they came with: those of one image are no estimate.
    """
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


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

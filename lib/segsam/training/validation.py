"""Scores of a model on held-out slices, with simulated prompts that are the same every time.

Scores are means over the objects of a data set (mDSC: over its categories), then over the data sets
of a modality, then over the modalities.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from segsam.model import Decoded, ImageFeatures, SegSam
from segsam.model.readout import dice, predicted_category, predicted_labels, resize_logits
from segsam.training.config import TrainConfig
from segsam.training.devices import mixed_precision, to_device
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.prompt_simulation import box_prompts, point_prompts
from segsam.training.samples import Sample
from segsam.training.sampling import NO_STEP
from segsam.training.sharded_samples import dataset_names

_PROMPTS_AT_ONCE = 8
"""Prompts that are decoded together; bounds the memory."""
BOX, POINT = "box", "point"


@dataclass(frozen=True)
class ValidationScore:
    """Scores of one prompted object, in [0, 1]."""

    dataset: str
    category: int
    """k + 1, or 0 if the model does not know it."""
    dsc: float
    """Dice of the binary decoder's mask."""
    mdsc: float | None = None
    """Dice of the pixels that the model labels with the object's category; None without semantics,
    or for an object without a category."""
    accuracy: float | None = None
    """1 if the model gives the object's category, else 0; None likewise."""
    slice: str = ""
    """Name of the slice: data set/case/index."""


def spread_evenly(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Return at most `limit` samples, as many from every data set (small ones in full first), each
    data set's evenly spread.
    """
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(dataset_names(samples)):
        groups.setdefault(name, []).append(index)
    chosen: list[int] = []
    for done, group in enumerate(sorted(groups.values(), key=len)):
        share = (limit - len(chosen)) // (len(groups) - done)
        places = np.linspace(0, len(group) - 1, min(len(group), share)).round().astype(int)
        chosen += [group[place] for place in places]
    return [samples[index] for index in chosen]


def validate(
    model: SegSam,
    store: EmbeddingStore,
    samples: Iterable[Sample],
    config: TrainConfig,
    *,
    check: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Return scores in percent by name: `dsc_box`, `dsc_box/MODALITY` and `dsc_box/DATA SET`; the
    same for points, and `mdsc` and `accuracy` if the model has semantics. Empty without samples.

    `check` is called before each sample, and may raise an error to stop.
    """
    samples = list(samples)
    return summarise(score_objects(model, store, samples, config, check=check), samples)


@torch.no_grad()
def score_objects(
    model: SegSam,
    store: EmbeddingStore,
    samples: Iterable[Sample],
    config: TrainConfig,
    *,
    check: Callable[[], None] = lambda: None,
) -> dict[str, list[ValidationScore]]:
    """Return the scores of every prompted object, by kind of prompt: `box` and `point`.

    Objects and prompts follow from the samples and the seed alone, so that the scores of two models
    on the same samples can be compared object by object.
    """
    by_prompt: dict[str, list[ValidationScore]] = {BOX: [], POINT: []}
    model.eval()
    device = next(model.parameters()).device
    with mixed_precision(config, device):
        for sample in samples:
            check()
            features = store.features(sample.key)
            for prompt, scores in by_prompt.items():
                scores += _score(model, features, sample, config, prompt=prompt)
    model.train()
    return by_prompt


def summarise(
    by_prompt: Mapping[str, Sequence[ValidationScore]], samples: Iterable[Sample]
) -> dict[str, float]:
    """Return the scores of `score_objects` on `samples` as `validate` does."""
    modalities = {sample.dataset: sample.modality for sample in samples}
    return {
        name: round(100 * value, 3)
        for prompt, scores in by_prompt.items()
        for name, value in mean_scores(scores, modalities, prompt).items()
    }


def selection_score(metrics: Mapping[str, float]) -> float:
    """Return the score that selects the best checkpoint: the mean of Dice with boxes, Dice with
    points, and mDSC with boxes.
    """
    names = ("dsc_box", "dsc_point", "mdsc_box")
    return float(np.mean([metrics[name] for name in names if name in metrics]))


def card_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the means over all modalities, by their names in a checkpoint's card."""
    return {
        f"validation_{name}": round(value, 2) for name, value in metrics.items() if "/" not in name
    }


def mean_scores(
    scores: Sequence[ValidationScore], modalities: Mapping[str, str], prompt: str
) -> dict[str, float]:
    """Return means by data set, by modality and over all, in [0, 1], by name as in `validate`."""
    means: dict[str, float] = {}
    for metric in ("dsc", "mdsc", "accuracy"):
        by_dataset = _by_dataset(scores, metric)
        if not by_dataset:
            continue
        groups: dict[str, list[float]] = {}
        for dataset, value in by_dataset.items():
            groups.setdefault(modalities[dataset], []).append(value)
        by_modality = {modality: float(np.mean(values)) for modality, values in groups.items()}
        name = f"{metric}_{prompt}"
        means[name] = float(np.mean(list(by_modality.values())))
        for part, value in chain(by_modality.items(), by_dataset.items()):
            means[f"{name}/{part}"] = value
    return means


def _by_dataset(scores: Sequence[ValidationScore], metric: str) -> dict[str, float]:
    """Return each data set's mean over objects; of mDSC over the means of its categories."""
    values: dict[str, dict[int, list[float]]] = {}
    for score in scores:
        value = getattr(score, metric)
        if value is not None:
            group = score.category if metric == "mdsc" else 0
            values.setdefault(score.dataset, {}).setdefault(group, []).append(value)
    return {
        dataset: float(np.mean([np.mean(each) for each in groups.values()]))
        for dataset, groups in values.items()
    }


def _score(
    model: SegSam,
    features: ImageFeatures,
    sample: Sample,
    config: TrainConfig,
    *,
    prompt: str,
) -> Iterator[ValidationScore]:
    """Prompt every object of a slice once, and score it."""
    image, chosen = sample.annotated(model)
    masks = [image.masks[index].numpy() for index in chosen]
    rng = np.random.default_rng([config.seed, NO_STEP, zlib.crc32(sample.name.encode())])
    size_px = (sample.labels.shape[0], sample.labels.shape[1])
    if prompt == BOX:
        prompts = box_prompts(masks, rng, config.jitter_px, size_px)
    else:
        prompts = point_prompts(masks, rng, config.points)
    for first in range(0, len(chosen), _PROMPTS_AT_ONCE):
        rows = chosen[first : first + _PROMPTS_AT_ONCE]
        part = to_device(prompts.rows(first, first + len(rows)), features.embedding.device)
        decoded = model.decode_batch(features, part)
        yield from _compare(decoded, image.masks[rows], image.classes[rows], sample)


def _compare(
    decoded: Decoded, true_masks: Tensor, classes: Tensor, sample: Sample
) -> Iterator[ValidationScore]:
    """Score P objects (P, S, S); the padding beside the image does not count."""
    side = (true_masks.shape[1], true_masks.shape[2])
    height, width = sample.labels.shape
    device = decoded.binary_logits.device
    true_masks, classes = true_masks[:, :height, :width].to(device), classes.to(device)
    masks = (resize_logits(decoded.binary_logits, side) > 0)[:, 0, :height, :width]
    dsc = dice(masks, true_masks).tolist()
    if decoded.class_logits is None:
        for category, value in zip(classes.tolist(), dsc, strict=True):
            yield ValidationScore(sample.dataset, category, value, slice=sample.name)
        return
    labels = predicted_labels(decoded, side)[:, :height, :width]
    mdsc = dice(labels == classes[:, None, None], true_masks).tolist()
    right = (predicted_category(decoded) == classes).float().tolist()
    for category, value, of_name, is_right in zip(classes.tolist(), dsc, mdsc, right, strict=True):
        yield ValidationScore(
            sample.dataset,
            category,
            value,
            mdsc=of_name if category else None,
            accuracy=is_right if category else None,
            slice=sample.name,
        )

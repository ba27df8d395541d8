"""How good a model is on held-out slices, with simulated prompts that are always the same.

Scores are means over the objects of a data set (mDSC: over its categories), then over the data sets
of a modality, then over the modalities.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from segsam.model import Decoded, ImageFeatures, SegSam
from segsam.model.readout import dice, predicted_category, predicted_labels, resize_logits
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.placing import mixed_precision, moved
from segsam.training.preparing import Sample
from segsam.training.sampling import NO_STEP
from segsam.training.sharded import dataset_names
from segsam.training.simulation import box_prompts, point_prompts

_AT_ONCE = 8
"""Prompts decoded together, which bounds the memory."""
BOX, POINT = "box", "point"


@dataclass(frozen=True)
class ObjectScore:
    """One prompted object of one data set; scores in [0, 1]."""

    dataset: str
    category: int
    """k + 1, or 0 if the model does not know it."""
    dsc: float
    """Of the binary decoder."""
    mdsc: float | None = None
    """Dice with what the model itself labels with the object's category; None without semantics, or
    for an object that has no category."""
    accuracy: float | None = None
    """1 if the model names it rightly, else 0."""


def spread_evenly(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """At most `limit` samples: of every data set as many, small ones in full first, each evenly
    spread over its own.
    """
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(dataset_names(samples)):
        groups.setdefault(name, []).append(place)
    found: list[int] = []
    for left, group in enumerate(sorted(groups.values(), key=len)):
        share = (limit - len(found)) // (len(groups) - left)
        places = np.linspace(0, len(group) - 1, min(len(group), share)).round().astype(int)
        found += [group[place] for place in places]
    return [samples[place] for place in found]


@torch.no_grad()
def validate(
    model: SegSam, store: EmbeddingStore, samples: Iterable[Sample], config: TrainConfig
) -> dict[str, float]:
    """Scores in percent by name: `dsc_box`, and `dsc_box/MODALITY` and `dsc_box/DATA SET`; the same
    for points, and `mdsc` and `accuracy` where the model has semantics. Nothing without samples.
    """
    samples = list(samples)
    modalities = {sample.dataset: sample.modality for sample in samples}
    found: dict[str, list[ObjectScore]] = {BOX: [], POINT: []}
    model.eval()
    device = next(model.parameters()).device
    with mixed_precision(config, device):
        for sample in samples:
            features = store.features(sample.key)
            for prompt, scores in found.items():
                scores += _score(model, features, sample, config, prompt=prompt)
    model.train()
    return {
        name: round(100 * value, 3)
        for prompt, scores in found.items()
        for name, value in summary(scores, modalities, prompt).items()
    }


def selection_score(metrics: Mapping[str, float]) -> float:
    """What "better" means: the mean of Dice with boxes, with points, and of mDSC with boxes."""
    names = ("dsc_box", "dsc_point", "mdsc_box")
    return float(np.mean([metrics[name] for name in names if name in metrics]))


def averages(metrics: Mapping[str, float]) -> dict[str, float]:
    """The scores over all modalities, as a card names them."""
    return {
        f"validation_{name}": round(value, 2) for name, value in metrics.items() if "/" not in name
    }


def summary(
    scores: Sequence[ObjectScore], modalities: Mapping[str, str], prompt: str
) -> dict[str, float]:
    """Means by data set, by modality and over all, in [0, 1], by name as in `validate`."""
    found: dict[str, float] = {}
    for metric in ("dsc", "mdsc", "accuracy"):
        by_dataset = _by_dataset(scores, metric)
        if not by_dataset:
            continue
        groups: dict[str, list[float]] = {}
        for dataset, value in by_dataset.items():
            groups.setdefault(modalities[dataset], []).append(value)
        by_modality = {modality: float(np.mean(values)) for modality, values in groups.items()}
        name = f"{metric}_{prompt}"
        found[name] = float(np.mean(list(by_modality.values())))
        for part, value in chain(by_modality.items(), by_dataset.items()):
            found[f"{name}/{part}"] = value
    return found


def _by_dataset(scores: Sequence[ObjectScore], metric: str) -> dict[str, float]:
    """Mean over objects; of mDSC over the categories' means."""
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
) -> Iterator[ObjectScore]:
    """All objects of a slice, each prompted once."""
    image, chosen = sample.annotated(model)
    masks = [image.masks[index].numpy() for index in chosen]
    rng = np.random.default_rng([config.seed, NO_STEP, zlib.crc32(sample.name.encode())])
    size_px = (sample.labels.shape[0], sample.labels.shape[1])
    if prompt == BOX:
        prompts = box_prompts(masks, rng, config.jitter_px, size_px)
    else:
        prompts = point_prompts(masks, rng, config.points)
    for first in range(0, len(chosen), _AT_ONCE):
        rows = chosen[first : first + _AT_ONCE]
        part = moved(prompts.rows(first, first + len(rows)), features.embedding.device)
        decoded = model.decode_batch(features, part)
        yield from _compared(decoded, image.masks[rows], image.classes[rows], sample)


def _compared(
    decoded: Decoded, wanted: Tensor, classes: Tensor, sample: Sample
) -> Iterator[ObjectScore]:
    """Scores of P objects (P, S, S); what was padded beside the image is not looked at."""
    side = (wanted.shape[1], wanted.shape[2])
    height, width = sample.labels.shape
    device = decoded.binary_logits.device
    wanted, classes = wanted[:, :height, :width].to(device), classes.to(device)
    drawn = (resize_logits(decoded.binary_logits, side) > 0)[:, 0, :height, :width]
    dsc = dice(drawn, wanted).tolist()
    if decoded.class_logits is None:
        for category, value in zip(classes.tolist(), dsc, strict=True):
            yield ObjectScore(sample.dataset, category, value)
        return
    labels = predicted_labels(decoded, side)[:, :height, :width]
    mdsc = dice(labels == classes[:, None, None], wanted).tolist()
    right = (predicted_category(decoded) == classes).float().tolist()
    for category, *values in zip(classes.tolist(), dsc, mdsc, right, strict=True):
        yield ObjectScore(sample.dataset, category, *(values if category else values[:1]))

"""Objects as a memory of examples describes them, with what the semantic decoder says of each."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Self

from segsam.model import PromptTensors, SegSam
from segsam.model.memory import describe_images, describe_objects
from segsam.training.config import TrainConfig
from segsam.training.devices import to_device
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.negative_prompts import boxes_without_label
from segsam.training.prompt_simulation import box_prompts, point_prompts
from segsam.training.samples import Sample
from segsam.training.sampling import NO_STEP
from segsam.training.targets import NO_CATEGORY, NO_CLASS
from segsam.training.validation import spread_evenly

_PROMPTS_AT_ONCE = 8
_SLICES_OF_CLASS = 32
"""Most slices of a data set among whose objects those of one class are sought."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Base of records whose fields are arrays with a row for each of N objects."""

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(getattr(self, fields(self)[0].name))

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """Return some of the objects, by mask or index."""
        return type(self)(*(getattr(self, entry.name)[rows] for entry in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Join records; `parts` are not empty."""
        names = [entry.name for entry in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, eq=False)
class DescribedObjects(Rows):
    """N prompted objects."""

    descriptions: NDArray[np.float32]
    """(N, D) of `describe_objects`."""
    images: NDArray[np.float32]
    """(N, 2 C) of `describe_images`, of the image of each object."""
    class_logits: NDArray[np.float32]
    """(N, K + 1), "no object" first."""
    classes: NDArray[np.int64]
    """(N,) k + 1 for category k, 0 for an unknown one, -1 for a place that is none of them."""
    datasets: NDArray[np.str_]
    """(N,)."""
    patients: NDArray[np.str_]
    """(N,) with the data set's name."""
    image_names: NDArray[np.str_]
    """(N,) equal for objects of one image."""


def slices_showing(
    samples: Iterable[Sample], classes: Iterable[int]
) -> tuple[list[Sample], list[int]]:
    """Return slices that show objects of some classes (k + 1), at most `_SLICES_OF_CLASS` of each
    and each data set, evenly spread, and the classes that any slice shows.
    """
    sought = set(classes)
    shown: dict[tuple[int, str], list[Sample]] = {}
    for one in samples:
        for number in {one.classes.get(value, NO_CLASS) for value in one.prompted} & sought:
            shown.setdefault((number, one.dataset), []).append(one)
    spread = (spread_evenly(some, _SLICES_OF_CLASS) for some in shown.values())
    chosen = {one.name: one for some in spread for one in some}
    return list(chosen.values()), sorted({number for number, _ in shown})


@torch.no_grad()
def describe_samples(
    model: SegSam, store: EmbeddingStore, samples: Iterable[Sample], config: TrainConfig
) -> DescribedObjects | None:
    """Prompt every object of slices with a box and a point, and places without a label with boxes,
    and describe what the model draws; None without objects.
    """
    model.eval()
    parts = [part for sample in samples for part in _described(model, store, sample, config)]
    model.train()
    return DescribedObjects.joined(parts) if parts else None


def _described(
    model: SegSam, store: EmbeddingStore, sample: Sample, config: TrainConfig
) -> Iterator[DescribedObjects]:
    features = store.features(sample.key)
    device = features.embedding.device
    image = describe_images(features).cpu().numpy()
    for prompts, classes in object_prompts(model, sample, config):
        for first in range(0, len(classes), _PROMPTS_AT_ONCE):
            some = classes[first : first + _PROMPTS_AT_ONCE]
            part = to_device(prompts.rows(first, first + len(some)), device)
            decoded = model.decode_batch(features, part)
            if decoded.class_logits is None:
                return
            count = len(some)
            yield DescribedObjects(
                describe_objects(features, decoded.binary_logits).cpu().numpy(),
                np.repeat(image, count, axis=0),
                decoded.class_logits.float().cpu().numpy(),
                np.array(some, dtype=np.int64),
                np.full(count, sample.dataset),
                np.full(count, sample.name.rpartition("/")[0]),
                np.full(count, sample.name),
            )


def object_prompts(
    model: SegSam, sample: Sample, config: TrainConfig
) -> Iterator[tuple[PromptTensors, list[int]]]:
    """Yield boxes and points on the objects, and boxes on places without a label."""
    image, chosen = sample.annotated(model)
    rng = np.random.default_rng([config.seed, NO_STEP, zlib.crc32(sample.name.encode())])
    height, width = sample.labels.shape
    if chosen:
        masks = [image.masks[index].numpy() for index in chosen]
        classes = image.classes[chosen].tolist()
        yield box_prompts(masks, rng, config.jitter_px, (height, width)), classes
        yield point_prompts(masks, rng, config.points), classes
    free = boxes_without_label(sample, 1, rng)
    if free is not None:
        yield free, [NO_CATEGORY] * len(free)

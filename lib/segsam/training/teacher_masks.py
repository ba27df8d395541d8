"""Masks that another model, the teacher, draws in boxes on places without a label: a second target,
so that a run on few structures does not forget what its first host could do.

Li and Hoiem, "Learning without forgetting" (https://arxiv.org/abs/1606.09282), with masks in place
of classes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.datasets.labelled_slices import LabelledSlice
from segsam.errors import TrainingError
from segsam.model import PromptTensors, load_pretrained
from segsam.model.digests import weights_digest
from segsam.model.readout import resize_logits
from segsam.prediction.embedding_files import EmbeddingFiles
from segsam.prediction.embeddings import slice_key
from segsam.training.config import TrainConfig
from segsam.training.free_boxes import draw_free_boxes

_TOGETHER = 16
"""Boxes that are decoded at a time, for memory."""


@dataclass(frozen=True, eq=False)
class TeacherMasks:
    """Masks that the teacher draws in N boxes on one slice."""

    boxes_px: Tensor
    """(N, 4) float32: x0, y0, x1, y1 in pixels of the slice."""
    packed: NDArray[np.uint8]
    """(N, bytes): masks (h_px, w_px), packed to bits."""

    def masks(self, chosen: NDArray[np.int64], size_px: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the masks (n, h_px, w_px) of the `chosen` boxes."""
        count = size_px[0] * size_px[1]
        flat = np.unpackbits(self.packed[chosen], axis=1, count=count)
        return flat.astype(np.bool_).reshape(-1, *size_px)


class Teacher:
    """Draws in boxes with nothing labelled, once for each slice; the files of a run keep it."""

    def __init__(self, config: TrainConfig, files: EmbeddingFiles, *, input_size: int) -> None:
        """Load the teacher that a run names.

        Args:
            config: the run.
            files: where masks are kept, beside embeddings.
            input_size: of the student, whose slices the teacher gets.

        Raises:
            CheckpointError: weights that cannot be loaded.
            TrainingError: a teacher for slices of another size.
        """
        self._model = load_pretrained(config.teacher)
        self._counts, self._files = config.teacher_boxes_of, files
        facts = self._model.host.facts
        if facts.input_size != input_size:
            raise TrainingError(
                f"Expected a teacher for slices of {input_size} pixels, got {config.teacher} for "
                f"{facts.input_size}."
            )
        self._name = f"teacher {facts.name} {weights_digest(self._model)}"

    def masks_of(self, one: LabelledSlice, dataset: str) -> TeacherMasks | None:
        """Return what the teacher draws on a slice of a data set, from the files if it is there;
        None where the run asks for none, or where labels leave no place.

        Raises:
            OutputError: when it cannot be written.
        """
        count = self._counts.get(dataset, 0)
        labels = zlib.crc32(np.ascontiguousarray(one.labels).tobytes())
        boxes_px = draw_free_boxes(one.labels, count, np.random.default_rng(labels))
        if boxes_px is None:
            return None
        key = slice_key(one.picture, f"{self._name} {labels} {count}")
        stored = self._files.read(key)
        if stored is None:
            stored = {"packed": torch.from_numpy(self._draw(one.picture, boxes_px))}
            self._files.write(key, stored)
        return TeacherMasks(boxes_px, stored["packed"].numpy())

    @torch.inference_mode()
    def _draw(self, picture: NDArray[np.uint8], boxes_px: Tensor) -> NDArray[np.uint8]:
        model = self._model
        features = model.encode(model.host.prepare(picture)[None])
        side = model.host.facts.input_size
        height, width = picture.shape[:2]
        drawn = []
        for boxes in torch.split(boxes_px, _TOGETHER):
            decoded = model.decode_batch(features, PromptTensors(boxes_px=boxes))
            masks = resize_logits(decoded.binary_logits, (side, side))[:, 0, :height, :width] > 0
            drawn.append(np.packbits(masks.numpy().reshape(len(boxes), -1), axis=1))
        return np.concatenate(drawn)

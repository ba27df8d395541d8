"""Slice images of a distillation in one file, from which a step reads the few that it needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.errors import OutputError, TrainingError
from segsam.system.atomic import write_bytes
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.run_data import RunData
from segsam.training.samples import NO_SLICE, cases_of, cut_case
from segsam.types import Progress

_INDEX, _DATA = "pictures.json", "pictures.bin"


class SliceImages:
    """Images by index, mapped from a file that is never read as a whole."""

    def __init__(self, folder: Path) -> None:
        """Open the files that `cut_slice_images` wrote."""
        record = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        self.parts: dict[str, list[int]] = record["parts"]
        """Part -> indices."""
        self.datasets: list[str] = record["datasets"]
        """Data set of each image."""
        self.keys: list[str] = record["keys"]
        """Key of each image's embedding in the store."""
        self._shapes: list[list[int]] = record["shapes"]
        self._starts = np.cumsum([0, *(h * w * 3 for h, w in self._shapes)])
        self._data = np.memmap(folder / _DATA, dtype=np.uint8, mode="r")

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Read a resized slice (h_px, w_px, 3)."""
        height, width = self._shapes[index]
        start = int(self._starts[index])
        flat = self._data[start : start + height * width * 3]
        return np.asarray(flat.reshape(height, width, 3))


def cut_slice_images(
    folder: Path, data: RunData, store: EmbeddingStore, *, input_size: int, progress: Progress
) -> SliceImages:
    """Cut and encode the slices of the training and validation parts, unless the folder has them.

    Raises:
        TrainingError: nothing to train on, or shards, whose pictures fit another input size.
        OutputError: a folder that cannot be written to.
    """
    if (folder / _INDEX).is_file():
        return SliceImages(folder)
    if data.shards is not None:
        raise TrainingError("Expected folders in datasets for a distillation, got shards.")
    parts: dict[str, list[int]] = {TRAIN: [], VALIDATION: []}
    names: list[str] = []
    keys: list[str] = []
    shapes: list[tuple[int, ...]] = []
    cases = cases_of(data.split, data.datasets, (TRAIN, VALIDATION))
    try:
        with (folder / _DATA).open("wb") as file:
            for done, (part, dataset, case) in enumerate(cases):
                progress(done, len(cases), f"preparing {dataset.name}")
                for one in cut_case(data.config, dataset, case, part=part, input_size=input_size):
                    parts[part].append(len(keys))
                    names.append(dataset.name)
                    keys.append(store.add(one.picture))
                    shapes.append(one.picture.shape[:2])
                    file.write(np.ascontiguousarray(one.picture).tobytes())
    except OSError as error:
        raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error
    if not parts[TRAIN]:
        raise TrainingError(NO_SLICE)
    record = {"parts": parts, "datasets": names, "keys": keys, "shapes": shapes}
    write_bytes(folder / _INDEX, json.dumps(record).encode())
    return SliceImages(folder)

"""The slices of a run as pictures on disk, read where a step wants them, with their embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.errors import OutputError, TrainingError
from segsam.system.atomic import write_bytes
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.preparing import cases_of, cut_case
from segsam.training.source import Source
from segsam.types import Progress

_INDEX, _DATA = "pictures.json", "pictures.bin"


class Pictures:
    """Pictures by place: cut once, side by side in one file that is never read as a whole."""

    def __init__(self, folder: Path) -> None:
        """Open what `kept_pictures` wrote."""
        record = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        self.parts: dict[str, list[int]] = record["parts"]
        """Part -> places."""
        self.datasets: list[str] = record["datasets"]
        """Of each place."""
        self.keys: list[str] = record["keys"]
        """Of each place's embedding in the store."""
        self._shapes: list[list[int]] = record["shapes"]
        self._starts = np.cumsum([0, *(h * w * 3 for h, w in self._shapes)])
        self._data = np.memmap(folder / _DATA, dtype=np.uint8, mode="r")

    def __getitem__(self, place: int) -> NDArray[np.uint8]:
        """A resized slice (h_px, w_px, 3)."""
        height, width = self._shapes[place]
        start = int(self._starts[place])
        flat = self._data[start : start + height * width * 3]
        return np.asarray(flat.reshape(height, width, 3))


def kept_pictures(
    folder: Path, source: Source, store: EmbeddingStore, *, input_size: int, progress: Progress
) -> Pictures:
    """The slices of the run's training and validation cases, cut if they are not there yet; what
    was not encoded before is encoded.

    Raises:
        TrainingError: nothing to train on, or shards, which keep no pictures of one size.
        OutputError: a folder that cannot be written to.
    """
    if (folder / _INDEX).is_file():
        return Pictures(folder)
    if source.shards is not None:
        raise TrainingError("Expected folders in datasets, got shards, for a distillation.")
    parts: dict[str, list[int]] = {TRAIN: [], VALIDATION: []}
    names: list[str] = []
    keys: list[str] = []
    shapes: list[tuple[int, ...]] = []
    cases = cases_of(source.split, source.datasets, (TRAIN, VALIDATION))
    try:
        with (folder / _DATA).open("wb") as file:
            for done, (part, dataset, case) in enumerate(cases):
                progress(done, len(cases), f"preparing {dataset.name}")
                for one in cut_case(source.config, dataset, case, part=part, input_size=input_size):
                    parts[part].append(len(keys))
                    names.append(dataset.name)
                    keys.append(store.add(one.picture))
                    shapes.append(one.picture.shape[:2])
                    file.write(np.ascontiguousarray(one.picture).tobytes())
    except OSError as error:
        raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error
    if not parts[TRAIN]:
        raise TrainingError("No slice to train on holds an object of 0.153 % or more of it.")
    record = {"parts": parts, "datasets": names, "keys": keys, "shapes": shapes}
    write_bytes(folder / _INDEX, json.dumps(record).encode())
    return Pictures(folder)

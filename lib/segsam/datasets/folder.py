"""A folder of labelled images, as it lies on disk.

dataset.json   {name, modality, licence, labels {"1": "liver"}}
images/<id>.*  labels/<id>.*    integer maps, 0 = background
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsam.categories import Categories
from segsam.errors import CategoryError, TrainingError
from segsam.imaging.volume import Volume

_SUFFIXES = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Dataset:
    """Labelled images of one origin; what its labels are called is the data set's own word."""

    folder: Path
    name: str
    modality: str
    licence: str
    labels: Mapping[int, str]
    """Label value -> name."""
    cases: tuple[str, ...]


def open_dataset(folder: str | Path) -> Dataset:
    """Read `dataset.json` and list the cases.

    Raises:
        TrainingError: no such file, not as described, or no cases.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        labels = {int(value): str(name) for value, name in record["labels"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise TrainingError(
            f"Expected dataset.json with labels by number in {folder.name}: {error}."
        ) from error
    if not labels or min(labels) < 1 or max(labels) > 255:
        raise TrainingError(f"{folder.name}: label values are 1 to 255, got {sorted(labels)}.")
    cases = tuple(sorted(_case_name(path) for path in (folder / "images").glob("*")))
    if not cases:
        raise TrainingError(f"There are no images in {folder.name}.")
    return Dataset(
        folder,
        str(record.get("name", folder.name)),
        str(record.get("modality", "not stated")),
        str(record.get("licence", "not stated")),
        labels,
        cases,
    )


def class_numbers(dataset: Dataset, categories: Categories) -> dict[int, int]:
    """Label value -> index of its category + 1, as the semantic decoder counts; 0 for a label
    without a name (""), which teaches masks alone.

    Raises:
        CategoryError: a label that the categories do not know; names the nearest.
    """
    return {
        value: _class_of(name, categories, dataset.name) for value, name in dataset.labels.items()
    }


def case_files(dataset: Dataset, case: str) -> tuple[Path, Path]:
    """The files of a case's image and labels. Raises TrainingError when one is not there."""
    return _file(dataset.folder / "images", case), _file(dataset.folder / "labels", case)


def load_case(dataset: Dataset, case: str) -> tuple[Volume, NDArray[np.uint8]]:
    """An image and its labels (i, j, k).

    Raises:
        TrainingError: no such file, labels of another shape than their image, or values without a
            name.
        VolumeError: a file that cannot be read.
    """
    volume = Volume.load(_file(dataset.folder / "images", case))
    labels = Volume.load(_file(dataset.folder / "labels", case)).voxels
    if labels.shape != volume.shape_ijk:
        raise TrainingError(
            f"{dataset.name}: the labels of {case} have the shape {labels.shape}, "
            f"the image {volume.shape_ijk}."
        )
    unknown = sorted(set(np.unique(labels).tolist()) - {0, *dataset.labels})
    if unknown:
        raise TrainingError(
            f"{dataset.name}: the labels of {case} hold {unknown[:3]}, which dataset.json does not "
            "name."
        )
    return volume, labels.astype(np.uint8)


def _file(folder: Path, case: str) -> Path:
    for suffix in _SUFFIXES:
        path = folder / f"{case}{suffix}"
        if path.is_file():
            return path
    place = f"{folder.parent.name}/{folder.name}"
    raise TrainingError(f"There is no file of the case {case} in {place}.")


def _case_name(path: Path) -> str:
    for suffix in _SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    raise TrainingError(f"Expected images that end in {', '.join(_SUFFIXES)}, got {path.name}.")


def _class_of(name: str, categories: Categories, dataset: str) -> int:
    if not name:
        return 0
    try:
        return categories.index(name) + 1
    except CategoryError as error:
        raise CategoryError(f"A label of {dataset}: {error}") from error

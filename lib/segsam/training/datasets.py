"""Labelled images on disk, cut into slices as the model sees them; patients, and who is held out.

    dataset.json   {name, modality, licence, labels {"1": "liver"}}
    images/<id>.*  labels/<id>.*    integer maps, 0 = background

A volume is cut along its largest spacing (as prediction does by itself). Every label of a slice is
one object. Objects under 0.153 % of the slice are never prompted (paper, section 4.1), but stay
what they are in the targets of presence and of the full image.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from segsam.categories import Categories
from segsam.errors import CategoryError, TrainingError
from segsam.intensity import Intensity
from segsam.slices import SliceView, choose_axis
from segsam.training.targets import AnnotatedImage
from segsam.volume import Volume

MIN_SHARE = 0.00153
"""Smaller objects are not prompted: 100 pixels of 256 x 256."""
_SUFFIXES = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Dataset:
    """A data set whose labels the categories know."""

    folder: Path
    name: str
    licence: str
    classes: Mapping[int, int]
    """Label value -> index of its category + 1."""
    cases: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """One slice with at least one object to prompt, as the model sees it."""

    name: str
    """data set/case/index, the same in every run."""
    picture: NDArray[np.uint8]
    """(h_px, w_px, 3)."""
    labels: NDArray[np.uint8]
    """(h_px, w_px), label values."""
    prompted: tuple[int, ...]
    """Label values of the objects that are large enough."""


def open_dataset(folder: str | Path, categories: Categories) -> Dataset:
    """Read `dataset.json` and list the cases.

    Raises:
        TrainingError: no such file, not as described, no cases, or a case without labels.
        CategoryError: a label that the categories do not know; names the nearest.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        names = {int(value): str(name) for value, name in record["labels"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise TrainingError(
            f"Expected dataset.json with labels by number in {folder.name}: {error}."
        ) from error
    if not names or min(names) < 1 or max(names) > 255:
        raise TrainingError(f"{folder.name}: label values are 1 to 255, got {sorted(names)}.")
    cases = tuple(sorted(_case_name(path) for path in (folder / "images").glob("*")))
    if not cases:
        raise TrainingError(f"There are no images in {folder.name}.")
    classes = {value: _class_of(name, categories, folder.name) for value, name in names.items()}
    licence = str(record.get("licence", "not stated"))
    return Dataset(folder, str(record.get("name", folder.name)), licence, classes, cases)


def patient_of(case: str, pattern: str) -> str:
    """The patient of a case: what `pattern` finds in its name, else the whole name.

    Raises:
        TrainingError: no regular expression.
    """
    try:
        found = re.search(pattern, case)
    except re.error as error:
        raise TrainingError(f"The pattern of patients {pattern!r} is wrong: {error}.") from error
    return found.group() if found and found.group() else case


def split_patients(
    datasets: Sequence[Dataset], *, pattern: str, share: float, seed: int
) -> dict[str, list[str]]:
    """Patients {"train": [...], "validation": [...]}, sorted; each in one part only, over all data
    sets.

    Of each data set with two patients or more, `share` (at least one) is held out; who it is
    follows from the seed and the patient's name.
    """
    parts: dict[str, str] = {}
    for dataset in datasets:
        names = {patient_of(case, pattern) for case in dataset.cases}
        patients = sorted(names, key=lambda patient: _rank(patient, seed))
        most = len(patients) - 1
        wanted = min(most, max(1, round(share * len(patients)))) if share else 0
        wanted -= sum(parts.get(patient) == "validation" for patient in patients)
        for patient in (one for one in patients if one not in parts):
            parts[patient] = "validation" if wanted > 0 else "train"
            wanted -= 1
    return {
        part: sorted(patient for patient, is_of in parts.items() if is_of == part)
        for part in ("train", "validation")
    }


def slices_of(
    dataset: Dataset, case: str, *, input_size: int, limit: int = 0
) -> Iterator[LabelledSlice]:
    """The slices of a case that hold an object to prompt; `limit` as `slices_per_volume`.

    Raises:
        TrainingError: labels of another shape than their image, or values without a name.
        VolumeError: an image that cannot be read.
    """
    volume, labels = _load(dataset, case)
    intensity = Intensity.for_volume(volume)
    view = SliceView.of(volume, choose_axis(volume, "auto"), input_size)
    planes = {index: _label_plane(view, labels, index) for index in range(view.depth)}
    prompted = {index: large_objects(plane) for index, plane in planes.items()}
    for index in _spread([index for index, values in prompted.items() if values], limit):
        yield LabelledSlice(
            f"{dataset.name}/{case}/{index}",
            view.image(volume, intensity, index),
            planes[index],
            prompted[index],
        )


def large_objects(labels: NDArray[np.uint8]) -> tuple[int, ...]:
    """Label values of a plane that cover at least `MIN_SHARE` of it."""
    counts = np.bincount(labels.ravel(), minlength=1)
    large = np.flatnonzero(counts >= MIN_SHARE * labels.size)
    return tuple(int(value) for value in large if value > 0)


def annotate(
    labels: NDArray[np.uint8], classes: Mapping[int, int], *, side: int, categories: int
) -> tuple[AnnotatedImage, list[int]]:
    """A plane of labels (h, w) as targets of the padded square, and the label value of each mask.

    Args:
        labels: with at least one object.
        classes: of the data set: these categories, and no others, are annotated.
        side: of the padded square, in model pixels.
        categories: K.
    """
    padded = np.zeros((side, side), dtype=np.uint8)
    padded[: labels.shape[0], : labels.shape[1]] = labels
    values = [int(value) for value in np.unique(labels) if value]
    masks = np.stack([padded == value for value in values])
    annotated = torch.zeros(categories, dtype=torch.bool)
    annotated[[number - 1 for number in classes.values()]] = True
    numbers = torch.tensor([classes[value] for value in values])
    return AnnotatedImage(torch.from_numpy(masks), numbers, annotated), values


def _load(dataset: Dataset, case: str) -> tuple[Volume, NDArray[np.generic]]:
    volume = Volume.load(_file(dataset.folder / "images", case))
    labels = Volume.load(_file(dataset.folder / "labels", case)).voxels
    if labels.shape != volume.shape_ijk:
        raise TrainingError(
            f"{dataset.name}: the labels of {case} have the shape {labels.shape}, "
            f"the image {volume.shape_ijk}."
        )
    unknown = sorted(set(np.unique(labels).tolist()) - {0, *dataset.classes})
    if unknown:
        raise TrainingError(
            f"{dataset.name}: the labels of {case} hold {unknown[:3]}, which dataset.json does not "
            "name."
        )
    return volume, labels.astype(np.uint8)


def _label_plane(view: SliceView, labels: NDArray[np.generic], index: int) -> NDArray[np.uint8]:
    plane = np.ascontiguousarray(view.cut(labels, index), dtype=np.uint8)
    height, width = view.size_px
    resized = cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, dtype=np.uint8)


def _spread(indices: list[int], limit: int) -> list[int]:
    if not limit or len(indices) <= limit:
        return indices
    places = np.linspace(0, len(indices) - 1, limit).round().astype(int)
    return [indices[place] for place in places]


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
    try:
        return categories.index(name) + 1
    except CategoryError as error:
        raise CategoryError(f"A label of {dataset}: {error}") from error


def _rank(patient: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {patient}".encode()).digest()

"""Data set of labelled images in a folder.

dataset.json   {name, modality, licence, labels {"1": "liver"}}
images/<id>.*  labels/<id>.*    integer maps, 0 = background

Images and labels are files of the kinds in `imaging.image_files`; an image may also be a folder
`images/<id>/` with one DICOM series.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.categories import Categories
from segsam.categories.segment_names import category_name, is_same_name, learnt_name
from segsam.errors import CategoryError, LabelError, TrainingError
from segsam.imaging.folder_images import FoundImage, images_in, labels_in
from segsam.imaging.image_files import (
    IMAGE_ENDINGS,
    LABEL_ENDINGS,
    LeftOut,
    image_kind,
    is_litter,
)
from segsam.imaging.label_files import Labels, read_labels
from segsam.imaging.volume import Volume
from segsam.system.reasons import reason_of
from segsam.system.unique_keys import unique_object


@dataclass(frozen=True)
class Dataset:
    """Labelled images of one origin; label names are those of the data set."""

    folder: Path
    name: str
    modality: str
    licence: str
    labels: Mapping[int, str]
    """Label value -> name."""
    cases: tuple[str, ...]
    unused: tuple[LeftOut, ...] = field(default=(), kw_only=True)
    """Files in images/ and labels/ that belong to no case."""

    @property
    def names(self) -> dict[int, str]:
        """Label value -> name, of the labels whose names are learnt and asked for."""
        return {value: name for value, name in self.labels.items() if learnt_name(name)}

    @property
    def masks_without_name(self) -> dict[int, str]:
        """Label value -> what the data set calls it, of the other labels (see `learnt_name`)."""
        return {value: name for value, name in self.labels.items() if not learnt_name(name)}

    def to_record(self) -> dict[str, Any]:
        """Return the content of `dataset.json`."""
        return {
            "name": self.name,
            "modality": self.modality,
            "licence": self.licence,
            "labels": {str(value): name for value, name in self.labels.items()},
        }


def open_dataset(folder: str | Path) -> Dataset:
    """Read `dataset.json` and list the cases.

    Raises:
        TrainingError: a missing or malformed file, or no cases.
    """
    folder = Path(folder)
    try:
        text = (folder / "dataset.json").read_text(encoding="utf-8-sig")
        record = json.loads(text, object_pairs_hook=unique_object)
        labels = parse_labels(record)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise TrainingError(
            f"Expected dataset.json with labels by number in {folder.name}, but {reason_of(error)}."
        ) from error
    if not labels or min(labels) < 1 or max(labels) > 255:
        raise TrainingError(f"{folder.name}: label values are 1 to 255, got {sorted(labels)}.")
    images, unused = _image_files(folder / "images")
    if not images:
        named = "".join(f" Left out: {one}." for one in unused[:1])
        raise TrainingError(f"There are no images in {folder.name}.{named}")
    unused += _unused_labels(folder / "labels", images)
    return Dataset(
        folder,
        str(record.get("name", folder.name)),
        str(record.get("modality", "not stated")),
        str(record.get("licence", "not stated")),
        labels,
        tuple(images),
        unused=tuple(unused),
    )


def parse_labels(record: Mapping[str, Any]) -> dict[int, str]:
    """Return label value -> name of a data set's JSON record.

    Raises KeyError, ValueError, TypeError or AttributeError for another content.
    """
    labels = {int(value): name for value, name in record["labels"].items()}
    if not all(isinstance(name, str) for name in labels.values()):
        raise TypeError("a name of a label is no text")
    return labels


def check_distinct_names(names: Sequence[str]) -> None:
    """Refuse two data sets of the same name. Raises TrainingError."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TrainingError(f"Expected data sets of different names, got {repeated[0]!r} twice.")


def class_numbers(dataset: Dataset, categories: Categories) -> dict[int, int]:
    """Return label value -> class of the semantic decoder (index of its category + 1).

    The class is 0 for a mask without a name, which trains masks only.

    Raises:
        CategoryError: a label that is not a category; the message lists the nearest names.
    """
    return {
        value: _class_of(name, categories, dataset.name) for value, name in dataset.labels.items()
    }


def unused_files(datasets: Iterable[Dataset]) -> list[LeftOut]:
    """Return the files of data sets that belong to no case, with the names of the data sets."""
    return [
        replace(one, path=f"{dataset.name}/{one.path}")
        for dataset in datasets
        for one in dataset.unused
    ]


def case_files(dataset: Dataset, case: str) -> tuple[Path, Path]:
    """Return the files of a case's image and labels. Raises TrainingError if one is missing."""
    image = _find_file(dataset.folder / "images", case, IMAGE_ENDINGS)
    return image, _find_file(dataset.folder / "labels", case, LABEL_ENDINGS)


def load_case(dataset: Dataset, case: str) -> tuple[Volume, NDArray[np.uint8]]:
    """Read an image, and its labels (i, j, k) on the voxels of the image.

    A segmentation file that names its segments is read by these names, whatever their values.

    Raises:
        TrainingError: a missing file, or values or names that `dataset.json` does not name.
        LabelError: labels that lie elsewhere than their image, or segments that overlap.
        VolumeError: a file that cannot be read.
    """
    image_path, labels_path = case_files(dataset, case)
    volume = Volume.load(image_path)
    try:
        read = read_labels(labels_path, volume)
        labels = read.as_one_map()
    except LabelError as error:
        raise LabelError(f"{dataset.name}, {case}: {error}.") from error
    values = {value: value for value in read.values} | _values_by_name(dataset, case, read)
    unknown = sorted(value for value in values.values() if value not in dataset.labels)
    if unknown:
        raise TrainingError(
            f"{dataset.name}: the labels of {case} hold {unknown[:3]}, which dataset.json does not "
            "name."
        )
    if all(value == own for own, value in values.items()):
        return volume, labels.astype(np.uint8)
    renumbered = np.zeros(labels.shape, dtype=np.uint8)
    for own, value in values.items():
        renumbered[labels == own] = value
    return volume, renumbered


def _values_by_name(dataset: Dataset, case: str, labels: Labels) -> dict[int, int]:
    """Value in a file that names it -> value of that name in `dataset.json`."""
    found = {}
    for own in labels.values:
        name = category_name(labels.names.get(own, ""))
        if not name:
            continue
        same = [value for value, each in dataset.labels.items() if is_same_name(name, each)]
        if not same:
            raise TrainingError(
                f"{dataset.name}: the labels of {case} name a segment {name!r:.80}; expected a "
                f"name of dataset.json, such as {next(iter(dataset.labels.values()))!r:.80}."
            )
        found[own] = own if own in same else same[0]
    return found


def _find_file(folder: Path, case: str, endings: Sequence[str]) -> Path:
    for ending in endings:
        if (path := folder / f"{case}{ending}").is_file():
            return path
    whole = folder / case  # a series in a folder, or DICOM without an ending
    if folder.name == "images" and case and whole.exists():
        return images_in(whole)[0][0].path if whole.is_dir() else whole
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name[: len(case)] == case and path.name[len(case) :].lower() in endings:
            return path
    place = f"{folder.parent.name}/{folder.name}"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        kind = image_kind(path.name)
        is_picture = kind is not None and kind.format == "picture" and not kind.is_label
        if is_picture and path.stem == case:
            raise TrainingError(
                f"The label {path.name} in {place} is a JPEG, which changes values and so cannot "
                "hold labels; save it as .png."
            )
    raise TrainingError(f"There is no file of the case {case} in {place}.")


def _image_files(folder: Path) -> tuple[dict[str, Path], list[LeftOut]]:
    """Return case -> its image, by name, and what is left out. Raises TrainingError."""
    if not folder.is_dir():
        return {}, []
    found, left_out = images_in(folder, as_folder=False)
    listed = [(image.stem, image.path) for image in found]
    for series in sorted(path for path in folder.iterdir() if path.is_dir()):
        if is_litter(series.name):
            continue
        inside, others = images_in(series)
        if len(inside) == 1 and not inside[0].stem:
            listed.append((series.name, inside[0].path))
            others = [LeftOut(f"{series.name}/{one.path}", one.reason) for one in others]
        else:
            others = [LeftOut(series.name, _why_no_series(series, inside, others))]
        left_out += others
    images: dict[str, Path] = {}
    for case, path in sorted(listed):
        if case in images:
            raise TrainingError(
                f"Two images in {folder.parent.name} have the same case name {case}: "
                f"{images[case].name} and {path.name}; rename one."
            )
        images[case] = path
    return images, [replace(one, path=f"images/{one.path}") for one in left_out]


def _why_no_series(folder: Path, images: Sequence[FoundImage], left_out: Sequence[LeftOut]) -> str:
    if images:
        return f"expected a folder with one DICOM series, got {len(images)} images"
    return left_out[0].reason if left_out else f"the folder {folder.name} holds no image"


def _unused_labels(folder: Path, images: Container[str]) -> list[LeftOut]:
    """Return the files of the labels' folder that are not the labels of a case."""
    if not folder.is_dir():
        return []
    labels, left_out = labels_in(folder)
    labels.sort(key=lambda label: LABEL_ENDINGS.index(label[1].name[len(label[0]) :].lower()))
    used: dict[str, str] = {}
    for case, path in labels:
        if case not in images:
            left_out.append(LeftOut(path.name, "there is no image of this case"))
        elif case in used:
            left_out.append(LeftOut(path.name, f"{used[case]} is used for this case"))
        used.setdefault(case, path.name)
    return [replace(one, path=f"labels/{one.path}") for one in left_out]


def _class_of(name: str, categories: Categories, dataset: str) -> int:
    if not learnt_name(name):
        return 0
    try:
        return categories.index(name) + 1
    except CategoryError as error:
        raise CategoryError(f"A label of {dataset}: {error}") from error

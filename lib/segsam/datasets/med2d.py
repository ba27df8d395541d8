"""Layout of SA-Med2D-20M: pictures and masks of many data sets in two folders.

    SAMed2D_v1.json                    {image: [mask]}, paths relative to the folder
    SAMed2D_v1_class_mapping_id.json   {data set: {class name: id}}, ids from 0 in each data set
    images/ct_00--AMOS--amos_0004--z_0075.png
    masks/ct_00--AMOS--amos_0004--z_0075--0005_000.png     class 5, its first instance

Masks are 0/1 or 0/255, and may overlap. Merged labels (names that begin with `union_`), data sets
with known errors (`EXCLUDED`) and masks of another size than their picture are left out.
Source: https://huggingface.co/datasets/OpenGVLab/SA-Med2D-20M and its reported defects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segsam.datasets.folder import Dataset
from segsam.datasets.labelled_slices import (
    Instance,
    LabelledSlice,
    is_large,
    label_map,
    resize_labels,
    spread,
)
from segsam.datasets.png import decode_grey, decode_rgb
from segsam.errors import TrainingError
from segsam.system.reasons import reason_of

LIST, CLASSES = "SAMed2D_v1.json", "SAMed2D_v1_class_mapping_id.json"
JOB = "conversion.json"
"""File that `convert` writes beside the maps: its input and the licence of each data set."""
IMAGES, MASKS = "images", "masks"
EXCLUDED: Mapping[str, str] = MappingProxyType(
    {
        "ichallenge_adam_task2": "its masks are inverted",
        "Brain_PTM": "its images are masks",
        "brain-growth": "its images are masks",
    }
)
"""Data set of the release that is not usable -> reason."""
MODALITY_CODES: Mapping[str, str] = MappingProxyType(
    {
        "CT": "ct_00",
        "MR": "mr_00",
        "PET": "pet_00",
        "X-ray": "x_ray",
        "ultrasound": "ultrasound_00",
        "dermoscopy": "dermoscopy_00",
        "endoscopy": "endoscopy_00",
        "fundus": "fundus_photography",
        "OCT": "oct_00",
    }
)
"""Modality -> its code in file names; a code's first word is the modality (mr_t1, ct_cbf).

SA-Med2D has no OCT, and so no code for it; this one is of the same form."""
_MODALITY_OF = {code.split("_")[0]: name for name, code in MODALITY_CODES.items()}
_MASK_TAIL = re.compile(r"--(\d{4,})_(\d{3,})\.png$")


@dataclass(frozen=True)
class PictureName:
    """Fields of a picture's file name."""

    code: str
    """Modality and its variant: ct_00."""
    dataset: str
    case: str
    place: str
    """Axis and slice, e.g. z_0075, or the text that a 2D data set has there."""

    @property
    def stem(self) -> str:
        """File name without its ending."""
        return "--".join((self.code, self.dataset, self.case, self.place))

    @property
    def modality(self) -> str:
        """One of the modalities of `MODALITY_CODES`, or the code if it is none of them."""
        return _MODALITY_OF.get(self.code.split("_")[0], self.code)

    @classmethod
    def parse(cls, path: str) -> PictureName:
        """Parse `images/<code>--<data set>--<case>--<place>.png`.

        Raises:
            TrainingError: fewer than four fields, or another ending.
        """
        name = path.rpartition("/")[2]
        fields = name.removesuffix(".png").split("--")
        if len(fields) < 4 or not name.endswith(".png") or not all(fields):
            raise TrainingError(
                f"Expected <modality>--<data set>--<case>--<slice>.png, got {name!r}."
            )
        return cls(fields[0], fields[1], "--".join(fields[2:-1]), fields[-1])


@dataclass(frozen=True)
class Med2dMask:
    """File of one object, and its label value: the class id + 1."""

    path: str
    value: int


@dataclass(frozen=True)
class Med2dPicture:
    """File of a picture with those of its objects."""

    path: str
    name: PictureName
    masks: tuple[Med2dMask, ...]


@dataclass(frozen=True)
class Med2dDataset(Dataset):
    """Data set of pictures of one modality; label values are class ids + 1."""

    pictures: Mapping[str, tuple[Med2dPicture, ...]]
    """Case -> its pictures."""
    left_out: Mapping[str, int]
    """Reason -> number of listed masks that are not used."""

    @property
    def all_pictures(self) -> tuple[Med2dPicture, ...]:
        """Pictures of all cases, case by case."""
        return tuple(picture for case in self.cases for picture in self.pictures[case])

    def slices(self, case: str, *, input_size: int, limit: int = 0) -> Iterator[LabelledSlice]:
        """Yield the pictures of a case that hold an object to prompt, as `slices_of` does.

        Masks of another size than their picture are left out. `input_size` is the longest side in
        pixels, 0 for that of the picture. `limit` is the largest number of pictures, 0 for all.

        Raises:
            TrainingError: a file that is missing or not a picture.
        """
        for picture in spread(self.pictures.get(case, ()), limit):
            pixels, instances, _ = read_picture(self.folder, picture)
            large = tuple(instance for instance in instances if is_large(instance.mask))
            if large:
                name = f"{self.name}/{case}/{picture.name.code}/{picture.name.place}"
                yield _resized(name, pixels, large, input_size)


def is_med2d(folder: str | Path) -> bool:
    """Return True if a folder has this layout."""
    return (Path(folder) / LIST).is_file()


def open_med2d(folder: str | Path) -> tuple[Med2dDataset, ...]:
    """Open the data sets of a folder, one for each data set and modality in it.

    Raises:
        TrainingError: missing maps, malformed file names, a class that is not in the map, or no
            usable data set.
    """
    folder = Path(folder)
    pictures = _read_map(folder / LIST)
    classes = _read_map(folder / CLASSES)
    licences = _read_map(folder / JOB).get("licences", {}) if (folder / JOB).is_file() else {}
    groups: dict[tuple[str, str], dict[str, list[str]]] = {}
    for path, masks in pictures.items():
        name = PictureName.parse(path)
        if name.dataset not in EXCLUDED:
            groups.setdefault((name.dataset, name.modality), {})[path] = masks
    datasets = []
    for (origin, modality), listed in sorted(groups.items()):
        has_one_modality = sum(origin == other for other, _ in groups) == 1
        title = origin if has_one_modality else f"{origin}_{modality}"
        licence = licences.get(origin, "CC BY-NC-SA 4.0 (SA-Med2D-20M)")
        labels = _labels(classes, origin, folder)
        datasets.append(_make_dataset(folder, (title, modality, licence), labels, listed))
    if not datasets:
        raise TrainingError(f"{LIST} in {folder.name} lists no data set that can be used.")
    return tuple(datasets)


def read_picture(
    folder: Path, picture: Med2dPicture
) -> tuple[NDArray[np.uint8], tuple[Instance, ...], int]:
    """Read a picture (h, w, 3) and its objects, and count the masks of another size.

    Raises:
        TrainingError: a file that is missing or not a picture.
    """
    pixels = _read_file(folder / picture.path, decode_rgb)
    instances, other_size = [], 0
    for file in picture.masks:
        mask = _read_file(folder / file.path, decode_grey) > 0
        if mask.shape != pixels.shape[:2]:
            other_size += 1
        elif mask.any():
            instances.append(Instance(file.value, mask))
    return pixels, tuple(instances), other_size


def _resized(
    name: str, pixels: NDArray[np.uint8], instances: tuple[Instance, ...], input_size: int
) -> LabelledSlice:
    height, width = pixels.shape[:2]
    scale = input_size / max(height, width) if input_size else 1.0
    height_px, width_px = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
    resized = cv2.resize(pixels, (width_px, height_px), interpolation=cv2.INTER_AREA)
    picture = np.asarray(resized, dtype=np.uint8)
    masks = (resize_labels(instance.mask, (height_px, width_px)) > 0 for instance in instances)
    visible = tuple(
        Instance(instance.value, mask)
        for instance, mask in zip(instances, masks, strict=True)
        if mask.any()
    )
    values = tuple(sorted({instance.value for instance in visible}))
    return LabelledSlice(name, picture, label_map(visible, picture.shape), values, visible)


def _make_dataset(
    folder: Path,
    facts: tuple[str, str, str],
    labels: Mapping[int, str],
    listed: Mapping[str, list[str]],
) -> Med2dDataset:
    """Build a data set from its name, modality and licence, its classes and its files."""
    cases: dict[str, list[Med2dPicture]] = {}
    left_out: dict[str, int] = {}
    for path, mask_paths in sorted(listed.items()):
        masks = []
        for mask_path in mask_paths:
            value = _class_id(mask_path) + 1
            if value not in labels:
                raise TrainingError(f"{CLASSES} does not name the class of {mask_path}.")
            if labels[value].startswith("union_"):
                left_out["merged label"] = left_out.get("merged label", 0) + 1
            else:
                masks.append(Med2dMask(mask_path, value))
        name = PictureName.parse(path)
        cases.setdefault(name.case, []).append(Med2dPicture(path, name, tuple(masks)))
    used = {value: label for value, label in labels.items() if not label.startswith("union_")}
    pictures = {case: tuple(found) for case, found in sorted(cases.items())}
    return Med2dDataset(folder, *facts, used, tuple(pictures), pictures, left_out)


def _labels(classes: Mapping[str, Any], dataset: str, folder: Path) -> dict[int, str]:
    try:
        labels = {int(number) + 1: str(name) for name, number in classes[dataset].items()}
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise TrainingError(
            f"Expected the classes of {dataset} by number in {CLASSES} of "
            f"{folder.name}, got another content."
        ) from error
    if not labels or min(labels) < 1 or max(labels) > 255:
        raise TrainingError(f"{dataset}: class ids are 0 to 254, got {sorted(labels)}.")
    return labels


def _class_id(path: str) -> int:
    found = _MASK_TAIL.search(path)
    if found is None:
        raise TrainingError(f"Expected <picture>--<class>_<instance>.png, got {path!r}.")
    return int(found.group(1))


def _read_map(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"Expected {path.name} in {path.parent.name}, but {reason_of(error)}."
        ) from error
    if not isinstance(record, dict):
        raise TrainingError(f"Expected a map in {path.name}, got {type(record).__name__}.")
    return record


def _read_file(path: Path, decode: Callable[[bytes], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise TrainingError(f"Cannot read {path.name}: {reason_of(error)}.") from error
    except ValueError as error:  # what `png` says of the file
        raise TrainingError(f"Cannot read {path.name}: {error}.") from error

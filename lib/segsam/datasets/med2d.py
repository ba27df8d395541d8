"""The layout of SA-Med2D-20M: pictures and masks of many data sets in two folders.

    SAMed2D_v1.json                    {image: [mask]}, paths relative to the folder
    SAMed2D_v1_class_mapping_id.json   {data set: {class name: id}}, ids from 0 in each data set
    images/ct_00--AMOS--amos_0004--z_0075.png
    masks/ct_00--AMOS--amos_0004--z_0075--0005_000.png     class 5, its first instance

Masks are 0/1 or 0/255, and may overlap. Names that begin with `union_` are merged labels and left
out, as are data sets known to be wrong (`EXCLUDED`) and masks of another size than their picture.
Source: https://huggingface.co/datasets/OpenGVLab/SA-Med2D-20M and its reported defects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segsam.datasets.cutting import Instance, LabelledSlice, large_share
from segsam.datasets.folder import Dataset
from segsam.errors import TrainingError

LIST, CLASSES = "SAMed2D_v1.json", "SAMed2D_v1_class_mapping_id.json"
JOB = "conversion.json"
"""Beside the maps where `convert` wrote them: of what, with the licence of each data set."""
IMAGES, MASKS = "images", "masks"
EXCLUDED: Mapping[str, str] = MappingProxyType(
    {
        "ichallenge_adam_task2": "its masks are inverted",
        "Brain_PTM": "its images are masks",
        "brain-growth": "its images are masks",
    }
)
"""Data sets of the release that are wrong as a whole -> why."""
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
    }
)
"""Modality -> its code in file names; a code's first word tells the modality (mr_t1, ct_cbf)."""
_MODALITY_OF = {code.split("_")[0]: name for name, code in MODALITY_CODES.items()}
_MASK_TAIL = re.compile(r"--(\d{4,})_(\d{3,})\.png$")


@dataclass(frozen=True)
class PictureName:
    """The fields of a picture's name."""

    code: str
    """Modality and what kind of it: ct_00."""
    dataset: str
    case: str
    place: str
    """Axis and slice, z_0075, or whatever a 2D data set has there."""

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return "--".join((self.code, self.dataset, self.case, self.place))

    @property
    def modality(self) -> str:
        """One of the eight, or the code where it is none of them."""
        return _MODALITY_OF.get(self.code.split("_")[0], self.code)

    @classmethod
    def parse(cls, path: str) -> PictureName:
        """The fields of `images/<code>--<data set>--<case>--<place>.png`.

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
    """One object's file, and the value its class has here: its id + 1."""

    path: str
    value: int


@dataclass(frozen=True)
class Med2dPicture:
    """A picture's file with those of its objects."""

    path: str
    name: PictureName
    masks: tuple[Med2dMask, ...]


@dataclass(frozen=True)
class Med2dSet(Dataset):
    """The pictures of one data set and modality; label values are class ids + 1."""

    pictures: Mapping[str, tuple[Med2dPicture, ...]]
    """By case."""
    left_out: Mapping[str, int]
    """Masks that are listed but not taken, by reason."""

    def slices(self, case: str, *, input_size: int, limit: int = 0) -> Iterator[LabelledSlice]:
        """The pictures of a case that hold an object to prompt, as `cutting.slices_of`.

        Masks of another size than their picture are passed over. `input_size` is the longest side
        in pixels, 0 for the picture's own.

        Raises:
            TrainingError: a file that is missing or no picture.
        """
        pictures = self.pictures.get(case, ())
        if limit and len(pictures) > limit:
            places = np.linspace(0, len(pictures) - 1, limit).round().astype(int)
            pictures = tuple(pictures[place] for place in places)
        for one in pictures:
            pixels, found, _ = read_picture(self.folder, one)
            found = tuple(instance for instance in found if large_share(instance.mask))
            if found:
                place = f"{one.name.code}/{one.name.place}"
                yield _sized(f"{self.name}/{case}/{place}", pixels, found, input_size)


def is_med2d(folder: str | Path) -> bool:
    """Whether a folder is of this layout."""
    return (Path(folder) / LIST).is_file()


def open_med2d(folder: str | Path) -> tuple[Med2dSet, ...]:
    """The data sets of a folder, one for each data set and modality in it.

    Raises:
        TrainingError: no such maps, names of another form, a class that the map does not know, or
            nothing left.
    """
    folder = Path(folder)
    pictures = _json(folder / LIST)
    classes = _json(folder / CLASSES)
    licences = _json(folder / JOB).get("licences", {}) if (folder / JOB).is_file() else {}
    groups: dict[tuple[str, str], dict[str, list[str]]] = {}
    for path, masks in pictures.items():
        name = PictureName.parse(path)
        if name.dataset not in EXCLUDED:
            groups.setdefault((name.dataset, name.modality), {})[path] = masks
    sets = []
    for (dataset, modality), listed in sorted(groups.items()):
        alone = sum(dataset == other for other, _ in groups) == 1
        labels = _labels(classes, dataset, folder)
        title = dataset if alone else f"{dataset}_{modality}"
        facts = (title, modality, licences.get(dataset, "CC BY-NC-SA 4.0 (SA-Med2D-20M)"))
        sets.append(_set(folder, facts, labels, listed))
    if not sets:
        raise TrainingError(f"{LIST} in {folder.name} lists no data set that can be used.")
    return tuple(sets)


def read_picture(
    folder: Path, picture: Med2dPicture
) -> tuple[NDArray[np.uint8], tuple[Instance, ...], int]:
    """A picture (h, w, 3), its objects, and how many masks were of another size.

    Raises:
        TrainingError: a file that is missing or no picture.
    """
    pixels = np.ascontiguousarray(_read(folder / picture.path, cv2.IMREAD_COLOR)[..., ::-1])
    found, other_size = [], 0
    for one in picture.masks:
        mask = _read(folder / one.path, cv2.IMREAD_GRAYSCALE) > 0
        if mask.shape != pixels.shape[:2]:
            other_size += 1
        elif mask.any():
            found.append(Instance(one.value, mask))
    return pixels, tuple(found), other_size


def flattened(instances: tuple[Instance, ...], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """One map (h, w) of all objects, smaller ones on top."""
    labels = np.zeros(shape[:2], np.uint8)
    for one in sorted(instances, key=lambda one: -int(np.count_nonzero(one.mask))):
        labels[one.mask] = one.value
    return labels


def _sized(
    name: str, pixels: NDArray[np.uint8], instances: tuple[Instance, ...], input_size: int
) -> LabelledSlice:
    height, width = pixels.shape[:2]
    scale = input_size / max(height, width) if input_size else 1.0
    size = max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))
    picture = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    resized = (
        Instance(
            one.value,
            cv2.resize(one.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) > 0,
        )
        for one in instances
    )
    kept = tuple(one for one in resized if one.mask.any())
    values = tuple(sorted({one.value for one in kept}))
    return LabelledSlice(name, picture, flattened(kept, picture.shape), values, kept)


def _set(
    folder: Path,
    facts: tuple[str, str, str],
    labels: Mapping[int, str],
    listed: Mapping[str, list[str]],
) -> Med2dSet:
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
    kept = {value: label for value, label in labels.items() if not label.startswith("union_")}
    pictures = {case: tuple(found) for case, found in sorted(cases.items())}
    return Med2dSet(folder, *facts, kept, tuple(pictures), pictures, left_out)


def _labels(classes: Mapping[str, Any], dataset: str, folder: Path) -> dict[int, str]:
    try:
        labels = {int(number) + 1: str(name) for name, number in classes[dataset].items()}
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise TrainingError(
            f"Expected the classes of {dataset} in {CLASSES} of {folder.name}: {error!r}."
        ) from error
    if not labels or min(labels) < 1 or max(labels) > 255:
        raise TrainingError(f"{dataset}: class ids are 0 to 254, got {sorted(labels)}.")
    return labels


def _class_id(path: str) -> int:
    found = _MASK_TAIL.search(path)
    if found is None:
        raise TrainingError(f"Expected <picture>--<class>_<instance>.png, got {path!r}.")
    return int(found.group(1))


def _json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"Expected {path.name} in {path.parent.name}: {error}.") from error
    if not isinstance(record, dict):
        raise TrainingError(f"Expected a map in {path.name}, got {type(record).__name__}.")
    return record


def _read(path: Path, mode: int) -> NDArray[np.uint8]:
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        pixels = cv2.imdecode(content, mode)
    except (OSError, cv2.error) as error:
        raise TrainingError(f"Cannot read {path.name}: {error}.") from error
    if pixels is None:
        raise TrainingError(f"{path.name} is no picture.")
    return np.asarray(pixels, dtype=np.uint8)

"""From labelled volumes to 2D pictures in the layout of SA-Med2D-20M, and back.

Volumes are cut along all three axes as the paper and SAM-Med2D do; pictures are 0 to 255 at the
slice's own resolution with square pixels, so that labels of square voxels come back as they were.
Objects under 0.153 % of their slice are dropped (paper, section 4.1). What is dropped is counted.

Every file appears whole or not at all, and one that is there is kept: a conversion that was stopped
goes on when it is called again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segsam.datasets.cutting import Axes, axes_of, label_planes, large_objects, own_view
from segsam.datasets.folder import Dataset, load_case
from segsam.datasets.med2d import (
    CLASSES,
    IMAGES,
    JOB,
    LIST,
    MASKS,
    MODALITY_CODES,
    Med2dPicture,
    Med2dSet,
    PictureName,
    flattened,
    read_picture,
)
from segsam.errors import OutputError, TrainingError
from segsam.imaging.intensity import Intensity
from segsam.system.atomic import write_bytes
from segsam.types import Progress

SMALL, EMPTY = "object under 0.153 % of its slice", "slice without an object"
OTHER_SIZE, HIDDEN = "mask of another size than its picture", "object under smaller ones"


@dataclass(frozen=True)
class Conversion:
    """What a conversion came to."""

    folder: Path
    datasets: tuple[str, ...]
    images: int
    masks: int
    """Objects; in the dataset layout those that the maps show."""
    overlapping: int
    """Pictures of which a map shows smaller objects on top of larger ones."""
    dropped: Mapping[str, int]
    """By reason."""


@dataclass
class _Count:
    images: int = 0
    masks: int = 0
    overlapping: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def report(self, folder: Path, datasets: Sequence[str]) -> Conversion:
        dropped = {reason: count for reason, count in sorted(self.dropped.items()) if count}
        return Conversion(
            folder, tuple(datasets), self.images, self.masks, self.overlapping, dropped
        )


def to_med2d(
    datasets: Sequence[Dataset],
    out: str | Path,
    *,
    axes: Axes = "all",
    progress: Progress | None = None,
) -> Conversion:
    """Write the slices of data sets as SA-Med2D-20M does; voxel axes i, j, k are x, y, z in names.

    Class ids are label values - 1. A picture of one slice is written once, whatever the axes.

    Raises:
        OutputError: a folder that holds something else, or cannot be written to.
        TrainingError: a name with "--" or "/", two data sets of one name, or data that do not fit.
        VolumeError: an image that cannot be read.
        PromptError: other axes.
    """
    folder, count = Path(out), _Count()
    names = [dataset.name for dataset in datasets]
    _check_names(names)
    licences = {dataset.name: dataset.licence for dataset in datasets}
    job = {"to": "med2d", "from": names, "axes": axes, "licences": licences}
    _claim(folder, job, (IMAGES, MASKS))
    jobs = [(dataset, case) for dataset in datasets for case in dataset.cases]
    listed: dict[str, list[str]] = {}
    for done, (dataset, case) in enumerate(jobs):
        _tell(progress, done, len(jobs), f"{dataset.name}/{case}")
        listed.update(_case_to_med2d(folder, dataset, case, axes, count))
    classes = {
        dataset.name: {name: value - 1 for value, name in dataset.labels.items()}
        for dataset in datasets
    }
    write_bytes(folder / CLASSES, _json(classes))
    write_bytes(folder / LIST, _json(listed))
    _tell(progress, len(jobs), len(jobs), "done")
    return count.report(folder, names)


def to_datasets(
    sets: Sequence[Med2dSet], out: str | Path, *, progress: Progress | None = None
) -> Conversion:
    """Write each data set as a folder of pictures and integer maps, smaller objects on top.

    A case is named `<case>--<modality code>--<slice>`: splits know by that whose it is.

    Raises:
        OutputError: a folder that holds something else, or cannot be written to.
        TrainingError: a name that is no folder's, or a file that is missing or no picture.
    """
    folder, count = Path(out), _Count()
    names = [one.name for one in sets]
    _check_names(names)
    _claim(folder, {"to": "dataset", "from": names}, ())
    total, done = sum(len(found) for one in sets for found in one.pictures.values()), 0
    for one in sets:
        place = folder / one.name
        _make(place / "images")
        _make(place / "labels")
        count.dropped.update(one.left_out)
        for picture in (picture for case in one.cases for picture in one.pictures[case]):
            _tell(progress, done, total, one.name)
            _picture_to_dataset(one.folder, picture, place, count)
            done += 1
        write_bytes(place / "dataset.json", _json(_facts(one)))
    _tell(progress, total, total, "done")
    return count.report(folder, names)


def _case_to_med2d(
    folder: Path, dataset: Dataset, case: str, axes: Axes, count: _Count
) -> dict[str, list[str]]:
    """One case's pictures -> their masks; paths as the list has them."""
    volume, labels = load_case(dataset, case)
    intensity = Intensity.for_volume(volume)
    code = MODALITY_CODES.get(dataset.modality, f"{_slug(dataset.modality)}_00")
    listed: dict[str, list[str]] = {}
    for axis in axes_of(volume, axes):
        view = own_view(volume, axis)
        shown = 0
        for index, plane in label_planes(view, labels):
            large = large_objects(plane)
            count.dropped[SMALL] += np.unique(plane[plane > 0]).size - len(large)
            if not large:
                continue
            name = PictureName(code, dataset.name, case, f"{'xyz'[axis]}_{index:04d}")
            image = f"{IMAGES}/{name.stem}.png"
            _keep(folder / image, view.image(volume, intensity, index)[..., ::-1])
            listed[image] = _write_masks(folder, name, plane, large)
            shown += 1
            count.masks += len(large)
        count.images += shown
        count.dropped[EMPTY] += view.depth - shown
    return listed


def _write_masks(
    folder: Path, name: PictureName, plane: NDArray[np.uint8], values: Sequence[int]
) -> list[str]:
    paths = []
    for value in values:
        path = f"{MASKS}/{name.stem}--{value - 1:04d}_000.png"
        _keep(folder / path, (plane == value).astype(np.uint8) * 255)
        paths.append(path)
    return paths


def _picture_to_dataset(root: Path, picture: Med2dPicture, place: Path, count: _Count) -> None:
    pixels, instances, other_size = read_picture(root, picture)
    count.dropped[OTHER_SIZE] += other_size
    if not instances:
        count.dropped[EMPTY] += 1
        return
    labels = flattened(instances, pixels.shape)
    shown = sum(bool((labels[one.mask] == one.value).any()) for one in instances)
    count.dropped[HIDDEN] += len(instances) - shown
    depth = np.stack([one.mask for one in instances]).sum(axis=0)
    count.overlapping += int(depth.max() > 1)
    count.images += 1
    count.masks += shown
    name = picture.name
    file = f"{name.case}--{name.code}--{name.place}.png"
    _keep(place / "images" / file, pixels[..., ::-1])
    _keep(place / "labels" / file, labels)


def _facts(one: Med2dSet) -> dict[str, Any]:
    return {
        "name": one.name,
        "modality": one.modality,
        "licence": one.licence,
        "labels": {str(value): name for value, name in sorted(one.labels.items())},
    }


def _claim(folder: Path, job: dict[str, Any], rooms: Sequence[str]) -> None:
    """The folder is this conversion's, now or from before."""
    if folder.is_file():
        raise OutputError(f"{folder.name} is a file; a folder is wanted.")
    if folder.is_dir() and any(folder.iterdir()):
        try:
            found = json.loads((folder / JOB).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if found != job:
            raise OutputError(
                f"{folder.name} holds something else than this conversion; name a new or empty "
                "folder."
            )
    _make(folder)
    write_bytes(folder / JOB, _json(job))
    for room in rooms:
        _make(folder / room)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error


def _keep(path: Path, pixels: NDArray[Any]) -> None:
    """Write a PNG that is not there yet; those that are there are whole."""
    if not path.is_file():
        _, content = cv2.imencode(".png", np.ascontiguousarray(pixels))
        write_bytes(path, bytes(content.tobytes()))


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if "--" in name or "/" in name or "\\" in name or name in {"", ".", ".."}:
            raise TrainingError(f"A data set's name becomes part of file names; got {name!r}.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TrainingError(f"Expected data sets of different names, got {twice[0]!r} twice.")


def _slug(modality: str) -> str:
    return "_".join(modality.lower().replace("-", " ").split()) or "unknown"


def _json(record: object) -> bytes:
    return (json.dumps(record, indent=1) + "\n").encode()


def _tell(progress: Progress | None, done: int, total: int, what: str) -> None:
    if progress is not None:
        progress(done, total, what)

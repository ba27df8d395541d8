"""Conversion of labelled volumes to pictures in the layout of SA-Med2D-20M, and back.

Volumes are cut along all three axes as in the paper and SAM-Med2D. Pictures are 0 to 255, in square
pixels of the slice's own resolution, so that labels of square voxels are recovered exactly. Objects
under 0.153 % of their slice are dropped (paper, section 4.1) and counted.

Every file is written atomically, and existing files are kept. An interrupted conversion therefore
continues when it is called again, unless a file is not what the sources make by now.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.datasets.folder import Dataset, check_distinct_names, load_case, unused_files
from segsam.datasets.labelled_slices import (
    Axes,
    axes_of,
    label_map,
    label_planes,
    large_objects,
    native_view,
)
from segsam.datasets.med2d import (
    CLASSES,
    IMAGES,
    JOB,
    LIST,
    MASKS,
    MODALITY_CODES,
    Med2dDataset,
    Med2dPicture,
    PictureName,
    read_picture,
)
from segsam.datasets.png import decode_grey, decode_rgb, encode_png
from segsam.errors import OutputError, TrainingError
from segsam.imaging.image_files import LeftOut
from segsam.imaging.intensity import Intensity
from segsam.system.atomic import write_bytes, write_json
from segsam.system.folders import make_folder
from segsam.types import Progress, no_progress

SMALL, EMPTY = "object under 0.153 % of its slice", "slice without an object"
OTHER_SIZE, HIDDEN = "mask of another size than its picture", "object under smaller ones"


@dataclass(frozen=True)
class Conversion:
    """Result of a conversion: its folder, data sets and counts."""

    folder: Path
    datasets: tuple[str, ...]
    images: int
    masks: int
    """Number of objects; in the data set layout, of those visible in the maps."""
    overlapping: int
    """Number of pictures with smaller objects on top of larger ones."""
    dropped: Mapping[str, int]
    """Reason -> number of objects or slices."""
    left_out: tuple[LeftOut, ...] = ()
    """Files of the data sets that belong to no case."""


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
    """Write the slices of data sets as in SA-Med2D-20M; axes i, j, k are x, y, z in file names.

    Class ids are label values - 1. An image of one slice is written once, whatever the axes.

    Raises:
        OutputError: a folder that holds something else, or files of sources that have changed, or
            that cannot be written to.
        TrainingError: a name with "--" or "/", two data sets of one name, or data that do not fit.
        VolumeError: an image that cannot be read.
        PromptError: an unknown axis.
    """
    folder, count, report = Path(out), _Count(), progress or no_progress
    names = [dataset.name for dataset in datasets]
    _check_names(names)
    _check_labels(datasets)
    licences = {dataset.name: dataset.licence for dataset in datasets}
    job = {"to": "med2d", "from": names, "axes": axes, "licences": licences}
    _claim(folder, job, (IMAGES, MASKS))
    jobs = [(dataset, case) for dataset in datasets for case in dataset.cases]
    listed: dict[str, list[str]] = {}
    for done, (dataset, case) in enumerate(jobs):
        report(done, len(jobs), f"{dataset.name}/{case}")
        listed.update(_case_to_med2d(folder, dataset, case, axes, count))
    classes = {
        dataset.name: {name: value - 1 for value, name in dataset.labels.items()}
        for dataset in datasets
    }
    write_json(folder / CLASSES, classes)
    write_json(folder / LIST, listed)
    report(len(jobs), len(jobs), "done")
    return replace(count.report(folder, names), left_out=tuple(unused_files(datasets)))


def to_datasets(
    datasets: Sequence[Med2dDataset], out: str | Path, *, progress: Progress | None = None
) -> Conversion:
    """Write each data set as a folder of pictures and integer maps, smaller objects on top.

    A case is named `<case>--<modality code>--<slice>`, from which splits find its patient.

    Raises:
        OutputError: a folder that holds something else, or files of sources that have changed, or
            that cannot be written to.
        TrainingError: a name that cannot be a folder name, or a file that is missing or not a
            picture.
    """
    folder, count, report = Path(out), _Count(), progress or no_progress
    names = [dataset.name for dataset in datasets]
    _check_names(names)
    _claim(folder, {"to": "dataset", "from": names}, ())
    total, done = sum(len(dataset.all_pictures) for dataset in datasets), 0
    for dataset in datasets:
        target = folder / dataset.name
        make_folder(target / "images")
        make_folder(target / "labels")
        count.dropped.update(dataset.left_out)
        for picture in dataset.all_pictures:
            report(done, total, dataset.name)
            _picture_to_dataset(dataset.folder, picture, target, count)
            done += 1
        in_order = replace(dataset, labels=dict(sorted(dataset.labels.items())))
        write_json(target / "dataset.json", in_order.to_record())
    report(total, total, "done")
    return count.report(folder, names)


def _check_labels(datasets: Sequence[Dataset]) -> None:
    """Refuse a name of several label values: that layout has one id for each name."""
    for dataset in datasets:
        by_name: dict[str, int] = {}
        for value, name in dataset.labels.items():
            if name in by_name:
                raise TrainingError(
                    f"{dataset.name}: expected a different name for each label value, got "
                    f"{name!r:.80} for {by_name[name]} and {value}; merge them or rename one."
                )
            by_name[name] = value


def _case_to_med2d(
    folder: Path, dataset: Dataset, case: str, axes: Axes, count: _Count
) -> dict[str, list[str]]:
    """Write the pictures of one case; return picture -> its masks, as relative paths."""
    volume, labels = load_case(dataset, case)
    intensity = Intensity.for_volume(volume)
    code = MODALITY_CODES.get(dataset.modality, f"{_slug(dataset.modality)}_00")
    listed: dict[str, list[str]] = {}
    for axis in axes_of(volume, axes):
        view = native_view(volume, axis)
        written = 0
        for index, plane in label_planes(view, labels):
            large = large_objects(plane)
            count.dropped[SMALL] += np.unique(plane[plane > 0]).size - len(large)
            if not large:
                continue
            name = PictureName(code, dataset.name, case, f"{'xyz'[axis]}_{index:04d}")
            image = f"{IMAGES}/{name.stem}.png"
            _write_new_png(folder / image, view.image(volume, intensity, index)[..., ::-1])
            listed[image] = _write_masks(folder, name, plane, large)
            written += 1
            count.masks += len(large)
        count.images += written
        count.dropped[EMPTY] += view.depth - written
    return listed


def _write_masks(
    folder: Path, name: PictureName, plane: NDArray[np.uint8], values: Sequence[int]
) -> list[str]:
    paths = []
    for value in values:
        path = f"{MASKS}/{name.stem}--{value - 1:04d}_000.png"
        _write_new_png(folder / path, (plane == value).astype(np.uint8) * 255)
        paths.append(path)
    return paths


def _picture_to_dataset(root: Path, picture: Med2dPicture, target: Path, count: _Count) -> None:
    pixels, instances, other_size = read_picture(root, picture)
    count.dropped[OTHER_SIZE] += other_size
    if not instances:
        count.dropped[EMPTY] += 1
        return
    labels = label_map(instances, pixels.shape)
    visible = sum(bool((labels[each.mask] == each.value).any()) for each in instances)
    count.dropped[HIDDEN] += len(instances) - visible
    objects_per_pixel = np.stack([each.mask for each in instances]).sum(axis=0)
    count.overlapping += int(objects_per_pixel.max() > 1)
    count.images += 1
    count.masks += visible
    name = picture.name
    file = f"{name.case}--{name.code}--{name.place}.png"
    _write_new_png(target / "images" / file, pixels[..., ::-1])
    _write_new_png(target / "labels" / file, labels)


def _claim(folder: Path, job: dict[str, Any], subfolders: Sequence[str]) -> None:
    """Create the folder, or continue in one of the same conversion; refuse any other."""
    if folder.is_file():
        raise OutputError(f"Expected a folder, but {folder.name} is a file.")
    if folder.is_dir() and any(folder.iterdir()):
        try:
            found = json.loads((folder / JOB).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if found != job:
            raise OutputError(
                f"{folder.name} holds something else than this conversion; give a new or empty "
                "folder."
            )
    make_folder(folder)
    write_json(folder / JOB, job)
    for subfolder in subfolders:
        make_folder(folder / subfolder)


def _write_new_png(path: Path, pixels: NDArray[Any]) -> None:
    """Write a PNG that does not exist yet. One that does is complete, as writes are atomic, but may
    have been made before its source was changed.

    Raises:
        OutputError: a file with other pixels, or one that cannot be read or written.
    """
    content = encode_png(pixels)
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        write_bytes(path, content)
        return
    except OSError as error:
        raise OutputError(f"Cannot read {path.name}: {error.strerror}.") from error
    if before != content and not _shows(before, pixels):
        raise OutputError(
            f"{path.name} is there, and is not what this conversion makes of its source: an image "
            "or its labels were changed since the conversion began; give a new or empty folder."
        )


def _shows(content: bytes, pixels: NDArray[Any]) -> bool:
    """Return True if a PNG, maybe of another version of the encoder, has these pixels."""
    try:
        shown = decode_rgb(content)[..., ::-1] if pixels.ndim == 3 else decode_grey(content)
    except ValueError:
        return False
    return np.array_equal(shown, pixels)


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if "--" in name or "/" in name or "\\" in name or name in {"", ".", ".."}:
            raise TrainingError(
                f"Expected a data set name that can be part of a file name, got {name!r}."
            )
    check_distinct_names(names)


def _slug(modality: str) -> str:
    return "_".join(modality.lower().replace("-", " ").split()) or "unknown"

"""Prepared slices in shards: tar files in WebDataset's layout, of which any tool can read the
slices one after the other, and an index by which ours reads them in any order, straight from disk.

    000000.tar      <key>.json <key>.picture.png <key>.labels.png [<key>.instances.png], and so on
    index.npz       of each slice: its shard, its first and last byte, its data set and its part
    datasets.json   what each data set is: name, modality, licence, labels

What is kept in memory is some thirty bytes a slice.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, overload
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from segsam.datasets.cutting import Instance, LabelledSlice
from segsam.datasets.folder import Dataset
from segsam.datasets.splits import TEST, TRAIN, VALIDATION
from segsam.errors import OutputError, TrainingError
from segsam.system.atomic import replacing, write_bytes

PARTS = (TRAIN, VALIDATION, TEST)
_INDEX, _DATASETS = "index.npz", "datasets.json"
_COLUMNS = ("shard", "start", "stop", "dataset", "part")


@dataclass(frozen=True, eq=False)
class PreparedSlice:
    """A slice, whose it is, and what it is for."""

    slice: LabelledSlice
    dataset: str
    part: str
    """train, validation or test."""


def write_shards(
    folder: str | Path,
    datasets: Sequence[Dataset],
    slices: Iterable[PreparedSlice],
    *,
    per_shard: int = 1000,
) -> int:
    """Write slices of these data sets, `per_shard` a file; how many there were.

    Raises:
        OutputError: a folder that cannot be written to.
        TrainingError: a slice of another data set or part.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error
    numbers = {dataset.name: number for number, dataset in enumerate(datasets)}
    rows: list[tuple[int, ...]] = []
    left = iter(slices)
    for shard, first in enumerate(left):
        with replacing(_shard_path(folder, shard)) as path, path.open("wb") as file:
            for one in _some(first, left, per_shard):
                if one.dataset not in numbers or one.part not in PARTS:
                    raise TrainingError(
                        f"Expected a slice of {', '.join(numbers)} for {', '.join(PARTS)}, got one "
                        f"of {one.dataset} for {one.part}."
                    )
                start = file.tell()
                _write_slice(file, f"{len(rows):09d}", one)
                place = (numbers[one.dataset], PARTS.index(one.part))
                rows.append((shard, start, file.tell(), *place))
    _write_index(folder, datasets, rows)
    return len(rows)


class Shards(Sequence[PreparedSlice]):
    """The slices of a folder that `write_shards` wrote, read when asked for."""

    def __init__(self, folder: str | Path) -> None:
        """Open a folder.

        Raises:
            TrainingError: no index in it, or a damaged one.
        """
        self.folder = Path(folder)
        try:
            with np.load(self.folder / _INDEX, allow_pickle=False) as index:
                self._columns = {name: np.asarray(index[name]) for name in _COLUMNS}
            records = json.loads((self.folder / _DATASETS).read_text(encoding="utf-8"))
            self.datasets = tuple(_dataset(self.folder, record) for record in records)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise TrainingError(
                f"Expected shards with {_INDEX} and {_DATASETS} in {self.folder.name}: {error}."
            ) from error

    def __len__(self) -> int:
        """How many slices there are."""
        return len(self._columns["shard"])

    @overload
    def __getitem__(self, place: int) -> PreparedSlice: ...

    @overload
    def __getitem__(self, place: slice) -> list[PreparedSlice]: ...

    def __getitem__(self, place: int | slice) -> PreparedSlice | list[PreparedSlice]:
        """The slice at a place.

        Raises:
            TrainingError: a shard that is missing or damaged.
        """
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        shard, start, stop = (int(self._columns[name][place]) for name in _COLUMNS[:3])
        path = _shard_path(self.folder, shard)
        try:
            with path.open("rb") as file:
                file.seek(start)
                members = _members(file.read(stop - start))
            found = _read_slice(members)
        except (OSError, tarfile.TarError, KeyError, ValueError, cv2.error) as error:
            raise TrainingError(f"Cannot read slice {place} of {path.name}: {error}.") from error
        return PreparedSlice(
            found, self.dataset_of(place), PARTS[int(self._columns["part"][place])]
        )

    def places(self, part: str) -> list[int]:
        """Where the slices of a part are."""
        found: list[int] = np.flatnonzero(self._columns["part"] == PARTS.index(part)).tolist()
        return found

    def dataset_of(self, place: int) -> str:
        """Name of the data set of a slice, without reading it."""
        return self.datasets[int(self._columns["dataset"][place])].name


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"{shard:06d}.tar"


def _some(
    first: PreparedSlice, left: Iterator[PreparedSlice], count: int
) -> Iterator[PreparedSlice]:
    yield first
    for _ in range(count - 1):
        one = next(left, None)
        if one is None:
            return
        yield one


def _write_slice(file: BinaryIO, key: str, one: PreparedSlice) -> None:
    record = {
        "name": one.slice.name,
        "dataset": one.dataset,
        "part": one.part,
        "prompted": list(one.slice.prompted),
        "instances": [instance.value for instance in one.slice.instances],
    }
    contents = {
        "json": json.dumps(record).encode(),
        "picture.png": _png(one.slice.picture[..., ::-1]),
        "labels.png": _png(one.slice.labels),
    }
    if one.slice.instances:
        masks = np.concatenate([instance.mask for instance in one.slice.instances])
        contents["instances.png"] = _png(masks.astype(np.uint8) * 255)
    for ending, content in contents.items():
        member = tarfile.TarInfo(f"{key}.{ending}")
        member.size = len(content)
        file.write(member.tobuf())
        file.write(content + bytes(-len(content) % tarfile.BLOCKSIZE))


def _read_slice(members: dict[str, bytes]) -> LabelledSlice:
    record = json.loads(members["json"])
    picture = _pixels(members["picture.png"], cv2.IMREAD_COLOR)[..., ::-1]
    labels = _pixels(members["labels.png"], cv2.IMREAD_GRAYSCALE)
    instances: tuple[Instance, ...] = ()
    if record["instances"]:
        masks = _pixels(members["instances.png"], cv2.IMREAD_GRAYSCALE) > 0
        each = np.split(masks, len(record["instances"]))
        pairs = zip(record["instances"], each, strict=True)
        instances = tuple(Instance(int(value), mask) for value, mask in pairs)
    prompted = tuple(int(value) for value in record["prompted"])
    return LabelledSlice(
        str(record["name"]), np.ascontiguousarray(picture), labels, prompted, instances
    )


def _members(content: bytes) -> dict[str, bytes]:
    """A piece of a tar file, by what each name ends with after the key."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                found[member.name.partition(".")[2]] = file.read()
    return found


def _png(pixels: NDArray[Any]) -> bytes:
    _, content = cv2.imencode(".png", np.ascontiguousarray(pixels))
    return bytes(content.tobytes())


def _pixels(content: bytes, mode: int) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), mode)
    if pixels is None:
        raise ValueError("a picture that is no PNG")
    return np.asarray(pixels, dtype=np.uint8)


def _write_index(
    folder: Path, datasets: Sequence[Dataset], rows: Sequence[tuple[int, ...]]
) -> None:
    """Last of all: a folder without it is no finished one."""
    table = np.array(rows, dtype=np.int64).reshape(-1, len(_COLUMNS))
    content = io.BytesIO()
    np.savez(content, **{name: table[:, k] for k, name in enumerate(_COLUMNS)})
    records = [
        {
            "name": one.name,
            "modality": one.modality,
            "licence": one.licence,
            "labels": {str(value): name for value, name in one.labels.items()},
        }
        for one in datasets
    ]
    write_bytes(folder / _DATASETS, (json.dumps(records, indent=1) + "\n").encode())
    write_bytes(folder / _INDEX, content.getvalue())


def _dataset(folder: Path, record: dict[str, Any]) -> Dataset:
    labels = {int(value): str(name) for value, name in record["labels"].items()}
    facts = (str(record[name]) for name in ("name", "modality", "licence"))
    name, modality, licence = facts
    return Dataset(folder, name, modality, licence, labels, ())

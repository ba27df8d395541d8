"""Prepared slices in shards: tar files in WebDataset's layout with an index.

Any WebDataset reader can read the slices in order. With the index, `Shards` reads them in any
order directly from disk. It needs about thirty bytes of memory per slice.

    000000.tar      <key>.json <key>.picture.png <key>.labels.png, perhaps <key>.instances.png,
                    <key>.ended.png, <key>.beside.png; and so on
    index.npz       per slice: its shard, its first and last byte, its data set and its part
    datasets.json   per data set: name, modality, licence, labels
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, overload
from zipfile import BadZipFile

import numpy as np

from segsam.datasets.folder import Dataset, parse_labels
from segsam.datasets.labelled_slices import Instance, LabelledSlice
from segsam.datasets.png import decode_grey, decode_rgb, encode_png
from segsam.datasets.splits import TEST, TRAIN, VALIDATION
from segsam.errors import TrainingError
from segsam.system.atomic import replacing, write_bytes, write_json
from segsam.system.folders import make_folder
from segsam.system.reasons import reason_of

PARTS = (TRAIN, VALIDATION, TEST)
_INDEX, _DATASETS = "index.npz", "datasets.json"
_BLOCK = 1 << 20
_COLUMNS = ("shard", "start", "stop", "dataset", "part")


@dataclass(frozen=True, eq=False)
class PreparedSlice:
    """Slice with the name of its data set and its part of the split."""

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
    """Write slices of these data sets, `per_shard` to a file; return their number.

    Raises:
        OutputError: a folder that cannot be written to.
        TrainingError: a slice of another data set or part.
    """
    folder = Path(folder)
    make_folder(folder)
    numbers = {dataset.name: number for number, dataset in enumerate(datasets)}
    rows: list[tuple[int, ...]] = []
    remaining = iter(slices)
    for shard, first in enumerate(remaining):
        with replacing(_shard_path(folder, shard)) as path, path.open("wb") as file:
            for prepared in chain([first], islice(remaining, per_shard - 1)):
                if prepared.dataset not in numbers or prepared.part not in PARTS:
                    raise TrainingError(
                        f"Expected a slice of {', '.join(numbers)} for {', '.join(PARTS)}, got one "
                        f"of {prepared.dataset} for {prepared.part}."
                    )
                start = file.tell()
                _write_slice(file, f"{len(rows):09d}", prepared)
                origin = (numbers[prepared.dataset], PARTS.index(prepared.part))
                rows.append((shard, start, file.tell(), *origin))
    _write_index(folder, datasets, rows)
    return len(rows)


class Shards(Sequence[PreparedSlice]):
    """Sequence of the slices that `write_shards` wrote, each read from disk on access."""

    def __init__(self, folder: str | Path) -> None:
        """Open a folder.

        Raises:
            TrainingError: a missing or damaged index.
        """
        self.folder = Path(folder)
        try:
            with np.load(self.folder / _INDEX, allow_pickle=False) as index:
                self._columns = {name: np.asarray(index[name]) for name in _COLUMNS}
            records = json.loads((self.folder / _DATASETS).read_text(encoding="utf-8"))
            self.datasets = tuple(_dataset(self.folder, record) for record in records)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise TrainingError(
                f"Expected shards with {_INDEX} and {_DATASETS} in {self.folder.name}, but "
                f"{reason_of(error)}."
            ) from error

    def fingerprint(self) -> str:
        """Return a hash of all that was written; raises TrainingError for a missing shard."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update((self.folder / _DATASETS).read_bytes())
        for column in self._columns.values():
            digest.update(np.ascontiguousarray(column).data)
        for shard in np.unique(self._columns["shard"]).tolist():
            path = _shard_path(self.folder, shard)
            try:
                with path.open("rb") as file:
                    for block in iter(lambda: file.read(_BLOCK), b""):
                        digest.update(block)
            except OSError as error:
                raise TrainingError(f"Cannot read {path.name}: {reason_of(error)}.") from error
        return digest.hexdigest()

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self._columns["shard"])

    @overload
    def __getitem__(self, index: int) -> PreparedSlice: ...

    @overload
    def __getitem__(self, index: slice) -> list[PreparedSlice]: ...

    def __getitem__(self, index: int | slice) -> PreparedSlice | list[PreparedSlice]:
        """Read one slice, or a list of slices.

        Raises:
            TrainingError: a shard that is missing or damaged.
        """
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        shard, start, stop = (int(self._columns[name][index]) for name in _COLUMNS[:3])
        path = _shard_path(self.folder, shard)
        try:
            with path.open("rb") as file:
                file.seek(start)
                members = _members(file.read(stop - start))
            found = _read_slice(members)
        except (OSError, tarfile.TarError, KeyError, ValueError) as error:
            raise TrainingError(
                f"Cannot read slice {index} of {path.name}: {reason_of(error)}."
            ) from error
        part = PARTS[int(self._columns["part"][index])]
        return PreparedSlice(found, self.dataset_of(index), part)

    def indices(self, part: str) -> list[int]:
        """Return the indices of the slices of a part."""
        found: list[int] = np.flatnonzero(self._columns["part"] == PARTS.index(part)).tolist()
        return found

    def dataset_of(self, index: int) -> str:
        """Return the name of a slice's data set, without reading the slice."""
        return self.datasets[int(self._columns["dataset"][index])].name


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"{shard:06d}.tar"


def _write_slice(file: BinaryIO, key: str, prepared: PreparedSlice) -> None:
    labelled = prepared.slice
    record = {
        "name": labelled.name,
        "dataset": prepared.dataset,
        "part": prepared.part,
        "prompted": list(labelled.prompted),
        "instances": [instance.value for instance in labelled.instances],
        "ended": [instance.value for instance in labelled.ended],
        "beside": len(labelled.beside),
    }
    contents = {
        "json": json.dumps(record).encode(),
        "picture.png": encode_png(labelled.picture[..., ::-1]),
        "labels.png": encode_png(labelled.labels),
    }
    for name, objects in (("instances", labelled.instances), ("ended", labelled.ended)):
        if objects:
            masks = np.concatenate([instance.mask for instance in objects])
            contents[f"{name}.png"] = encode_png(masks.astype(np.uint8) * 255)
    if labelled.beside:
        contents["beside.png"] = encode_png(np.concatenate(labelled.beside)[..., ::-1])
    for ending, content in contents.items():
        member = tarfile.TarInfo(f"{key}.{ending}")
        member.size = len(content)
        file.write(member.tobuf())
        file.write(content + bytes(-len(content) % tarfile.BLOCKSIZE))


def _read_slice(members: dict[str, bytes]) -> LabelledSlice:
    record = json.loads(members["json"])
    picture = decode_rgb(members["picture.png"])
    labels = decode_grey(members["labels.png"])
    instances, ended = (_read_objects(members, record, name) for name in ("instances", "ended"))
    prompted = tuple(int(value) for value in record["prompted"])
    count = int(record.get("beside", 0))  # none in older shards
    beside = tuple(np.split(decode_rgb(members["beside.png"]), count)) if count else ()
    return LabelledSlice(str(record["name"]), picture, labels, prompted, instances, ended, beside)


def _read_objects(
    members: dict[str, bytes], record: dict[str, Any], name: str
) -> tuple[Instance, ...]:
    """Return the objects with masks of their own; shards that are older have no `ended`."""
    values = record.get(name, ())
    if not values:
        return ()
    masks = np.split(decode_grey(members[f"{name}.png"]) > 0, len(values))
    return tuple(Instance(int(value), mask) for value, mask in zip(values, masks, strict=True))


def _members(content: bytes) -> dict[str, bytes]:
    """Members of a part of a tar file; the keys are the names without `<key>.`."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                found[member.name.partition(".")[2]] = file.read()
    return found


def _write_index(
    folder: Path, datasets: Sequence[Dataset], rows: Sequence[tuple[int, ...]]
) -> None:
    """Write the index after all shards: without it, a folder is incomplete."""
    table = np.array(rows, dtype=np.int64).reshape(-1, len(_COLUMNS))
    content = io.BytesIO()
    np.savez(content, **{name: table[:, k] for k, name in enumerate(_COLUMNS)})
    write_json(folder / _DATASETS, [dataset.to_record() for dataset in datasets])
    write_bytes(folder / _INDEX, content.getvalue())


def _dataset(folder: Path, record: dict[str, Any]) -> Dataset:
    name, modality, licence = (str(record[key]) for key in ("name", "modality", "licence"))
    return Dataset(folder, name, modality, licence, parse_labels(record), ())

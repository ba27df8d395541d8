"""Folder of taught names: one folder for each name, with a JSON record for each change of it.

    <folder>/0c1f5a09e2d4/0001.json     taught
    <folder>/0c1f5a09e2d4/0002.json     the newest record holds: renamed, removed, ...
    <folder>/0c1f5a09e2d4/learnt.safetensors    a start for the next case (`carried_files`)

A record is written whole or not at all, is never changed, and holds its own SHA-256. If the newest
one is damaged, the one before it holds. Each is read as untrusted input.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from segsam.errors import DamagedRecordError
from segsam.imaging.name_text import refused_in
from segsam.prediction.taught import carried_files
from segsam.prediction.taught.carried_files import check_carried, forget_learnt
from segsam.prediction.taught.examples import TaughtExample, TaughtName, TaughtNames
from segsam.system.atomic import write_json
from segsam.system.checked_json import read_object, with_checksum
from segsam.system.reasons import reason_of
from segsam.system.records import sentence_of
from segsam.types import AxisName

FOLDER = ".memory"
"""Name of the folder in a studies folder; hidden, so that it is no folder of images."""
MOST_EXAMPLES = 48
"""Examples of one name; those that were taught first leave it."""
MOST_RECORDS = 20
"""Records of one name; older ones are removed."""

Change = Literal["taught", "changed", "removed"]
_ID = re.compile(r"[0-9a-f]{12}")
_RECORD = re.compile(r"(\d{4,9})\.json")
_MAX_BYTES = 1 << 20
_MAX_WIDTH = 4096

_Line = Annotated[str, Field(max_length=200)]
_Time = Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?$")]
_Place = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
_Byte = Annotated[int, Field(ge=0, le=255)]


@dataclass(frozen=True)
class _Example:
    description: Annotated[str, Field(max_length=4 * _MAX_WIDTH)]
    """float16, base64."""
    position: tuple[_Place, _Place]
    embedding: _Line
    case: _Line
    axis: AxisName
    index: Annotated[int, Field(ge=0, le=2**31)]
    annotator: _Line = ""
    created: _Time = ""
    from_label: bool = False

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class _Record:
    name: _Line
    change: Change
    created: _Time
    user: _Line = ""
    colour_rgb: tuple[_Byte, _Byte, _Byte] | None = None
    snomed: tuple[_Line, _Line] | None = None
    examples: Annotated[list[_Example], Field(max_length=MOST_EXAMPLES)] = field(
        default_factory=list
    )

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)


_READER = TypeAdapter(_Record)


@dataclass(frozen=True)
class DamagedFile:
    """File that cannot be used, and why, as a clause."""

    path: Path
    why: str


@dataclass(frozen=True, eq=False)
class FolderContents:
    """Names in a folder, and the records that are damaged."""

    names: TaughtNames = field(default_factory=TaughtNames)
    damaged: tuple[DamagedFile, ...] = ()


def read_folder(folder: Path) -> FolderContents:
    """Return the names in a folder, in the order in which they were taught first; removed ones are
    left out. Raises OSError for a folder that cannot be read.
    """
    found: list[tuple[str, TaughtName]] = []
    damaged: list[DamagedFile] = []
    for path in name_folders(folder):
        for _, file in reversed(records_of(path)):
            try:
                record = _read(file)
                name = _name(path.name, record)
            except (DamagedRecordError, OSError) as error:
                damaged.append(DamagedFile(file, _why(error)))
                continue
            if record.change != "removed":
                found.append((_first_time(path, record), name))
            break
    ordered = sorted(found, key=lambda each: (each[0], each[1].id))
    return FolderContents(TaughtNames(tuple(name for _, name in ordered)), tuple(damaged))


def damaged_records(folder: Path) -> Iterator[DamagedFile]:
    """Yield every damaged record, also of those that no longer hold, and what was learnt about a
    name if its file is damaged. Raises OSError.
    """
    for path in name_folders(folder):
        for _, file in records_of(path):
            try:
                _name(path.name, _read(file))
            except (DamagedRecordError, OSError) as error:
                yield DamagedFile(file, _why(error))
        try:
            check_carried(path)
        except (DamagedRecordError, OSError) as error:
            yield DamagedFile(path / carried_files.FILE, _why(error))


def write_change(folder: Path, name: TaughtName, change: Change, *, user: str, now: str) -> Path:
    """Write a record of one name and return its file; the caller lets one write at a time. What was
    learnt about a removed name goes with it.

    Raises OSError or OutputError; then nothing has changed.
    """
    place = folder / name.id
    place.mkdir(parents=True, exist_ok=True)
    known = records_of(place)
    number = max((int(found[1]) for found in _numbered(place)), default=0) + 1
    file = place / f"{number:04d}.json"
    write_json(file, with_checksum(_to_json(name, change, user, now)), indent=None)
    for _, old in known[: max(0, len(known) + 1 - MOST_RECORDS)]:
        old.unlink(missing_ok=True)
    if change == "removed":
        forget_learnt(place)
    return file


def write_without(
    folder: Path, known: TaughtName, rest: TaughtName, *, user: str, now: str
) -> None:
    """Write what is left of a name whose examples were removed: without any, it is removed. What
    was learnt from cases that it no longer has goes first. Raises as `write_change`.
    """
    gone = set(known.cases) - set(rest.cases)
    if gone:
        forget_learnt(folder / known.id, gone)
    write_change(folder, rest, "changed" if rest.examples else "removed", user=user, now=now)


def new_id() -> str:
    """Return an id for a new name."""
    return secrets.token_hex(6)


def name_folders(folder: Path) -> list[Path]:
    """Return the folders of names, by id. Raises OSError."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _ID.fullmatch(path.name) and path.is_dir())


def records_of(place: Path) -> list[tuple[int, Path]]:
    """Return number and file of the records of a name, the oldest first. Raises OSError."""
    found = [(_RECORD.fullmatch(path.name), path) for path in place.iterdir()]
    return sorted((int(match[1]), path) for match, path in found if match)


def _numbered(place: Path) -> Iterator[re.Match[str]]:
    """Yield the numbers of records, also of those that were set aside: none is given twice."""
    for path in place.iterdir():
        if match := re.match(r"(\d{4,9})\.json", path.name):
            yield match


def _first_time(place: Path, record: _Record) -> str:
    return min((example.created for example in record.examples), default=record.created)


def _read(file: Path) -> _Record:
    """Read a record. Raises DamagedRecordError, OSError."""
    try:
        # Strict, but for its own dataclasses.
        return _READER.validate_json(json.dumps(read_object(file, _MAX_BYTES)))
    except ValidationError as error:
        raise DamagedRecordError(sentence_of(error)) from error


def _name(name_id: str, record: _Record) -> TaughtName:
    """Return the name in a record. Raises DamagedRecordError."""
    if wrong := refused_in(record.name):
        raise DamagedRecordError(f"its name has {wrong}")
    examples = tuple(
        TaughtExample(
            _description(one.description),
            one.position,
            one.embedding,
            one.case,
            one.axis,
            one.index,
            one.annotator,
            one.created,
            one.from_label,
        )
        for one in record.examples
    )
    return TaughtName(name_id, record.name, examples, record.colour_rgb, record.snomed)


def _why(error: DamagedRecordError | OSError) -> str:
    return str(error) if isinstance(error, DamagedRecordError) else reason_of(error)


def _description(text: str) -> NDArray[np.float32]:
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float32)
    except (binascii.Error, ValueError) as error:
        raise DamagedRecordError("a description is no numbers") from error
    if not 0 < len(values) <= _MAX_WIDTH or not np.isfinite(values).all():
        raise DamagedRecordError("a description is no numbers")
    return values


def _to_json(name: TaughtName, change: Change, user: str, now: str) -> dict[str, Any]:
    kept: Sequence[TaughtExample] = name.examples[-MOST_EXAMPLES:]
    return {
        "name": name.name,
        "change": change,
        "created": now,
        "user": user,
        "colour_rgb": None if name.colour_rgb is None else list(name.colour_rgb),
        "snomed": None if name.snomed is None else list(name.snomed),
        "examples": [
            {
                "description": base64.b64encode(one.description.astype("<f2").tobytes()).decode(),
                "position": [round(place, 4) for place in one.position],
                "embedding": one.embedding,
                "case": one.case,
                "axis": one.axis,
                "index": one.index,
                "annotator": one.annotator,
                "created": one.created,
                "from_label": one.from_label,
            }
            for one in kept
        ],
    }

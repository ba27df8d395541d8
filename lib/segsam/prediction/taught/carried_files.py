"""File of what was learnt about a taught name: `learnt.safetensors` in the name's folder.

It holds the differences from the parent's weights in half precision, and a JSON record of where
they come from, with a SHA-256 of both. It is written whole or not at all, and read as untrusted
input. It is made from labels and can be made again: removing a name, or its examples of a case that
was learnt from, removes the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import safetensors.torch
import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError

from segsam.errors import DamagedRecordError
from segsam.prediction.completion.adaptation import Weights
from segsam.prediction.completion.carried import CarriedState, FindCarried, Gain
from segsam.prediction.taught.examples import TaughtNames
from segsam.system.atomic import write_bytes
from segsam.system.checked_json import parse_object, with_checksum
from segsam.system.records import sentence_of

FILE = "learnt.safetensors"
MOST_CARRIED = 32
"""Names of one study about which something was learnt; those learnt longest ago lose it. One of the
shipped checkpoint has 8 MB."""
_MAX_BYTES = 64 << 20
_LENGTH_BYTES = 8
_MOST_CASES = 16

_Line = Annotated[str, Field(max_length=200)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Time = Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?$")]


@dataclass(frozen=True)
class CarriedFacts:
    """Source of what was learnt about a name, and what it gained."""

    parent: _Line
    cases: Annotated[tuple[_Line, ...], Field(min_length=1, max_length=_MOST_CASES)]
    annotators: Annotated[tuple[_Line, ...], Field(max_length=_MOST_CASES)]
    created: _Time
    before: _Share
    after: _Share
    weights_sha256: _Line

    __pydantic_config__ = ConfigDict(extra="forbid")

    def to_json(self) -> dict[str, Any]:
        """Return the cases, their annotators, and mean Dice on what was held out."""
        return {
            "cases": list(self.cases),
            "annotators": list(self.annotators),
            "created": self.created,
            "gain": {"before": self.before, "after": self.after},
        }


_READER = TypeAdapter(CarriedFacts)


def write_carried(place: Path, state: CarriedState, parent: Weights) -> Path:
    """Write what was learnt into the folder of a name and return the file.

    `parent` are the weights of the parent's mask decoder. Raises OutputError; then nothing has
    changed.
    """
    changes = {
        name: (weight - parent[name]).half().cpu().contiguous()
        for name, weight in state.learnt.items()
    }
    facts = {
        "parent": state.parent,
        "cases": list(state.cases),
        "annotators": list(state.annotators),
        "created": state.created,
        "before": round(state.gain.before, 4),
        "after": round(state.gain.after, 4),
        "weights_sha256": _digest(changes),
    }
    record = json.dumps(with_checksum(facts))
    write_bytes(place / FILE, safetensors.torch.save(changes, {"record": record}))
    return place / FILE


def read_facts(place: Path) -> CarriedFacts | None:
    """Return where what was learnt about a name comes from, without its weights; None if nothing
    was learnt. Raises DamagedRecordError, OSError.
    """
    file = place / FILE
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
        if length > _MAX_BYTES:
            raise DamagedRecordError("it is no file of weights")
        return _facts(opened.read(length))


def read_carried(place: Path, name: str, parent: Weights) -> CarriedState | None:
    """Return what was learnt about a name; None if nothing was.

    `parent` are the weights of the mask decoder that it will be compared with. Raises
    DamagedRecordError for a file that is not what was written, or of other weights; OSError.
    """
    facts, changes = _read(place / FILE)
    if facts is None:
        return None
    if changes.keys() != parent.keys() or any(
        change.shape != parent[key].shape for key, change in changes.items()
    ):
        raise DamagedRecordError("its weights are not those of this mask decoder")
    learnt = {key: parent[key] + change.to(parent[key]) for key, change in changes.items()}
    gain = Gain(facts.before, facts.after)
    return CarriedState(
        facts.parent,
        MappingProxyType(learnt),
        name,
        facts.cases,
        gain,
        facts.annotators,
        facts.created,
    )


def find_carried_in(
    folder: Path | None, taught: TaughtNames, parent: Weights, report: Callable[[str], None]
) -> FindCarried:
    """Return what finds what was learnt about a name in a folder of taught names; without a folder
    nothing is found.

    `parent` are the weights of the mask decoder that it will be compared with. `report` gets a
    sentence about a file that cannot be used, which counts as nothing.
    """

    def find(name: str) -> CarriedState | None:
        known = taught.find(name)
        if known is None or folder is None:
            return None
        try:
            return read_carried(folder / known.id, known.name, parent)
        except (DamagedRecordError, OSError) as error:
            report(f"What was learnt about {known.name} cannot be used: {error}.")
            return None

    return find


def check_carried(place: Path) -> None:
    """Raise DamagedRecordError for a file that is not what was written, OSError."""
    _read(place / FILE)


def forget_learnt(place: Path, cases: Collection[str] | None = None) -> None:
    """Remove what was learnt about a name: all of it, or if one of these cases taught it. A damaged
    file tells nothing and goes too. Raises OSError.
    """
    try:
        facts = read_facts(place)
    except DamagedRecordError:
        facts = None
    if cases is None or facts is None or not set(cases).isdisjoint(facts.cases):
        (place / FILE).unlink(missing_ok=True)


def _read(file: Path) -> tuple[CarriedFacts | None, dict[str, torch.Tensor]]:
    if not file.is_file():
        return None, {}
    if (size := file.stat().st_size) > _MAX_BYTES:
        raise DamagedRecordError(f"it has {size} bytes, more than {_MAX_BYTES}")
    content = file.read_bytes()
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    facts = _facts(content[_LENGTH_BYTES : _LENGTH_BYTES + length])
    try:
        changes = safetensors.torch.load(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise DamagedRecordError("it is no file of weights") from error
    if _digest(changes) != facts.weights_sha256:
        raise DamagedRecordError("it is not what was written: its checksum is another")
    if not all(bool(torch.isfinite(change).all()) for change in changes.values()):
        raise DamagedRecordError("its weights are no numbers")
    return facts, changes


def _facts(header: bytes) -> CarriedFacts:
    """Return the record in the header of a file of weights. Raises DamagedRecordError."""
    metadata = parse_object(header, _MAX_BYTES).get("__metadata__")
    record = metadata.get("record") if isinstance(metadata, dict) else None
    if not isinstance(record, str):
        raise DamagedRecordError("it is no file of weights that were learnt")
    try:
        return _READER.validate_python(parse_object(record.encode(), _MAX_BYTES))
    except ValidationError as error:
        raise DamagedRecordError(sentence_of(error)) from error


def _digest(changes: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 over names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(changes):
        value = changes[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

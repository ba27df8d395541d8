"""Record of one version of a label: its fields, and its JSON file, read as untrusted input.

The checksum of a record is kept in its `info`, where older versions of this program, which refuse
unknown keys, overlook it.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from segsam.errors import DamagedRecordError
from segsam.system.checked_json import check_digest, digest, parse_object
from segsam.system.records import sentence_of

Kind = Literal["saved", "found", "conflict", "restored", "removed"]
RECORD_CHECKSUM = "record_checksum"
"""Key of a record's checksum in its `info`."""
IMAGE_SHA256 = "image_sha256"
"""Key of the SHA-256 of the image's content in a record's `info`, and in the index."""

_MAX_BYTES = 16 << 20
_LARGEST = 2**53
"""Largest whole number that every reader of JSON holds exactly."""
_END_OF_TIME = 253_402_300_800
"""The year 10000 in seconds since 1970."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"

_Time = Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?$")]
_Ending = Annotated[str, Field(pattern=r"^(\.[A-Za-z.]{1,16})?$")]
_Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
_Number = Annotated[int, Field(ge=0, le=_LARGEST)]
_Value = Annotated[str, Field(pattern=r"^\d{1,10}$")]


@dataclass(frozen=True)
class LabelVersion:
    """One immutable version; its fields are the keys of the record on disk.

    `kind` is one of: `saved` by an annotator; `found`, a file that was put there without the store;
    `conflict`, saved by an annotator who began from an older version, and never current itself;
    `restored` from version `restored_from`; `removed`, a mark without voxels that hides the label.
    `parent` is the version that was current before (for a conflict: the one that the annotator
    began from), 0 for none. `names` maps voxel values to names; `info` is what the client sent.
    `beside` is True for a found file that was older than the current label: it was never current.
    `image_sha256` is that of the content of the image when the label came, "" if it is unknown.
    """

    number: _Number
    kind: Kind
    parent: _Number = 0
    created: _Time = ""
    user: str = ""
    ending: _Ending = ""
    sha256: _Sha256 = ""
    size: _Number = 0
    names: dict[_Value, str] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    restored_from: _Number | None = None
    beside: bool = False
    image_sha256: _Sha256 = ""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    @property
    def was_current(self) -> bool:
        """True for a label or a removal, False for what was only kept beside another version."""
        return self.kind != "conflict" and not self.beside

    @property
    def is_label(self) -> bool:
        """True if this is the current label as long as no newer version is."""
        return self.was_current and self.kind != "removed"

    @property
    def seconds(self) -> int:
        """Time of creation in seconds since 1970; 0 if it is unknown."""
        try:
            return calendar.timegm(time.strptime(self.created, _TIME))
        except ValueError:
            return 0

    def to_json(self) -> str:
        """Return the record as it is written to a file, with its checksum."""
        record = asdict(self)
        if not self.beside:
            del record["beside"]
        image = record.pop(IMAGE_SHA256)  # older versions of this program refuse unknown keys
        if image:
            record["info"] = {**self.info, IMAGE_SHA256: image}
        record["info"] = {**record["info"], RECORD_CHECKSUM: digest(record)}
        return json.dumps(record, indent=1, allow_nan=False)


_READER = TypeAdapter(LabelVersion)


def read_version(content: bytes, number: int) -> LabelVersion:
    """Read the record of version `number`.

    Raises:
        DamagedRecordError: not JSON, other types, another checksum or another number.
    """
    record = parse_object(content, _MAX_BYTES)
    info = record.get("info")
    if isinstance(info, dict):
        record["info"] = {key: info[key] for key in info if key != RECORD_CHECKSUM}
        check_digest(record, info, RECORD_CHECKSUM)
        if is_sha256(info.get(IMAGE_SHA256)):
            record[IMAGE_SHA256] = record["info"].pop(IMAGE_SHA256)
    try:
        version = _READER.validate_json(json.dumps(record))  # strict, but for its own dataclass
    except ValidationError as error:
        raise DamagedRecordError(sentence_of(error)) from error
    if version.number != number:
        raise DamagedRecordError(f"it is the record of version {version.number}")
    if version.kind != "removed" and not version.ending:
        raise DamagedRecordError("it names no format")
    return version


def is_sha256(value: object) -> bool:
    """Return True for a SHA-256 in hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def now() -> str:
    """Return the time for a record: UTC, ISO 8601."""
    return time.strftime(_TIME, time.gmtime())


def time_text(seconds: object) -> str:
    """Return seconds since 1970 in that form; empty for anything that is no time."""
    if not isinstance(seconds, int | float) or not 0 <= seconds < _END_OF_TIME:
        return ""
    return time.strftime(_TIME, time.gmtime(seconds))

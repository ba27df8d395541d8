"""JSON records on disk, read as untrusted input: bounded, strict, and with a checksum.

A disk may change a bit, a person may edit a file, and a restored backup may be cut off. So a record
that a program will rely on holds the SHA-256 of its own content. Records without one, written by
older versions or by hand, are read as well; their reader checks types and ranges.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from segsam.errors import DamagedRecordError

CHECKSUM = "checksum"
MAX_BYTES = 256 << 20
"""Largest record that is read: the index of some 100,000 images."""


def parse_json(content: bytes, max_bytes: int = MAX_BYTES, *, finite: bool = True) -> Any:
    """Return the value in JSON text; `finite=False` accepts NaN and Infinity, as Python does.

    Raises:
        DamagedRecordError: too large, not UTF-8, not JSON, a number that is not finite or has
            thousands of digits, a text with half a character, or too many levels.
    """
    if len(content) > max_bytes:
        raise DamagedRecordError(f"it has {len(content)} bytes, more than {max_bytes}")
    try:
        text = content.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse if finite else None)
        json.dumps(value, ensure_ascii=False, allow_nan=not finite).encode("utf-8")
    except UnicodeError as error:
        raise DamagedRecordError("its text is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise DamagedRecordError("it is not JSON") from error
    return value


def parse_object(content: bytes, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Return the JSON object {key: value} in a text, without its checksum, which is compared.

    Raises:
        DamagedRecordError: as `parse_json`; not an object, or another checksum.
    """
    value = parse_json(content, max_bytes)
    if not isinstance(value, dict):
        raise DamagedRecordError("it is not a JSON object")
    return without_checksum(value)


def read_object(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        DamagedRecordError: as `parse_object`.
        OSError: a file that is missing or cannot be read.
    """
    if (size := path.stat().st_size) > max_bytes:
        raise DamagedRecordError(f"it has {size} bytes, more than {max_bytes}")
    return parse_object(path.read_bytes(), max_bytes)


def with_checksum(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of JSON values with its checksum."""
    return {**record, CHECKSUM: digest(record)}


def without_checksum(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without its checksum, if it has one.

    Raises:
        DamagedRecordError: another checksum than that of the content.
    """
    rest = {key: value for key, value in record.items() if key != CHECKSUM}
    check_digest(rest, record, CHECKSUM)
    return rest


def check_digest(content: Any, holder: Mapping[str, Any], name: str) -> None:
    """Compare the digest of `content` with `holder[name]`, if it is there.

    Raises:
        DamagedRecordError: another digest, or a name with one wrong character.
    """
    if name in holder and holder[name] != digest(content):
        raise DamagedRecordError("it is not what was written: its checksum is another")
    if name not in holder and any(is_near(key, name) for key in holder):
        raise DamagedRecordError("it is not what was written: the name of its checksum is another")


def is_near(key: str, name: str) -> bool:
    """Return True for a key that differs from `name` in one character."""
    return len(key) == len(name) and sum(a != b for a, b in zip(key, name, strict=True)) == 1


def digest(record: Any) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys and its blanks."""
    value = json.loads(json.dumps(record))  # keys become text, tuples lists, as on disk
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)

"""Metadata that clients send with a label or an image: user, expected version, segment names.

Segment names come in one of two forms.

`label_names = {"liver": 1, ...}` maps names to voxel values, as our own replies do. It is
unambiguous and wins.

`label_info = [{"name", "idx"}, ...]` comes from MONAI Label's module for 3D Slicer, and its `idx`
is not the voxel value: it also counts background and scribble segments, which were left out of the
label. There the value is the position in the list, from 1. Other clients send `idx` as the value.
The numbers tell which of the two it is: the module's `idx` always increase and are never below the
position, and its labels hold no value beyond the length of the list. Where both readings fit and
name a value of the label differently, the request is refused: a wrong name is worse than none.

Names inside a segmentation file (.seg.nrrd) count. A request that contradicts them is refused: one
whose `label_names` differ by value, or whose `label_info` lists another name, or the same names in
another order. Names belong to a version: what is sent about a label later cannot change them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from segsam.categories.segment_names import agreed_names, category_name, is_same_name
from segsam.errors import LabelError, VolumeError
from segsam.system.checked_json import is_near
from segsam_app.errors import InfoTooLargeError, RequestError
from segsam_app.storage.label_record import RECORD_CHECKSUM
from segsam_app.strict_json import checked_json, json_safe

_MAX_USER_LENGTH = 200
_MAX_BYTES = 1 << 18
DIGEST = "sha256-"
"""Beginning of what identifies a label that is no version; its SHA-256 follows."""
_DIGEST = re.compile(DIGEST + r"[0-9a-f]{64}")
_NAME_KEYS = ("label_names", "label_info")
NAMES_NOTE = "names_note"
"""Key of a sentence about names, for the client and the record."""

_RESERVED = (
    *("expected_version", "version", "names", "sha256", "kind", "ts", "name", NAMES_NOTE),
    RECORD_CHECKSUM,
)
"""Keys that only the store writes; a client's values for them are dropped."""

IMAGE_RESERVED = frozenset({"id", "name", "notes", "path", "score", "strategy", "ts", "why"})
"""Keys of an image's metadata, and of the reply that chooses it, that only the server writes."""

_NOT_STRUCTURES = ("background", "background_scribbles", "foreground_scribbles")
_MAX_NAMES = 65_535
_MAX_NAME_LENGTH = 200
_MAX_LISTED = 8


@dataclass(frozen=True)
class LabelMetadata:
    """Metadata of one label.

    `expected` is the version that the annotator began from: 0 for no label, `DIGEST` and a SHA-256
    for one that was no version, None if unknown.
    """

    info: dict[str, Any]
    user: str
    expected: int | str | None

    @classmethod
    def read(cls, info: object) -> LabelMetadata:
        """Read the `params` that MONAI Label's clients send. Raises `RequestError`."""
        fields = checked_info(info)
        expected = fields.get("expected_version")
        if expected is not None and not (_is_number(expected) or _is_digest(expected)):
            raise RequestError(
                f"expected_version must be the number of a version from 0, got {expected!r:.40}"
            )
        user = next((fields[key] for key in ("user", "client_id") if fields.get(key)), "")
        kept = {key: value for key, value in fields.items() if not _is_reserved(key)}
        return cls(kept, _one_line(str(user)), expected)


def checked_info(info: object) -> dict[str, Any]:
    """Return a client's metadata of an image or a label as strict JSON. Raises `RequestError`."""
    if info is None:
        return {}
    if not isinstance(info, Mapping):
        raise RequestError(f"information must be a JSON object {{key: value}}, got {info!r:.80}")
    text = json.dumps(json_safe(info), default=str)
    if len(text) > _MAX_BYTES:
        raise RequestError(
            f"information must have at most {_MAX_BYTES} bytes of JSON, got {len(text)}"
        )
    return dict(checked_json(json.loads(text), "information"))


def checked_image_info(info: Mapping[str, Any], strategies: Iterable[str] = ()) -> dict[str, Any]:
    """Return a client's metadata of an image. Raises `RequestError` for a key that only the server
    writes or that is the name of one of the `strategies`, and as `checked_info` does.
    """
    reserved = sorted(IMAGE_RESERVED.union(strategies))
    taken = [key for key in reserved if key in info]
    if taken:
        raise RequestError(
            f"the information about an image has the key {taken[0]!r}, which the server writes; "
            f"expected none of {', '.join(reserved)}"
        )
    return checked_info(info)


def with_added(
    known: Mapping[str, Any], fields: Mapping[str, Any], most_bytes: int, *, is_label: bool = False
) -> dict[str, Any]:
    """Return the metadata `known` of an image or a label with the client's `fields`. Keys that only
    the server writes are not counted.

    Raises `InfoTooLargeError` for more than `most_bytes` of JSON. What is larger already, from
    before there was a limit, may stay as large or become smaller.
    """
    own = _RESERVED if is_label else IMAGE_RESERVED
    added = {**known, **fields}
    size, before = (_bytes_of(each, own) for each in (added, known))
    if size > max(most_bytes, before):
        raise InfoTooLargeError(
            f"expected at most {most_bytes} bytes of information in all about one image or label "
            f"(setting info_kilobytes), got {size}: {before} that are there, and "
            f"{_bytes_of(fields, own)} that were sent"
        )
    return added


def _bytes_of(info: Mapping[str, Any], own: Collection[str]) -> int:
    counted = {key: value for key, value in info.items() if key not in own}
    return len(json.dumps(json_safe(counted), default=str))


def refuse_reserved(info: Mapping[str, Any]) -> None:
    """Raise `RequestError` for information about a label with a key that only the store writes."""
    taken = sorted(key for key in info if _is_reserved(key))
    if taken:
        raise RequestError(
            f"the information about a label has the key {taken[0]!r}, which the server writes; "
            f"expected none of {', '.join(sorted(_RESERVED))}"
        )


def info_without_names(info: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be added to the metadata of a label, whose version has the names in `stored`.

    Names that are those of the version are left out. Raises `RequestError` for invalid names,
    LabelError for others.
    """
    names = {int(value): str(name) for value, name in stored.items()}
    for key in _NAME_KEYS:
        listed = _submitted_names({key: info.get(key)}, names)
        other = [
            value
            for value, name in listed.items()
            if name not in _NOT_STRUCTURES and not is_same_name(names.get(value, ""), name)
        ]
        if other and not (key == "label_info" and _is_in_order(list(listed.values()), names)):
            raise LabelError(
                f"expected the names of the label's version, {_named(names)}, got "
                f"{listed[other[0]]!r:.80} for the value {other[0]}; names belong to a version: to "
                "change them, save the label again"
            )
    return {key: value for key, value in info.items() if key not in _NAME_KEYS}


def names_by_value(
    info: Mapping[str, Any], values: Collection[int], own: Mapping[int, str] | None = None
) -> dict[int, str]:
    """Return voxel value -> segment name; empty if nothing is named.

    `values` are those that the label holds, except 0. `own` are the names in the label's file,
    which count. Raises `RequestError` for invalid names, VolumeError for a value without a name,
    LabelError for names that contradict those in the file.
    """
    own = own or {}
    if any(category_name(name) for name in own.values()):
        return _completed_names(info, values, own)
    names = _submitted_names(info, values)
    unnamed = sorted(set(values) - set(names))
    if names and unnamed:
        raise VolumeError(
            f"the label holds {_listed(unnamed)}, but names were sent only for "
            f"{_listed(sorted(names))}"
        )
    return names


def _completed_names(
    info: Mapping[str, Any], values: Collection[int], own: Mapping[int, str]
) -> dict[int, str]:
    """The names in the file, which a request may complete by value, or list by name.

    The `idx` in `label_info` need not be voxel values, but its order is that of the segments.
    """
    if info.get("label_names") is not None:
        drawn = {value: name for value, name in own.items() if value in values}
        return agreed_names(drawn, _submitted_names(info, values))
    submitted = _submitted_names(info, values)
    listed = [name for name in submitted.values() if name not in _NOT_STRUCTURES]
    for name in filter(category_name, listed):
        if not any(is_same_name(name, each) for each in own.values()):
            raise LabelError(
                f"label_info lists {name!r:.80}, but the segments in the file are named "
                f"{', '.join(f'{each!r:.80}' for each in list(own.values())[:_MAX_LISTED])}; "
                "expected the same names in both"
            )
    is_by_value = all(is_same_name(name, own.get(value, "")) for value, name in submitted.items())
    if not is_by_value and not _is_in_order(listed, own):
        raise LabelError(
            f"the file itself names its values {_named(own)}, but label_info lists "
            f"{', '.join(f'{name!r:.80}' for name in listed[:_MAX_LISTED])}; expected the same "
            "names in the same order"
        )
    return {value: name for value, name in own.items() if value in values}


def _is_in_order(listed: Sequence[str], own: Mapping[int, str]) -> bool:
    """Return True if names are listed in the order of the segments in the file, or of their values.

    Names that name nothing, and segments that are not listed, do not count.
    """
    orders = (list(own.values()), [own[value] for value in sorted(own)])
    return any(_is_part_in_order(list(filter(category_name, listed)), order) for order in orders)


def _is_part_in_order(listed: Sequence[str], order: Sequence[str]) -> bool:
    rest = iter(order)
    return all(any(is_same_name(name, each) for each in rest) for name in listed)


def _named(names: Mapping[int, str]) -> str:
    first = list(names.items())[:_MAX_LISTED]
    return ", ".join(f"{value} {name!r:.80}" for value, name in first) or "none"


def note_on_names(info: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, str]:
    """Return {NAMES_NOTE: sentence} if `label_info`, read without the file, gives other `names`."""
    listed = _submitted_names(info, names) if info.get("label_info") else {}
    other = [
        value
        for value, name in names.items()
        if value in listed and not is_same_name(listed[value], name)
    ]
    if not other:
        return {}
    value = other[0]
    return {
        NAMES_NOTE: f"the file itself names its value {value} {names[value]!r:.80}; label_info "
        f"lists {listed[value]!r:.80} there, and the names in the file were used"
    }


def _submitted_names(info: Mapping[str, Any], values: Collection[int]) -> dict[int, str]:
    names = info.get("label_names")
    if names is None:
        return _listed_names(info, values)
    if not isinstance(names, Mapping):
        raise RequestError(f"label_names must be {{name: value}}, got {names!r:.80}")
    found = _unique([(value, name) for name, value in names.items()])
    _refuse_contradiction(info, found)
    return found


def _refuse_contradiction(info: Mapping[str, Any], names: Mapping[int, str]) -> None:
    """Refuse a `label_info` that gives a value in `names` a name which is not there, or gives the
    values other names both by its `idx` and by its order.
    """
    items = info.get("label_info")
    if not isinstance(items, list):
        return  # `label_names` alone count
    named = [each for each in items if isinstance(each, Mapping)]
    listed = [(each.get("idx"), str(each.get("name"))) for each in named]
    listed = [pair for pair in listed if pair[1] not in _NOT_STRUCTURES]
    known = [pair for pair in listed if any(is_same_name(pair[1], one) for one in names.values())]
    is_other = any(
        isinstance(pair[0], int) and pair not in known and pair[0] in names for pair in listed
    )
    is_by_value = all(
        isinstance(value, int) and is_same_name(names.get(value, ""), name) for value, name in known
    )
    if is_other or not (is_by_value or _is_in_order([name for _, name in known], names)):
        shown = ", ".join(f"{name!r:.80}" for _, name in listed[:_MAX_LISTED])
        raise LabelError(
            f"label_names are {_named(names)}, but label_info lists {shown}; expected the same "
            "names in the same order"
        )


def _listed_names(info: Mapping[str, Any], values: Collection[int]) -> dict[int, str]:
    items = info.get("label_info")
    if not items:
        return {}
    if not isinstance(items, list) or len(items) > _MAX_NAMES:
        raise RequestError(f"label_info must be a list of {{name, idx}}, got {items!r:.80}")
    listed = [_field(item, "name") for item in items]
    indices = [_field(item, "idx") for item in items]
    by_place = list(enumerate(listed, start=1))
    if all(index is None for index in indices):
        return _unique(by_place)
    named = _unique(list(zip(indices, listed, strict=True)))
    fits = set(values) <= set(range(1, len(items) + 1))
    if not (fits and _count_all_segments(indices)):
        return named
    places = _unique(by_place)
    other = next((value for value in values if named.get(value, "") != places[value]), None)
    if other is not None and set(values) <= set(named):
        raise VolumeError(
            f"label_info can be read in two ways: value {other} of the label is "
            f"{named[other]!r:.80} by idx and {places[other]!r:.80} by its place in the list, as "
            "3D Slicer's module counts; expected label_names = {name: value}, or idx from 1 on "
            "without gaps"
        )
    return places


def _count_all_segments(indices: list[int]) -> bool:
    """Return True if the `idx` count segments as 3D Slicer's module does (see above)."""
    increases = all(one < other for one, other in pairwise(indices))
    return increases and all(index >= place for place, index in enumerate(indices, start=1))


def _field(item: Any, key: str) -> Any:
    if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
        raise RequestError(f"each item of label_info needs a name, got {item!r:.80}")
    return item.get(key)


def _unique(pairs: list[tuple[Any, Any]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for value, name in pairs:
        if not _is_number(value) or not isinstance(name, str) or len(name) > _MAX_NAME_LENGTH:
            raise RequestError(
                f"a label must have a name of at most {_MAX_NAME_LENGTH} characters and a value "
                f"from 0, got {name!r:.80} = {value!r:.40}"
            )
        if not name.strip():
            raise RequestError(f"a label must have a name, got {name!r:.80} for the value {value}")
        if value in names:
            raise RequestError(
                f"the value {value} has two names, {names[value]!r:.80} and {name!r:.80}"
            )
        names[value] = name
    return names


def _is_reserved(key: str) -> bool:
    return key in _RESERVED or is_near(key, RECORD_CHECKSUM)


def _is_number(value: object) -> bool:
    """Return True for a whole number that can be a voxel value or number a version."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _one_line(text: str) -> str:
    return re.sub(r"[^\S ]+|[\x00-\x1f\x7f]", " ", text)[:_MAX_USER_LENGTH].strip()


def _listed(values: list[int]) -> str:
    more = ", ..." if len(values) > _MAX_LISTED else ""
    return ", ".join(map(str, values[:_MAX_LISTED])) + more

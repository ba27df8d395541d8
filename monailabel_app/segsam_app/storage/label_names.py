"""Names of a label's values: from the client's metadata, and from the label's file.

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

A value that the label does not hold may have a name, in every format: an annotator's list of
structures is often longer than what is drawn. It may not contradict the file's own segments.

Names have one place, the top of the metadata. Those that lie elsewhere are kept if they say the
same, and refused if they do not:

    {"label_names": {"liver": 1},
     "params": {"Label_Names": {"spleen": 1}}}     a reader might believe these
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from segsam.categories.segment_names import agreed_names, category_name, is_same_name
from segsam.categories.vocabulary import folded
from segsam.errors import LabelError, SegSamError, VolumeError
from segsam.imaging.formats.dicom_source import DicomSource
from segsam.imaging.name_text import MAX_NAME_LENGTH, refused_in
from segsam_app.errors import RequestError
from segsam_app.storage.label_checks import CheckedLabel
from segsam_app.storage.label_record import LabelVersion

NAMES_NOTE = "names_note"
"""Key of a sentence about names, for the client and the record."""
SOURCE_NOTE = "source_note"
"""Key of a label's metadata that says that a DICOM segmentation was made on another image."""
_KEYS = ("label_names", "label_info")
"""Keys of names at the top of the metadata, where they belong."""
_RECORDED = "names"
"""Key of the names in a version's own record: {value as text: name}."""
_FORMS = {"".join(key.split("_")): key for key in (*_KEYS, _RECORDED)}

_BACKGROUND = "background"
_NOT_STRUCTURES = (_BACKGROUND, "background_scribbles", "foreground_scribbles")
_MAX_NAMES = 65_535
_MAX_LISTED = 8
_MAX_DIGITS = 10


def info_without_names(info: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be added to the metadata of a label, whose version has the names in `stored`.

    Names that are those of the version are left out. Raises `RequestError` for invalid names,
    LabelError for others.
    """
    names = {int(value): str(name) for value, name in stored.items()}
    for key in _KEYS:
        listed = _submitted_names({key: info.get(key)}, names)
        if key != "label_info" or not _is_in_order(list(listed.values()), names):
            _refuse_other_names(key, listed, names)
    _refuse_elsewhere(info, names)
    return {key: value for key, value in info.items() if key not in _KEYS}


def info_of_restored(info: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a version that is restored, with the names in `stored`, without what
    contradicts them elsewhere, which older servers kept; a note says so.
    """
    names = {int(value): str(name) for value, name in stored.items()}
    kept, left_out = dict(info), list[str]()
    for key in info:
        try:
            _refuse_elsewhere({key: info[key]}, names)
        except SegSamError:
            left_out.append(key)
            del kept[key]
    if left_out:
        kept[NAMES_NOTE] = (
            f"the version's {', '.join(f'{key!r:.80}' for key in left_out[:_MAX_LISTED])} named "
            "its values otherwise, and was left out when it was restored"
        )
    return kept


def _refuse_elsewhere(info: Mapping[str, Any], names: Mapping[int, str]) -> None:
    """Refuse metadata that name values otherwise in a place where names do not belong."""
    for place in _names_elsewhere(info):
        if place.key == _RECORDED:
            listed = _unique([(int(value), name) for value, name in place.sent.items()])
        else:
            listed = _submitted_names({place.key: place.sent}, names)
        _refuse_other_names(place.where, listed, names)


def _refuse_other_names(where: str, listed: Mapping[int, str], names: Mapping[int, str]) -> None:
    other = [
        value
        for value, name in listed.items()
        if name not in _NOT_STRUCTURES and not is_same_name(names.get(value, ""), name)
    ]
    if other:
        raise LabelError(
            f"expected the names of the label's version, {_named(names)}, got "
            f"{listed[other[0]]!r:.80} for the value {other[0]} in {where:.80}; names belong to a "
            "version: to change them, save the label again, with its names in label_names"
        )


def names_by_value(
    info: Mapping[str, Any], values: Collection[int], own: Mapping[int, str] | None = None
) -> dict[int, str]:
    """Return voxel value -> segment name; empty if nothing is named.

    `values` are those that the label holds, except 0. `own` are the names in the label's file,
    which count. Raises `RequestError` for invalid names, VolumeError for a value without a name,
    LabelError for names that contradict those in the file.
    """
    own = own or {}
    names = _all_names(info, values, own)
    _refuse_elsewhere(info, names)
    return names


def _all_names(
    info: Mapping[str, Any], values: Collection[int], own: Mapping[int, str]
) -> dict[int, str]:
    drawn = {value: name for value, name in own.items() if value in values}
    if any(category_name(name) for name in own.values()):
        return _completed_names(info, values, own)
    names = _submitted_names(info, values)
    unnamed = sorted(set(values) - set(names))
    if names and unnamed:
        raise VolumeError(
            f"the label holds {_listed(unnamed)}, but names were sent only for "
            f"{_listed(sorted(names))}"
        )
    return names or drawn


def _completed_names(
    info: Mapping[str, Any], values: Collection[int], own: Mapping[int, str]
) -> dict[int, str]:
    """The names in the file, which a request may complete by value, or list by name.

    The `idx` in `label_info` need not be voxel values, but its order is that of the segments.
    """
    if info.get("label_names") is not None:
        sent = _submitted_names(info, values)
        _refuse_moved(sent, own)
        agreed = agreed_names(own, sent)
        return {value: agreed[value] for value in agreed if value in values or value in sent}
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


def _refuse_moved(sent: Mapping[int, str], own: Mapping[int, str]) -> None:
    """Refuse a name in the file that was sent for a value which the file does not name."""
    for value, name in sent.items():
        its = [each for each in own if category_name(name) and is_same_name(own[each], name)]
        if value not in own and its and not any(each in sent for each in its):
            raise LabelError(
                f"the file itself names its value {its[0]} {own[its[0]]!r:.80}, but that name was "
                f"sent for the value {value}, which it does not have; expected the same in both"
            )


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


def notes_on_label(
    info: Mapping[str, Any],
    names: Mapping[int, str],
    file: CheckedLabel,
    image: Callable[[], DicomSource | None],
) -> dict[str, str]:
    """Return the notes on the names of a label, and {SOURCE_NOTE: sentence} if it is a DICOM
    segmentation of another image than the one that `image` reads.
    """
    source = None if file.source is None else image()
    note = "" if source is None or file.source is None else file.source.against(source)
    return _note_on_names(info, names, file) | ({SOURCE_NOTE: note} if note else {})


def _note_on_names(
    info: Mapping[str, Any], names: Mapping[int, str], file: CheckedLabel
) -> dict[str, str]:
    """Return {NAMES_NOTE: sentence} if `label_info`, read without the file, gives other `names`, or
    if the file's own could not be used as they are.
    """
    notes = [
        note for value, note in file.name_notes.items() if names.get(value) == file.names[value]
    ]
    listed = _submitted_names(info, names) if info.get("label_info") else {}
    other = [
        value
        for value, name in names.items()
        if value in listed and not is_same_name(listed[value], name)
    ]
    if other:
        value = other[0]
        notes.append(
            f"the file itself names its value {value} {names[value]!r:.80}; label_info lists "
            f"{listed[value]!r:.80} there, and the names in the file were used"
        )
    return {NAMES_NOTE: "; ".join(notes[:_MAX_LISTED])} if notes else {}


def note_on_unnamed(before: LabelVersion | None) -> dict[str, str]:
    """Return {NAMES_NOTE: sentence} for a label without names in the place of one that had some:
    its values may mean the same or not, so that it gets none of them.
    """
    if before is None or not before.names:
        return {}
    names = _named({int(value): name for value, name in before.names.items()})
    return {
        NAMES_NOTE: f"another program wrote this label without names; those of version "
        f"{before.number} were {names}"
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
        if not is_number(value) or not isinstance(name, str):
            raise RequestError(
                f"a label must have a name and a value from 0, got {name!r:.80} = {value!r:.40}"
            )
        if wrong := refused_in(name):
            raise RequestError(
                f"expected a name of 1 to {MAX_NAME_LENGTH} characters that are shown in one line, "
                f"got {wrong} for the value {value}: {name!r:.80}"
            )
        if value == 0 and folded(name) != _BACKGROUND:
            raise RequestError(
                f"expected the name {_BACKGROUND!r}, or none, for the value 0, where nothing is "
                f"drawn, got {name!r:.80}"
            )
        if value in names:
            raise RequestError(
                f"the value {value} has two names, {names[value]!r:.80} and {name!r:.80}"
            )
        names[value] = name
    return names


@dataclass(frozen=True)
class _Place:
    """Names that lie elsewhere: where, and in the form of which key."""

    where: str
    key: str
    sent: Any


def _names_elsewhere(info: Mapping[str, Any]) -> Iterator[_Place]:
    """Yield the names that lie deeper in the metadata, or under a key in another spelling."""
    for key, value in info.items():
        if key not in _KEYS:
            yield from _names_in(key, key, value)


def _names_in(where: str, key: str, value: Any) -> Iterator[_Place]:
    form = _FORMS.get("".join(filter(str.isalpha, key.casefold())))
    if form in _KEYS or (form == _RECORDED and _is_by_value(value)):
        yield _Place(where, form, value)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _names_in(f"{where}.{name}", name, each)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _names_in(f"{where}[{number}]", "", each)


def _is_by_value(value: Any) -> bool:
    """Return True for names as a record has them; anything else may be called names, too."""
    return isinstance(value, Mapping) and all(
        key.isdecimal() and len(key) <= _MAX_DIGITS and isinstance(name, str)
        for key, name in value.items()
    )


def is_number(value: object) -> bool:
    """Return True for a whole number that can be a voxel value or number a version."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _listed(values: list[int]) -> str:
    more = ", ..." if len(values) > _MAX_LISTED else ""
    return ", ".join(map(str, values[:_MAX_LISTED])) + more

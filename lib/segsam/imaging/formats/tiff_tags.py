"""Tags of a TIFF by which Pillow would change its pixels while it reads them.

It inverts some pictures whose lowest value is white (PhotometricInterpretation 0, "WhiteIsZero"),
leaves others as they are stored, and does not know the rest. It turns and mirrors a picture whose
orientation is not 1, and mixes up the pixels of some. Here both tags are set to 1 in memory, for
"BlackIsZero" and for "first row above, first column to the left", so that all pixels are read as
they are stored.

    II 42 | offset of the tags        count | tag type count value | tag type count value | ...
    II 43 | 8, 0, offset of the tags  the same with longer numbers (BigTIFF)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_ORDERS = {b"II": "<", b"MM": ">"}
_INTERPRETATION, _WHITE_IS_ZERO, _BLACK_IS_ZERO = 262, 0, 1
_ORIENTATION, _AS_STORED = 274, 1
_MOST_TAGS = 4096
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of whole numbers without sign, as codes of the struct module."""


@dataclass(frozen=True)
class _Layout:
    """Codes of the struct module for the numbers of a file, and the length of one tag."""

    order: str
    offset: str
    count: str
    tag_bytes: int


@dataclass(frozen=True)
class _Value:
    """Number of a tag, with its place in the file and its code of the struct module."""

    tag: int
    number: int
    at: int
    code: str


@dataclass(frozen=True, eq=False)
class PlainTiff:
    """TIFF whose first page is marked as BlackIsZero and as not turned, and what was there."""

    content: bytes
    is_white_zero: bool
    orientation: int
    """1 if it is not turned."""


def as_plain(path: Path) -> PlainTiff | None:
    """Return the file with its tags changed; None if they need no change.

    Also None for a file that is no TIFF, or whose tags cannot be read.
    """
    with path.open("rb") as stream:
        try:
            found = list(_values(stream))
        except (struct.error, OverflowError):  # the file ends within its tags
            return None
        white = next((each for each in found if each.tag == _INTERPRETATION), None)
        is_white_zero = white is not None and white.number == _WHITE_IS_ZERO
        turned = [each for each in found if each.tag == _ORIENTATION and each.number != _AS_STORED]
        if not is_white_zero and not turned:
            return None
        stream.seek(0)
        content = bytearray(stream.read())
    if white is not None and is_white_zero:
        struct.pack_into(white.code, content, white.at, _BLACK_IS_ZERO)
    for each in turned:
        struct.pack_into(each.code, content, each.at, _AS_STORED)
    orientation = turned[0].number if turned else _AS_STORED
    return PlainTiff(bytes(content), is_white_zero, orientation)


def _values(stream: BinaryIO) -> Iterator[_Value]:
    """Yield the whole numbers in the tags of the first page that may be changed."""
    start = stream.read(16)
    layout = _layout(start)
    if layout is None:
        return
    first = 4 if layout.tag_bytes == 12 else 8
    stream.seek(struct.unpack_from(layout.order + layout.offset, start, first)[0])
    count_bytes = struct.calcsize(layout.order + layout.count)
    (count,) = struct.unpack(layout.order + layout.count, stream.read(count_bytes))
    value_at = layout.tag_bytes - struct.calcsize(layout.order + layout.offset)
    for _ in range(min(count, _MOST_TAGS)):
        place = stream.tell()
        entry = stream.read(layout.tag_bytes)
        tag, kind = struct.unpack_from(f"{layout.order}HH", entry)
        # A number that is shorter than its field lies at the beginning of it.
        code = f"{layout.order}{_NUMBERS.get(kind, 'H')}"
        if tag in (_INTERPRETATION, _ORIENTATION):
            (number,) = struct.unpack_from(code, entry, value_at)
            yield _Value(tag, number, place + value_at, code)


def _layout(start: bytes) -> _Layout | None:
    order = _ORDERS.get(start[:2])
    if order is None:
        return None
    version = struct.unpack_from(f"{order}H", start, 2)[0]
    return {42: _Layout(order, "I", "H", 12), 43: _Layout(order, "Q", "Q", 20)}.get(version)

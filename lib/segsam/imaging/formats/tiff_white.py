"""TIFF pictures whose lowest value is white (PhotometricInterpretation 0, "WhiteIsZero").

Pillow inverts some of them, leaves others as they are stored, and does not know the rest. Here the
tag is set to "BlackIsZero" in memory, so that all of them are read as they are stored.

    II 42 | offset of the tags        count | tag type count value | tag type count value | ...
    II 43 | 8, 0, offset of the tags  the same with longer numbers (BigTIFF)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_ORDERS = {b"II": "<", b"MM": ">"}
_INTERPRETATION, _WHITE_IS_ZERO, _BLACK_IS_ZERO = 262, 0, 1
_MOST_TAGS = 4096


@dataclass(frozen=True)
class _Layout:
    """Codes of the struct module for the numbers of a file, and the length of one tag."""

    order: str
    offset: str
    count: str
    tag_bytes: int


def as_black_is_zero(path: Path) -> bytes | None:
    """Return the file with its first page marked as BlackIsZero; None if white is not its lowest.

    Also None for a file that is no TIFF, or whose tags cannot be read.
    """
    with path.open("rb") as stream:
        try:
            place = _place_of_white(stream)
        except struct.error:  # the file ends within its tags
            return None
        if place is None:
            return None
        stream.seek(0)
        content = bytearray(stream.read())
    offset, order = place
    struct.pack_into(f"{order}H", content, offset, _BLACK_IS_ZERO)
    return bytes(content)


def _place_of_white(stream: BinaryIO) -> tuple[int, str] | None:
    """Return where the tag's value 0 is, and the byte order; None for another value or no tag."""
    start = stream.read(16)
    layout = _layout(start)
    if layout is None:
        return None
    first = 4 if layout.tag_bytes == 12 else 8
    stream.seek(struct.unpack_from(layout.order + layout.offset, start, first)[0])
    count_bytes = struct.calcsize(layout.order + layout.count)
    (count,) = struct.unpack(layout.order + layout.count, stream.read(count_bytes))
    for _ in range(min(count, _MOST_TAGS)):
        place = stream.tell()
        tag = stream.read(layout.tag_bytes)
        if struct.unpack_from(f"{layout.order}H", tag)[0] == _INTERPRETATION:
            value_at = layout.tag_bytes - struct.calcsize(layout.order + layout.offset)
            (value,) = struct.unpack_from(f"{layout.order}H", tag, value_at)
            return (place + value_at, layout.order) if value == _WHITE_IS_ZERO else None
    return None


def _layout(start: bytes) -> _Layout | None:
    order = _ORDERS.get(start[:2])
    if order is None:
        return None
    version = struct.unpack_from(f"{order}H", start, 2)[0]
    return {42: _Layout(order, "I", "H", 12), 43: _Layout(order, "Q", "Q", 20)}.get(version)

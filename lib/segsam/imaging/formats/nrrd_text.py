"""Texts of NRRD headers, which pynrrd reads and writes as ASCII only; 3D Slicer's names are UTF-8.

bytes of the header --header_lines--> text --pynrrd--> fields
voxels, header --pynrrd--> [header][deflate] --write_with_fields--> [header][UTF-8][deflate]
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import nrrd

from segsam.imaging.formats.raw import header_text
from segsam.types import Voxels

_VECTORS = re.compile(r"(space directions|space origin|measurement frame)\s*:(?!=)", re.IGNORECASE)
_BLANKS = re.compile(r"\s*,\s*|(?<=\()\s+|\s+(?=\))")

_HEADER_BYTES = 65_536
"""More than a header without fields has."""


def header_lines(stream: BinaryIO) -> list[str]:
    """Read the lines of a header with the empty one that ends it; the voxels follow in `stream`.

    Blanks inside vectors, as in `( 1.0 , 0 , 0 )`, are left out: pynrrd takes them for the next.
    """
    lines: list[str] = []
    for line in stream:
        text = header_text(line)
        if _VECTORS.match(text):
            text = _BLANKS.sub(lambda found: "," if "," in found[0] else "", text)
        lines.append(text)
        if not text.rstrip():
            break
    return lines


def header_list(value: Any) -> list[str]:
    """Return the words of a field that pynrrd gives as a list or, if unknown to it, as text."""
    words = value.split() if isinstance(value, str) else value
    return [str(word).strip().strip('"') for word in words]


def write_with_fields(
    path: Path, voxels: Voxels, header: Mapping[str, Any], fields: Mapping[str, str]
) -> None:
    """Write a NRRD with `fields` (`key:=value`) in UTF-8 at the end of its header."""
    packed = io.BytesIO()
    nrrd.write(packed, voxels, dict(header), compression_level=4)
    content = packed.getbuffer()
    end = bytes(content[:_HEADER_BYTES]).index(b"\n\n") + 1
    with path.open("wb") as stream:
        stream.write(content[:end])
        stream.write("".join(f"{key}:={text}\n" for key, text in fields.items()).encode())
        stream.write(content[end:])

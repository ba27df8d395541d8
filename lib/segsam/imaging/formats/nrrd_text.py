"""Texts of NRRD headers, which pynrrd reads and writes as ASCII only; 3D Slicer's names are UTF-8.

bytes of the header --header_lines--> text --pynrrd--> fields
voxels, header --pynrrd--> [header][deflate] --write_with_fields--> [header][UTF-8][deflate]
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import nrrd

from segsam.errors import VolumeError
from segsam.imaging.formats.raw import header_text
from segsam.imaging.voxels import planes_in_order
from segsam.types import Voxels

_VECTORS = re.compile(r"(space directions|space origin|measurement frame)\s*:(?!=)", re.IGNORECASE)
_FIELD = re.compile(r"([A-Za-z ]+):(?!=)")
_WORDS = (
    "type dimension space sizes spacings thicknesses centerings kinds labels units min max content "
    "endian encoding"
)
_SEVERAL_WORDS = (
    "space dimension", "space directions", "space origin", "space units", "measurement frame",
    "block size", "sample units", "data file", "axis mins", "axis maxs", "old min", "old max",
    "byte skip", "line skip",
)  # fmt: skip
_NAMES = {
    "centers": "centerings",
    **{name.replace(" ", ""): name for name in (*_WORDS.split(), *_SEVERAL_WORDS)},
}
"""Name of a field in small letters without blanks -> as it is looked up."""
_BLANKS = re.compile(r"\s*,\s*|(?<=\()\s+|\s+(?=\))")

_SIZES = re.compile(rb"^sizes: .*\n", re.MULTILINE)
_LEVEL = 4
_MOST_BYTES = 2**22
"""Longest header; that of a thousand segments has a fifth of it."""
_MOST_LINES = 2**16
"""Most lines of a header, which are read one by one; those thousand segments have 10,000."""


def header_lines(stream: BinaryIO, name: str) -> list[str]:
    """Read the lines of a header with the empty one that ends it; the voxels follow in `stream`.

    Names of fields may be in capitals and without blanks (`SpaceOrigin`), as the format allows, and
    become the usual ones. Blanks inside vectors, as in `( 1.0 , 0 , 0 )`, are left out: pynrrd
    takes them for the next. Raises VolumeError for more than 4 MB, or more than 65,536 lines.
    """
    lines: list[str] = []
    left = _MOST_BYTES
    while line := stream.readline(left + 1):
        left -= len(line)
        if left < 0 or len(lines) == _MOST_LINES:
            raise VolumeError(
                f"{name}: expected a header of at most {_MOST_BYTES} bytes and {_MOST_LINES} "
                "lines, which an empty line ends, got a longer one."
            )
        text = _with_usual_name(header_text(line))
        if _VECTORS.match(text):
            text = _BLANKS.sub(lambda found: "," if "," in found[0] else "", text)
        lines.append(text)
        if not text.rstrip():
            break
    return lines


def _with_usual_name(line: str) -> str:
    found = _FIELD.match(line)
    name = _NAMES.get(found[1].replace(" ", "").lower()) if found else None
    return line if found is None or name is None else f"{name}:{line[found.end() :]}"


def header_list(value: Any) -> list[str]:
    """Return the words of a field that pynrrd gives as a list or, if unknown to it, as text."""
    words = value.split() if isinstance(value, str) else value
    return [str(word).strip().strip('"') for word in words]


def write_with_fields(
    path: Path,
    voxels: Voxels,
    header: Mapping[str, Any],
    fields: Mapping[str, str],
    *,
    compress: bool = True,
) -> None:
    """Write a NRRD, packed by gzip or raw, with `fields` (`key:=value`) in UTF-8 at the end of its
    header.

    pynrrd would copy the voxels, so it writes the header of the first one.
    """
    first = io.BytesIO()
    corner = voxels[(slice(1),) * voxels.ndim]
    nrrd.write(first, corner, {**header, "encoding": "gzip" if compress else "raw"})
    text = first.getvalue()
    text = text[: text.index(b"\n\n") + 1]
    sizes = " ".join(map(str, voxels.shape))
    text = _SIZES.sub(f"sizes: {sizes}\n".encode(), text, count=1)
    with path.open("wb") as stream:
        stream.write(text)
        stream.write("".join(f"{key}:={text}\n" for key, text in fields.items()).encode())
        stream.write(b"\n")
        if not compress:
            stream.writelines(planes_in_order(voxels))
            return
        coder = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        stream.writelines(map(coder.compress, planes_in_order(voxels)))
        stream.write(coder.flush())

"""Names of label values in the header extensions of NIfTI: a table in XML ("CaretExtension").

    <LabelTable> <Label Key="5" Red="0.8" ...><![CDATA[liver]]></Label> ... </LabelTable>

Connectome Workbench defined it (code 30); TotalSegmentator writes it with the code 0. The labels
are found by their pattern and not by an XML parser, which a hostile file could keep busy.
"""

from __future__ import annotations

import html
import re
import struct
from collections.abc import Iterator

EXTENSION_BYTES = 2**22
"""Bytes after the header that are searched for names."""
_CODES = (0, 30)
_FLAG_BYTES = 4
_MOST_NAMES = 65_535
_LABEL = re.compile(
    r"<Label\s(?P<facts>[^<>]{0,500})>"
    r"(?:\s{0,100}<!\[CDATA\[(?P<quoted>[^\]]{0,500})\]\]>\s{0,100}|(?P<plain>[^<]{0,500}))</Label>"
)
"""Every repetition has an end, and none can take what the next one wants: blanks that go on for
megabytes would be tried in all ways of dividing them."""
_KEY = re.compile(r"""\bKey\s*=\s*["'](\d{1,9})["']""")


def label_table(content: bytes, endianness: str) -> dict[int, str]:
    """Return label value -> text of its name from the bytes between header and voxels; empty for
    none.

    Background (the value 0) and values without a name are left out.
    """
    for code, extension in _extensions(content, endianness):
        names = _names(extension.decode("utf-8", errors="replace")) if code in _CODES else {}
        if names:
            return names
    return {}


def _extensions(content: bytes, endianness: str) -> Iterator[tuple[int, bytes]]:
    """Yield code and content of each extension: four bytes (1 0 0 0), then size, code, content."""
    if not content[:1].strip(b"\0"):
        return
    at = _FLAG_BYTES
    while at + 8 <= len(content):
        size, code = struct.unpack_from(f"{endianness}ii", content, at)
        if size < 8:
            return
        yield code, content[at + 8 : at + size]
        at += size


def _names(text: str) -> dict[int, str]:
    begin = text.find("<LabelTable")
    if begin < 0:
        return {}
    names: dict[int, str] = {}
    for label in _LABEL.finditer(text, begin):
        key = _KEY.search(label["facts"])
        quoted = label["quoted"]
        name = " ".join((html.unescape(label["plain"]) if quoted is None else quoted).split())
        if key and int(key[1]) and name and len(names) < _MOST_NAMES:
            names.setdefault(int(key[1]), name)
    return names

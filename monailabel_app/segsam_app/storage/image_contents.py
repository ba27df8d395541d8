"""Contents of the images: a SHA-256 of each, read once for each change of its files.

A label is of one image. Another image of the same grid under the same name is told from it by its
content only: size and time of a file say that it may have changed, the SHA-256 says whether it has.
Of a file compressed by gzip it is that of the voxels and the header, so that packing them again is
no change; of a DICOM series that of all its slices, whatever their names.

What was read is kept in `.segsam/contents.json`, which may be deleted: then images are read again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
import zlib
from collections.abc import Container, Sequence
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path
from typing import BinaryIO, cast

from pydantic import TypeAdapter

from segsam.errors import OutputError
from segsam.system.atomic import write_bytes
from segsam.system.checked_json import with_checksum
from segsam_app.records import TypedFile
from segsam_app.storage.disk import open_regular, sha256_of_stream, stamp_of
from segsam_app.storage.images import ImageFiles

logger = logging.getLogger(__name__)

READ_AT_ONCE = 8 << 20
"""Bytes of an image that a request may read itself; larger ones wait for the background thread."""
ANY_SIZE = 1 << 62

_MAX_BYTES = 256 << 20
_Known = dict[str, list[str]]
_FILE = TypedFile(TypeAdapter(_Known), _MAX_BYTES)


def contents_file(folder: Path) -> Path:
    """Return the file in which the contents of a study folder's images are kept."""
    return folder / ".segsam" / "contents.json"


def damage_of_contents(file: Path) -> str:
    """Return what is wrong with that file; empty if it is good, or there is none."""
    return _FILE.damage(file)


@dataclass(frozen=True)
class _Content:
    """SHA-256 of an image in one state of its files."""

    state: str
    sha256: str


class ImageContents:
    """Contents of the images in `folder`; thread-safe."""

    def __init__(self, folder: Path, images: ImageFiles) -> None:
        self._file, self._images = contents_file(folder), images
        self._lock = threading.Lock()
        self._reading: dict[str, threading.Lock] = {}
        kept = _FILE.read(self._file)
        self._known = {key: _Content(*each) for key, each in kept.items() if len(each) == 2}
        self._is_new = False
        self._wanted: dict[str, str] = {}

    def now(self, image_id: str, ending: str, most_bytes: int = READ_AT_ONCE) -> str:
        """Return the SHA-256 of an image as it is now; "" for one that cannot be read, or that has
        changed and has more than `most_bytes`.
        """
        try:
            files = self._images.files(image_id, ending)
        except OSError:  # the header of a pair cannot be read
            return ""
        found = _state(files)
        if found is None:
            return ""
        state, size = found
        known = self._known.get(image_id)
        if known is not None and known.state == state:
            return known.sha256
        if size > most_bytes:
            self.want(image_id, ending)
            return ""
        with self._reading.setdefault(image_id, threading.Lock()):
            known = self._known.get(image_id)
            if known is not None and known.state == state:
                return known.sha256
            return self._read(image_id, files, state)

    def latest(self, image_id: str, ending: str, most_bytes: int = READ_AT_ONCE) -> str:
        """Return the SHA-256 of an image as it is now; if that has to wait, the last one."""
        found = self.now(image_id, ending, most_bytes)
        known = self._known.get(image_id)
        return found or ("" if known is None else known.sha256)

    def want(self, image_id: str, ending: str) -> None:
        """Let `read_wanted` read an image that was opened: a label of it may come."""
        self._wanted[image_id] = ending

    def read_wanted(self, until: float) -> None:
        """Read images that were opened or have changed, until a time of the monotonic clock; for a
        background thread.
        """
        while self._wanted and time.monotonic() < until:
            image_id, ending = self._wanted.popitem()
            self.now(image_id, ending, ANY_SIZE)

    def save(self, images: Container[str]) -> None:
        """Write what was read since the last time about these images. An error is logged only: they
        are read again after the next start.
        """
        with self._lock:
            if not self._is_new:
                return
            self._is_new = False
            kept = {key: [each.state, each.sha256] for key, each in self._known.items()}
            kept = {key: each for key, each in kept.items() if key in images}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self._file, json.dumps(with_checksum(kept)).encode())
        except (OSError, OutputError) as error:
            logger.warning("the contents of images could not be kept: %s", error)

    def _read(self, image_id: str, files: Sequence[Path], state: str) -> str:
        try:
            sha256 = content_of(files)
        except OSError as error:
            logger.warning("an image could not be read: %s", error.strerror or error)
            return ""
        after = _state(files)
        if after is None or after[0] != state:
            return ""  # it is being written
        with self._lock:
            self._known[image_id], self._is_new = _Content(state, sha256), True
        return sha256


def content_of(files: Sequence[Path]) -> str:
    """Return the SHA-256 of the content of an image in one or several files. Raises OSError."""
    digests = sorted(map(_content_of_file, files))
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def _content_of_file(file: Path) -> str:
    with open_regular(file) as stream:
        if file.name.lower().endswith(".gz"):
            try:
                with GzipFile(fileobj=stream, mode="rb") as unpacked:
                    return sha256_of_stream(cast(BinaryIO, unpacked))
            except (EOFError, OSError, zlib.error):  # damaged: its bytes are its content
                stream.seek(0)
        return sha256_of_stream(stream)


def _state(files: Sequence[Path]) -> tuple[str, int] | None:
    """Return the state of the files and their size together; None if one of them is gone."""
    stamps = [stamp_of(file) for file in files]
    known = [stamp for stamp in stamps if stamp is not None]
    if not files or len(known) < len(files):
        return None
    text = " ".join(":".join(map(str, stamp)) for stamp in sorted(known))
    state = text if len(known) == 1 else hashlib.sha256(text.encode()).hexdigest()
    return state, sum(stamp.size for stamp in known)

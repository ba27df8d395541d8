"""Images that no route can open: they are not given to an annotator, and are reported."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsam.errors import LabelError, SegSamError, VolumeError
from segsam_app.inference.engine import ImageKey

_SHOWN = 20
"""Images that a report names; the others are counted."""
_MAX_ENTRIES = 100_000
_AGAIN_SECONDS = 600.0
"""Time after which a series is asked for again that the DICOMweb server did not give."""


@dataclass(frozen=True)
class _Refusal:
    """`key` is the state of the file that was refused; None if there was no file."""

    sentence: str
    path: Path | None
    key: ImageKey | None
    time: float

    def is_outdated(self, now: float) -> bool:
        """Return True if the file has changed since, or may have come."""
        if self.path is None:
            return now - self.time > _AGAIN_SECONDS
        try:
            return ImageKey.of(self.path) != self.key
        except VolumeError:
            return False


class RefusedImages:
    """Images by id with the sentence that says why each cannot be opened. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, _Refusal] = {}

    def add(self, image_id: str, path: Path | None, error: SegSamError) -> None:
        """Remember that an image could not be opened; without a `path`, for some minutes."""
        try:
            key = None if path is None else ImageKey.of(path)
        except VolumeError:
            key = None
        with self._lock:
            if len(self._entries) < _MAX_ENTRIES:
                self._entries[image_id] = _Refusal(str(error), path, key, self._clock())

    @contextmanager
    def noting(self, image_id: str, path: Path) -> Iterator[None]:
        """Remember an image that raises a VolumeError within the block, which raises it on. One of
        a label, which a request may name beside the image, says nothing about the image.
        """
        try:
            yield
        except LabelError:
            raise
        except VolumeError as error:
            self.add(image_id, path, error)
            raise

    def current(self) -> Mapping[str, str]:
        """Return id -> sentence of the images that have not changed since they were refused."""
        now = self._clock()
        with self._lock:
            entries = dict(self._entries)
        outdated = [image for image, one in entries.items() if one.is_outdated(now)]
        with self._lock:
            for image in outdated:
                if self._entries.get(image) is entries.pop(image):
                    del self._entries[image]
        return {image: one.sentence for image, one in entries.items()}

    def report(self) -> dict[str, Any]:
        """Return what a reply says about them, {} if there are none; looks at no file."""
        with self._lock:
            sentences = {image: one.sentence for image, one in sorted(self._entries.items())}
        if not sentences:
            return {}
        first = dict(list(sentences.items())[:_SHOWN])
        return {"refused": {"count": len(sentences), "images": first}}

"""Images are read, and the slices around the one in view encoded, while the annotator still looks
at them: scrolling and clicking then finds them ready.

Two threads. One opens images, at the priority of everything else, because a click may need what it
holds; the other one encodes, slice by slice outwards, and gives way: to every click before each
slice, and within a slice by its priority. Nobody ever waits for what it encodes. Nobody asked for
it either, so nothing that goes wrong here is raised: the first click meets the same refusal and
tells the annotator.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import SegSamError
from segsam.imaging.slices import choose_axis
from segsam.prediction.embeddings import CacheState
from segsam.prediction.plan import nearest_slices
from segsam.prediction.predictor import Predictor
from segsam.system.process import lower_thread_priority
from segsam.types import AxisChoice
from segsam_app.inference.engine import Engine
from segsam_app.inference.requests import Window

logger = logging.getLogger(__name__)

_MOST_VIEWS = 2
"""Images that are looked at by turns; what was looked at before is left to its next click."""


@dataclass(frozen=True)
class View:
    """What somebody looks at: a slice (None: the middle one) across an axis of an image."""

    path: Path
    axis: AxisChoice = "auto"
    index: int | None = None
    window: Window | None = None
    checkpoint: str | None = None


@dataclass(eq=False)
class _Tour:
    """The slices around a view, and how many of them were visited."""

    predictor: Predictor
    axis: AxisChoice
    ahead: Iterator[int]
    visited: int = 0


class Warmer:
    """Follows what is looked at; the newest first. Every method returns at once."""

    def __init__(self, engine: Engine, axis: AxisChoice = "auto") -> None:
        """`axis` is the one of an image that was just opened."""
        self._engine = engine
        self._axis: AxisChoice = axis
        self._slices = 0
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="segsam-open")
        self._encoder = ThreadPoolExecutor(
            1, thread_name_prefix="segsam-ahead", initializer=lower_thread_priority
        )
        self._lock = threading.Lock()
        self._views: deque[View] = deque(maxlen=_MOST_VIEWS)
        self._tours: deque[_Tour] = deque(maxlen=_MOST_VIEWS)
        self._is_encoding = False

    def follow(self, slices: int) -> None:
        """From now on encode so many slices around the one that is looked at; before, and with 0,
        only the middle one of an image that was just opened.
        """
        self._slices = slices

    def model(self) -> None:
        """Load what segments, before anybody opens an image."""
        _submit(self._opener, self._load)

    def image(self, path: Path) -> None:
        """Somebody opened the image at `path`."""
        self._open(View(path, self._axis))

    def look(self, view: View) -> bool:
        """Somebody looks at a slice; whether those around it will be encoded."""
        if self._slices:
            self._open(view)
        return self._slices > 0

    @property
    def waiting(self) -> int:
        """Images that are still worked on."""
        with self._lock:
            return len(self._views) + len(self._tours)

    def _open(self, view: View) -> None:
        with self._lock:
            self._views.appendleft(view)
        _submit(self._opener, self._begin)

    def _load(self) -> None:
        self._engine.wait_for_idle()
        _ = self._engine.model

    def _begin(self) -> None:
        """Read the newest image, and load what segments it."""
        with self._lock:
            if not self._views:
                return
            view = self._views.popleft()
        self._engine.wait_for_idle()
        volume = self._engine.volume(view.path)
        self._engine.wait_for_idle()
        predictor = self._engine.predictor(
            view.path, volume, view.window, checkpoint=view.checkpoint
        )
        axis = choose_axis(volume, "auto" if view.axis == "all" else view.axis)
        depth = volume.shape_ijk[axis]
        middle = depth // 2 if view.index is None else view.index
        ahead = nearest_slices(middle, depth, max(self._slices, 1))
        with self._lock:
            for tour in [tour for tour in self._tours if tour.predictor is predictor]:
                self._tours.remove(tour)
            self._tours.appendleft(_Tour(predictor, view.axis, ahead))
            begins, self._is_encoding = not self._is_encoding, True
        if begins:
            _submit(self._encoder, self._step)

    def _step(self) -> None:
        """Encode the next slice of the newest tour, and come again while there is one."""
        with self._lock:
            tour = self._tours[0]
        goes_on = False
        try:
            goes_on = self._advance(tour)
        finally:
            with self._lock:
                if not goes_on and tour in self._tours:
                    self._tours.remove(tour)
                self._is_encoding = bool(self._tours)
            if self._is_encoding:
                _submit(self._encoder, self._step)

    def _advance(self, tour: _Tour) -> bool:
        index = next(tour.ahead, None)
        if index is None or not _has_room(tour.visited, self._engine.cached):
            return False
        self._engine.wait_for_idle()
        tour.predictor.warm(axis=tour.axis, index=index, background=True)
        tour.visited += 1
        return True


def _has_room(visited: int, cached: CacheState) -> bool:
    """Whether one more slice fits into half of the memory for them: the rest is for what was
    clicked on, and for the images of others.
    """
    return visited * cached.bytes <= cached.entries * cached.limit_bytes / 2


def _submit(thread: ThreadPoolExecutor, work: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the server is about to end
        thread.submit(work).add_done_callback(_log)


def _log(future: Future[None]) -> None:
    error = future.exception()
    if isinstance(error, SegSamError):
        logger.warning("an image could not be warmed up: %s", error)
    elif error is not None:
        logger.error("warming an image up failed", exc_info=error)

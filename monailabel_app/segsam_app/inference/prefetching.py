"""Prefetching: images are read, and the slices around the viewed one are encoded, before an
annotator's prompt needs them.

There are two threads. The opener reads images at normal priority, because a prompt may wait for the
lock that it holds. The encoder encodes slice by slice, outwards from the viewed one, at a low
priority; before each slice it waits until no annotator waits for a result. Errors are only logged:
nobody requested this work, and the first prompt meets the same error and reports it.
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

_MAX_VIEWS = 2
"""Number of views whose slices are encoded; older ones are dropped."""


@dataclass(frozen=True)
class View:
    """Slice that a user views (None: the middle one), across an axis of an image."""

    path: Path
    axis: AxisChoice = "auto"
    index: int | None = None
    window: Window | None = None
    checkpoint: str | None = None


@dataclass(eq=False)
class _SliceRun:
    """Slices around a view that are still to be encoded."""

    predictor: Predictor
    axis: AxisChoice
    remaining: Iterator[int]
    done: int = 0


class Prefetcher:
    """Prefetching of images and slices, the newest view first. Every method returns at once."""

    def __init__(self, engine: Engine, axis: AxisChoice = "auto") -> None:
        """`axis` is the axis for an image that was just opened."""
        self._engine = engine
        self._axis: AxisChoice = axis
        self._slices = 0
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="segsam-open")
        self._encoder = ThreadPoolExecutor(
            1, thread_name_prefix="segsam-prefetch", initializer=lower_thread_priority
        )
        self._lock = threading.Lock()
        self._views: deque[View] = deque(maxlen=_MAX_VIEWS)
        self._runs: deque[_SliceRun] = deque(maxlen=_MAX_VIEWS)
        self._is_encoding = False

    def set_slices(self, slices: int) -> None:
        """Set the number of slices to encode around a view. With 0, the initial value, only the
        middle slice of an image that was just opened is encoded.
        """
        self._slices = slices

    def load_model(self) -> None:
        """Load the model before anybody opens an image."""
        _submit(self._opener, self._load_model)

    def open_image(self, path: Path) -> None:
        """Read an image that was just opened, and encode its middle slice."""
        self._add(View(path, self._axis))

    def prefetch_around(self, view: View) -> bool:
        """Encode the slices around a view; return False if that is switched off."""
        if self._slices:
            self._add(view)
        return self._slices > 0

    @property
    def pending(self) -> int:
        """Number of images with slices still to be encoded."""
        with self._lock:
            return len(self._views) + len(self._runs)

    def _add(self, view: View) -> None:
        with self._lock:
            self._views.appendleft(view)
        _submit(self._opener, self._open_newest)

    def _load_model(self) -> None:
        self._engine.wait_for_idle()
        _ = self._engine.model

    def _open_newest(self) -> None:
        """Read the newest image, load its model, and start to encode its slices."""
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
        slices = nearest_slices(middle, depth, max(self._slices, 1))
        with self._lock:
            for run in [run for run in self._runs if run.predictor is predictor]:
                self._runs.remove(run)
            self._runs.appendleft(_SliceRun(predictor, view.axis, slices))
            starts, self._is_encoding = not self._is_encoding, True
        if starts:
            _submit(self._encoder, self._encode_next)

    def _encode_next(self) -> None:
        """Encode one slice of the newest run, then submit itself again while there is one: so a
        newer view comes first after each slice.
        """
        with self._lock:
            run = self._runs[0]
        goes_on = False
        try:
            goes_on = self._encode_slice(run)
        finally:
            with self._lock:
                if not goes_on and run in self._runs:
                    self._runs.remove(run)
                self._is_encoding = bool(self._runs)
            if self._is_encoding:
                _submit(self._encoder, self._encode_next)

    def _encode_slice(self, run: _SliceRun) -> bool:
        index = next(run.remaining, None)
        if index is None or not _has_room(run.done, self._engine.cached):
            return False
        self._engine.wait_for_idle()
        run.predictor.warm(axis=run.axis, index=index, background=True)
        run.done += 1
        return True


def _has_room(slices: int, cached: CacheState) -> bool:
    """Return True if one more slice fits into half of the cache. The other half is for the slices
    of prompts, and for other images.
    """
    return slices * cached.bytes <= cached.entries * cached.limit_bytes / 2


def _submit(thread: ThreadPoolExecutor, work: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # raised while the server shuts down
        thread.submit(work).add_done_callback(_log_error)


def _log_error(future: Future[None]) -> None:
    error = future.exception()
    if isinstance(error, SegSamError):
        logger.warning("an image could not be prefetched: %s", error)
    elif error is not None:
        logger.error("prefetching an image failed", exc_info=error)

"""Images are read, and their middle slice encoded, while the annotator still looks at them."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from segsam.errors import SegSamError

from .engine import Engine

logger = logging.getLogger(__name__)

_MOST_WAITING = 2


class Warmer:
    """One background thread; what comes while two images wait is left to its first click.

    Nobody waits for it and nobody asked for it, so nothing that goes wrong here is ever raised:
    the first click meets the same refusal and tells the annotator.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segsam-warm")
        self._waiting: list[Future[None]] = []

    def image(self, path: Path) -> None:
        """Warm the image at `path` some time soon; returns at once."""
        self._waiting = [future for future in self._waiting if not future.done()]
        if len(self._waiting) < _MOST_WAITING:
            future = self._thread.submit(self._engine.warm, path)
            future.add_done_callback(_log)
            self._waiting.append(future)


def _log(future: Future[None]) -> None:
    error = future.exception()
    if error is None:
        logger.info("an image was warmed up")
    elif isinstance(error, SegSamError):
        logger.warning("an image could not be warmed up: %s", error)
    else:
        logger.error("warming an image up failed", exc_info=error)

"""Images are looked at for active learning: in the background, and by `POST /scoring/overview`.

The thread begins with the first request for a strategy that wants it, takes no place in the line
before the model, waits until nobody has it, and stops at the next slice when the server ends.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from segsam.errors import CancelledError, SegSamError
from segsam_app.choosing.overviews import Overviews
from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.web.request_queue import RequestQueue

logger = logging.getLogger(__name__)

OVERVIEW = "overview"
_POLITENESS = 5
_SECONDS_TO_END = 10


class Scorer:
    """One background thread over all images of a store."""

    def __init__(
        self, overviews: Overviews, gate: RequestQueue, store: Callable[[], Datastore]
    ) -> None:
        self._overviews, self._gate, self._store = overviews, gate, store
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._refused: set[tuple[str, str]] = set()

    def poke(self) -> None:
        """There may be something to look at; returns at once."""
        with self._starting:
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(
                    target=self._run, name="segsam-scoring", daemon=True
                )
                self._thread.start()
                atexit.register(self.close)
        self._wanted.set()

    def close(self) -> None:
        """Stop at the next slice, and wait for that."""
        self._over.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=_SECONDS_TO_END)

    def _run(self) -> None:
        while not self._over.is_set():
            self._wanted.wait()
            self._wanted.clear()  # what comes from now on is looked at in another round
            for image, path in local_images(self._store()):
                if self._over.is_set():
                    return
                self._look(image, path)

    def _look(self, image: str, path: Path) -> None:
        """Nobody waits for it, so nothing is raised: an image that cannot be looked at is left out,
        and told once.
        """
        try:
            if not self._overviews.is_current(image, path):
                self._overviews.look(
                    image,
                    path,
                    wait=lambda: self._gate.wait_until_idle(self._over.is_set),
                    is_over=self._over.is_set,
                )
        except CancelledError:
            return
        except (SegSamError, OSError) as error:
            told = (image, str(error))
            if told not in self._refused:
                logger.warning("an image was not looked at: %s", error)
            self._refused.add(told)


class OverviewScoring(ScoringMethod):
    """MONAI Label's way to have all images looked at now, in a process of its own."""

    def __init__(self, overviews: Overviews) -> None:
        super().__init__(
            "How far the two decoders disagree about each image, and where it lies among the others"
        )
        self._overviews = overviews

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """{"images", "refused": {id: sentence}}; the results are on disk, where the server finds
        them.
        """
        if hasattr(os, "nice"):
            os.nice(_POLITENESS)
        refused: dict[str, str] = {}
        images = list(local_images(datastore))
        for done, (image, path) in enumerate(images, start=1):
            try:
                self._overviews.look(image, path, wait=lambda: None, is_over=lambda: False)
            except SegSamError as error:
                refused[image] = str(error)
            logger.info("%d of %d images, %d refused", done, len(images), len(refused))
        return {"images": len(images), "refused": refused}


def local_images(store: Datastore) -> Iterator[tuple[str, Path]]:
    """Id and file of the images that are on this computer; none is fetched for this."""
    for image in sorted(store.list_images()):
        if isinstance(store, DicomWebStore) and not store.is_fetched(image):
            continue
        yield image, Path(store.get_image_uri(image))

"""Overviews of all images: computed in the background, and by `POST /scoring/overview`.

The background thread starts with the first request for a strategy that uses overviews. It takes no
place in the request queue but waits until the queue is empty, before each slice, and it stops at
the next slice when the server ends.
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

from segsam.errors import CancelledError, SegSamError, VolumeError
from segsam_app.choosing.overviews import Overviews
from segsam_app.choosing.refused import RefusedImages
from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.web.request_queue import RequestQueue

logger = logging.getLogger(__name__)

OVERVIEW = "overview"
_NICE = 5
_SECONDS_TO_STOP = 10


class BackgroundScorer:
    """Background thread that computes the overviews of all images of a store."""

    def __init__(
        self,
        overviews: Overviews,
        queue: RequestQueue,
        store: Callable[[], Datastore],
        refused: RefusedImages,
    ) -> None:
        """Images that cannot be opened are added to `refused`."""
        self._overviews, self._queue, self._store = overviews, queue, store
        self._refused = refused
        self._requested = threading.Event()
        self._stopped = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._logged: set[tuple[str, str]] = set()

    def update(self) -> None:
        """Compute the overviews of new and changed images; returns at once."""
        with self._starting:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(
                    target=self._run, name="segsam-scoring", daemon=True
                )
                self._thread.start()
                atexit.register(self.close)
        self._requested.set()

    def stop(self) -> None:
        """Stop the thread at the next slice; returns at once."""
        self._stopped.set()
        self._requested.set()

    def close(self) -> None:
        """Stop the thread at the next slice, and wait for its end."""
        self.stop()
        if self._thread is not None:
            self._thread.join(timeout=_SECONDS_TO_STOP)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._requested.wait()
            self._requested.clear()  # a request from here on leads to another round
            try:
                self._update_all(self._store())
            except (SegSamError, OSError) as error:  # the folder is away; it may come back
                logger.warning("the images were not examined: %s", error)

    def _update_all(self, store: Datastore) -> None:
        for image in local_images(store):
            if self._stopped.is_set():
                return
            self._update_image(store, image)

    def _update_image(self, store: Datastore, image: str) -> None:
        """Compute the overview of one image. An image that cannot be used is skipped, and logged
        once per reason.
        """
        try:
            path = self._file(store, image)
            if not self._overviews.is_current(image, path):
                with self._refused.noting(image, path):
                    self._overviews.update(
                        image,
                        path,
                        wait=lambda: self._queue.wait_until_idle(self._stopped.is_set),
                        should_stop=self._stopped.is_set,
                    )
        except CancelledError:
            return
        except (SegSamError, OSError) as error:
            entry = (image, str(error))
            if entry not in self._logged:
                logger.warning("an image has no overview: %s", error)
            self._logged.add(entry)

    def _file(self, store: Datastore, image: str) -> Path:
        """Return the file of an image; of a series that cannot be read, remember why."""
        try:
            return Path(store.get_image_uri(image))
        except VolumeError as error:
            self._refused.add(image, None, error)
            raise


class OverviewScoring(ScoringMethod):
    """MONAI Label's scoring method that computes all overviews now, in a process of its own."""

    def __init__(self, overviews: Overviews) -> None:
        super().__init__(
            "How far the two decoders disagree about each image, and where it lies among the others"
        )
        self._overviews = overviews

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Return {"images", "refused": {id: sentence}}; the overviews are on disk, where the server
        finds them.
        """
        if hasattr(os, "nice"):
            os.nice(_NICE)
        refused: dict[str, str] = {}
        images = list(local_images(datastore))
        for done, image in enumerate(images, start=1):
            try:
                self._overviews.update(image, Path(datastore.get_image_uri(image)))
            except SegSamError as error:
                refused[image] = str(error)
            logger.info("%d of %d images, %d refused", done, len(images), len(refused))
        return {"images": len(images), "refused": refused}


def local_images(store: Datastore) -> Iterator[str]:
    """Return the ids of the images on this computer; none is fetched from a DICOMweb server."""
    for image in sorted(store.list_images()):
        if isinstance(store, DicomWebStore) and not store.is_fetched(image):
            continue
        yield image

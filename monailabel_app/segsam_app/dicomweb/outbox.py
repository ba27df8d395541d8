"""Labels on their way to the DICOMweb server: nothing leaves the list before the server has it.

A saved label is a version in the folder of labels first, and acknowledged as such. Each version
that was ever current is then sent as one DICOM segmentation of its own, until the server confirms
it; a note beside the versions says so. Who sends it again by accident (a kill between the server's
word and the note) sends the same ids, and stores nothing twice.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import OutputError, SegSamError, VolumeError
from segsam.system.atomic import write_bytes
from segsam_app.dicomweb.series import is_uid
from segsam_app.errors import NotFoundError, PacsAwayError, PacsSlowError
from segsam_app.storage.durable import disk
from segsam_app.storage.versions import VERSIONS, History, Version, now

logger = logging.getLogger(__name__)

_LATEST = 8
"""A round that keeps failing comes at most so many times later than usual."""

Deliver = Callable[[str, Version], str]
"""Sends a version of an image's label; the id of what was stored. Raises `PacsError` when it may
work later, `VolumeError` or `NotFoundError` when it cannot."""


@dataclass(frozen=True, order=True)
class Letter:
    """Version `version` of the label of `image`."""

    image: str
    version: int


class Outbox:
    """What of the labels in `labels` (labels/final) is noted as stored in `notes`, and what not.

    Safe from any thread; one letter is sent at a time.
    """

    def __init__(self, labels: Path, notes: Path, deliver: Deliver) -> None:
        self._labels, self._notes, self._deliver = labels, notes, deliver
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._refused: dict[Letter, str] = {}
        self._waiting: set[Letter] = set()
        self.problem: str | None = None
        """Why the last attempt failed; None when it did not."""

    @property
    def waiting(self) -> list[Letter]:
        """What the server does not have yet."""
        with self._lock:
            return sorted(self._waiting)

    @property
    def refused(self) -> dict[Letter, str]:
        """What cannot be sent, and why: it is tried again after a restart, or when asked for."""
        with self._lock:
            return dict(self._refused)

    def look(self) -> None:
        """Find all that waits, also what an earlier process left."""
        found = {letter for image in self._images() for letter in self._unsent(image)}
        with self._lock:
            self._waiting, self._refused = found, {}

    def add(self, image: str) -> None:
        """The label of `image` has a new version."""
        unsent = set(self._unsent(image))
        with self._lock:
            self._waiting |= unsent - set(self._refused)

    def send(self) -> None:
        """Send all that waits, the oldest versions of each image first.

        Raises `PacsError` when the server does not take one: what comes after it is still tried,
        unless the server is away or silent. What was not sent keeps waiting.
        """
        with self._sending:
            refusal: SegSamError | None = None
            for letter in self.waiting:
                try:
                    self._send(letter)
                except SegSamError as error:
                    refusal = refusal or error
                    if isinstance(error, PacsAwayError | PacsSlowError | OutputError):
                        break
            self.problem = None if refusal is None else str(refusal)
            if refusal is not None:
                raise refusal

    def stored(self, image: str) -> dict[int, str]:
        """Version -> id of the instance that the server confirmed."""
        notes = self._notes / image
        found: dict[int, str] = {}
        for file in sorted(notes.glob("*.json")) if notes.is_dir() else []:
            try:
                found[int(file.stem)] = str(json.loads(file.read_bytes())["instance"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("a note on a stored label cannot be read: %s", error)
        return found

    def _send(self, letter: Letter) -> None:
        version = History(self._labels, letter.image).get(letter.version)
        try:
            if version is None:
                raise VolumeError("the version's file is not here any more")
            instance = self._deliver(letter.image, version)
        except (VolumeError, NotFoundError) as error:
            logger.warning("a label cannot be stored on the DICOMweb server: %s", error)
            with self._lock:
                self._waiting.discard(letter)
                self._refused[letter] = str(error)
            return
        self._note(letter, instance)
        with self._lock:
            self._waiting.discard(letter)

    def _note(self, letter: Letter, instance: str) -> None:
        with disk("Noting that a label was stored"):
            (self._notes / letter.image).mkdir(parents=True, exist_ok=True)
        content = json.dumps({"instance": instance, "when": now()}).encode()
        write_bytes(self._notes / letter.image / f"{letter.version:04d}.json", content)

    def _images(self) -> Iterator[str]:
        folder = self._labels / VERSIONS
        if folder.is_dir():
            yield from (path.name for path in folder.iterdir() if is_uid(path.name))

    def _unsent(self, image: str) -> Iterator[Letter]:
        stored = self.stored(image)
        for version in History(self._labels, image).all():
            if version.is_label and version.number not in stored:
                yield Letter(image, version.number)


class Courier:
    """A thread that calls `round` every `seconds`, at once when woken, and later and later while
    that fails.
    """

    def __init__(self, round_: Callable[[], None], seconds: float) -> None:
        self._round, self._seconds = round_, seconds
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="segsam-dicomweb", daemon=True)
        self._complaint = ""

    def start(self) -> None:
        """Begin, with a round at once."""
        self._woken.set()
        self._thread.start()

    def wake(self) -> None:
        """Make a round soon."""
        self._woken.set()

    def _run(self) -> None:
        failed = 0
        with ThreadPoolExecutor(1, thread_name_prefix="segsam-dicomweb-round") as rounds:
            while True:
                self._woken.wait(self._seconds * min(2**failed, _LATEST))
                self._woken.clear()
                try:
                    error = rounds.submit(self._round).exception()
                except RuntimeError:  # the program is ending, and begins no threads any more
                    return
                failed = 0 if error is None else failed + 1
                self._tell(error)

    def _tell(self, error: BaseException | None) -> None:
        """Once for each sentence; of a bug, with its traceback. The next round comes anyway."""
        complaint = "" if error is None else str(error)
        if complaint != self._complaint and isinstance(error, SegSamError | OSError):
            logger.warning("%s", complaint)
        elif complaint != self._complaint and error is not None:
            logger.error("a round to the DICOMweb server failed", exc_info=error)
        self._complaint = complaint

"""Queue of labels to upload to the DICOMweb server: each stays in it until the server confirms.

Saving a label needs no DICOMweb server: it makes a version in the folder of labels and answers the
client. Afterwards, each version that was ever current is sent as one DICOM segmentation, again and
again until the server confirms it; a small file beside the versions records the confirmation. If
the process is killed between confirmation and record, the version is sent again with the same UIDs,
so the server stores it only once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segsam.errors import DamagedRecordError, OutputError, SegSamError, VolumeError
from segsam.system.atomic import write_json
from segsam.system.checked_json import read_object, with_checksum
from segsam_app.dicomweb.series import is_uid
from segsam_app.errors import NotFoundError, PacsAwayError, PacsSlowError
from segsam_app.storage.damage import DamageList, aside_name
from segsam_app.storage.disk import output_errors
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.label_record import LabelVersion, now
from segsam_app.storage.version_files import VERSIONS

logger = logging.getLogger(__name__)

_MAX_BYTES = 1 << 16
_MAX_BACKOFF = 8
"""Largest factor by which the interval grows while calls keep failing."""

Upload = Callable[[str, LabelVersion], str]
"""Sends a version of an image's label and returns the UID of the stored instance. Raises
`PacsError` if a later attempt may succeed, `VolumeError` or `NotFoundError` if none can."""


@dataclass(frozen=True, order=True)
class PendingUpload:
    """Version `version` of the label of `image`."""

    image: str
    version: int


class UploadQueue:
    """Versions of the labels in `labels` (labels/final) that the server has not confirmed yet.

    Confirmations are recorded in `records`. Safe for many threads; one version is sent at a time.
    """

    def __init__(
        self, labels: Path, records: Path, upload: Upload, damage: DamageList | None = None
    ) -> None:
        """`damage` lists the records that cannot be read."""
        self._damage = damage or DamageList(records)
        self._labels, self._records, self._upload = labels, records, upload
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._refused: dict[PendingUpload, str] = {}
        self._pending: set[PendingUpload] = set()
        self.problem: str | None = None
        """Error sentence of the last attempt; None if it succeeded."""

    @property
    def pending(self) -> list[PendingUpload]:
        """Versions that the server does not have yet."""
        with self._lock:
            return sorted(self._pending)

    @property
    def refused(self) -> dict[PendingUpload, str]:
        """Versions that cannot be sent, and why; `rescan` makes them pending again."""
        with self._lock:
            return dict(self._refused)

    def rescan(self) -> None:
        """Find all versions without a confirmation, also those from an earlier process."""
        found = {each for image in self._images() for each in self._unconfirmed(image)}
        with self._lock:
            self._pending, self._refused = found, {}

    def add(self, image: str) -> None:
        """Add the new versions of the label of `image`."""
        unconfirmed = set(self._unconfirmed(image))
        with self._lock:
            self._pending |= unconfirmed - set(self._refused)

    def send(self) -> None:
        """Send everything that is pending, the oldest versions of each image first.

        Raises `PacsError` if the server does not accept one. The others are still tried, unless the
        server cannot be reached or does not answer. What was not sent stays pending.
        """
        with self._sending:
            first_error: SegSamError | None = None
            for pending in self.pending:
                try:
                    self._send(pending)
                except SegSamError as error:
                    first_error = first_error or error
                    if isinstance(error, PacsAwayError | PacsSlowError | OutputError):
                        break
            self.problem = None if first_error is None else str(first_error)
            if first_error is not None:
                raise first_error

    def confirmed(self, image: str) -> dict[int, str]:
        """Return version -> UID of the instance that the server has confirmed."""
        folder = self._records / image
        found: dict[int, str] = {}
        for file in sorted(folder.glob("*.json")) if folder.is_dir() else []:
            try:
                found[int(file.stem)] = read_confirmation(file)
                self._damage.clear(file)
            except (DamagedRecordError, OSError, ValueError) as error:
                again = partial(self.confirmed, image)
                self._damage.note(file, f"{error}; the label is sent again", again)
        return found

    def _send(self, pending: PendingUpload) -> None:
        history = LabelHistory(self._labels, pending.image, self._damage)
        version = history.get(pending.version)
        try:
            if version is None:
                raise VolumeError("the file of the version is missing")
            instance = self._upload(pending.image, version)
        except (VolumeError, NotFoundError) as error:
            logger.warning("a label cannot be stored on the DICOMweb server: %s", error)
            with self._lock:
                self._pending.discard(pending)
                self._refused[pending] = str(error)
            return
        self._record(pending, instance)
        with self._lock:
            self._pending.discard(pending)

    def _record(self, pending: PendingUpload, instance: str) -> None:
        folder = self._records / pending.image
        with output_errors("Recording an upload"):
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{pending.version:04d}.json"
            if file.exists():  # damaged, or the version would not have been sent again
                file.rename(aside_name(file))
                self._damage.clear(file)
        write_json(file, with_checksum({"instance": instance, "when": now()}))

    def _images(self) -> Iterator[str]:
        folder = self._labels / VERSIONS
        if folder.is_dir():
            yield from (path.name for path in folder.iterdir() if is_uid(path.name))

    def _unconfirmed(self, image: str) -> Iterator[PendingUpload]:
        confirmed = self.confirmed(image)
        for version in LabelHistory(self._labels, image, self._damage).all():
            if version.is_label and version.number not in confirmed:
                yield PendingUpload(image, version.number)


def read_confirmation(file: Path) -> str:
    """Return the UID of the instance in the record of an upload.

    Raises DamagedRecordError, OSError.
    """
    instance = read_object(file, _MAX_BYTES).get("instance")
    if not isinstance(instance, str) or not is_uid(instance):
        raise DamagedRecordError(f"it names no instance, got {instance!r:.80}")
    return instance


class PeriodicThread:
    """Thread that calls a function every `seconds`, and at once when it is woken.

    While the calls fail, the interval doubles, up to `_MAX_BACKOFF` times.
    """

    def __init__(self, function: Callable[[], None], seconds: float) -> None:
        self._function, self._seconds = function, seconds
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="segsam-dicomweb", daemon=True)
        self._last_error = ""

    def start(self) -> None:
        """Start the thread, with a call at once."""
        self._woken.set()
        self._thread.start()

    def wake(self) -> None:
        """Make the next call now."""
        self._woken.set()

    def _run(self) -> None:
        failures = 0
        with ThreadPoolExecutor(1, thread_name_prefix="segsam-dicomweb-call") as calls:
            while True:
                self._woken.wait(self._seconds * min(2**failures, _MAX_BACKOFF))
                self._woken.clear()
                try:
                    error = calls.submit(self._function).exception()
                except RuntimeError:  # the interpreter is shutting down and starts no more threads
                    return
                failures = 0 if error is None else failures + 1
                self._log(error)

    def _log(self, error: BaseException | None) -> None:
        """Log each new error once; a bug with its traceback. The thread goes on."""
        sentence = "" if error is None else str(error)
        if sentence != self._last_error and isinstance(error, SegSamError | OSError):
            logger.warning("%s", sentence)
        elif sentence != self._last_error and error is not None:
            logger.error("updating from the DICOMweb server failed", exc_info=error)
        self._last_error = sentence

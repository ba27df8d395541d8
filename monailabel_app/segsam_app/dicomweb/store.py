"""The study folder of a DICOMweb server: the same store, whose images are series.

A series is listed as an image under its id (SeriesInstanceUID) and fetched when somebody first
works on it: all instances of it or none. Labels are kept, versioned and refused as in any study
folder, and the final ones sent to the server beside it (`outbox.py`).

    <folder>/1.2.840....nii.gz          a fetched series; may be deleted, and is fetched again
    <folder>/labels/...                 as in docs/reliability.md
    <folder>/.dicom/series.json         what the server listed last
    <folder>/.dicom/headers/1.2.840.../ the headers of the fetched series
    <folder>/.dicom/stored/1.2.840.../  which versions the server confirmed
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segsam.errors import VolumeError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.readers import read_image
from segsam.imaging.volume import Volume
from segsam_app.dicomweb.headers import Slices, keep_headers, read_headers
from segsam_app.dicomweb.outbox import Courier, Outbox
from segsam_app.dicomweb.pacs import Pacs
from segsam_app.dicomweb.seg import Words, ids_of, segmentation
from segsam_app.dicomweb.series import Known, Series, is_uid
from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.errors import RequestError
from segsam_app.storage.checks import check_label
from segsam_app.storage.durable import PARTIAL, disk, is_abandoned
from segsam_app.storage.scan import Found, Scanner
from segsam_app.storage.store import FINAL, Store
from segsam_app.storage.versions import Version

logger = logging.getLogger(__name__)

ENDING = ".nii.gz"


class SeriesScanner(Scanner):
    """What lies in the folder, and what the server listed."""

    def __init__(self, folder: Path, known: Known) -> None:
        super().__init__(folder, [f"*{ENDING}"])
        self._known = known
        self._listed: Mapping[str, Series] | None = None

    def has_changed(self) -> bool:
        return self._known.series is not self._listed or super().has_changed()

    def look(self) -> Found:
        listed = self._known.series
        found = super().look()
        found.images = {uid: end for uid, end in found.images.items() if is_uid(uid)}
        found.images |= dict.fromkeys(listed, ENDING)
        self._listed = listed
        return found


class DicomWebStore(Store):
    """`Store` for the series of one DICOMweb server.

    Beside what `Store` raises: `PacsError` (502, 503, 504) where the server has to be asked.
    """

    def __init__(self, settings: PacsSettings, *, on_image: Callable[[Path], None]) -> None:
        self._dicom = settings.folder / ".dicom"
        with disk("Making the folder of labels"):
            settings.folder.mkdir(parents=True, exist_ok=True)
            self._dicom.mkdir(mode=0o700, exist_ok=True)
        self._pacs = Pacs(settings)
        self._url = settings.url
        self._listed_at: float | None = None
        self._refresh_seconds = settings.refresh_seconds
        self._series = Known(self._dicom / "series.json")
        self._fetching: dict[str, threading.Lock] = {}
        scanner = SeriesScanner(settings.folder, self._series)
        super().__init__(str(settings.folder), on_image=on_image, scanner=scanner)
        labels = settings.folder / "labels" / FINAL
        self.outbox = Outbox(labels, self._dicom / "stored", self._deliver)
        self._courier = Courier(self._round, settings.refresh_seconds)

    def name(self) -> str:
        """The server's address."""
        return self._url

    def start(self) -> None:
        """List series and send labels from now on; called by the server, not by child processes."""
        with disk("Sweeping what a killed process left"):
            for path in filter(is_abandoned, self._dicom.iterdir()):
                shutil.rmtree(path)
        self.outbox.look()
        self._courier.start()

    def look_again(self) -> None:
        """Ask the server for its series now. Raises `PacsError`."""
        listed = self._pacs.listed()
        labelled = {uid for uid, entry in self._index.model.objects.items() if entry.labels}
        fetched = {uid for uid in self._series.series if self.is_here(uid)}
        self._series.replace(listed, frozenset(labelled | fetched))
        self._listed_at = time.monotonic()

    def send_now(self) -> None:
        """Send what waits or was refused. Raises `PacsError` when the server does not take it."""
        self.outbox.look()
        self.outbox.send()

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """As `Store`'s; a server that was never heard of is asked first. Raises `PacsError`."""
        if not self._series.series:
            self.look_again()
        return super().get_unlabeled_images(label_tag, labels)

    def get_image_uri(self, image_id: str) -> str:
        """The image's file, fetched if it is not here; "" for what is no id of a series.

        Raises `NotFoundError`, `PacsError`, VolumeError for a series that is no volume.
        """
        if not is_uid(image_id):
            return ""
        if not self.is_here(image_id):
            with self._fetching.setdefault(image_id, threading.Lock()):
                if not self.is_here(image_id):
                    self._fetch(image_id)
        return str(self._file(image_id))

    def is_here(self, image_id: str) -> bool:
        """Whether the series was fetched, so that its file costs the server nothing."""
        return self._file(image_id).is_file() and self._headers(image_id).is_dir()

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """With the series' ids, modality, date and description; nothing of its patient."""
        series = self._series.series.get(image_id)
        return {**super().get_image_info(image_id), **(series.info if series else {})}

    def save(self, image_id: str, file: Path, tag: str, info: Mapping[str, Any] | None) -> Version:
        """As `Store`'s; a final label is sent to the server afterwards."""
        self.get_image_uri(image_id)
        version = super().save(image_id, file, tag, info)
        self._post(image_id, tag)
        return version

    def restore(
        self, image_id: str, tag: str, number: int, *, user: str = "", expected: int | None = None
    ) -> Version:
        """As `Store`'s; a final label is sent to the server afterwards."""
        version = super().restore(image_id, tag, number, user=user, expected=expected)
        self._post(image_id, tag)
        return version

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Not here. Raises `RequestError`."""
        raise RequestError("images come from the DICOMweb server: send the series there")

    def remove_image(self, image_id: str) -> None:
        """Not here. Raises `RequestError`."""
        raise RequestError("images are the DICOMweb server's: remove the series there")

    def refresh(self) -> None:
        """Ask the server, and look at the files."""
        self.look_again()
        super().refresh()

    def _round(self) -> None:
        due = self._listed_at is None
        if self._listed_at is not None:
            due = time.monotonic() - self._listed_at >= self._refresh_seconds
        try:
            self.outbox.send()
        finally:
            if due:
                self.look_again()

    def _post(self, image_id: str, tag: str) -> None:
        if tag == FINAL:
            self.outbox.add(image_id)
            self._courier.wake()

    def _file(self, image_id: str) -> Path:
        return self._folder.resolve() / f"{image_id}{ENDING}"

    def _headers(self, image_id: str) -> Path:
        return self._dicom / "headers" / image_id

    def _fetch(self, image_id: str) -> None:
        series = self._series.series.get(image_id) or self._pacs.find(image_id)
        with (
            disk("Keeping a series"),
            tempfile.TemporaryDirectory(prefix=".", suffix=PARTIAL, dir=self._dicom) as folder,
        ):
            source, headers = Path(folder) / "series", Path(folder) / "headers"
            source.mkdir()
            headers.mkdir()
            count = self._pacs.fetch(series, source)
            volume = Volume.load(source)
            if volume.is_colour:
                raise VolumeError("the series is in colour; a DICOMweb server's are read in grey")
            keep_headers(source, headers)
            place = self._headers(image_id)
            place.parent.mkdir(exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            headers.replace(place)
            volume.save(self._file(image_id))
        logger.info("a series of %d instances was fetched", count)
        self._series.add(series)

    def _deliver(self, image_id: str, version: Version) -> str:
        """Store a version as a DICOM segmentation; its id."""
        self.get_image_uri(image_id)
        grid: RawGrid = self._images.grid(image_id, ENDING)
        file = self.history(image_id, FINAL).file(version)
        check_label(file, grid)
        slices = Slices.of(read_headers(self._headers(image_id)), grid)
        key = f"{image_id} {version.number} {version.created} {version.sha256}"
        words = Words(key, version.number, f"SEG-SAM {FINAL}, version {version.number}")
        names = {int(value): name for value, name in version.names.items()}
        self._pacs.store(segmentation(read_image(file).voxels, names, slices, words))
        logger.info("version %d of a label was stored on the DICOMweb server", version.number)
        return ids_of(key)[1]

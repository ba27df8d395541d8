"""Study folder of a DICOMweb server: the same store, whose images are DICOM series.

A series is listed as an image under its SeriesInstanceUID, and fetched when it is first opened: all
of its instances or none. Labels are stored, versioned and checked as in any study folder, and the
final ones are sent to the server in the background (`upload_queue`).

    <folder>/1.2.840....nii.gz          a fetched series; may be deleted, and is fetched again
    <folder>/labels/...                 as in docs/reliability.md
    <folder>/.dicom/series.json         what the server listed last
    <folder>/.dicom/headers/1.2.840.../ the headers of the fetched series
    <folder>/.dicom/facts/1.2.840....json   what the series says and NIfTI cannot hold
    <folder>/.dicom/stored/1.2.840.../  which versions the server has confirmed
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from segsam.categories.segment_names import names_in_file_first
from segsam.errors import DamagedRecordError, VolumeError
from segsam.imaging.dicom_series import dicom_facts, series_of
from segsam.imaging.formats.dicom_source import DicomSource, known_dicom_source
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.label_files import read_labels
from segsam.imaging.volume import Volume
from segsam_app.dicomweb.client import PacsClient
from segsam_app.dicomweb.headers import SeriesSlices, check_headers, read_headers, save_headers
from segsam_app.dicomweb.relay import Relay
from segsam_app.dicomweb.segmentation import SegmentationFacts, build_segmentation, uids_of
from segsam_app.dicomweb.series import Series, SeriesList, is_uid
from segsam_app.dicomweb.series_facts import SeriesFacts
from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.dicomweb.upload_queue import PeriodicThread, UploadQueue
from segsam_app.errors import PacsError, RequestError
from segsam_app.limits import Limits
from segsam_app.storage.damage import aside_name
from segsam_app.storage.disk import PARTIAL, output_errors, remove_abandoned
from segsam_app.storage.label_record import LabelVersion
from segsam_app.storage.label_writer import Expected
from segsam_app.storage.scan import FolderContents, FolderScanner
from segsam_app.storage.store import FINAL, Store

logger = logging.getLogger(__name__)

ENDING = ".nii.gz"


class SeriesScanner(FolderScanner):
    """Scanner that also reports the series that the server listed."""

    def __init__(self, folder: Path, listed: SeriesList) -> None:
        super().__init__(folder, [f"*{ENDING}"])
        self._listed = listed
        self._reported: Mapping[str, Series] | None = None

    def has_changed(self) -> bool:
        """Return True if the files or the list may have changed since the last scan."""
        return self._listed.series is not self._reported or super().has_changed()

    def scan(self, known: Mapping[str, str]) -> FolderContents:
        """Return the files in the folder, and every listed series as an image."""
        listed = self._listed.series
        contents = super().scan(known)
        contents.images = {uid: end for uid, end in contents.images.items() if is_uid(uid)}
        contents.images |= dict.fromkeys(listed, ENDING)
        self._reported = listed
        return contents


class DicomWebStore(Store):
    """`Store` for the series of one DICOMweb server.

    Raises `PacsError` (502, 503, 504) wherever the server has to be asked, and what `Store` raises.
    """

    def __init__(
        self,
        settings: PacsSettings,
        *,
        on_image: Callable[[Path], None],
        limits: Limits | None = None,
    ) -> None:
        self._dicom = settings.folder / ".dicom"
        with output_errors("Making the folder of labels"):
            settings.folder.mkdir(parents=True, exist_ok=True)
            self._dicom.mkdir(mode=0o700, exist_ok=True)
        self._client = PacsClient(settings)
        self.relay = Relay(settings)
        self._url = settings.url
        self._listed_at: float | None = None
        self.listing_problem: str | None = None
        """Why the series could not be listed when the server was last asked; None if they were."""
        self._refresh_seconds = settings.refresh_seconds
        self._series = SeriesList(self._dicom / "series.json")
        self._fetching: dict[str, threading.Lock] = {}
        scanner = SeriesScanner(settings.folder, self._series)
        super().__init__(str(settings.folder), on_image=on_image, scanner=scanner, limits=limits)
        labels = settings.folder / "labels" / FINAL
        if self._series.damaged is not None:
            self.damage.note(*self._series.damaged)
        self.uploads = UploadQueue(labels, self._dicom / "stored", self._upload, self.damage)
        self._updates = PeriodicThread(self._update, settings.refresh_seconds)

    @property
    def problem(self) -> str | None:
        """Reason why series are not listed or labels not sent; None if all is well."""
        return self.listing_problem or self.uploads.problem

    def name(self) -> str:
        """Return the address of the DICOMweb server."""
        return self._url

    def status(self) -> dict[str, Any]:
        """Return the statistics of `Store`, and what keeps series from being listed."""
        problem = {"problem": self.listing_problem} if self.listing_problem else {}
        return {**super().status(), **problem}

    def start(self) -> None:
        """List series and send labels from now on, in a thread.

        Called by the server only: its child processes have the same store.
        """
        with output_errors("Removing what a killed process left"):
            remove_abandoned(self._dicom)
        self.uploads.rescan()
        self._updates.start()

    def list_again(self) -> None:
        """Ask the server for its series now. Raises `PacsError`."""
        try:
            listed = self._client.list_series()
        except PacsError as error:
            self.listing_problem = str(error)
            raise
        self.listing_problem = None
        labelled = {uid for uid, entry in self._index.model.objects.items() if entry.labels}
        fetched = {uid for uid in self._series.series if self.is_fetched(uid)}
        self._series.replace(listed, frozenset(labelled | fetched))
        self._listed_at = time.monotonic()

    def send_now(self) -> None:
        """Send labels that are pending or were refused.

        Raises `PacsError` if the server does not accept one.
        """
        self.uploads.rescan()
        self.uploads.send()

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Return the ids of the series without a label of this tag (default: final).

        If no series was ever listed, the server is asked first. Raises `PacsError`.
        """
        if not self._series.series:
            self.list_again()
        return super().get_unlabeled_images(label_tag, labels)

    def get_image_uri(self, image_id: str) -> str:
        """Return the image's file, fetched if necessary; "" for an id that is not a UID.

        Raises `NotFoundError`, `PacsError`, VolumeError for a series that is not a volume.
        """
        if not is_uid(image_id):
            return ""
        if not self.is_fetched(image_id):
            with self._fetching.setdefault(image_id, threading.Lock()):
                if not self.is_fetched(image_id):
                    self._fetch(image_id)
        return str(self._file(image_id))

    def is_fetched(self, image_id: str) -> bool:
        """Return True if the series was fetched, so that opening it needs no server."""
        return self._file(image_id).is_file() and self._headers(image_id).is_dir()

    def read_image(self, path: Path) -> Volume:
        """Read a fetched series, with what its DICOM headers say about it."""
        volume = super().read_image(path)
        uid = path.name.removesuffix(ENDING)
        facts = SeriesFacts.read(self._facts(uid)) if path == self._file(uid) else None
        return volume if facts is None else facts.added_to(volume)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Return the metadata with the series' UIDs, modality, date and description, and the notes
        about how it was read.

        None of it identifies the patient.
        """
        series = self._series.series.get(image_id)
        facts = SeriesFacts.read(self._facts(image_id)) if is_uid(image_id) else None
        info = {**super().get_image_info(image_id), **(series.info if series else {})}
        return info if facts is None else {**info, "notes": list(facts.notes)}

    def save(
        self, image_id: str, file: Path, tag: str, info: Mapping[str, Any] | None
    ) -> LabelVersion:
        """Save a label as `Store` does; a final one is sent to the server afterwards."""
        self.get_image_uri(image_id)
        version = super().save(image_id, file, tag, info)
        self._enqueue(image_id, tag)
        return version

    def restore(
        self,
        image_id: str,
        tag: str,
        number: int,
        *,
        user: str = "",
        expected: Expected | None = None,
    ) -> LabelVersion:
        """Restore a version as `Store` does; a final one is sent to the server afterwards."""
        version = super().restore(image_id, tag, number, user=user, expected=expected)
        self._enqueue(image_id, tag)
        return version

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Refuse the image: raises `RequestError`."""
        raise RequestError("images come from the DICOMweb server: send the series there")

    def remove_image(self, image_id: str) -> None:
        """Refuse to remove the image: raises `RequestError`."""
        raise RequestError("images belong to the DICOMweb server: remove the series there")

    def refresh(self) -> None:
        """Ask the server for its series, and scan the files."""
        self.list_again()
        super().refresh()

    def _update(self) -> None:
        """Send pending labels, and list the series again if it is time."""
        due = self._listed_at is None
        if self._listed_at is not None:
            due = time.monotonic() - self._listed_at >= self._refresh_seconds
        try:
            self.uploads.send()
        finally:
            if due:
                self.list_again()

    def _enqueue(self, image_id: str, tag: str) -> None:
        if tag == FINAL:
            self.uploads.add(image_id)
            self._updates.wake()

    def _file(self, image_id: str) -> Path:
        return self._folder.resolve() / f"{image_id}{ENDING}"

    def _headers(self, image_id: str) -> Path:
        return self._dicom / "headers" / image_id

    def _dicom_source(self, image_id: str) -> DicomSource | None:
        first = min(self._headers(image_id).glob("*.dcm"), default=None)
        return None if first is None else known_dicom_source(first)

    def _facts(self, image_id: str) -> Path:
        return self._dicom / "facts" / f"{image_id}.json"

    def _check_headers(self, image_id: str) -> None:
        """Set damaged headers aside, so that the series is fetched again."""
        folder = self._headers(image_id)
        if not folder.is_dir():
            return
        try:
            check_headers(folder)
        except (DamagedRecordError, OSError) as error:
            aside = aside_name(folder)
            self.damage.note(aside, str(error))
            with output_errors("Setting damaged headers aside"):
                folder.rename(aside)

    def _fetch(self, image_id: str) -> None:
        series = self._series.series.get(image_id) or self._client.find(image_id)
        with (
            output_errors("Saving a series"),
            tempfile.TemporaryDirectory(prefix=".", suffix=PARTIAL, dir=self._dicom) as folder,
        ):
            source, headers = Path(folder) / "series", Path(folder) / "headers"
            source.mkdir()
            headers.mkdir()
            count = self._client.fetch(series, source)
            beside = _leave_out_scouts(source)
            volume = Volume.load(source)
            volume = replace(volume, notes=(*volume.notes, *beside))
            if volume.is_colour:
                raise VolumeError(
                    "the series is in colour; of a DICOMweb server only grey series can be read"
                )
            save_headers(source, headers)
            # The image is saved last: a series counts as fetched only with all of it.
            target = self._headers(image_id)
            target.parent.mkdir(exist_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            headers.replace(target)
            self._facts(image_id).parent.mkdir(exist_ok=True)
            SeriesFacts.of(volume).save(self._facts(image_id))
            volume.save(self._file(image_id))
        logger.info("a series of %d instances was fetched", count)
        self._series.add(series)

    def _upload(self, image_id: str, version: LabelVersion) -> str:
        """Store a version as a DICOM segmentation; return the UID of the instance."""
        self._check_headers(image_id)
        self.get_image_uri(image_id)
        grid: RawGrid = self._images.grid(image_id, ENDING)
        with output_errors("Reading a label"):
            file = self.history(image_id, FINAL).voxels_of(version)
        labels = read_labels(file, grid)
        slices = SeriesSlices.match(read_headers(self._headers(image_id)), grid)
        key = f"{image_id} {version.number} {version.created} {version.sha256}"
        description = f"SEG-SAM {FINAL}, version {version.number}"
        facts = SegmentationFacts(key, version.number, description)
        recorded = {int(value): name for value, name in version.names.items()}
        names = names_in_file_first(labels.names, recorded)
        self._client.store(build_segmentation(labels, names, slices, facts))
        logger.info("version %d of a label was stored on the DICOMweb server", version.number)
        return uids_of(key)[1]


def _leave_out_scouts(source: Path) -> tuple[str, ...]:
    """Remove the fetched files of a series that are no slices of its volume, and return the note on
    them: a segmentation of the series is one of these slices.
    """
    facts = dicom_facts(source, [file.name for file in source.iterdir()])
    found, _ = series_of(source, facts)
    if len(found) != 1:
        return ()
    for name in facts.keys() - set(found[0].names):
        if not facts[name].problem:
            (source / name).unlink()
    return found[0].notes

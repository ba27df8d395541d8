"""Client of a DICOMweb server, on top of `dicomweb-client`, which leaves several things open.

Here every call has a time-out, errors become sentences, UIDs cannot be paths, and answers are
checked before they are used.

Sources: DICOM PS3.18 (10.6 search, 10.4 retrieve, 10.5 store).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
import requests
from dicomweb_client import DICOMwebClient
from pydicom.errors import InvalidDicomError
from retrying import RetryError
from urllib3.exceptions import ReadTimeoutError

from segsam.errors import VolumeTooLargeError
from segsam_app.dicomweb.connection import (
    PacsSession,
    connection_error,
    silence_error,
    status_error,
)
from segsam_app.dicomweb.series import Series, is_uid
from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.errors import NotFoundError, PacsError

_PAGE = 500
_MAX_SERIES = 20_000
_ANY_TRANSFER_SYNTAX = (("application/dicom", "*"),)
_CONFLICT = 409
"""Status of a store request that stored nothing: refused, or there already."""

_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_ATTRIBUTES = {
    "modality": "00080060",
    "date": "00080020",
    "description": "0008103E",
    "instances": "00201209",
}

Record = Mapping[str, Any]
"""Search result in DICOM JSON (PS3.18 F.2): tag -> attribute."""

# Both log URLs, which contain UIDs of studies and may contain patient IDs.
logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)
logging.getLogger("retrying").setLevel(logging.CRITICAL)


class PacsClient:
    """Client of one DICOMweb server; safe for many threads.

    All methods raise `PacsError` (502), `PacsAwayError` (503) or `PacsSlowError` (504).
    """

    def __init__(self, settings: PacsSettings) -> None:
        self._settings = settings

    def list_series(self) -> dict[str, Series]:
        """Return the series that match the operator's filter, by UID."""
        with self._session("listing the series") as client:
            return self._search(client, self._settings.search)

    def find(self, uid: str) -> Series:
        """Return one series, also if the filter does not match it. Raises `NotFoundError`."""
        with self._session("searching for a series") as client:
            found = self._search(client, {"SeriesInstanceUID": uid})
        if uid not in found:
            raise NotFoundError(f"the DICOMweb server has no series {uid!r:.80}")
        return found[uid]

    def fetch(self, series: Series, folder: Path) -> int:
        """Write all instances of `series` into `folder` and return their number.

        Raises `PacsError` unless exactly those instances came that the server itself lists, each
        with its pixels; `VolumeTooLargeError` for more bytes than the operator allows.
        """
        with self._session("fetching a series") as client:
            expected = self._instances(client, series)
            bytes_left, received = self._settings.series_bytes, set[str]()
            instances = client.iter_series(
                series.study, series.uid, media_types=_ANY_TRANSFER_SYNTAX
            )
            for instance in instances:
                uid = _checked_uid(instance, series)
                bytes_left -= len(instance.PixelData)
                self._check_size(bytes_left)
                file = folder / f"{uid}.dcm"  # sentences about an instance name it
                instance.save_as(file, write_like_original=False)
                received.add(uid)
        if received != expected:
            raise PacsError(
                f"the DICOMweb server lists {len(expected)} instances of the series and sent "
                f"{len(received)}, of which {len(received & expected)} are among them; nothing was "
                "saved. Try again, or check the server"
            )
        return len(received)

    def store(self, instance: pydicom.Dataset) -> None:
        """Store `instance` in its study; it is no error if it is there already."""
        with self._session("storing a segmentation") as client:
            try:
                answer = client.store_instances([instance], instance.StudyInstanceUID)
            except requests.HTTPError as error:
                if error.response.status_code != _CONFLICT or not _has(client, instance):
                    raise
                return
            confirmed = [
                str(item.get("ReferencedSOPInstanceUID", ""))
                for item in answer.get("ReferencedSOPSequence") or []
            ]
            reasons = [
                int(item.get("FailureReason", 0)) for item in answer.get("FailedSOPSequence") or []
            ]
            if str(instance.SOPInstanceUID) in confirmed or _has(client, instance):
                return
        why = f"reason {reasons[0]:#06x}" if reasons else "it did not confirm it"
        raise PacsError(f"the DICOMweb server did not store the segmentation ({why})")

    def _search(self, client: DICOMwebClient, filters: Mapping[str, Any]) -> dict[str, Series]:
        search = partial(
            client.search_for_series,
            search_filters=dict(filters),
            fields=["SeriesDescription", "NumberOfSeriesRelatedInstances", "StudyDate"],
        )
        found: dict[str, Series] = {}
        for page in _pages(search, _SERIES):
            series = (_series(record) for record in page.values())
            found |= {one.uid: one for one in series if one is not None}
            if len(found) >= _MAX_SERIES:
                break
        return found

    def _instances(self, client: DICOMwebClient, series: Series) -> set[str]:
        """UIDs of a series' instances, whose declared size is within the limit."""
        search = partial(
            client.search_for_instances, series.study, series.uid, fields=["NumberOfFrames"]
        )
        found: set[str] = set()
        bytes_left = self._settings.series_bytes
        for page in _pages(search, _INSTANCE):
            found |= page.keys()
            bytes_left -= sum(_declared_bytes(record) for record in page.values())
            self._check_size(bytes_left)
        if not found:
            raise NotFoundError(f"the DICOMweb server has no instance of series {series.uid!r:.80}")
        return found

    def _check_size(self, bytes_left: int) -> None:
        if bytes_left < 0:
            raise VolumeTooLargeError(
                f"the series is larger than the {self._settings.series_bytes >> 20} MB that this "
                "server fetches (setting dicomweb_megabytes)"
            )

    @contextmanager
    def _session(self, action: str) -> Iterator[DICOMwebClient]:
        """A client for one session, whose errors become sentences that name the `action`."""
        silent = silence_error(self._settings.seconds, action)
        with PacsSession(self._settings) as session:
            try:
                yield self._client(session)
            except requests.HTTPError as error:
                raise status_error(error.response.status_code, action) from error
            except requests.Timeout as error:
                raise silent from error
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                if isinstance(error.args[0] if error.args else None, ReadTimeoutError):
                    raise silent from error
                raise connection_error(error, action) from error
            except (
                *(requests.RequestException, RetryError, InvalidDicomError, EOFError),
                *(ValueError, TypeError, KeyError, AttributeError, NotImplementedError),
            ) as error:
                raise PacsError(
                    "the answer of the DICOMweb server is not what the standard asks for, or broke "
                    f"off, while {action}"
                ) from error

    def _client(self, session: requests.Session) -> DICOMwebClient:
        client = DICOMwebClient(
            self._settings.url,
            session=session,
            qido_url_prefix=self._settings.qido_prefix,
            wado_url_prefix=self._settings.wado_prefix,
            stow_url_prefix=self._settings.stow_prefix,
        )
        client.set_http_retry_params(retry=False)  # otherwise an error takes half a minute
        return client


def _pages(search: Callable[..., Iterable[Record]], tag: str) -> Iterator[dict[str, Record]]:
    """Pages of new records by UID, the value of `tag`.

    A server may send shorter pages than it was asked for, so only one without new records is the
    last.
    """
    found: set[str] = set()
    while True:
        page = {str(_value(each, tag)): each for each in search(limit=_PAGE, offset=len(found))}
        new = {uid: record for uid, record in page.items() if uid not in found}
        if not new:
            return
        found |= new.keys()
        yield new


def _series(record: Record) -> Series | None:
    """Return a series from a search result; None if its UIDs are invalid."""
    uid, study = (str(_value(record, tag) or "") for tag in (_SERIES, _STUDY))
    if not is_uid(uid) or not is_uid(study):
        return None
    attributes = {name: str(_value(record, tag) or "") for name, tag in _ATTRIBUTES.items()}
    count = attributes.pop("instances")
    return Series(uid, study, **attributes, instances=int(count) if count.isdigit() else None)


def _value(record: Record, tag: str) -> Any:
    """Return the first value of an attribute; None if there is none."""
    values: Iterable[Any] = record.get(tag, {}).get("Value") or ()
    return next(iter(values), None)


def _declared_bytes(record: Record) -> int:
    rows, columns, bits, frames = (
        int(_value(record, tag) or default)
        for tag, default in (("00280010", 0), ("00280011", 0), ("00280100", 8), ("00280008", 1))
    )
    return rows * columns * frames * bits // 8


def _has(client: DICOMwebClient, instance: pydicom.Dataset) -> bool:
    """Return True if the server finds the instance."""
    found = client.search_for_instances(
        instance.StudyInstanceUID,
        instance.SeriesInstanceUID,
        search_filters={"SOPInstanceUID": instance.SOPInstanceUID},
    )
    return any(_value(record, _INSTANCE) == instance.SOPInstanceUID for record in found)


def _checked_uid(instance: pydicom.Dataset, series: Series) -> str:
    """Return the UID of an instance; raises `PacsError` if it is incomplete or not of `series`."""
    uid = str(instance.SOPInstanceUID)
    wrong = None
    if not is_uid(uid) or str(instance.SeriesInstanceUID) != series.uid:
        wrong = "of another series"
    elif "PixelData" not in instance:
        wrong = "without pixels"
    elif len(instance.PixelData) < _expected_bytes(instance):
        wrong = "with fewer pixels than it declares"
    if wrong is not None:
        raise PacsError(f"the DICOMweb server sent an instance {wrong}; nothing was saved")
    return uid


def _expected_bytes(instance: pydicom.Dataset) -> int:
    """Return the size of an instance's pixels; 0 if compressed, as the decoder checks those."""
    if instance.file_meta.TransferSyntaxUID.is_compressed:
        return 0
    bits = int(instance.BitsAllocated) * int(instance.get("SamplesPerPixel", 1))
    frames = int(instance.get("NumberOfFrames") or 1)
    return int(instance.Rows) * int(instance.Columns) * frames * bits // 8

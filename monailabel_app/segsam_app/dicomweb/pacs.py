"""Questions to a DICOMweb server, through `dicomweb-client`, with what that leaves open closed:
time-outs, refusals as sentences, ids that are no paths, answers that are not believed.

Sources: DICOM PS3.18 (10.6 search, 10.4 retrieve, 10.5 store).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import requests
from dicomweb_client import DICOMwebClient
from pydicom.errors import InvalidDicomError
from retrying import RetryError
from urllib3.exceptions import ReadTimeoutError

from segsam.errors import VolumeTooLargeError
from segsam_app.dicomweb.series import Series, is_uid
from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.errors import NotFoundError, PacsAwayError, PacsError, PacsSlowError

_CONNECT_SECONDS = 5
_PAGE = 500
_MOST_SERIES = 20_000
_ANY_SYNTAX = (("application/dicom", "*"),)
_AWAY = frozenset({429, 502, 503})
_CONFLICT = 409
"""Nothing was stored: refused, or it is there already."""

_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_FACTS = {
    "modality": "00080060",
    "date": "00080020",
    "description": "0008103E",
    "instances": "00201209",
}

# Both write down patients' ids, in URLs.
logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)
logging.getLogger("retrying").setLevel(logging.CRITICAL)


class Pacs:
    """One DICOMweb server. All methods raise `PacsError` (502), `PacsAwayError` (503) or
    `PacsSlowError` (504) with a sentence, and may be called from any thread.
    """

    def __init__(self, settings: PacsSettings) -> None:
        self._settings = settings

    def listed(self) -> dict[str, Series]:
        """The series that the operator's filter finds, by id."""
        with self._asking("listing the series") as client:
            return self._searched(client, self._settings.search)

    def find(self, uid: str) -> Series:
        """One series, whether the filter finds it or not. Raises `NotFoundError`."""
        with self._asking("looking for a series") as client:
            found = self._searched(client, {"SeriesInstanceUID": uid})
        if uid not in found:
            raise NotFoundError(f"the DICOMweb server has no series {uid!r:.80}")
        return found[uid]

    def fetch(self, series: Series, folder: Path) -> int:
        """Write the instances of `series` into `folder`, all of them, and return how many.

        Raises `PacsError` unless exactly those came that the server itself lists, each with its
        pixels; `VolumeTooLargeError` for more than the operator allows.
        """
        with self._asking("fetching a series") as client:
            wanted = self._instances(client, series)
            left, got = self._settings.series_bytes, set[str]()
            for instance in client.iter_series(series.study, series.uid, media_types=_ANY_SYNTAX):
                uid = _checked(instance, series)
                left -= len(instance.PixelData)
                self._check_size(left)
                instance.save_as(folder / f"{len(got):06d}.dcm", write_like_original=False)
                got.add(uid)
        if got != wanted:
            raise PacsError(
                f"the DICOMweb server lists {len(wanted)} instances of the series and sent "
                f"{len(got & wanted)} of them; nothing was kept. Try again, or look at the server"
            )
        return len(got)

    def store(self, instance: pydicom.Dataset) -> None:
        """Store `instance` in its study; again is fine when it is there already."""
        with self._asking("storing a segmentation") as client:
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
        why = f"reason {reasons[0]:#06x}" if reasons else "it confirmed nothing"
        raise PacsError(f"the DICOMweb server did not store the segmentation ({why})")

    def _searched(self, client: DICOMwebClient, wanted: Mapping[str, Any]) -> dict[str, Series]:
        found: dict[str, Series] = {}
        fields = ["SeriesDescription", "NumberOfSeriesRelatedInstances", "StudyDate"]
        while len(found) < _MOST_SERIES:
            page = client.search_for_series(
                search_filters=dict(wanted), fields=fields, limit=_PAGE, offset=len(found)
            )
            series = [made for record in page if (made := _series(record)) is not None]
            new = [made for made in series if made.uid not in found]
            found |= {made.uid: made for made in new}
            if not new:  # pages may be shorter than was asked for, so only an empty one is the last
                break
        return found

    def _instances(self, client: DICOMwebClient, series: Series) -> set[str]:
        """The ids of a series' instances, whose declared pixels are as many as are allowed."""
        wanted: set[str] = set()
        left = self._settings.series_bytes
        while True:
            page = client.search_for_instances(
                series.study, series.uid, fields=["NumberOfFrames"], limit=_PAGE, offset=len(wanted)
            )
            new = {str(_value(record, _INSTANCE)): record for record in page}
            new = {uid: record for uid, record in new.items() if uid not in wanted}
            left -= sum(_declared_bytes(record) for record in new.values())
            self._check_size(left)
            wanted |= new.keys()
            if not new:
                break
        if not wanted:
            raise NotFoundError(f"the DICOMweb server has no instance of series {series.uid!r:.80}")
        return wanted

    def _check_size(self, left: int) -> None:
        if left < 0:
            raise VolumeTooLargeError(
                f"the series holds more than the {self._settings.series_bytes >> 20} MB that this "
                "server fetches (setting dicomweb_megabytes)"
            )

    @contextmanager
    def _asking(self, what: str) -> Iterator[DICOMwebClient]:
        """A client for one conversation, what goes wrong in it as a sentence."""
        silent = f"the DICOMweb server said nothing for {self._settings.seconds} s while {what}"
        with _Session(self._settings) as session:
            try:
                yield self._client(session)
            except requests.HTTPError as error:
                raise _refusal(error, what) from error
            except requests.Timeout as error:
                raise PacsSlowError(silent) from error
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                if isinstance(error.args[0] if error.args else None, ReadTimeoutError):
                    raise PacsSlowError(silent) from error
                raise _broken(error, what) from error
            except (
                *(requests.RequestException, RetryError, InvalidDicomError, EOFError),
                *(ValueError, TypeError, KeyError, AttributeError, NotImplementedError),
            ) as error:
                raise PacsError(
                    f"what the DICOMweb server answered while {what} cannot be read "
                    f"({type(error).__name__})"
                ) from error

    def _client(self, session: requests.Session) -> DICOMwebClient:
        query, retrieve, store = self._settings.prefixes
        client = DICOMwebClient(
            self._settings.url,
            session=session,
            qido_url_prefix=query,
            wado_url_prefix=retrieve,
            stow_url_prefix=store,
        )
        client.set_http_retry_params(retry=False)  # otherwise a refusal takes half a minute
        return client


class _Session(requests.Session):
    """With time-outs and what gives access; certificates are checked, as always with requests."""

    def __init__(self, settings: PacsSettings) -> None:
        super().__init__()
        self._seconds = (_CONNECT_SECONDS, settings.seconds)
        self.auth = settings.login
        if settings.token:
            self.headers["Authorization"] = f"Bearer {settings.token}"

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As `requests`, never without a time-out."""
        kwargs["timeout"] = self._seconds
        (kwargs.get("headers") or {}).pop("Host", None)  # the client's own, which lacks the port
        return super().request(*args, **kwargs)


def _refusal(error: requests.HTTPError, what: str) -> PacsError | NotFoundError:
    status = error.response.status_code
    if status == 404:
        return NotFoundError(f"the DICOMweb server has no such thing (404) while {what}")
    if status in (401, 403):
        return PacsError(
            f"the DICOMweb server refuses this server's user or token ({status}) while {what}"
        )
    kind = PacsAwayError if status in _AWAY else PacsSlowError if status == 504 else PacsError
    return kind(f"the DICOMweb server answered with status {status} while {what}")


def _broken(error: requests.RequestException, what: str) -> PacsError:
    if isinstance(error, requests.exceptions.SSLError):
        return PacsError(f"the DICOMweb server's certificate is not trusted, while {what}")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return PacsError(f"the DICOMweb server broke off while {what}; nothing was kept")
    return PacsAwayError(f"the DICOMweb server cannot be reached while {what}")


def _series(record: Mapping[str, Any]) -> Series | None:
    """A series as a search tells it; None for one whose ids are none."""
    uid, study = (str(_value(record, tag) or "") for tag in (_SERIES, _STUDY))
    if not is_uid(uid) or not is_uid(study):
        return None
    facts = {name: str(_value(record, tag) or "") for name, tag in _FACTS.items()}
    count = facts.pop("instances")
    return Series(uid, study, **facts, instances=int(count) if count.isdigit() else None)


def _value(record: Mapping[str, Any], tag: str) -> Any:
    """The first value of an attribute in DICOM JSON (PS3.18 F.2), None without one."""
    values: Iterable[Any] = record.get(tag, {}).get("Value") or ()
    return next(iter(values), None)


def _declared_bytes(record: Mapping[str, Any]) -> int:
    rows, columns, bits, frames = (
        int(_value(record, tag) or least)
        for tag, least in (("00280010", 0), ("00280011", 0), ("00280100", 8), ("00280008", 1))
    )
    return rows * columns * frames * bits // 8


def _has(client: DICOMwebClient, instance: pydicom.Dataset) -> bool:
    """Whether the server finds the instance."""
    found = client.search_for_instances(
        instance.StudyInstanceUID,
        instance.SeriesInstanceUID,
        search_filters={"SOPInstanceUID": instance.SOPInstanceUID},
    )
    return any(_value(record, _INSTANCE) == instance.SOPInstanceUID for record in found)


def _checked(instance: pydicom.Dataset, series: Series) -> str:
    """The id of an instance that is one of `series` and whole. Raises `PacsError`."""
    uid = str(instance.SOPInstanceUID)
    wrong = None
    if not is_uid(uid) or str(instance.SeriesInstanceUID) != series.uid:
        wrong = "of another series"
    elif "PixelData" not in instance:
        wrong = "without pixels"
    elif len(instance.PixelData) < _whole_bytes(instance):
        wrong = "with fewer pixels than it declares"
    if wrong is not None:
        raise PacsError(f"the DICOMweb server sent an instance {wrong}; nothing was kept")
    return uid


def _whole_bytes(instance: pydicom.Dataset) -> int:
    """The bytes of its pixels; 0 for compressed ones, which the decoder counts."""
    if instance.file_meta.TransferSyntaxUID.is_compressed:
        return 0
    bits = int(instance.BitsAllocated) * int(instance.get("SamplesPerPixel", 1))
    frames = int(instance.get("NumberOfFrames") or 1)
    return int(instance.Rows) * int(instance.Columns) * frames * bits // 8

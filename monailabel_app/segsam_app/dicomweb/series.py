"""DICOM series by UID, and the saved list of those that the server had when it was last asked."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from segsam.errors import DamagedRecordError, OutputError
from segsam.system.atomic import write_json
from segsam.system.checked_json import parse_json, with_checksum, without_checksum
from segsam.system.records import sentence_of
from segsam_app.storage.damage import aside_name

logger = logging.getLogger(__name__)

_UID = re.compile(r"\d+(\.\d+)*", re.ASCII)


def is_uid(text: str) -> bool:
    """Return True for a DICOM UID: at most 64 digits and dots, so never a path (PS3.5 9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


@dataclass(frozen=True)
class Series:
    """Attributes of one series from a search; none of them identifies its patient."""

    uid: str
    study: str
    modality: str = ""
    date: str = ""
    description: str = ""
    instances: int | None = None

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    @property
    def info(self) -> dict[str, str]:
        """Attributes under the names that MONAI Label uses for an image."""
        return {
            "SeriesInstanceUID": self.uid,
            "StudyInstanceUID": self.study,
            "Modality": self.modality,
            "StudyDate": self.date,
            "SeriesDescription": self.description,
        }


_READER = TypeAdapter(list[Series])
_MAX_BYTES = 64 << 20


class SeriesList:
    """Series by UID, saved in `file` so that a start without the server still lists them.

    Safe for many threads. If the disk refuses, the list is kept in memory.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.damaged: tuple[Path, str] | None = None
        """Name under which a damaged list was set aside, and what was wrong with it."""
        self._series = self._read()

    @property
    def series(self) -> Mapping[str, Series]:
        """Series by UID; never changed in place."""
        return self._series

    def replace(self, series: Mapping[str, Series], keep: frozenset[str]) -> None:
        """Replace the list by what the server lists now; known series in `keep` stay as well."""
        with self._lock:
            others = {uid: known for uid, known in self._series.items() if uid in keep}
            self._write({**others, **series})

    def add(self, series: Series) -> None:
        """Add a series that was requested by its UID."""
        with self._lock:
            self._write({**self._series, series.uid: series})

    def _read(self) -> dict[str, Series]:
        """Return the saved list; a damaged one is set aside, and made again from the server."""
        try:
            return read_series(self._file)
        except FileNotFoundError:
            return {}
        except (DamagedRecordError, OSError) as error:
            aside = aside_name(self._file)
            why = f"{error}; the list is made again"
            self.damaged = (self._file, why)
            logger.warning("the list of series is damaged; it is made again: %s", error)
            with suppress(OSError):
                self._file.rename(aside)
                self.damaged = (aside, why)
            return {}

    def _write(self, series: dict[str, Series]) -> None:
        if series == self._series:
            return
        self._series = series
        try:
            listed = [asdict(known) for known in series.values()]
            write_json(self._file, with_checksum({"series": listed}))
        except OutputError as error:
            logger.warning("the list of series is kept in memory only: %s", error)


def read_series(file: Path) -> dict[str, Series]:
    """Read a saved list of series, by UID.

    Raises:
        DamagedRecordError: not such a list, or not what was written.
        FileNotFoundError, OSError: no file, or one that cannot be read.
    """
    value = parse_json(file.read_bytes(), _MAX_BYTES)
    if isinstance(value, dict):
        value = without_checksum(value).get("series")
    try:
        series = _READER.validate_json(json.dumps(value))
    except ValidationError as error:
        raise DamagedRecordError(sentence_of(error)) from error
    if not all(is_uid(known.uid) and is_uid(known.study) for known in series):
        raise DamagedRecordError("it holds an id that is no UID")
    return {known.uid: known for known in series}

"""DICOM series by UID, and the saved list of those that the server had when it was last asked."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from segsam.errors import OutputError
from segsam.system.atomic import write_json

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


class SeriesList:
    """Series by UID, saved in `file` so that a start without the server still lists them.

    Safe for many threads. If the disk refuses, the list is kept in memory.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._series = _read(file)

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

    def _write(self, series: dict[str, Series]) -> None:
        if series == self._series:
            return
        self._series = series
        try:
            write_json(self._file, [asdict(known) for known in series.values()])
        except OutputError as error:
            logger.warning("the list of series is kept in memory only: %s", error)


def _read(file: Path) -> dict[str, Series]:
    try:
        series = [Series(**record) for record in json.loads(file.read_bytes())]
        return {known.uid: known for known in series if is_uid(known.uid) and is_uid(known.study)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        logger.warning("the list of series cannot be read; it is made again: %s", error)
        return {}

"""Series by their ids, and the list of those that the server had when it was last asked."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from segsam.errors import OutputError
from segsam.system.atomic import write_bytes

logger = logging.getLogger(__name__)

_UID = re.compile(r"\d+(\.\d+)*", re.ASCII)


def is_uid(text: str) -> bool:
    """Whether `text` is an id of DICOM: at most 64 digits and dots, no path (PS3.5 9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


@dataclass(frozen=True)
class Series:
    """What a search tells of one series; nothing of its patient."""

    uid: str
    study: str
    modality: str = ""
    date: str = ""
    description: str = ""
    instances: int | None = None

    @property
    def info(self) -> dict[str, str]:
        """As MONAI Label names the facts of an image."""
        return {
            "SeriesInstanceUID": self.uid,
            "StudyInstanceUID": self.study,
            "Modality": self.modality,
            "StudyDate": self.date,
            "SeriesDescription": self.description,
        }


class Known:
    """The series that may be asked for, in `file`: a start while the server is away knows them.

    Safe from any thread. What the disk refuses is known in memory.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._series = _read(file)

    @property
    def series(self) -> Mapping[str, Series]:
        """By id; never changed in place."""
        return self._series

    def replace(self, series: Mapping[str, Series], kept: frozenset[str]) -> None:
        """The server lists these now; of those it no longer lists, the ids in `kept` stay."""
        with self._lock:
            others = {uid: known for uid, known in self._series.items() if uid in kept}
            self._write({**others, **series})

    def add(self, series: Series) -> None:
        """One more, which was asked for by its id."""
        with self._lock:
            self._write({**self._series, series.uid: series})

    def _write(self, series: dict[str, Series]) -> None:
        if series == self._series:
            return
        self._series = series
        records = [asdict(known) for known in series.values()]
        try:
            write_bytes(self._file, json.dumps(records, indent=1).encode())
        except OutputError as error:
            logger.warning("the list of series is kept in memory only: %s", error)


def _read(file: Path) -> dict[str, Series]:
    try:
        series = [Series(**record) for record in json.loads(file.read_bytes())]
        return {known.uid: known for known in series if is_uid(known.uid) and is_uid(known.study)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        logger.warning("the list of series cannot be read and is made anew: %s", error)
        return {}

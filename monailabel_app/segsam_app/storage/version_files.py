"""Names of the files of one label and of its versions, and the numbers that these names carry.

No number is given twice: the next one is above that of every file in the folder, whatever it is.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path

from segsam_app.storage.label_checks import FOUND_ENDINGS
from segsam_app.storage.label_record import LabelVersion

VERSIONS = ".versions"
MOST_VERSIONS = 10**9
NUMBERED = re.compile(r"([0-9]{4,})(\.pending)?(\.[A-Za-z.]+)?")
_CARRIES = re.compile(r"([0-9]{4,})(?:\.|$)")


class VersionFiles:
    """Files of the label of image `image_id` in `labels` = labels/<tag>."""

    def __init__(self, labels: Path, image_id: str) -> None:
        self._labels, self.image_id = labels, image_id
        self.folder = labels / VERSIONS / image_id

    def current_file(self, ending: str) -> Path:
        """Return the path of the current label in the format with this ending."""
        return self._labels / f"{self.image_id}{ending}"

    def file(self, version: LabelVersion) -> Path:
        """Return the path of the voxels of `version`."""
        return self.folder / f"{version.number:04d}{version.ending}"

    def record_file(self, number: int) -> Path:
        """Return the path of the record of a version."""
        return self.folder / f"{number:04d}.json"

    def pending_record(self, number: int) -> Path:
        """Return the path of the record of a version that is being committed."""
        return self.folder / f"{number:04d}.pending.json"

    def pending_file(self, version: LabelVersion) -> Path:
        """Return the path of the copy of `version` that is about to become current."""
        return self.folder / f"{version.number:04d}.pending{version.ending}"

    def endings(self, also: Iterable[str] = ()) -> set[str]:
        """Return the endings of the current label's files, as they are spelled.

        There may be several, of other programs or after a kill. Spellings in small or large letters
        are found, and those in `also`.
        """
        found: dict[tuple[int, int], str] = {}
        for ending in (*FOUND_ENDINGS, *map(str.upper, FOUND_ENDINGS), *sorted(also)):
            file = self.current_file(ending)
            if file.is_file() and not file.is_symlink():
                status = file.stat()  # the same file twice where letters do not differ
                found.setdefault((status.st_dev, status.st_ino), ending)
        return set(found.values())

    def last_number(self) -> int:
        """Return the number of the last version, readable or not; 0 for none."""
        return max(self.recorded(), default=0)

    def next_number(self) -> int:
        """Return the number of the next version. Raises OSError if there is none left."""
        carried = (_CARRIES.match(name) for name in self._names())
        numbers = (int(match[1]) for match in carried if match)
        number = max((each for each in numbers if each <= MOST_VERSIONS), default=0) + 1
        if number > MOST_VERSIONS:
            raise OSError(
                errno.EOVERFLOW,
                f"expected numbers of versions below {MOST_VERSIONS}, got a file that carries it "
                f"in {VERSIONS}/{self.image_id}; move it away",
            )
        return number

    def recorded(self) -> set[int]:
        """Return the numbers of the versions that have a record, readable or not."""
        return self._numbers_of_records(is_waiting=False)

    def waiting(self) -> set[int]:
        """Return the numbers of the versions whose commit has begun and not ended."""
        return self._numbers_of_records(is_waiting=True)

    def without_record(self) -> list[Path]:
        """Return the voxels of versions whose record is gone, by number; not those that are being
        committed.
        """
        recorded, found = self.recorded(), []
        for match in self._numbered():
            number, ending = int(match[1]), match[3]
            if match[2] or not ending or ending == ".json" or number in recorded:
                continue
            file = self.folder / match[0]
            # A commit renames the waiting record to its name: looked at in this order, one is seen.
            names = (self.pending_record(number), self.record_file(number))
            if not any(map(os.path.lexists, names)) and os.path.lexists(file):
                found.append(file)
        return sorted(found, key=lambda file: (number_of(file), file.name))

    def _numbers_of_records(self, *, is_waiting: bool) -> set[int]:
        records = (match for match in self._numbered() if match[3] == ".json")
        found = {match[1]: int(match[1]) for match in records if bool(match[2]) == is_waiting}
        return {number for digits, number in found.items() if digits == f"{number:04d}"}

    def _numbered(self) -> list[re.Match[str]]:
        return [match for match in map(NUMBERED.fullmatch, self._names()) if match]

    def _names(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []


def number_of(file: Path) -> int:
    """Return the number in the name of a version's file; 0 for none."""
    match = NUMBERED.fullmatch(file.name)
    return int(match[1]) if match else 0

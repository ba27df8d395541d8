"""Versions of one label as they lie on the disk: records and voxels are read and compared with what
was saved, and what is damaged, missing or without a record is listed.

Nothing is changed, so no lock is needed.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from segsam.errors import DamagedRecordError
from segsam_app.errors import NotFoundError
from segsam_app.storage.damage import DamageList
from segsam_app.storage.disk import (
    in_the_way,
    open_regular,
    read_regular,
    sentence_of_place,
    sha256_of,
    sha256_of_stream,
    stamp_of,
)
from segsam_app.storage.label_record import LabelVersion, read_version
from segsam_app.storage.version_files import MOST_VERSIONS, VersionFiles, number_of


class KeptVersions(VersionFiles):
    """Reader of the versions of the label of image `image_id` in `labels` = labels/<tag>."""

    def __init__(self, labels: Path, image_id: str, damage: DamageList | None = None) -> None:
        """`damage` lists the files that cannot be used."""
        super().__init__(labels, image_id)
        self.damage = damage or DamageList(labels)

    def all(self) -> list[LabelVersion]:
        """Return all readable versions, oldest first. Voxels without a record are listed."""
        for file in self.without_record():
            self.note_without_record(file)
        found = (self.get(number) for number in sorted(self.recorded()))
        return [version for version in found if version is not None]

    def get(self, number: int) -> LabelVersion | None:
        """Return a version, or None if it does not exist or cannot be read (which is listed).

        A number that no version can have names no file, so nothing is damaged then.
        """
        if not 1 <= number <= MOST_VERSIONS:
            return None
        record = self.record_file(number)
        try:
            version = read_version(read_regular(record), number)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note(record, error.strerror or type(error).__name__)
            return None
        except DamagedRecordError as error:
            self._note(record, str(error))
            return None
        self.damage.clear(record)
        file = self.file(version)
        if version.kind == "removed" or stamp_of(file) is not None:
            return version
        found = in_the_way(file)
        self._note(file, sentence_of_place(file.name, found) if found else "it is missing")
        return None

    def note_without_record(self, file: Path, why: str = "") -> None:
        """List voxels whose record is gone, until they or their record are changed; `why` says why
        they cannot become a version again.
        """
        record = self.record_file(number_of(file)).name
        sentence = f"version {number_of(file)} of the label has no record ({record}): "
        if why:
            sentence += (
                f"its voxels are kept, and not used: {why.rstrip('.')}; put the record back "
            )
            self._note(file, f"{sentence}from a backup, or move the file elsewhere")
        elif not self.damage.is_listed(file):
            sentence += "its voxels are kept, and become a version again (found) with the next save"
            self._note(file, f"{sentence} or start; or put the record back from a backup")

    def _note(self, file: Path, why: str) -> None:
        """List a file of a version, and look at it again when it or the record has changed."""
        number = number_of(file)
        self.damage.note(file, why, partial(self._look, number), self.record_file(number))

    def _look(self, number: int) -> None:
        """List what is wrong with the files of one version. Raises OSError."""
        version = self.get(number)
        if version is not None and version.kind != "removed":
            with suppress(NotFoundError):
                self.voxels_of(version)
        for file in self.without_record():
            if number_of(file) == number:
                self.note_without_record(file)

    def with_voxels(self, number: int) -> LabelVersion:
        """Return a version that has voxels. Raises `NotFoundError`."""
        version = self.get(number)
        if version is None or version.kind == "removed":
            raise NotFoundError(f"the label has no version {number!r:.20}")
        return version

    def voxels_of(self, version: LabelVersion) -> Path:
        """Return a file with exactly the voxels that `version` was saved with.

        That is its own, or else another one with its SHA-256: the current label, or a version that
        restored it. Raises `NotFoundError` if no file has them any more, OSError.
        """
        own = self.file(version)
        if not version.sha256:  # a record that was written without one
            return own
        if sha256_of(own) == version.sha256:
            self.damage.clear(own)
            return own
        self._note(own, "it is not what was saved: its SHA-256 is another")
        others = [self.file(one) for one in self.all() if one.sha256 == version.sha256]
        for file in [self.current_file(version.ending), *others]:
            if file.is_file() and sha256_of(file) == version.sha256:
                return file
        raise damaged_version(version)

    def open_voxels(self, version: LabelVersion) -> BinaryIO:
        """Open a file with exactly the voxels that `version` was saved with, as `voxels_of` does.

        What is read from it is what was compared, whatever takes the name of the file meanwhile.
        """
        stream = open_regular(self.voxels_of(version))
        if version.sha256 and sha256_of_stream(stream) != version.sha256:
            stream.close()
            raise damaged_version(version)
        stream.seek(0)
        return stream

    def check(self) -> None:
        """Read all records, and compare all voxels with their SHA-256; what is damaged is listed.

        Raises OSError if the folder cannot be read.
        """
        for version in self.all():
            if version.kind == "removed":
                continue
            try:
                self.voxels_of(version)
            except NotFoundError:
                continue
            except OSError as error:
                self._note(self.file(version), error.strerror or type(error).__name__)

    def newest(self) -> LabelVersion | None:
        """Return the newest version that was current; it may be a removal."""
        for number in sorted(self.recorded(), reverse=True):
            version = self.get(number)
            if version is not None and version.was_current:
                return version
        return None


def damaged_version(version: LabelVersion) -> NotFoundError:
    """Return the error of a version whose voxels are nowhere any more."""
    return NotFoundError(
        f"version {version.number} of the label is damaged on the disk: its voxels are not "
        "those that were saved; other versions are not affected"
    )

"""Labels that another program wrote beside ours: checked, and remembered where they are refused.

Such a file is read as an upload is. One that cannot be read, or lies elsewhere than its image, is
listed as damaged and stays where it is; it is read again only when it has changed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import VolumeError
from segsam.imaging.formats.metaimage import data_file_of
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.image_files import ending_of
from segsam.imaging.label_files import placement_of
from segsam.imaging.readers import read_image
from segsam.imaging.writers import write_image
from segsam_app.storage.damage import DamageList
from segsam_app.storage.disk import FileStamp, stamp_of
from segsam_app.storage.label_checks import FOUND_ENDINGS, CheckedLabel, check_label

FOUND = ".found"
"""Folder beside the labels for files of other programs that consist of several."""

_WRITING_SECONDS = 10.0
"""A file that was changed more recently may still be being written."""


@dataclass(frozen=True)
class FoundLabel:
    """Label of another program that may become a version, and the state that it was read in."""

    file: Path
    stamp: FileStamp
    label: CheckedLabel

    @property
    def has_data_file(self) -> bool:
        """True if its voxels are in a second file."""
        return self.label.ending == ".mhd"

    @property
    def has_changed(self) -> bool:
        """True if the file is not any more what was checked."""
        return stamp_of(self.file) != self.stamp

    @contextmanager
    def as_one_file(self) -> Iterator[tuple[Path, str]]:
        """Yield a single file with the label, and its ending. Raises VolumeError, OSError."""
        if not self.has_data_file:
            yield self.file, self.label.ending
            return
        raw = read_image(self.file)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "label.mha"
            native = raw.voxels.astype(raw.voxels.dtype.newbyteorder("="))
            write_image(file, native, raw.affine_ras)
            yield file, ".mha"

    def put_away(self) -> None:
        """Move the file and its data file to a folder beside the labels. Raises OSError."""
        folder = self.file.parent / FOUND / f"{self.file.stem}-{time.time_ns()}"
        data = data_file_of(self.file)
        folder.mkdir(parents=True)
        self.file.rename(folder / self.file.name)
        if data is not None:
            data.rename(folder / data.name)


class FoundLabels:
    """Checks of other programs' labels, for one store."""

    def __init__(self, damage: DamageList) -> None:
        self._damage = damage
        self._refused: dict[Path, tuple[FileStamp, str]] = {}
        self._lies_right: dict[Path, FileStamp] = {}

    @property
    def refused(self) -> Mapping[Path, FileStamp]:
        """Files that were refused, and the state in which they were."""
        return {file: stamp for file, (stamp, _) in self._refused.items()}

    def check(self, file: Path, image: RawGrid) -> FoundLabel | None:
        """Return the label in a file, or None for one that cannot be used on `image`."""
        stamp = stamp_of(file)
        if stamp is None or self._is_refused(file, stamp):
            return None
        try:
            label = check_label(file, image, FOUND_ENDINGS)
        except VolumeError as error:
            self._refuse(file, stamp, str(error))
            return None
        self._accept(file)
        return FoundLabel(file, stamp, label)

    def lies_on(self, file: Path, image: RawGrid) -> bool:
        """Return True if the label in a file lies on `image`, as far as its header tells."""
        stamp = stamp_of(file)
        if stamp is None or self._is_refused(file, stamp):
            return False
        if self._lies_right.get(file) == stamp:
            return True
        try:
            placement_of(file, image)
        except VolumeError as error:
            self._refuse(file, stamp, str(error))
            return False
        self._accept(file)
        self._lies_right[file] = stamp
        return True

    def refused_in(self, folder: Path) -> dict[str, tuple[Path, str]]:
        """Return image id -> file and reason, for the files that were refused in a folder."""
        return {
            file.name[: -len(ending_of(file.name, FOUND_ENDINGS) or "")]: (file, why)
            for file, (_, why) in sorted(self._refused.items())
            if file.parent == folder
        }

    def why(self, file: Path) -> str:
        """Return why a file was refused."""
        return self._refused[file][1] if file in self._refused else ""

    def may_be_unfinished(self, file: Path) -> bool:
        """Return True if a file was changed a moment ago, by whatever clock."""
        stamp = stamp_of(file)
        now_ns = time.time_ns()
        return stamp is not None and abs(now_ns - stamp.modified_ns) < _WRITING_SECONDS * 1e9

    def forget_missing(self) -> None:
        """Forget files that are gone."""
        for file in [each for each in self._refused if stamp_of(each) is None]:
            self._accept(file)

    def _is_refused(self, file: Path, stamp: FileStamp) -> bool:
        refused = self._refused.get(file)
        return refused is not None and refused[0] == stamp

    def _refuse(self, file: Path, stamp: FileStamp, why: str) -> None:
        self._refused[file] = (stamp, why)
        self._damage.note(file, why)

    def _accept(self, file: Path) -> None:
        if self._refused.pop(file, None) is not None:
            self._damage.clear(file)

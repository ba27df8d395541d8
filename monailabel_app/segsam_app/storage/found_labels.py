"""Labels that another program wrote beside ours: checked, and remembered where they are refused.

Such a file is read as an upload is. One that cannot be read, or lies elsewhere than its image, or
is an image itself, is listed as damaged and stays where it is; it is read again only when it, or
the grid of its image, has changed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from segsam.errors import LabelError, VolumeError
from segsam.imaging.formats.metaimage import data_file_of
from segsam.imaging.formats.nrrd_file import stored_nrrd
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.image_files import ending_of, kind_of, stem_of
from segsam.imaging.label_files import placement_of
from segsam.imaging.label_geometry import describe_grid
from segsam.imaging.readers import read_grid
from segsam_app.storage.damage import ASIDE, DamageList
from segsam_app.storage.disk import (
    FileStamp,
    copy_whole,
    give_back,
    sha256_of,
    stamp_of,
)
from segsam_app.storage.label_checks import (
    FOUND_ENDINGS,
    STORED_ENDINGS,
    CheckedLabel,
    as_stored,
    check_label,
)
from segsam_app.storage.label_metadata import GRID_NOTE, IMAGE_NOTE

FOUND = ".found"
"""Folder beside the labels for files of other programs that were converted."""

_WRITING_SECONDS = 10.0
"""A file that was changed more recently may still be being written."""

_State = tuple[FileStamp, bytes]
"""State of a file, and the grid of the image that it was compared with."""


class ImageNote(NamedTuple):
    """Note about a label whose image is another one now: a clause, and its key in the metadata."""

    key: str
    clause: str


@dataclass(frozen=True)
class FoundLabel:
    """Label of another program that may become a version, and the state that it was read in."""

    file: Path
    stamp: FileStamp
    label: CheckedLabel
    image: RawGrid
    content: Path
    """The file itself, or a copy of it that only the store writes."""

    @property
    def has_changed(self) -> bool:
        """True if the file is not any more what was checked; a copy always is."""
        return self.content == self.file and stamp_of(self.file) != self.stamp

    def as_stored(self) -> AbstractContextManager[tuple[Path, str]]:
        """Yield a file in a format that is stored, and its ending. Raises VolumeError, OSError."""
        return as_stored(self.content, self.image, self.label)

    def put_away(self) -> None:
        """Move the file and its data file to a folder beside the labels.

        Another one, which a program has put there meanwhile, stays there. Raises OSError.
        """
        folder = self.file.parent / FOUND / f"{self.file.stem}-{time.time_ns()}"
        moved, data = folder / self.file.name, data_file(self.file)
        folder.mkdir(parents=True)
        self.file.rename(moved)
        stamp = stamp_of(moved)
        if stamp is not None and stamp[:3] != self.stamp[:3] and give_back(moved, self.file):
            folder.rmdir()
        elif data is not None:
            data.rename(folder / data.name)


class FoundLabels:
    """Checks of other programs' labels, for one store."""

    def __init__(self, damage: DamageList) -> None:
        self._damage = damage
        self._refused: dict[Path, tuple[_State, str]] = {}
        self._good: dict[Path, tuple[_State, CheckedLabel]] = {}
        self._lies_right: dict[Path, _State] = {}
        self._of_another_image: dict[Path, tuple[_State, ImageNote | None]] = {}
        self._digests: dict[Path, tuple[FileStamp, str]] = {}
        self.kept: dict[Path, FileStamp] = {}
        """Files that were set aside, in the states in which they are versions."""

    @property
    def refused(self) -> Mapping[Path, FileStamp]:
        """Files that were refused, and the state in which they were."""
        return {file: state[0] for file, (state, _) in self._refused.items()}

    def check(self, file: Path, image: RawGrid, copies: Path | None = None) -> FoundLabel | None:
        """Return the label in a file, or None for one that cannot be used on `image`.

        A label that lies in one file is copied to the folder `copies` first: what is checked is
        then what is recorded, whatever takes the place of the file meanwhile. One that is being
        written is not looked at yet. Raises OSError.
        """
        stamp = stamp_of(file)
        if stamp is None or self._is_refused(file, _state(stamp, image)):
            return None
        name, content = ASIDE.sub("", file.name), file
        if copies is not None and data_file(file) is None:
            content = copies / name
            content.unlink(missing_ok=True)
            stamp = copy_whole(file, content)
            if stamp is None:
                return None
        state, known = _state(stamp, image), self._good.get(file)
        if known is not None and known[0] == state:
            return FoundLabel(file, stamp, known[1], image, content)
        try:
            label = check_label(content, image, FOUND_ENDINGS)
        except VolumeError as error:
            why = str(error)
            self._refuse(file, state, why if name == file.name else _about_aside(file, why))
            return None
        self.accept(file)
        self._good[file] = state, label
        return FoundLabel(file, stamp, label, image, content)

    def is_refused(self, file: Path, image: RawGrid) -> bool:
        """Return True if a file was refused in the state in which it is, or is gone."""
        stamp = stamp_of(file)
        return stamp is None or self._is_refused(file, _state(stamp, image))

    def leave_aside(self, file: Path, why: str) -> None:
        """List a file that was set aside and cannot be looked at."""
        self._damage.note(file, _about_aside(file, why))

    def lies_on(self, file: Path, image: RawGrid) -> bool:
        """Return True if the label in a file lies on `image`, as far as its header tells."""
        stamp = stamp_of(file)
        if stamp is None or self._is_refused(file, state := _state(stamp, image)):
            return False
        if self._lies_right.get(file) == state:
            return True
        try:
            placement_of(file, image)
        except VolumeError as error:
            self._refuse(file, state, str(error))
            return False
        self.accept(file)
        self._lies_right[file] = state
        return True

    def of_another_image(
        self, file: Path, image_id: str, image: RawGrid, was: str = "", now: str = ""
    ) -> ImageNote | None:
        """Return what is to say about a label whose image is another one now: it lies on another
        grid, or had the SHA-256 `was` when the label was made and has another one `now` ("":
        unknown). None for a label of its image. Only headers are read, once for each state.
        """
        stamp = stamp_of(file)
        if stamp is None:
            return None
        (_, grid), known = _state(stamp, image), self._of_another_image.get(file)
        state = stamp, grid + f" {was} {now}".encode()
        if known is not None and known[0] == state:
            return known[1]
        note = _why_on_another_grid(file, image_id, image)
        if note is None and was and now and was != now:
            note = ImageNote(IMAGE_NOTE, _of_other_content(image_id))
        self._of_another_image[file] = state, note
        if note is not None:
            self._damage.note(file, note.clause)
        elif known is not None and known[1] is not None:
            self._damage.clear(file)
        return note

    def was_compared(self, file: Path) -> bool:
        """Return True if a label was compared with its image, in whatever state."""
        return file in self._of_another_image

    def refuse(self, file: Path, why: str) -> None:
        """List a file that can be no label, whatever it holds."""
        stamp = stamp_of(file)
        if stamp is not None and (file not in self._refused or why != self.why(file)):
            self._refuse(file, (stamp, b""), why)

    def refuse_unless_stored(self, file: Path) -> None:
        """List a file that would have to be converted, in a folder that can only be read."""
        if ending_of(file.name, STORED_ENDINGS) is None:
            self.refuse(
                file,
                "it has to be converted, and the study folder can only be read; expected "
                f"{', '.join(STORED_ENDINGS)}",
            )

    def refused_in(self, folder: Path) -> dict[str, tuple[Path, str]]:
        """Return image id -> file and reason, for the files that were refused in a folder."""
        compared = dict(self._of_another_image)  # others may add to it meanwhile
        moved = {file: note.clause for file, (_, note) in compared.items() if note is not None}
        refused = {file: why for file, (_, why) in self._refused.items()}
        return {
            _id_of(file): (file, why)
            for file, why in sorted({**moved, **refused}.items())
            if file.parent == folder and not ASIDE.search(file.name)
        }

    def why(self, file: Path) -> str:
        """Return why a file was refused."""
        return self._refused[file][1] if file in self._refused else ""

    def digest(self, file: Path) -> str:
        """Return the SHA-256 of a file, read again only when it has changed. Raises OSError."""
        stamp, known = stamp_of(file), self._digests.get(file)
        if known is not None and known[0] == stamp:
            return known[1]
        digest = sha256_of(file)
        if stamp is not None and stamp_of(file) == stamp:
            self._digests[file] = stamp, digest
        return digest

    def state_of(self, file: Path, sha256: str) -> FileStamp | None:
        """Return the state in which a file has this SHA-256; None if it has another one."""
        self.digest(file)
        known = self._digests.get(file)
        return known[0] if known is not None and known[1] == sha256 else None

    def may_be_unfinished(self, file: Path) -> bool:
        """Return True if a file was changed a moment ago, by whatever clock."""
        stamp = stamp_of(file)
        now_ns = time.time_ns()
        return stamp is not None and abs(now_ns - stamp.modified_ns) < _WRITING_SECONDS * 1e9

    def may_grow(self, file: Path) -> bool:
        """Return True for a file that may be read as a label before it is whole, and is new.

        A compressed one cannot be read before its end.
        """
        is_compressed = ASIDE.sub("", file.name).lower().endswith(".gz")
        return not is_compressed and self.may_be_unfinished(file)

    def forget_missing(self) -> None:
        """Forget files that are gone."""
        for file in [each for each in self._refused if stamp_of(each) is None]:
            self.accept(file)
        for file, (_, note) in dict(self._of_another_image).items():
            if stamp_of(file) is None:
                self._of_another_image.pop(file, None)
                if note is not None:
                    self._damage.clear(file)
        for known in (self._good, self._lies_right, self._digests, self.kept):
            for file in [each for each in known if stamp_of(each) is None]:
                known.pop(file, None)

    def _is_refused(self, file: Path, state: _State) -> bool:
        refused = self._refused.get(file)
        return refused is not None and refused[0] == state

    def _refuse(self, file: Path, state: _State, why: str) -> None:
        self._refused[file] = (state, why)
        self._damage.note(file, why)

    def accept(self, file: Path) -> None:
        """Take a file off the list of those that were refused."""
        if self._refused.pop(file, None) is not None:
            self._damage.clear(file)


def _about_aside(file: Path, why: str) -> str:
    image_id = _id_of(file.with_name(ASIDE.sub("", file.name)))
    return (
        f"it lay where the label of the image {image_id!r} has to be, and is not used: "
        f"{why.rstrip('.')}; look at it, then delete it"
    )


def _why_on_another_grid(file: Path, image_id: str, image: RawGrid) -> ImageNote | None:
    try:
        placement_of(file, image)
    except LabelError:
        label = describe_grid(read_grid(file))
        return ImageNote(
            GRID_NOTE,
            f"the label of {image_id} lies on another grid than its image has now: the label: "
            f"{label}; the image: {describe_grid(image)}; look at it, and save it anew",
        )
    except VolumeError:
        return None  # what cannot be read is named elsewhere
    return None


def _of_other_content(image_id: str) -> str:
    return (
        f"the label of {image_id} is of another image than lies there now: the grid is the same, "
        "the content is not; put the earlier image back, or look at the label and save it anew"
    )


def _id_of(file: Path) -> str:
    kind = kind_of(file.name)
    return file.stem if kind is None else stem_of(file.name, kind)


def _state(stamp: FileStamp, image: RawGrid) -> _State:
    return stamp, repr(image.shape_ijk).encode() + image.affine_ras.tobytes()


def data_file(file: Path) -> Path | None:
    """Return the file with the voxels of a header; None if they are in the same file."""
    with suppress(VolumeError):
        if file.name.lower().endswith(".mhd"):
            return data_file_of(file)
        if file.name.lower().endswith(".nhdr"):
            stored = stored_nrrd(file)
            return None if stored is None or stored.path == file else stored.path
    return None

"""Image files of the study folder: written once, never over another, never through a path."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import VolumeError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.readers import read_grid
from segsam_app.errors import ConflictError, RequestError
from segsam_app.ids import checked_id
from segsam_app.storage.checks import check_image
from segsam_app.storage.durable import PARTIAL, copy_durably, disk, flush, sha256_of
from segsam_app.storage.scan import Scanner

REMOVED = ".removed"


@dataclass(frozen=True)
class NewImage:
    """An image that may be kept."""

    id: str
    ending: str


@dataclass(frozen=True)
class StagedImage:
    """A flushed copy in the study folder, not listed."""

    file: Path
    sha256: str


class ImageFiles:
    """The images in `folder`. `keep`, `check_same` and `hide` need the store's lock."""

    def __init__(self, folder: Path, scanner: Scanner) -> None:
        self._folder, self._scanner = folder, scanner
        self._grids: dict[Path, tuple[tuple[int, int], RawGrid]] = {}

    def checked(self, image_id: str, source: Path) -> NewImage:
        """The id and ending under which `source` may be kept.

        Raises VolumeError for what cannot be segmented or is no image here, `RequestError` for an
        id that is none.
        """
        ending = self._scanner.image_ending(source.name)
        if ending is None:
            raise VolumeError(
                f"{source.name[-40:]!r} is of no format that is kept as an image here"
            )
        image_id = checked_id("image", image_id or source.name[: -len(ending)])
        if image_id.lower().endswith(".seg"):
            raise RequestError(f"an image id does not end in .seg; got {image_id!r:.80}")
        check_image(source)
        return NewImage(image_id, ending)

    @contextmanager
    def staged(self, source: Path) -> Iterator[StagedImage]:
        """A copy of `source` beside its place; gone afterwards unless kept. Raises
        `OutputError`.
        """
        file = self._folder / f".{secrets.token_hex(8)}{PARTIAL}"
        try:
            with disk("Keeping the image"):
                sha256 = copy_durably(source, file)
            yield StagedImage(file, sha256)
        finally:
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def keep(self, image: NewImage, staged: StagedImage) -> str:
        """Give the copy its name, which is returned. Raises `OutputError`, `ConflictError`."""
        name = image.id + image.ending
        place = self._folder / name
        if place.exists() or place.is_symlink():
            self.check_same(image, image.ending, staged)
            return name
        with disk("Keeping the image"):
            staged.file.replace(place)
            flush(self._folder)
        return name

    def check_same(self, image: NewImage, ending: str, staged: StagedImage) -> None:
        """Raises `ConflictError` unless the kept image is the same file, byte for byte."""
        with disk("Reading the image"):
            is_same = sha256_of(self._folder / f"{image.id}{ending}") == staged.sha256
        if not is_same:
            raise ConflictError(
                f"there is an image {image.id!r} already, with other content; images are never "
                "overwritten: choose another id"
            )

    def grid(self, image_id: str, ending: str) -> RawGrid:
        """Where the image's voxels lie, from its header; kept until the file changes.

        Raises VolumeError.
        """
        path = self._folder / f"{image_id}{ending}"
        with disk("Reading the image"):
            found = path.stat()
        stamp = (found.st_mtime_ns, found.st_size)
        kept = self._grids.get(path)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        grid = read_grid(path)
        self._grids[path] = (stamp, grid)
        return grid

    def hide(self, image_id: str, ending: str) -> None:
        """Move the image's file to the folder `.removed`. Raises OSError."""
        folder = self._folder / REMOVED
        folder.mkdir(exist_ok=True)
        name = f"{image_id}-{secrets.token_hex(4)}{ending}"
        (self._folder / f"{image_id}{ending}").replace(folder / name)
        flush(self._folder)

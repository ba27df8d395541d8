"""Image files of the study folder: written once, never overwritten, never through a path."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import VolumeError
from segsam.imaging.dicom_series import DicomSeries
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.readers import read_grid
from segsam.imaging.volume import Volume
from segsam_app.errors import ConflictError, NotFoundError, RequestError
from segsam_app.ids import checked_id
from segsam_app.storage.disk import (
    PARTIAL,
    FileStamp,
    copy,
    flush,
    output_errors,
    sha256_of,
    stamp_of,
)
from segsam_app.storage.found_labels import data_file
from segsam_app.storage.scan import FolderScanner
from segsam_app.storage.series import SeriesFiles

REMOVED = ".removed"


@dataclass(frozen=True)
class StagedImage:
    """Checked and flushed copy of an image in the study folder that is not listed yet."""

    id: str
    ending: str
    file: Path
    sha256: str


class ImageFiles:
    """Images in `folder`. `add`, `check_same` and `hide` need the store's write lock."""

    def __init__(self, folder: Path, scanner: FolderScanner) -> None:
        self._folder, self._scanner = folder, scanner
        self._series = SeriesFiles(folder)
        self._grids: dict[Path, tuple[FileStamp, RawGrid]] = {}
        """Cache of grids, each with the state of its file."""

    @contextmanager
    def staged(self, image_id: str, source: Path) -> Iterator[StagedImage]:
        """Check `source` and copy it into the study folder.

        Without an `image_id` the id is the file's name. A copy that was not added is removed
        afterwards. Raises VolumeError for a file that cannot be segmented or is not an image here,
        `RequestError` for an invalid id, `OutputError`.
        """
        ending = self._scanner.image_ending(source.name)
        if ending is None:
            raise VolumeError(
                f"{source.name[-40:]!r} has no format that is accepted as an image; DICOM series "
                "are put into the study folder, or sent as a session"
            )
        image_id = checked_id("image", image_id or source.name.removesuffix(ending))
        if image_id.lower().endswith(".seg"):
            raise RequestError(f"an image id must not end in .seg, got {image_id!r:.80}")
        if self._scanner.image_ending(image_id + ending) != ending:
            raise RequestError(
                f"an image id must not end as the name of a label does, got {image_id!r:.80}"
            )
        Volume.load(source)  # raises VolumeError
        file = self._folder / f".{secrets.token_hex(8)}{PARTIAL}"
        try:
            with output_errors("Saving the image"):
                sha256 = copy(source, file)
                flush(file)
            yield StagedImage(image_id, ending, file, sha256)
        finally:
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def add(self, image: StagedImage) -> str:
        """Give the copy its final name and return it. Raises `OutputError`, `ConflictError`."""
        name = image.id + image.ending
        path = self._folder / name
        if path.exists() or path.is_symlink():
            self.check_same(image, image.ending)
            return name
        with output_errors("Saving the image"):
            image.file.replace(path)
            flush(self._folder)
        return name

    def check_same(self, image: StagedImage, ending: str) -> None:
        """Raise `ConflictError` unless the stored image is the same file, byte for byte.

        `ending` is that of the stored image.
        """
        if image.id in self._scanner.series:
            raise ConflictError(f"the image {image.id!r} is a DICOM series; choose another id")
        with output_errors("Reading the image"):
            is_same = sha256_of(self._folder / f"{image.id}{ending}") == image.sha256
        if not is_same:
            raise ConflictError(
                f"there is already an image {image.id!r} with other content; images are never "
                "overwritten, so choose another id"
            )

    def grid(self, image_id: str, ending: str) -> RawGrid:
        """Return the grid of an image, from its header; cached until the file changes.

        Raises VolumeError, `OutputError`, `NotFoundError` for an image that is gone.
        """
        path = self.path(image_id, ending)
        stamp = stamp_of(path)
        if stamp is None:
            raise NotFoundError(f"there is no image {image_id!r:.80} in the study folder any more")
        cached = self._grids.get(path)
        if cached is not None and cached[0] == stamp:
            return cached[1]
        grid = read_grid(path)
        self._grids[path] = (stamp, grid)
        return grid

    def path(self, image_id: str, ending: str) -> Path:
        """Return the file of an image; that of a DICOM series is made if there is none.

        Raises VolumeError for a series that cannot be read, `OutputError`.
        """
        series = self._scanner.series.get(image_id)
        if series is None:
            return self._folder / f"{image_id}{ending}"
        return self._series.file(image_id, series)

    def files(self, image_id: str, ending: str) -> list[Path]:
        """Return the files that hold an image: its slices, or its file and that of its voxels."""
        series = self._scanner.series.get(image_id)
        return files_of_image(self._folder, image_id, ending, series)

    def is_of_series(self, path: Path) -> bool:
        """Return True for the file of a DICOM series."""
        return self._series.id_of(path) in self._scanner.series

    def read(self, path: Path) -> Volume:
        """Read the image in a file of the store; a DICOM series is read from its slices.

        Raises VolumeError.
        """
        image_id = self._series.id_of(path)
        series = self._scanner.series.get(image_id or "")
        if image_id is None or series is None:
            return Volume.load(path)
        return self._series.read(image_id, series)

    def check_removable(self, image_id: str) -> None:
        """Raise `RequestError` for a DICOM series: its slices are not the server's to remove."""
        if image_id in self._scanner.series:
            raise RequestError(
                f"the image {image_id!r} is a DICOM series: remove its files from the study folder"
            )

    def hide(self, image_id: str, ending: str) -> None:
        """Move the image's file to the folder `.removed`. Raises OSError."""
        folder = self._folder / REMOVED
        folder.mkdir(exist_ok=True)
        name = f"{image_id}-{secrets.token_hex(4)}{ending}"
        (self._folder / f"{image_id}{ending}").replace(folder / name)
        flush(self._folder)


def files_of_image(
    folder: Path, image_id: str, ending: str, series: DicomSeries | None
) -> list[Path]:
    """Return the files in a study folder that hold an image, which may be a DICOM series."""
    if series is not None:
        return [series.folder / name for name in series.names]
    file = folder / f"{image_id}{ending}"
    beside = data_file(file)
    return [file] if beside is None else [file, beside]

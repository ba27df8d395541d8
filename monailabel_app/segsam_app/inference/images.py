"""From what a request calls an image to the file that may be opened: a known id, a live session,
or its own upload.

Nothing else opens a file. A path is not an id, whether it exists on the server or not.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from monailabel.interfaces.datastore import Datastore

from segsam.imaging.readers import read_grid
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.ids import checked_id
from segsam_app.inference.sessions import AppSessions


def path_of_image(datastore: Datastore, image_id: str) -> Path:
    """The file of the image that `datastore` knows as `image_id`. Raises `NotFoundError`,
    `RequestError` for none.
    """
    if not image_id:
        raise RequestError("no image: the request needs image=<id>, session_id=<id> or a file")
    checked_id("image", image_id)
    path = datastore.get_image_uri(image_id)
    if not path:
        raise NotFoundError(f"there is no image {image_id!r:.80} in the study folder")
    return Path(path)


def path_of_session(sessions: AppSessions | None, session_id: str) -> Path:
    """The image of a live session. Raises `GoneError` when it has ended by itself, `NotFoundError`
    when there is none.
    """
    checked_id("session_id", session_id)
    if sessions is None:
        raise NotFoundError("sessions are switched off on this server (MONAI_LABEL_SESSIONS)")
    return sessions.path(session_id)


def admitted(path: Path) -> None:
    """Look at what an uploaded image declares, before anything unpacks it. A series is looked at
    when it is read.

    Raises `VolumeTooLargeError`, or `VolumeError` for what is no image.
    """
    if path.is_file():
        read_grid(path)


@contextmanager
def uploaded(file: BinaryIO, filename: str | None) -> Iterator[Path]:
    """The upload as a file while the block lasts. Of the client's name only a plain
    extension is kept.
    """
    with tempfile.TemporaryDirectory(prefix="segsam-upload-") as folder:
        path = Path(folder) / f"image{safe_extension(filename)}"
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        yield path


def safe_extension(filename: str | None, default: str = ".nii.gz") -> str:
    """The end of a client's file name, when it is a plain extension; `default` for any other."""
    pattern = r"(\.nii\.gz|\.seg\.nrrd|\.[A-Za-z0-9]{1,8})$"
    found = re.search(pattern, filename or "", re.ASCII)
    return found.group(1).lower() if found else default

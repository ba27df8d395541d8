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
from typing import Any, BinaryIO

from monailabel.interfaces.datastore import Datastore
from monailabel.utils.sessions import Sessions

from .errors import NotFoundError, RequestError


def path_of_image(datastore: Datastore, image_id: str) -> Path:
    """The file of the image that `datastore` knows as `image_id`. Raises `NotFoundError`,
    `RequestError` for none.
    """
    if not image_id:
        raise RequestError("no image: the request needs image=<id>, session_id=<id> or a file")
    path = datastore.get_image_uri(image_id)
    if not path:
        raise NotFoundError(f"there is no image {image_id!r:.80} in the study folder")
    return Path(path)


def path_of_session(sessions: Sessions | None, session_id: str) -> Path:
    """The image of a live session. Raises `NotFoundError` when it has ended or never was."""
    session = sessions.get_session(session_id) if sessions is not None else None
    if session is None:
        raise NotFoundError(
            f"there is no session {session_id!r:.80}: it has ended or never was; "
            "send the image again"
        )
    return Path(session.image)


@contextmanager
def uploaded(file: BinaryIO, filename: str | None) -> Iterator[Path]:
    """The upload as a file while the block lasts. Of the client's name only a plain
    extension is kept.
    """
    with tempfile.TemporaryDirectory(prefix="segsam-upload-") as folder:
        path = Path(folder) / f"image{_extension(filename or '')}"
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        yield path


def _extension(filename: str) -> str:
    found: Any = re.search(r"(\.nii\.gz|\.[A-Za-z0-9]{1,8})$", filename)
    return found.group(1).lower() if found else ".nii.gz"

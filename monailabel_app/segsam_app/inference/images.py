"""Image files that a request may open: by the id of a known image, by an open session, or from the
request's own upload.

No other code opens a file for a request. A path is not an id, whether it exists on the server or
not.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from monailabel.interfaces.datastore import Datastore

from segsam.errors import VolumeError
from segsam.imaging.image_files import kind_of
from segsam.imaging.readers import ending_by_content, read_grid
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.ids import checked_id, shown
from segsam_app.inference.engine import Engine
from segsam_app.inference.sessions import AppSessions, require_sessions
from segsam_app.storage import leftovers
from segsam_app.storage.series import image_named
from segsam_app.storage.store import Store

_one_at_a_time = threading.Lock()


def path_of_image(datastore: Datastore, image_id: str) -> Path:
    """Return the file of an image in `datastore`. Raises `NotFoundError` for an unknown id,
    `RequestError` for an empty or invalid one.
    """
    if not image_id:
        raise RequestError("no image: the request needs image=<id>, session_id=<id> or a file")
    path = datastore.get_image_uri(id_of_image(datastore, checked_id("image", image_id)))
    if not path:
        raise NotFoundError(f"there is no image {image_id!r:.80} in the study folder")
    return Path(path)


def id_of_image(datastore: Datastore, name: str) -> str:
    """Return the id of an image that a client names by its id, or by the UID of its DICOM series.
    Raises `RequestError` for a UID of several images.
    """
    return image_named(name, datastore.series) if isinstance(datastore, Store) else name


def path_of_session(sessions: AppSessions | None, session_id: str) -> Path:
    """Return the image of an open session. Raises `GoneError` if the session has ended by itself,
    `NotFoundError` if there is none.
    """
    checked_id("session_id", session_id)
    return require_sessions(sessions).get(session_id).image


def check_header(path: Path) -> None:
    """Check the header of an uploaded image before anything unpacks its voxels. A series is checked
    when it is read.

    Raises `VolumeTooLargeError`, or `VolumeError` for a file that is no image.
    """
    if path.is_file():
        read_grid(path)


def check_upload(engine: Engine, path: Path, *, temporary: bool = False) -> None:
    """Check an uploaded image before it is kept, as an inference does: its header, then its voxels.

    One image is read at a time, so that many uploads at once need the memory of one. It stays open
    for the first prompt unless it is `temporary`. Raises VolumeError.
    """
    check_header(path)
    with _one_at_a_time:
        engine.volume(path, temporary=temporary)


@contextmanager
def refused_as_sent(names: Mapping[str, str]) -> Iterator[None]:
    """Let a refusal within the block name files as their sender knows them: `names` maps the names
    that the server gave them to those that came with them, "" for none.
    """
    try:
        yield
    except VolumeError as error:
        sentence = str(error)
        for stored, sent in names.items():
            sentence = sentence.replace(stored, shown(sent) or stored)
        raise type(error)(sentence) from error


@contextmanager
def uploaded(file: BinaryIO, filename: str | None) -> Iterator[Path]:
    """Write an upload to a temporary file, which exists within the block. Only a plain extension is
    taken from the client's file name; a refusal names the file as it was sent.
    """
    with tempfile.TemporaryDirectory(prefix=leftovers.prefix("upload")) as folder:
        path = Path(folder) / f"image{safe_extension(filename)}"
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        if not path.suffix:
            path = path.rename(path.with_suffix(ending_by_content(path)))
        with refused_as_sent({path.name: base_name(filename)}):
            yield path


def safe_extension(filename: str | None, default: str = "") -> str:
    """Return the ending of a client's file name, of a known kind or a plain one, else `default`."""
    kind = kind_of(filename or "")
    if kind is not None:
        return kind.ending
    found = re.search(r"\.[A-Za-z0-9]{1,8}$", filename or "", re.ASCII)
    return found.group().lower() if found else default


def base_name(filename: str | None) -> str:
    """Return the last part of a client's file name, which may be a path on its computer."""
    return PurePosixPath((filename or "").replace("\\", "/")).name

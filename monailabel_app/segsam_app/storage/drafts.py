"""Drafts: unsaved work on an image, kept for its user so that a crash of their program loses none.

A client sends the segmentation that the user has not saved yet, and fetches it when the user opens
the image again. A draft is no label: it lies beside the sessions and not among the studies, no
listing counts it, and no training sees it. The server keeps the client's JSON and reads no more of
it than the number of its format. One file holds the draft of one user and one image; its name has
the hash of the user's key and that of the image. It is deleted when its client asks for that, and
`draft_days` after its last change.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from segsam.errors import DamagedRecordError, OutputError
from segsam.system.atomic import seconds_old, write_json
from segsam.system.checked_json import read_object, with_checksum
from segsam_app.errors import BusyError, GoneError, NotFoundError, RequestError
from segsam_app.limits import DRAFT_BYTES, Limits
from segsam_app.storage.damage import ASIDE, DamageList, aside_name
from segsam_app.storage.disk import check_place, is_abandoned, output_errors
from segsam_app.strict_json import read_object as object_of_client

FOLDER = "segsam-drafts"
"""Name of the folder, inside the folder of all sessions."""
_FILE_BYTES = DRAFT_BYTES + 1024
"""Largest file: a draft, and what is around it."""
_CONTENT = re.compile(r"[0-9a-f]{64}")
_OWN_NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{64}\.json.*")
_DAY_SECONDS = 86_400


class DraftFolder:
    """Drafts of all users of one server. Thread-safe; a constructor touches no disk."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.damage = DamageList(folder)
        """Files that are damaged, or were set aside."""
        self._limits = limits
        self._lock = threading.Lock()

    def write(self, user_key: str, content: str, body: bytes) -> None:
        """Replace the draft of a user and an image by the JSON in `body`, whole or not at all.

        Raises `RequestError` for what is no draft, `BusyError` if there are as many drafts as may
        be, `OutputError` if the disk is full or read-only.
        """
        place = self._place(user_key, content)
        record = with_checksum({"draft": _draft_of_client(body)})
        with self._lock, output_errors("Keeping the unsaved work"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_expired()
            drafts = {path for path in self._files() if not ASIDE.search(path.name)}
            if place not in drafts and len(drafts) >= self._limits.drafts:
                raise BusyError(
                    f"{len(drafts)} drafts of unsaved work are kept, as many as may be (setting "
                    "drafts); save a label, or try again later"
                )
            try:
                write_json(place, record, indent=None)
            except OutputError as error:
                raise error.__cause__ or error from None  # without the name of the file
            self.damage.clear(place)

    def read(self, user_key: str, content: str) -> dict[str, Any]:
        """Return the draft of a user and an image as the client sent it.

        Raises `NotFoundError` if there is none, `GoneError` if it was damaged and was set aside.
        """
        place = self._place(user_key, content)
        with self._lock:
            self._remove_expired()
            try:
                return _draft_in(place)
            except FileNotFoundError:
                raise NotFoundError("there is no unsaved work on this image") from None
            except (DamagedRecordError, OSError) as error:
                self._set_aside(place, _reason(error))
        raise GoneError(
            "the unsaved work on this image was damaged on the server's disk and cannot be "
            "continued; its file was set aside"
        )

    def delete(self, user_key: str, content: str = "") -> None:
        """Delete the draft of a user and an image, or without an image all drafts of the user.

        Raises `OutputError`.
        """
        with self._lock, output_errors("Deleting the unsaved work"):
            if content:
                self._place(user_key, content).unlink(missing_ok=True)
                return
            own = f"{_hash_of(user_key)}-"
            for path in [path for path in self._files() if path.name.startswith(own)]:
                path.unlink(missing_ok=True)

    def remove_expired(self) -> None:
        """Delete the drafts that were not changed for `draft_days`, and what killed servers left
        half written.
        """
        with self._lock:
            self._remove_expired()

    def check(self) -> None:
        """Read every draft once, and set the damaged ones aside."""
        for path in self._files():
            if ASIDE.search(path.name):
                self.damage.note_aside(path)
                continue
            with self._lock:
                if why := damage_of_draft(path):
                    self._set_aside(path, why)

    def _place(self, user_key: str, content: str) -> Path:
        if not _CONTENT.fullmatch(content):
            raise RequestError(
                "expected the SHA-256 of an image, 64 hexadecimal digits in lower case, got "
                f"{content!a:.80}"
            )
        return self.folder / f"{_hash_of(user_key)}-{content}.json"

    def _files(self) -> list[Path]:
        """Return the files of drafts, those that were set aside included."""
        return [path for path in _inside(self.folder) if _OWN_NAME.fullmatch(path.name)]

    def _remove_expired(self) -> None:
        """Delete what is too old; the caller holds the lock."""
        most_seconds = self._limits.draft_days * _DAY_SECONDS
        for path in _inside(self.folder):
            with suppress(OSError):  # another server was faster, or the next clean-up is
                is_old = _OWN_NAME.fullmatch(path.name) and seconds_old(path) > most_seconds
                if is_old or is_abandoned(path):
                    path.unlink(missing_ok=True)

    def _set_aside(self, place: Path, why: str) -> None:
        """Rename a damaged draft, so that a person can look at it; the caller holds the lock."""
        aside = aside_name(place)
        try:
            place.rename(aside)
        except OSError:
            self.damage.note(place, why)  # a folder that can only be read; it stays in the way
        else:
            self.damage.note(aside, f"{why}; it was set aside, and goes with its draft's time")


def check_drafts(folder: Path) -> DamageList:
    """Return the damaged drafts inside the folder of all sessions; nothing is changed."""
    damage = DamageList(folder)
    for path in _inside(folder / FOLDER):
        is_draft = _OWN_NAME.fullmatch(path.name) and not ASIDE.search(path.name)
        if is_draft and (why := damage_of_draft(path)):
            damage.note(path, f"{why}; it is made again with the next change")
    return damage


def damage_of_draft(path: Path) -> str:
    """Return what is wrong with the file of a draft; empty if it is good, or there is none."""
    try:
        _draft_in(path)
    except FileNotFoundError:
        return ""
    except (DamagedRecordError, OSError) as error:
        return _reason(error)
    return ""


def _draft_in(path: Path) -> dict[str, Any]:
    check_place(path)  # nobody waits for a pipe
    draft = read_object(path, _FILE_BYTES).get("draft")
    if not isinstance(draft, dict) or not _is_format(draft.get("format")):
        raise DamagedRecordError("it holds no draft")
    return draft


def _draft_of_client(body: bytes) -> dict[str, Any]:
    """Return the draft in the body of a request. Raises `RequestError`."""
    try:
        draft = object_of_client(body.decode("utf-8"), "the draft")
    except UnicodeDecodeError as error:
        raise RequestError("the draft is not JSON: expected UTF-8") from error
    if not _is_format(draft.get("format")):
        raise RequestError(
            f"expected the number of the draft's format as format, got {draft.get('format')!r:.80}"
        )
    return draft


def _is_format(value: object) -> bool:
    return type(value) is int and value > 0


def _hash_of(user_key: str) -> str:
    return hashlib.sha256(user_key.encode()).hexdigest()[:32]


def _reason(error: DamagedRecordError | OSError) -> str:
    return str(getattr(error, "strerror", None) or error)


def _inside(folder: Path) -> Iterator[Path]:
    with suppress(OSError):  # it does not exist yet
        yield from list(folder.iterdir())

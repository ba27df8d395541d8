"""Images on the server: each is uploaded once for the same voxels and geometry."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from urllib.parse import quote

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Server.Http import HttpRequest
from SEGSAMLib.Server.HttpReply import check_status, json_object
from SEGSAMLib.Server.Transport import FileForm, Transport
from SEGSAMLib.Server.Worker import CancelToken, Progress, ReportProgress
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.ImageFiles import ImagePayload, digest, nrrd_file

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-.+=@,() ]{0,127}")
"""Form of the server's ids of images and sessions."""
_CLOSE_SECONDS = 5.0


class Uploads:
    """Upload sessions of one server. Safe to use from several threads."""

    def __init__(self, transport: Transport, *, compress: bool) -> None:
        """`compress` pays off for a remote server, and costs time for one on this computer."""
        self._transport = transport
        self._compress = compress
        self._lock = threading.Lock()
        self._upload_lock = threading.Lock()
        self._digests: dict[str, str] = {}
        self._sessions: dict[str, str] = {}
        self._sent: set[str] = set()

    def open(self, image: ImagePayload, cancel: CancelToken, report: ReportProgress) -> str:
        """Return the id of the session of an image; the image is uploaded if it has none.

        Images that came from the server are uploaded too: Slicer reverses the last axis of
        left-handed files when it reads them, and prompts and masks count voxels.
        """
        content = self.content(image, cancel, report)
        while not self._upload_lock.acquire(timeout=0.1):
            cancel.check()  # another thread may be uploading the same image
        try:
            with self._lock:
                session = self._sessions.get(content)
            if session is None:
                session = self._upload(image, cancel, report)
                with self._lock:
                    self._sessions[content] = session
                    self._sent.add(content)
        finally:
            self._upload_lock.release()
        return session

    def known_session(self, image: ImagePayload) -> str | None:
        """Return the open session of an image, None if there is none, without a hash of voxels."""
        with self._lock:
            return self._sessions.get(self._digests.get(image.key, ""))

    def has_sent(self, content: str) -> bool:
        """Return True if the image with this SHA-256 was uploaded since the connection."""
        with self._lock:
            return content in self._sent

    def forget(self, session: str) -> None:
        """Forget a session that has ended; its image will be uploaded again."""
        with self._lock:
            self._sessions = {key: each for key, each in self._sessions.items() if each != session}

    def add_image(self, image: ImagePayload, cancel: CancelToken, report: ReportProgress) -> str:
        """Store an image in the server's study folder, so that its label can be saved. Return its
        id, which is a hash of its content and does not identify a patient.
        """
        image_id = f"slicer-{self.content(image, cancel, report)[:20]}"
        with nrrd_file(image.array_kji, image.grid, cancel.check, small=True) as file:
            form = FileForm("file", "image.nrrd", file)
            query = {"image": image_id}
            check_status(
                self._transport.upload("/datastore/image", form, cancel, report, query=query)
            )
        return image_id

    def close(self, cancel: CancelToken) -> None:
        """End all sessions. Errors are ignored, because the server ends idle sessions itself."""
        with self._lock:
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            path = f"/session/{quote(session)}"
            with suppress(ClientError):
                self._transport.http.send(
                    HttpRequest("DELETE", path, reply_seconds=_CLOSE_SECONDS), cancel
                )

    def content(self, image: ImagePayload, cancel: CancelToken, report: ReportProgress) -> str:
        """Return the SHA-256 of an image, computed once. It is the same after a new start of
        Slicer.
        """
        with self._lock:
            known = self._digests.get(image.key)
        if known is not None:
            return known
        report(Progress(0, 0, _("reading the image")))
        content = digest(image, cancel.check)
        with self._lock:
            self._digests[image.key] = content
        return content

    def _upload(self, image: ImagePayload, cancel: CancelToken, report: ReportProgress) -> str:
        report(Progress(0, 0, _("preparing the image")))
        with nrrd_file(image.array_kji, image.grid, cancel.check, small=self._compress) as file:
            form = FileForm("files", "image.nrrd", file)
            reply = self._transport.upload("/session/", form, cancel, report)
        session = json_object(reply).get("session_id")
        if not isinstance(session, str) or not ID.fullmatch(session):
            sentence = _("Expected the id of a session, got {found}.")
            raise ClientError(sentence.format(found=repr(session)[:60]), code="reply")
        return session

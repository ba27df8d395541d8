"""Images on their way to the server: sent once for the same voxels and geometry."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from urllib.parse import quote

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Server.Http import HttpRequest
from SEGSAMLib.Server.HttpReply import check_status, json_of
from SEGSAMLib.Server.Transport import FileForm, Transport
from SEGSAMLib.Server.Worker import CancelToken, Progress, ReportProgress
from SEGSAMLib.Values.ImageFiles import ImagePayload, digest, nrrd_file

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-.+=@,() ]{0,127}")
"""What the server calls an image or a session."""
_CLOSE_SECONDS = 5.0


class Uploads:
    """The sessions of one server. Safe from several threads."""

    def __init__(self, channel: Transport, *, small: bool) -> None:
        """`small` files for a server far away, quick ones for this computer."""
        self._channel = channel
        self._small = small
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._digests: dict[str, str] = {}
        self._sessions: dict[str, str] = {}

    def where(
        self, image: ImagePayload, cancel: CancelToken, tell: ReportProgress
    ) -> dict[str, str]:
        """The part of a query that names the image: a session, opened once for the same voxels
        and geometry. Images of the server's own go there too, because Slicer turns the voxels of
        left-handed files around when it reads them, and voxels are what prompts and masks count.
        """
        content = self.content(image, cancel, tell)
        while not self._sending.acquire(timeout=0.1):
            cancel.check()  # the same image may be on its way already
        try:
            with self._lock:
                session = self._sessions.get(content)
            if session is None:
                session = self._open_session(image, cancel, tell)
                with self._lock:
                    self._sessions[content] = session
        finally:
            self._sending.release()
        return {"session_id": session}

    def session(self, image: ImagePayload) -> str | None:
        """The session that is open for an image, as far as that is known without looking at it."""
        with self._lock:
            return self._sessions.get(self._digests.get(image.key, ""))

    def content(self, image: ImagePayload, cancel: CancelToken, tell: ReportProgress) -> str:
        """SHA-256 of an image, computed once."""
        with self._lock:
            known = self._digests.get(image.key)
        if known is not None:
            return known
        tell(Progress(0, 0, "looking at the image"))
        content = digest(image, cancel.check)
        with self._lock:
            self._digests[image.key] = content
        return content

    def _open_session(self, image: ImagePayload, cancel: CancelToken, tell: ReportProgress) -> str:
        tell(Progress(0, 0, "preparing the image"))
        with nrrd_file(image.array_kji, image.grid, cancel.check, small=self._small) as file:
            reply = self._channel.put(
                "/session/", FileForm("files", "image.nrrd", file), cancel, tell
            )
        session = json_of(reply).get("session_id")
        if not isinstance(session, str) or not ID.fullmatch(session):
            raise ClientError(f"The server named a session {session!r:.60}.", code="reply")
        return session

    def forget(self, session: str) -> None:
        """A session has ended: its image will be sent again."""
        with self._lock:
            self._sessions = {key: each for key, each in self._sessions.items() if each != session}

    def add(self, image: ImagePayload, cancel: CancelToken, tell: ReportProgress) -> str:
        """Put an image into the server's study folder, so that its label can be saved; its id,
        which is made from its content and tells nothing of a patient.
        """
        image_id = f"slicer-{self.content(image, cancel, tell)[:20]}"
        with nrrd_file(image.array_kji, image.grid, cancel.check, small=True) as file:
            form = FileForm("file", "image.nrrd", file)
            query = {"image": image_id}
            check_status(self._channel.put("/datastore/image", form, cancel, tell, query=query))
        return image_id

    def close(self, cancel: CancelToken) -> None:
        """End all sessions."""
        with self._lock:
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            call = HttpRequest("DELETE", f"/session/{quote(session)}", reply_seconds=_CLOSE_SECONDS)
            with suppress(ClientError):
                self._channel.http.ask(call, cancel)

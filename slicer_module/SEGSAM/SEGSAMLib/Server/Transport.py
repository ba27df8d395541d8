"""What every call of the client is made of: JSON in and out, files to and from the server."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Mapping

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Server.Http import Http, HttpRequest, Sent
from SEGSAMLib.Server.HttpReply import HttpReply, check_status, json_of
from SEGSAMLib.Server.MultipartForm import ConcatenatedReader, multipart
from SEGSAMLib.Server.Worker import CancelToken, Progress, ReportProgress

UPLOAD_SECONDS = 120.0
"""From the last byte sent to the first of the answer."""
FETCH_SECONDS = 60.0
MOST_FILE_BYTES = 8 << 30
_ENDINGS = (".nii.gz", ".seg.nrrd", ".nii", ".nrrd", ".nhdr", ".mha", ".dcm")


@dataclass(frozen=True)
class FileForm:
    """A file to send: the form's field `name`, a `filename` of ours, and other fields."""

    name: str
    filename: str
    file: IO[bytes]
    fields: Mapping[str, str] = field(default_factory=dict)


class Transport:
    """To one server."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def get(
        self, path: str, cancel: CancelToken, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON object at a path. Raises `ClientError`."""
        return json_of(self.ask("GET", path, cancel, query=query))

    def ask(
        self,
        method: str,
        path: str,
        cancel: CancelToken,
        *,
        query: Mapping[str, str] | None = None,
        json_body: Mapping[str, Any] | None = None,
    ) -> HttpReply:
        """The reply to a request without files, of any status."""
        body = b"" if json_body is None else json.dumps(json_body).encode()
        headers = {} if json_body is None else {"Content-Type": "application/json"}
        return self.http.ask(HttpRequest(method, path, query or {}, headers, body), cancel)

    def put(
        self,
        path: str,
        form: FileForm,
        cancel: CancelToken,
        tell: ReportProgress,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpReply:
        """The reply to an upload, of any status; its progress is told in megabytes."""
        kind, head, tail = multipart(form.fields, form.name, form.filename)
        length = len(head) + form.file.seek(0, 2) + len(tail)
        form.file.seek(0)
        call = HttpRequest(
            "PUT",
            path,
            query or {},
            {**kind, **(headers or {})},
            ConcatenatedReader(head, form.file, tail),
            length,
            reply_seconds=UPLOAD_SECONDS,
        )
        return self.http.ask(call, cancel, sent=_told(tell))

    def fetch(self, path: str, query: Mapping[str, str], cancel: CancelToken) -> str:
        """A file of the server's in our temporary folder, under a name of ours."""
        call = HttpRequest(
            "GET", path, query, most_bytes=MOST_FILE_BYTES, reply_seconds=FETCH_SECONDS
        )
        with tempfile.NamedTemporaryFile(prefix="segsam-", delete=False) as file:
            kept = Path(file.name)
            try:
                reply = self.http.ask(call, cancel, into=file)
                check_status(reply)
                ending = _ending(reply)
            except ClientError:
                file.close()  # Windows deletes no open file
                kept.unlink()
                raise
        return str(kept.rename(kept.with_name(kept.name + ending)))


def _told(tell: ReportProgress) -> Sent:
    """Progress of an upload in megabytes."""

    def sent(done: int, total: int) -> None:
        tell(Progress(done, total, f"sending {done >> 20} of {max(total >> 20, 1)} MB"))

    return sent


def _ending(reply: HttpReply) -> str:
    """The kind of a file by the name that the server gives it; nothing else of that name counts."""
    disposition = reply.headers.get("content-disposition", "").lower().strip().rstrip("\";' ")
    for ending in _ENDINGS:
        if disposition.endswith(ending):
            return ending
    raise ClientError("The server sent a file of no kind that can be opened.", code="reply")

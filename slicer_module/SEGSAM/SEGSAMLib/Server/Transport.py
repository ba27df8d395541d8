"""Transport of JSON and files to and from the server."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Mapping

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Server.Http import Http, HttpRequest
from SEGSAMLib.Server.HttpReply import HttpReply, check_status, json_object
from SEGSAMLib.Server.MultipartForm import ConcatenatedReader, multipart
from SEGSAMLib.Server.Worker import CancelToken, Progress, ReportProgress
from SEGSAMLib.Translation import tr as _

UPLOAD_SECONDS = 120.0
"""Time limit from the last byte sent to the first byte of the reply."""
DOWNLOAD_SECONDS = 60.0
MAX_FILE_BYTES = 8 << 30
_EXTENSIONS = (".nii.gz", ".seg.nrrd", ".nii", ".nrrd", ".nhdr", ".mha", ".dcm")


@dataclass(frozen=True)
class FileForm:
    """File to upload in the form field `name`, with a file name chosen here, and other fields."""

    name: str
    filename: str
    file: IO[bytes]
    fields: Mapping[str, str] = field(default_factory=dict)


class Transport:
    """Requests to one server with JSON or files."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def get_json(
        self, path: str, cancel: CancelToken, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the JSON object at a path. Raises `ClientError`."""
        return json_object(self.request("GET", path, cancel, query=query))

    def request(
        self,
        method: str,
        path: str,
        cancel: CancelToken,
        *,
        query: Mapping[str, str] | None = None,
        json_body: Mapping[str, Any] | None = None,
    ) -> HttpReply:
        """Return the reply to a request without files, of any status."""
        body = b"" if json_body is None else json.dumps(json_body).encode()
        headers = {} if json_body is None else {"Content-Type": "application/json"}
        return self.http.send(HttpRequest(method, path, query or {}, headers, body), cancel)

    def upload(
        self,
        path: str,
        form: FileForm,
        cancel: CancelToken,
        report: ReportProgress,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpReply:
        """Send a file, report the progress in megabytes, and return the reply, of any status."""
        form_headers, head, tail = multipart(form.fields, form.name, form.filename)
        length = len(head) + form.file.seek(0, 2) + len(tail)
        form.file.seek(0)
        request = HttpRequest(
            "PUT",
            path,
            query or {},
            {**form_headers, **(headers or {})},
            ConcatenatedReader(head, form.file, tail),
            length,
            reply_seconds=UPLOAD_SECONDS,
        )

        def on_sent(done: int, total: int) -> None:
            text = _("sending {done} of {total} MB")
            text = text.format(done=done >> 20, total=max(total >> 20, 1))
            report(Progress(done, total, text))

        return self.http.send(request, cancel, on_sent=on_sent)

    def download(self, path: str, query: Mapping[str, str], cancel: CancelToken) -> str:
        """Download a file to the temporary folder and return its path; the name is chosen here."""
        request = HttpRequest(
            "GET", path, query, max_bytes=MAX_FILE_BYTES, reply_seconds=DOWNLOAD_SECONDS
        )
        with tempfile.NamedTemporaryFile(prefix="segsam-", delete=False) as file:
            target = Path(file.name)
            try:
                reply = self.http.send(request, cancel, into=file)
                check_status(reply)
                extension = _extension(reply)
            except ClientError:
                file.close()  # Windows cannot delete an open file
                target.unlink()
                raise
        return str(target.rename(target.with_name(target.name + extension)))


def _extension(reply: HttpReply) -> str:
    """Return the file extension of the name that the server gives. The rest of that name is not
    used: a server must not choose paths on this computer.
    """
    disposition = reply.headers.get("content-disposition", "").lower().strip().rstrip("\";' ")
    for extension in _EXTENSIONS:
        if disposition.endswith(extension):
            return extension
    sentence = _("The server sent a file of a type that cannot be opened.")
    raise ClientError(sentence, code="reply")

"""HTTP reply: its JSON, or the error of a reply without it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Mapping, NoReturn

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Translation import tr as _


@dataclass(frozen=True)
class HttpReply:
    """Reply of a server. `body` is empty if it was written to a file."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def json_object(reply: HttpReply) -> dict[str, Any]:
    """Return the JSON object in a 2xx reply. Raises `ClientError` for another status, with the
    server's own sentence, or for a body that is not a JSON object.
    """
    check_status(reply)
    value = _json(reply.body)
    if not isinstance(value, dict):
        problem = unexpected_reply(_("no JSON object"))
        raise ClientError(problem, code="reply", status=reply.status)
    return value


def check_status(reply: HttpReply) -> None:
    """Raise `ClientError` for any status but 2xx, with the server's own sentence if it sent one."""
    status = reply.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        target = reply.headers.get("location", "")
        sentence = _(
            "The server redirects to {target}. If that is right, enter it as the address."
        ).format(target=repr(target[:200]))
        raise ClientError(sentence, code="redirect", status=status)
    sentence, code = _error_detail(reply.body)
    if status == 401:
        sentence = _("The server requires a token, or another one than this.")
    elif not sentence:
        unknown = _("The server replied with status {status} and gave no reason.")
        sentence = _status_sentences().get(status, unknown.format(status=status))
    wait = reply.headers.get("retry-after", "")
    raise ClientError(
        sentence,
        code=code or "status",
        status=status,
        retry_seconds=float(wait) if wait.isdigit() and len(wait) < 6 else 0.0,
    )


def _status_sentences() -> dict[int, str]:
    return {
        400: _("The server did not understand the request; is it of another version?"),
        403: _("The server does not allow this."),
        404: _("The server does not have this. Is it a SEG-SAM server, and is the address right?"),
        413: _("The server does not accept uploads of this size."),
        502: _("The proxy in front of the server gets no reply from it."),
        503: _("The server is busy; try again in a moment."),
        504: _("The proxy in front of the server waited too long for it."),
    }


def _json(body: bytes) -> Any:
    """Parse strict JSON, without NaN. Raises `ClientError`."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        kind = _("a web page") if body.lstrip()[:1] == b"<" else _("no JSON")
        raise ClientError(unexpected_reply(kind), code="reply") from error


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _error_detail(body: bytes) -> tuple[str, str]:
    """Return sentence and code of an error reply of a SEG-SAM server, empty for any other."""
    with suppress(ClientError):
        value = _json(body[: 1 << 16])
        if isinstance(value, dict) and isinstance(value.get("detail"), str):
            sentence = " ".join(value["detail"].split())[:500]
            code = value.get("code")
            return sentence, code if isinstance(code, str) else ""
    return "", ""


def unexpected_reply(kind: str) -> str:
    """Return the sentence for a reply that a SEG-SAM server would not send."""
    sentence = _("The reply is {kind}: this is not a SEG-SAM server, or one of another version.")
    return sentence.format(kind=kind)

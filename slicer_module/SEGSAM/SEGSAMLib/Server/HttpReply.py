"""What an HTTP reply says: its JSON, or the reason why there is none."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Mapping, NoReturn

from SEGSAMLib.Errors import ClientError


@dataclass(frozen=True)
class HttpReply:
    """`body` is empty when it went into a file."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def json_of(reply: HttpReply) -> dict[str, Any]:
    """The JSON object in a 2xx reply. Raises `ClientError`: the server's own sentence for another
    status, or what is wrong with the reply.
    """
    check_status(reply)
    value = _json(reply.body)
    if not isinstance(value, dict):
        raise ClientError(not_ours("no JSON object"), code="reply", status=reply.status)
    return value


def check_status(reply: HttpReply) -> None:
    """Raises `ClientError` for anything but 2xx, with the server's own sentence where it sent
    one.
    """
    status = reply.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        target = reply.headers.get("location", "")
        raise ClientError(
            f"The server wants to send us on to {target[:200]!r}. If that is right, enter it as "
            "the address.",
            code="redirect",
            status=status,
        )
    sentence, code = _said(reply.body)
    if status == 401:
        sentence = "The server wants a token, or another one than this."
    elif not sentence:
        sentence = _SENTENCES.get(
            status, f"The server answered with status {status} and no reason."
        )
    wait = reply.headers.get("retry-after", "")
    raise ClientError(
        sentence,
        code=code or "status",
        status=status,
        retry_seconds=float(wait) if wait.isdigit() and len(wait) < 6 else 0.0,
    )


_SENTENCES = {
    400: "The server did not understand the request; is it of another version?",
    403: "The server does not allow this.",
    404: "This is not on the server; is it a SEG-SAM server, and the address right?",
    413: "The server takes no upload of this size.",
    502: "The proxy in front of the server gets no answer from it.",
    503: "The server is busy; try again in a moment.",
    504: "The proxy in front of the server ran out of patience.",
}


def _json(body: bytes) -> Any:
    """Strict: no NaN, no duplicate meaning. Raises `ClientError`."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        what = "a web page" if body.lstrip()[:1] == b"<" else "no JSON"
        raise ClientError(not_ours(what), code="reply") from error


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _said(body: bytes) -> tuple[str, str]:
    """The sentence and the code of an error's reply, where it is one of ours."""
    with suppress(ClientError):
        value = _json(body[: 1 << 16])
        if isinstance(value, dict) and isinstance(value.get("detail"), str):
            sentence = " ".join(value["detail"].split())[:500]
            code = value.get("code")
            return sentence, code if isinstance(code, str) else ""
    return "", ""


def not_ours(what: str) -> str:
    """The sentence for an answer that no server of ours would give."""
    return f"The answer is {what}: this is not a SEG-SAM server, or one of another version."

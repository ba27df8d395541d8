"""Replies of a server about the names that annotators taught, checked before they are used."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from segsam.remote.client import ServerError
from segsam.system.records import sentence_of


class CheckedReply(BaseModel):
    """Reply, or a part of one, whose fields are checked; what else it holds is kept."""

    model_config = ConfigDict(extra="allow")


class TaughtExampleReply(CheckedReply):
    """Example of a taught name."""

    case: str
    annotator: str
    created: str


class _Gain(CheckedReply):
    before: float
    after: float


class _Learnt(CheckedReply):
    cases: list[Any]
    gain: _Gain


class TaughtNameReply(CheckedReply):
    """Taught name."""

    name: str
    code: list[str] | None
    examples: list[TaughtExampleReply]
    learnt: _Learnt | None = None


class _Conflict(CheckedReply):
    names: list[str]


class TaughtNamesReply(CheckedReply):
    """Reply to `GET /memory`."""

    names: list[TaughtNameReply]
    conflicts: list[_Conflict]


class RemovedReply(CheckedReply):
    """Reply to `DELETE /memory/{name}`: how many examples went."""

    removed: int


AnyReply = TypeVar("AnyReply", bound=CheckedReply)


def read_reply(kind: type[AnyReply], reply: dict[str, Any]) -> AnyReply:
    """Return a reply as one of this kind.

    Raises:
        ServerError: another reply, such as that of another service or version.
    """
    try:
        return kind.model_validate(reply)
    except ValidationError as error:
        raise ServerError(
            "Expected the reply of a SEG-SAM server about taught names, got another one: "
            f"{sentence_of(error)} Is it another service, or another version?"
        ) from error

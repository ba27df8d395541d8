"""What only a server can refuse; the rest of the tree is `segsam.errors`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from segsam.errors import SegSamError

RETRY: Mapping[str, str] = {"Retry-After": "5"}
"""The header of every 503: seconds after which it is worth asking again."""


class RequestError(SegSamError):
    """A request that cannot be understood: not JSON, an unknown key, a wrong type."""

    code: ClassVar[str] = "request"


class NotFoundError(SegSamError):
    """There is no such image, session, model or strategy."""

    code: ClassVar[str] = "not_found"


class GoneError(SegSamError):
    """The session has ended because nobody used it."""

    code: ClassVar[str] = "gone"


class TooLargeError(SegSamError):
    """More bytes than this server takes."""

    code: ClassVar[str] = "too_large"


class NothingToLearnError(SegSamError):
    """A training without a label to train on."""

    code: ClassVar[str] = "no_labels"


class AlreadyRunningError(SegSamError):
    """A task of this kind runs already, and the request did not ask to wait for it."""

    code: ClassVar[str] = "running"


class BusyError(SegSamError):
    """All places are taken; worth asking again."""

    code: ClassVar[str] = "busy"


class OverTimeError(SegSamError):
    """The answer would have come after the time that the operator allows."""

    code: ClassVar[str] = "timeout"


class ConflictError(SegSamError):
    """What a client wants to change is not as the client believes; with the versions as headers.

    `current` is the version that a label is at, `kept` the one that the client's label is kept as.
    """

    code: ClassVar[str] = "conflict"

    def __init__(
        self, sentence: str, *, current: int | None = None, kept: int | None = None
    ) -> None:
        super().__init__(sentence)
        self.headers = {} if current is None else {"ETag": f'"{current}"'}
        if kept is not None:
            self.headers["X-Kept-Version"] = str(kept)


class PacsError(SegSamError):
    """The DICOMweb server refused, or sent what cannot be used."""

    code: ClassVar[str] = "pacs"


class PacsAwayError(PacsError):
    """The DICOMweb server cannot be reached, or has no time; worth asking again."""


class PacsSlowError(PacsError):
    """The DICOMweb server did not answer in time."""


class ConfigError(SegSamError):
    """A `--conf` key or value that the app does not know."""

    code: ClassVar[str] = "config"

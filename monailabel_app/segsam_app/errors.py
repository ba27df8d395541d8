"""Errors that only a server raises. Those of the library are in `segsam.errors`; the HTTP status of
both is in `web/error_handlers.py`.
"""

from __future__ import annotations

import torch

from segsam.errors import SegSamError

_ALLOCATOR_MESSAGE = "can't allocate memory"
"""Part of the RuntimeError that PyTorch raises for main memory; it has no class of its own."""


class RequestError(SegSamError):
    """A request that is not JSON, or has an unknown key or an invalid value."""

    code = "request"


class InfoTooLargeError(RequestError):
    """Information about an image or a label that would be more than the operator allows."""

    code = "too_large"


class NotFoundError(SegSamError):
    """An image, session, model or strategy that does not exist."""

    code = "not_found"


class GoneError(SegSamError):
    """A session that has ended because nobody used it."""

    code = "gone"


class NothingToLearnError(SegSamError):
    """A training without a label to train on."""

    code = "no_labels"


class NotPossibleError(SegSamError):
    """A request for what this computer cannot do."""

    code = "not_possible"


class AlreadyRunningError(SegSamError):
    """A task of a kind that is running already, without the request to wait for it."""

    code = "running"


class BusyError(SegSamError):
    """A queue or a table that is full; the client may try again."""

    code = "busy"


class DeadlineExceededError(SegSamError):
    """An answer that would have come after the time that the operator allows."""

    code = "timeout"


class ConflictError(SegSamError):
    """A change that is based on an outdated version; the versions are in the headers of the reply.

    `current` is the label's current version, `kept` the version under which the client's label was
    stored.
    """

    code = "conflict"

    def __init__(
        self, sentence: str, *, current: int | None = None, kept: int | None = None
    ) -> None:
        super().__init__(sentence)
        self.headers = {} if current is None else {"ETag": f'"{current}"'}
        if kept is not None:
            self.headers["X-Kept-Version"] = str(kept)


class PacsError(SegSamError):
    """A DICOMweb server that refused a request, or answered with invalid data."""

    code = "pacs"


class PacsAwayError(PacsError):
    """A DICOMweb server that cannot be reached or is busy; the client may try again."""


class PacsSlowError(PacsError):
    """A DICOMweb server that did not answer in time."""


class ConfigError(SegSamError):
    """An unknown setting, or one with an invalid value."""

    code = "config"


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if `error` reports that the graphics card's or the computer's memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _ALLOCATOR_MESSAGE in str(error)

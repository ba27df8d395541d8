"""What only a server can refuse; the rest of the tree is `segsam.errors`."""

from __future__ import annotations

from typing import ClassVar

from segsam.errors import SegSamError


class RequestError(SegSamError):
    """A request that cannot be understood: not JSON, an unknown key, a wrong type."""

    code: ClassVar[str] = "request"


class NotFoundError(SegSamError):
    """There is no such image, session, model or strategy."""

    code: ClassVar[str] = "not_found"


class ConfigError(SegSamError):
    """A `--conf` key or value that the app does not know."""

    code: ClassVar[str] = "config"

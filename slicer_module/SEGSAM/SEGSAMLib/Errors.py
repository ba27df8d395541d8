"""Errors of the module, each with a sentence for the user."""

from __future__ import annotations


class SegSamError(Exception):
    """Error whose sentence says what was expected and what came. `code` is a word for programs."""

    code = "error"

    def __init__(self, sentence: str, *, code: str = "") -> None:
        super().__init__(sentence)
        if code:
            self.code = code


class PositionError(SegSamError):
    """A point or box outside the volume, or without extent."""

    code = "place"


class PromptError(SegSamError):
    """Prompts that mark no object, or stored prompts that cannot be read."""

    code = "prompt"


class NodeError(SegSamError):
    """Something that the scene lacks: no volume chosen, a removed segment."""

    code = "node"


class StaleError(NodeError):
    """Label maps that were changed after they were read. Read them again."""

    code = "stale"


class ClientError(SegSamError):
    """A server that cannot be reached, refuses, or sends an unexpected reply.

    `code` is the server's own code if it sent one, else one of `unreachable`, `refused`, `dns`,
    `tls`, `timeout`, `cancelled`, `redirect`, `reply`, `wrong_server`. `status` is the HTTP status,
    0 without a reply. `retry_seconds` is how long the server asks to wait.
    """

    code = "client"

    def __init__(
        self, sentence: str, *, code: str = "", status: int = 0, retry_seconds: float = 0.0
    ) -> None:
        super().__init__(sentence, code=code)
        self.status = status
        self.retry_seconds = retry_seconds


class CancelledError(ClientError):
    """Cancellation by the user; nothing was changed."""

    code = "cancelled"


class ConsentNeededError(SegSamError):
    """Missing consent to send an image to another computer.

    Ask the user. If they agree, call `Settings.consent(server)` and try again.
    """

    code = "consent"

    def __init__(self, server: str) -> None:
        super().__init__(
            f"The image will be sent to {server}, which is another computer. Do you agree?"
        )
        self.server = server

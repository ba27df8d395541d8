"""What can go wrong, as sentences for the person at the screen."""

from __future__ import annotations


class SegSamError(Exception):
    """A sentence that says what was wanted and what came; `code` is a word for programs."""

    code = "error"

    def __init__(self, sentence: str, *, code: str = "") -> None:
        super().__init__(sentence)
        if code:
            self.code = code


class PositionError(SegSamError):
    """A point or box that is not in the volume, or cannot be meant."""

    code = "place"


class PromptError(SegSamError):
    """Prompts that mark no object, or stored ones that cannot be read."""

    code = "prompt"


class NodeError(SegSamError):
    """The scene does not hold what is needed: no volume chosen, a segment that is gone."""

    code = "node"


class StaleError(NodeError):
    """The scene is another one than when it was looked at: look again."""

    code = "stale"


class ClientError(SegSamError):
    """The server could not be reached, refused, or answered something else than was asked for.

    `code` is the server's own word where it sent one, else one of `unreachable`, `refused`, `dns`,
    `tls`, `timeout`, `cancelled`, `redirect`, `reply`, `wrong_server`; `status` is the HTTP status,
    0 without an answer; `retry_seconds` is how long the server asked to wait.
    """

    code = "client"

    def __init__(
        self, sentence: str, *, code: str = "", status: int = 0, retry_seconds: float = 0.0
    ) -> None:
        super().__init__(sentence, code=code)
        self.status = status
        self.retry_seconds = retry_seconds


class CancelledError(ClientError):
    """The user cancelled; nothing was changed."""

    code = "cancelled"


class ConsentNeededError(SegSamError):
    """An image is about to be sent to another computer for the first time.

    Ask the user; when they agree, `Settings.consent(server)` and call again.
    """

    code = "consent"

    def __init__(self, server: str) -> None:
        super().__init__(
            f"The image will be sent to {server}, which is another computer. Do you agree?"
        )
        self.server = server

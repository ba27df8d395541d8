"""Errors of the module, each with a sentence for the user."""

from __future__ import annotations

from typing import Any

from SEGSAMLib.Translation import tr as _


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


class DraftError(SegSamError):
    """Unsaved work that is too large to be kept, or that cannot be read."""

    code = "draft"


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


class AgreementNeededError(SegSamError):
    """Missing agreement of the user to what an action does.

    Ask the user with the sentence. If they agree, store it with `agree` and try again; if not,
    `refused` says what that means.
    """

    def __init__(self, question: str, *, refused: str) -> None:
        super().__init__(question)
        self.refused = refused

    def agree(self, settings: Any) -> None:
        """Store in the `Settings` that the user agreed."""
        raise NotImplementedError


class ConsentNeededError(AgreementNeededError):
    """Missing consent to send an image to another computer."""

    code = "consent"

    def __init__(self, server: str) -> None:
        question = _("The image will be sent to {server}, which is another computer. Do you agree?")
        super().__init__(question.format(server=server), refused=_("Nothing was sent."))
        self.server = server

    def agree(self, settings: Any) -> None:
        """Store the consent to send images to this server."""
        settings.consent(self.server)


class LicenceNeededError(AgreementNeededError):
    """Licence of weights that the user has not accepted yet; it allows research only."""

    code = "licence"

    def __init__(self, server: str, weights: str, licence: str) -> None:
        shown = licence.replace("<", "[")  # else Qt might take the server's text for HTML
        question = _(
            "The weights {weights} on {server} are not free for every use. Their licence:\n\n"
            "{licence}\n\nIs your use allowed by it? You are asked once for these weights on this "
            "server."
        )
        super().__init__(
            question.format(weights=f'"{weights}"', server=server, licence=shown),
            refused=_("The licence of the weights was not accepted, so they were not used."),
        )
        self.server, self.weights, self.licence = server, weights, licence

    def agree(self, settings: Any) -> None:
        """Store that the user accepted the licence of these weights on this server."""
        settings.accept_licence(self.server, self.weights, self.licence)

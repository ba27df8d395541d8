"""The server's routes as methods: HTTP only, blocking, to be called in a `Worker`'s threads.

Every method takes `cancel` (a `Worker.Cancel`) and raises `ClientError` with a sentence for
whatever went wrong: nothing that a server says, however broken, raises anything else.
"""

from __future__ import annotations

from .Address import Address
from .Images import ImageSource, LabelSource
from .Replies import (
    Conflict,
    Diagnosis,
    InferReply,
    Sample,
    Saved,
    ServerInfo,
    TrainingStatus,
    Versions,
)
from .Worker import Cancel, Tell


class Client:
    """One server. Safe from several threads; keeps no connection open between calls."""

    def __init__(self, address: Address, *, token: str = "", ca_file: str = "") -> None:
        """Connects nowhere. Raises `ClientError` when `ca_file` cannot be read."""

    def diagnose(self, cancel: Cancel) -> Diagnosis:
        """Whether the server can be used, and if not, why: one line. Raises nothing but
        `CancelledError`.
        """

    def info(self, cancel: Cancel) -> ServerInfo:
        """Name, version, models, categories, strategies."""

    def infer(self, image: ImageSource, request: dict, cancel: Cancel, tell: Tell) -> InferReply:
        """Segment. The image is sent first when the server does not have it (any more)."""

    def next_sample(self, strategy: str, cancel: Cancel, tell: Tell) -> Sample | None:
        """The next image to annotate, already fetched to a temporary file; None: all are done."""

    def submit(
        self, image_id: str, label: LabelSource, version: int | None, cancel: Cancel, tell: Tell
    ) -> Saved | Conflict:
        """Save a label. `version` is the one that the user began from, 0 for none, None to not
        ask. A conflict is a value: both versions are kept by the server.
        """

    def label(self, image_id: str, version: int | None, cancel: Cancel) -> str: ...

    def restore(self, image_id: str, version: int, cancel: Cancel) -> Saved: ...

    def train(self, model: str, settings: dict, cancel: Cancel) -> TrainingStatus: ...

    def training(self, cancel: Cancel) -> TrainingStatus: ...

    def stop_training(self, cancel: Cancel) -> TrainingStatus: ...

    def versions(self, model: str, cancel: Cancel) -> Versions: ...

    def use_version(self, model: str, version: str, cancel: Cancel) -> Versions: ...

"""What the buttons do: every verb starts its work in a thread and returns at once; `poll` brings
what came of it, and has applied it to the scene. The one object that the widget talks to besides
`Logic`.

    lane        verb                        value of the event `done`
    connect     connect, refresh            Diagnosis
    segment     segment                     Applied (of Logic)
    sample      next_sample                 Loaded (node and Sample), None when all are annotated
    label       submit, fetch, restore      Saved | Conflict | the fetched segmentation node
    train       train, watch, stop_training TrainingStatus
    version     versions, use_version       Versions
"""

from __future__ import annotations

from typing import Any

from .Logic import Logic
from .Parameters import Parameters, Settings
from .Worker import Event, Worker


class Workflow:
    """For one widget."""

    def __init__(self, logic: Logic, settings: Settings, worker: Worker | None = None) -> None: ...

    def poll(self) -> list[Event]:
        """Call it about every 20 ms while `is_busy`."""

    @property
    def is_busy(self) -> bool: ...

    def cancel(self, lane: str = "segment") -> bool: ...

    def connect(self, address: str, token: str = "") -> None: ...

    def segment(self, parameters: Parameters) -> None:
        """Raises `ConsentNeededError`, `PromptError`, `NodeError`."""

    def next_sample(self, parameters: Parameters) -> None: ...

    def submit(self) -> None: ...

    def fetch_version(self, version: int) -> None: ...

    def restore(self, version: int) -> None: ...

    def train(self, parameters: Parameters, **settings: Any) -> None: ...

    def watch_training(self) -> None: ...

    def stop_training(self) -> None: ...

    def versions(self, parameters: Parameters) -> None: ...

    def use_version(self, parameters: Parameters, version: str) -> None: ...

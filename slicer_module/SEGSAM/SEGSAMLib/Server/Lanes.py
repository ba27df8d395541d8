"""Jobs by lane, and what their answers do to the scene: the ground that `Workflow` stands on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable

from SEGSAMLib.Errors import SegSamError
from SEGSAMLib.Server.Worker import Event, Job, Worker

Applies = Callable[[Any], Any]
LATER = object()
"""Stands for a value that another event will bring."""
SILENT = frozenset({"look"})
"""Lanes that nobody waits for: neither that they run nor what becomes of them is shown."""


class Lanes:
    """For one widget; lives in the GUI's thread."""

    def __init__(self, worker: Worker | None = None) -> None:
        self._worker = worker if worker is not None else Worker()
        self._applies: dict[str, Applies] = {}

    @property
    def is_busy(self) -> bool:
        """Whether `poll` has to be called."""
        return self._worker.is_busy

    @property
    def is_awaited(self) -> bool:
        """Whether anything runs that the user waits for."""
        return bool(self._worker.lanes - SILENT)

    def is_running(self, lane: str) -> bool:
        return self._worker.is_running(lane)

    def poll(self) -> list[Event]:
        """Call it about every 20 ms while `is_busy`, in the GUI's thread."""
        handled = [self._handled(event) for event in self._worker.poll()]
        return [event for event in handled if event.value is not LATER]

    def _start(self, lane: str, job: Job, applies: Applies | None = None) -> None:
        self._applies.pop(lane, None)
        if applies is not None:
            self._applies[lane] = applies
        self._worker.start(lane, job)

    def _handled(self, event: Event) -> Event:
        """The event, applied to the scene; one that cannot be applied has failed."""
        applies = self._applies.get(event.lane)
        if event.kind == "done" and applies is not None:
            try:
                event = replace(event, value=applies(event.value))
            except SegSamError as error:
                event = replace(event, kind="failed", value=None, error=error)
        if event.kind == "failed":
            self._failed(event.lane)
        return event

    def _failed(self, lane: str) -> None:
        """A job of a lane failed, or its answer could not be applied."""

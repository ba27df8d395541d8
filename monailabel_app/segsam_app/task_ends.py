"""Ends of tasks: what the status says about a training, a batch inference or a scoring whose
process ended without a word, because it was killed or memory ran out.

MONAI Label notes only that such a task failed. Its own dictionary of processes is replaced here by
one that sees each process leave, and writes the reason as `why` into the task, which every status
reply returns.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

import psutil
from monailabel.utils.async_tasks import utils as async_tasks

Kind = Literal["train", "batch_infer", "scoring"]
OnEnd = Callable[[Mapping[str, Any], int, bool, str], None]
"""Called with the task, the id of its process, True if a client stopped it, and the sentence."""

_KILL = 9
"""Number of SIGKILL, which Windows does not name."""
_NAMES: dict[Kind, str] = {
    "train": "training",
    "batch_infer": "batch inference",
    "scoring": "scoring",
}
_WHAT_REMAINS: dict[Kind, str] = {
    "train": "the next training on the same labels continues from its last checkpoint",
    "batch_infer": "the labels that it saved are kept",
    "scoring": "what it computed is kept",
}


class _Processes(dict[str, "subprocess.Popen[str]"]):
    """Processes of one kind of task that run, by the ids of their tasks."""

    def __init__(self, kind: Kind, on_end: OnEnd | None) -> None:
        super().__init__()
        self._kind: Kind = kind
        self._on_end = on_end
        self.stopped: set[str] = set()
        """Tasks that a client stops: it does so by a signal, too."""

    def pop(self, task_id: str, default: Any = None) -> Any:
        """Remove a process that has ended, or was stopped, and note why."""
        process = super().pop(task_id, default)
        if process is None:
            return None
        is_stopped = task_id in self.stopped
        sentence = self._sentence(process.returncode, is_stopped=is_stopped)
        if sentence:
            (task,) = (each for each in async_tasks.tasks(self._kind) if each["id"] == task_id)
            task["why"] = sentence
            if self._on_end is not None:
                self._on_end(task, process.pid, is_stopped, sentence)
        return process

    def _sentence(self, status: int | None, *, is_stopped: bool) -> str:
        """Return why a process ended; "" for one that ended by itself, and may have said why."""
        name, remains = _NAMES[self._kind], _WHAT_REMAINS[self._kind]
        if is_stopped:
            return f"the {name} was stopped; {remains}"
        if status is None or status >= 0:
            return ""
        perhaps = ": perhaps memory ran out, or somebody ended it" if -status == _KILL else ""
        return (
            f"the process of the {name} was ended by signal {-status} ({_signal_name(-status)})"
            f"{perhaps}; {remains}"
        )


def watch_ends(kind: Kind, on_end: OnEnd | None = None) -> None:
    """See from now on how processes of tasks end. Call it before one of this kind is started."""
    async_tasks.background_processes.setdefault(kind, _Processes(kind, on_end))


def stop_task(kind: Kind) -> dict[str, Any] | None:
    """Stop the task of a kind that runs, and return it; None if none runs."""
    processes = async_tasks.background_processes.get(kind)
    if isinstance(processes, _Processes):
        processes.stopped.update(processes)
    with suppress(psutil.NoSuchProcess):  # it ended this moment
        stopped: dict[str, Any] | None = async_tasks.stop_background_task(kind)
        return stopped
    return None


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return "unknown"

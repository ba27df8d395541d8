"""Ends of tasks: what the status says about a training, a batch inference or a scoring whose
process ended without a word, because it was killed or memory ran out.

MONAI Label notes only that such a task failed, and only after it has read all that the process
wrote. Its own dictionary of processes is replaced here by one that sees each process leave, and
writes the reason as `why` into the task, which every status reply returns; and whoever asks for a
status looks into the table of processes first.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from monailabel.utils.async_tasks import utils as async_tasks

Kind = Literal["train", "batch_infer", "scoring"]
OnEnd = Callable[[Mapping[str, Any], int, bool, str], None]
"""Called with the task, the id of its process, True if a client stopped it, and the sentence, "" if
all went well."""
WhatRemains = Callable[[Mapping[str, Any]], str]
"""Returns what is left of a task that ends now: a clause."""

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
"""Format of the times of MONAI Label's tasks, in local time."""
_REAP_SECONDS = 5.0
"""Longest time in which the system takes the memory of a killed process apart."""

_KILL = 9
"""Number of SIGKILL, which Windows does not name."""
_NAMES: dict[Kind, str] = {
    "train": "training",
    "batch_infer": "batch inference",
    "scoring": "scoring",
}
WHAT_REMAINS: dict[Kind, str] = {
    "train": "start it again",
    "batch_infer": "the labels that it saved are kept",
    "scoring": "what it computed is kept",
}
"""What is left of a task that did not end well, as a clause."""
_TIMES_DIFFER_SECONDS = 2.0


class _Processes(dict[str, "subprocess.Popen[str]"]):
    """Processes of one kind of task that run, by the ids of their tasks."""

    def __init__(self, kind: Kind, on_end: OnEnd | None, remains: WhatRemains | None) -> None:
        super().__init__()
        self._kind: Kind = kind
        self._on_end = on_end
        self._remains = remains or (lambda _: WHAT_REMAINS[kind])
        self._leaving = threading.Lock()
        """Held until the end of a task is noted."""
        self.stopped: set[str] = set()
        """Tasks that a client stops: it does so by a signal, too."""

    def pop(self, task_id: str, default: Any = None) -> Any:
        """Remove a process that has ended, or was stopped, and note why and when."""
        with self._leaving:
            process = super().pop(task_id, default)
            if process is not None:
                (task,) = (each for each in async_tasks.tasks(self._kind) if each["id"] == task_id)
                self._note(task, process)
        return process

    def wait(self) -> None:
        """Wait until each end that another thread has seen is noted."""
        with self._leaving:
            return

    def _note(self, task: dict[str, Any], process: subprocess.Popen[str]) -> None:
        status, is_stopped = process.returncode, task["id"] in self.stopped
        sentence = self._sentence(status, self._remains(task), is_stopped=is_stopped)
        if is_stopped or (status is not None and status < 0):
            task["why"] = sentence
        if self._on_end is not None:
            self._on_end(task, process.pid, is_stopped, sentence)
        if status is not None and task["status"] == "RUNNING":
            task["end_ts"] = datetime.today().strftime(TIME_FORMAT)
            task["status"] = "STOPPED" if is_stopped else "ERROR" if status else "DONE"

    def _sentence(self, status: int | None, remains: str, *, is_stopped: bool) -> str:
        """Return why a process ended; "" if all went well. One that failed may have said why."""
        name = _NAMES[self._kind]
        if is_stopped:
            return f"the {name} was stopped; {remains}"
        if not status:
            return ""
        if status > 0:
            return f"the {name} ended with status {status}, see the log of the server; {remains}"
        perhaps = ": perhaps memory ran out, or somebody ended it" if -status == _KILL else ""
        return (
            f"the process of the {name} was ended by signal {-status} ({_signal_name(-status)})"
            f"{perhaps}; {remains}"
        )


def watch_ends(kind: Kind, on_end: OnEnd | None = None, remains: WhatRemains | None = None) -> None:
    """See from now on how processes of tasks end. Call it before one of this kind is started."""
    async_tasks.background_processes.setdefault(kind, _Processes(kind, on_end, remains))


def note_ends(kind: Kind) -> None:
    """Note the end of each task whose process has ended."""
    processes = async_tasks.processes(kind)
    for task_id, process in list(processes.items()):
        if _has_ended(process):
            processes.pop(task_id, None)
    if isinstance(processes, _Processes):
        processes.wait()


def unfinished_tasks(kind: Kind) -> list[dict[str, Any]]:
    """Return the tasks that run or wait, oldest first."""
    note_ends(kind)
    return [one for one in async_tasks.tasks(kind) if one["status"] in ("SUBMITTED", "RUNNING")]


def stop_task(kind: Kind) -> dict[str, Any] | None:
    """Stop the task of a kind that runs, and return it; None if none runs."""
    processes = async_tasks.background_processes.get(kind)
    if isinstance(processes, _Processes):
        processes.stopped.update(processes)
    with suppress(psutil.NoSuchProcess):  # it ended this moment
        stopped: dict[str, Any] | None = async_tasks.stop_background_task(kind)
        return stopped
    return None


def may_run(path: Path, pid: object) -> bool:
    """Return False if the process that wrote a file is gone: there is none of its number, or one
    that began after the file was written.
    """
    if not isinstance(pid, int):
        return True
    try:
        process = psutil.Process(pid)
        is_later = process.create_time() > path.stat().st_mtime + _TIMES_DIFFER_SECONDS
        return process.status() != psutil.STATUS_ZOMBIE and not is_later
    except psutil.NoSuchProcess:
        return False
    except (psutil.AccessDenied, OSError):
        return True


def _has_ended(process: subprocess.Popen[str]) -> bool:
    """Return True for a process that has ended, and wait until the system says how."""
    if process.poll() is not None:
        return True
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        if psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            return False
    with suppress(subprocess.TimeoutExpired):
        process.wait(_REAP_SECONDS)
    return process.returncode is not None


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return "unknown"

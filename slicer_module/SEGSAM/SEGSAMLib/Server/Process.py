"""Commands in the background whose lines wait until somebody reads them. No Qt.

A reader thread per command; nothing here blocks, `stop` only asks and `poll` sees what came of it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Mapping, Sequence

from SEGSAMLib.Errors import SegSamError

GRACE_SECONDS = 5.0
"""How long a command may take to end by itself when it was asked to."""
LAST_WORDS_SECONDS = 1.0
"""After the end of a process; one that it left behind may hold its output open for good."""


class ProcessError(SegSamError):
    """A command that could not be started at all."""

    code = "process"


class Process:
    """Runs commands one after the other; the first that fails ends the row."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> None:
        self._waiting = [list(command) for command in commands]
        self._environment = dict(environment)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None
        self._kill_at = 0.0
        self._reader: threading.Thread | None = None
        self._read_until = 0.0
        self.is_stopped = False
        self.exit_status: int | None = None
        """None while something runs."""

    def start(self) -> None:
        """Raises `ProcessError` when the first command is not there."""
        self._next()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self.exit_status is None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def poll(self) -> list[str]:
        """What was said since the last time; moves on to the next command."""
        if self._process is not None and self.exit_status is None:
            self._look(self._process)
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get_nowait())
        return lines

    def stop(self) -> None:
        """Ask it, and all it started, to end; after `GRACE_SECONDS`, `poll` ends it."""
        self.is_stopped = True
        self._waiting.clear()
        if self._process is not None and self._process.poll() is None:
            self._kill_at = time.monotonic() + GRACE_SECONDS
            self._signal(self._process, "SIGTERM")

    def end(self) -> None:
        """At the end of Slicer: ask, wait at most `GRACE_SECONDS`, then end it."""
        self.stop()
        if self._process is None:
            return
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(self._process, "SIGKILL")
        self.exit_status = self._process.poll()

    def _look(self, process: subprocess.Popen[str]) -> None:
        status = process.poll()
        if status is None:
            if self._kill_at and time.monotonic() > self._kill_at:
                self._signal(process, "SIGKILL")
            return
        if self._reader is not None and self._reader.is_alive():
            self._read_until = self._read_until or time.monotonic() + LAST_WORDS_SECONDS
            if time.monotonic() < self._read_until:
                return  # what it said last, which often is why it ended, is still being read
        if status == 0 and self._waiting and not self.is_stopped:
            self._next()
        else:
            self.exit_status = status

    def _next(self) -> None:
        command = self._waiting.pop(0)
        self._lines.put("$ " + " ".join(command))
        groups = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
            if os.name == "nt"
            else {"start_new_session": True}
        )
        try:
            self._process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                **groups,
            )
        except OSError as error:
            self.exit_status = 127
            raise ProcessError(f"{Path(command[0]).name} could not be started: {error}.") from error
        self._read_until = 0.0
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is not None:
            with process.stdout as lines:
                for line in lines:
                    self._lines.put(line.rstrip())

    def _signal(self, process: subprocess.Popen[str], name: str) -> None:
        if os.name == "nt":
            process.kill() if name == "SIGKILL" else process.terminate()
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, getattr(signal, name))

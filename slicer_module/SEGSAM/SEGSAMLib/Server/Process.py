"""Commands in the background whose output lines are collected until `poll` fetches them. No Qt.

Each command has a reader thread. Only `end` blocks; `stop` asks the command to end, and `poll`
notices when it has.
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
from SEGSAMLib.Translation import tr as _

STOP_SECONDS = 5.0
"""Time that a command has to end after it was asked to."""
OUTPUT_SECONDS = 1.0
"""Time to read the rest of the output after the end of a process. It is limited because a child
process that survived may keep the output open.
"""

_LEND_SECONDS = 0.01


class ProcessError(SegSamError):
    """Command that could not be started."""

    code = "process"


class Process:
    """Sequence of commands, run one after the other until one fails."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> None:
        self._remaining = [list(command) for command in commands]
        self._environment = dict(environment)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None
        self._kill_at = 0.0
        self._reader: threading.Thread | None = None
        self._read_until = 0.0
        self.is_stopped = False
        self.exit_status: int | None = None
        """Exit status of the last command, None while one runs."""

    def start(self) -> None:
        """Start the first or next command. Raises `ProcessError` if it does not exist."""
        command = self._remaining.pop(0)
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
            sentence = _("{program} could not be started: {error}.")
            name = Path(command[0]).name
            raise ProcessError(sentence.format(program=name, error=error)) from error
        self._read_until = 0.0
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        """True while a command runs."""
        return self._process is not None and self.exit_status is None

    def poll(self) -> list[str]:
        """Return the output since the last call, and start the next command if one has ended. Lends
        Python's lock to the reader for a moment, because Slicer's event loop does not.
        """
        if self._reader is not None:
            self._reader.join(_LEND_SECONDS)
        if self._process is not None and self.exit_status is None:
            self._check(self._process)
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get_nowait())
        return lines

    def stop(self) -> None:
        """Ask the command and its children to end; after `STOP_SECONDS`, `poll` kills them."""
        self.is_stopped = True
        self._remaining.clear()
        if self._process is not None and self._process.poll() is None:
            self._kill_at = time.monotonic() + STOP_SECONDS
            self._signal(self._process, "SIGTERM")

    def end(self) -> None:
        """Stop the command, wait at most `STOP_SECONDS`, then kill it. For the end of Slicer."""
        self.stop()
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(self._process, "SIGKILL")
        self.exit_status = self._process.poll()

    def _check(self, process: subprocess.Popen[str]) -> None:
        status = process.poll()
        if status is None:
            if self._kill_at and time.monotonic() > self._kill_at:
                self._signal(process, "SIGKILL")
            return
        if self._reader is not None and self._reader.is_alive():
            self._read_until = self._read_until or time.monotonic() + OUTPUT_SECONDS
            if time.monotonic() < self._read_until:
                return  # the last lines, which often hold the reason, are still being read
        if status == 0 and self._remaining and not self.is_stopped:
            self.start()
        else:
            self.exit_status = status

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

"""The real MONAI Label server as a process of ours: started, waited for, and always stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar

import requests

from segsam.errors import SegSamError

START_SECONDS = 180
"""MONAI Label itself needs about 10 s to be imported; a cold disk several times that."""

ANSWER_SECONDS = 900
"""A box through a hundred slices on one slow core."""

_STOP_SECONDS = 15
_LOOK_SECONDS = 0.25
_LAST_LINES = 6


class ServerError(SegSamError):
    """The server did not start, or answered with an error."""

    code: ClassVar[str] = "server"


def find_app(named: Path | None = None) -> Path:
    """The folder of the MONAI Label app: the one named, or the one of this checkout."""
    folder = named or Path(__file__).resolve().parents[3] / "monailabel_app"
    if not (folder / "main.py").is_file():
        raise ServerError(
            f"There is no MONAI Label app at {folder} (a folder with main.py was wanted); "
            "name one with --app, or run from a checkout installed with `pip install -e .`."
        )
    return folder


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`monailabel start_server` on 127.0.0.1, in a process group of its own, as a `with` block.

    `work` receives the studies folder (empty), the sessions and nothing else; `log` all output;
    `also` are checkpoints to serve beside the default one.
    """

    def __init__(self, app: Path, work: Path, log: Path, *, also: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._app = app
        self._work = work
        self._also = tuple(also)
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def command(self) -> list[str]:
        """What a person types, without the shell script in between (it takes any `python`)."""
        start = [sys.executable, "-m", "monailabel.main", "start_server"]
        start += ["--app", str(self._app), "--studies", str(self._work / "studies")]
        if self._also:
            start += ["--conf", "also", ",".join(self._also)]
        return [*start, "--host", "127.0.0.1", "--port", str(self.port)]

    def __enter__(self) -> Server:
        (self._work / "studies").mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "SEGSAM_TOKEN": "",  # one of the operator is not for this server
            "SEGSAM_TOKEN_FILE": "",
            "SEGSAM_VERSIONS_FOLDER": str(self._work / "versions"),
            "MONAI_LABEL_SESSION_PATH": str(self._work / "sessions"),
            "MONAI_LABEL_TRACKING_ENABLED": "false",
            "SEGSAM_DISK_CACHE": "off",  # what is timed as a first click has to be one
            "SEGSAM_PREFETCH": "0",
            "SEGSAM_INFER_SECONDS": str(ANSWER_SECONDS),
            "PYTHONUNBUFFERED": "1",
        }
        self._output = self.log.open("wb")
        self._process = subprocess.Popen(
            self.command(),
            cwd=self._work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def wait(self, tick: Callable[[float], None] = lambda seconds: None) -> float:
        """Seconds until the server answered. `tick` is called with the seconds so far.

        Raises ServerError, with the last lines of the log, if it ends or takes too long.
        """
        start = time.monotonic()
        while (seconds := time.monotonic() - start) < START_SECONDS:
            if self._process is None or self._process.poll() is not None:
                raise ServerError(f"The server ended while starting. {self.last_words()}")
            if self._answers():
                return seconds
            tick(seconds)
            time.sleep(_LOOK_SECONDS)
        raise ServerError(
            f"No answer from the server within {START_SECONDS} s. {self.last_words()}"
        )

    def _answers(self) -> bool:
        with requests.Session() as http:
            http.trust_env = False  # a proxy has no business between us and 127.0.0.1
            try:
                return http.get(f"{self.address}/info/", timeout=10).status_code == 200
            except requests.RequestException:
                return False

    def last_words(self) -> str:
        """The end of the log, for a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = " / ".join(line.strip() for line in lines[-_LAST_LINES:]) or "nothing"
        return f"Its last words (all of them in {self.log}): {said}"

    def stop(self) -> None:
        """End the server and what it started; safe to call twice."""
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._output is not None:
            self._output.close()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Of the process; None before its start."""
        return None if self._process is None else self._process.pid

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if sys.platform == "win32":
            self._process.terminate()
        else:
            os.killpg(self._process.pid, number)

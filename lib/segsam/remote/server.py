"""Starter of a MONAI Label server with the SEG-SAM app, as a child process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from segsam.remote.client import ANSWER_SECONDS, Client, ServerError
from segsam.system.telemetry import quiet_variables

START_SECONDS = 180
"""Longest time for the start: importing MONAI Label takes about 10 s, several times that from a
cold disk.
"""

_PROBE_SECONDS = 10
_STOP_SECONDS = 15
_POLL_SECONDS = 0.25
_LOG_LINES = 6


def find_app(folder: Path | None = None) -> Path:
    """Return the folder of the MONAI Label app: the given one, or the one of this checkout.

    Raises:
        ServerError: there is no app in that folder.
    """
    folder = folder or Path(__file__).resolve().parents[3] / "monailabel_app"
    if not (folder / "main.py").is_file():
        raise ServerError(
            f"There is no MONAI Label app at {folder} (expected a folder with main.py); "
            "name one with --app, or run from a checkout installed with `pip install -e .`."
        )
    return folder


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """MONAI Label server on 127.0.0.1, in a process group of its own; used as a `with` block.

    Args:
        app: the folder of the MONAI Label app.
        work: a folder for the images (`studies`), the sessions and the model versions.
        log: the file that receives all output.
        conf: settings of the app, as `--conf NAME VALUE`.
    """

    def __init__(
        self, app: Path, work: Path, log: Path, *, conf: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._app = app
        self._work = work
        self._conf = dict(conf or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def command(self) -> list[str]:
        """Return the command line that starts the server.

        It runs the module and not the script `monailabel`, which takes the first `python` in PATH.
        """
        start = [sys.executable, "-m", "monailabel.main", "start_server"]
        start += ["--app", str(self._app), "--studies", str(self._work / "studies")]
        for name, value in self._conf.items():
            start += ["--conf", name, value]
        return [*start, "--host", "127.0.0.1", "--port", str(self.port)]

    def __enter__(self) -> Server:
        (self._work / "studies").mkdir(parents=True, exist_ok=True)
        environment = (
            quiet_variables()
            | os.environ
            | {
                "SEGSAM_TOKEN": "",  # the operator's token is for another server
                "SEGSAM_TOKEN_FILE": "",
                "SEGSAM_VERSIONS_FOLDER": str(self._work / "versions"),
                "MONAI_LABEL_SESSION_PATH": str(self._work / "sessions"),
                "MONAI_LABEL_TRACKING_ENABLED": "false",
                "SEGSAM_DISK_CACHE": "off",  # a first click must encode its slice
                "SEGSAM_PREFETCH": "0",
                "SEGSAM_INFER_SECONDS": str(ANSWER_SECONDS),
                "PYTHONUNBUFFERED": "1",
            }
        )
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

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def wait(self, tick: Callable[[float], None] = lambda seconds: None) -> float:
        """Wait until the server answers and return the seconds that it took.

        `tick` is called with the seconds so far.

        Raises:
            ServerError: the server ended, or did not answer in time; with the end of its log.
        """
        start = time.monotonic()
        with Client(self.address, answer_seconds=_PROBE_SECONDS) as client:
            while (seconds := time.monotonic() - start) < START_SECONDS:
                if not self.running:
                    raise ServerError(f"The server ended while starting. {self._log_end()}")
                if _answers(client):
                    return seconds
                tick(seconds)
                time.sleep(_POLL_SECONDS)
        raise ServerError(f"The server did not answer within {START_SECONDS} s. {self._log_end()}")

    def _log_end(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        end = " / ".join(line.strip() for line in lines[-_LOG_LINES:]) or "nothing"
        return f"The end of its log ({self.log}): {end}"

    def stop(self) -> None:
        """Stop the server and the processes it started; does nothing if it has stopped already."""
        if self._process is not None and self.running:
            self._terminate(self._process)
            try:
                self._process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._output is not None:
            self._output.close()

    @property
    def running(self) -> bool:
        """True while the server's process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Id of the server's process; None before its start."""
        return None if self._process is None else self._process.pid

    @staticmethod
    def _terminate(process: subprocess.Popen[bytes]) -> None:
        if sys.platform == "win32":
            process.terminate()
        else:
            os.killpg(process.pid, signal.SIGTERM)


def _answers(client: Client) -> bool:
    try:
        client.info()
    except ServerError:
        return False
    return True

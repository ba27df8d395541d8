"""Python processes whose imports are made once: each is a fork of one process that has made them.

A process with MONAI Label needs 8 s of a processor before its first line of ours runs. A fork of
one that stands there has its own environment, folder, output, signals and exit status, and runs the
same entry point; only the modules are in memory already. So tests of imports, or of the very start,
take a process of their own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

CAN_FORK = sys.platform == "linux"
"""Elsewhere each process imports for itself: system libraries may not survive a fork."""
_POLL_SECONDS = 0.02

_FORKING = """
import importlib, json, os, runpy, sys, tempfile

def run(request):
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None
    for number, name in enumerate((os.devnull, request["stdout"], request["stderr"])):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    if "monailabel.config" in sys.modules:
        sys.modules["monailabel.config"].settings.__init__()  # reads the environment again
    option, code, *arguments = request["arguments"]
    sys.argv = [option, *arguments]
    if option == "-m":
        sys.path[0] = os.getcwd()
        runpy.run_module(code, run_name="__main__", alter_sys=True)
    else:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})

def watch(request):
    pid = os.fork()
    if pid == 0:
        replies.close()
        run(request)
        sys.exit()
    replies.write(f"{pid}\\n")
    replies.close()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with open(request["status"] + ".new", "w") as file:
        file.write(str(status))
    os.rename(request["status"] + ".new", request["status"])
    os._exit(0)

requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for name in sys.argv[1:]:
    importlib.import_module(name)
sys.stdout.flush()
for line in iter(requests.readline, ""):
    if os.fork() == 0:
        requests.close()
        watch(json.loads(line))
    os.waitpid(-1, os.WNOHANG)  # one that has ended
os._exit(0)
"""


@dataclass(frozen=True)
class ForkedProcess:
    """Running fork, with the methods of `subprocess.Popen` that tests use."""

    args: tuple[str, ...]
    pid: int
    status: Path

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return int(self.status.read_text()) if self.status.exists() else None

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(_POLL_SECONDS)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class WarmPython:
    """Process that has imported some modules, and forks for each command; a `with` block.

    Args:
        modules: what it imports.
        prefix: beginning of its command line, such as a program that drops permissions.
    """

    def __init__(self, *modules: str, prefix: Sequence[str] = ()) -> None:
        self._prefix = prefix
        self._modules = modules
        self._numbers = count()

    def __enter__(self) -> WarmPython:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-python-")
        if CAN_FORK:
            quiet = {"OMP_WAIT_POLICY": "PASSIVE", "MONAI_LABEL_TRACKING_ENABLED": "false"}
            self._process = subprocess.Popen(
                [*self._prefix, sys.executable, "-c", _FORKING, *self._modules],
                env=os.environ | quiet,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if CAN_FORK:
            self._process.communicate(timeout=60)
        self._folder.cleanup()

    def start(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path
    ) -> ForkedProcess | subprocess.Popen[bytes]:
        """Start `python -m MODULE ...` or `python -c CODE ...`; all output goes to one file."""
        return self._start(arguments, cwd, env, output, output)

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as `subprocess.run` does with `capture_output` and `text`."""
        folder, number = Path(self._folder.name), next(self._numbers)
        files = [folder / f"{number}.{name}" for name in ("stdout", "stderr")]
        process = self._start(arguments, cwd, env, *files)
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, status, *(file.read_text() for file in files))

    def _start(
        self,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        stdout: Path,
        stderr: Path,
    ) -> ForkedProcess | subprocess.Popen[bytes]:
        if not CAN_FORK:
            command = [*self._prefix, sys.executable, *arguments]
            with stdout.open("ab") as out, stderr.open("ab") as err:
                return subprocess.Popen(command, cwd=cwd, env=env, stdout=out, stderr=err)
        status = Path(self._folder.name) / f"{next(self._numbers)}.status"
        request: dict[str, Any] = {"arguments": arguments, "cwd": str(cwd), "env": dict(env)}
        request |= {"stdout": str(stdout), "stderr": str(stderr), "status": str(status)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        pid = self._process.stdout.readline()
        assert pid, f"the process with {', '.join(self._modules)} has ended"
        return ForkedProcess(tuple(arguments), int(pid), status)

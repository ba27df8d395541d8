"""A server's own Python environment: found, made, filled, checked. Never Slicer's Python. No Qt.

The steps are commands for `Process`, one after the other, so that every line that they say can be
shown, and each can be stopped.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from SEGSAMLib.Errors import SegSamError
from SEGSAMLib.Server import SourceDownload

SUPPORTED = ("3.11", "3.12", "3.10")
"""Python versions that the server runs on, best first."""
NEEDED_GB = 10
"""Room that the environment takes with the build of PyTorch for graphics cards (Linux)."""
SOURCE_URL = "https://github.com/SEG-SAM/SlicerSEGSAM/archive/refs/heads/main.zip"
_PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2], sys.executable)"
_PROBE_SECONDS = 20


class InstallError(SegSamError):
    """The server cannot be installed or started here; the sentence says what to do."""

    code = "install"


@dataclass(frozen=True)
class Environment:
    """A folder with a Python environment, and the project's source that the server runs from."""

    folder: Path
    source: Path

    @property
    def python(self) -> Path:
        inner = "Scripts/python.exe" if os.name == "nt" else "bin/python"
        return self.folder / inner

    @property
    def app(self) -> Path:
        return self.source / "monailabel_app"

    @property
    def is_ready(self) -> bool:
        """A server can be started: the project was installed into a Python that is there."""
        return self.python.exists() and self.app.is_dir() and bool(self._installed())

    def _installed(self) -> list[Path]:
        """What pip writes last when it has installed the project."""
        pattern = "Lib/site-packages" if os.name == "nt" else "lib/python3.*/site-packages"
        return list(self.folder.glob(f"{pattern}/segsam-*.dist-info"))


def default_environment(base: Path) -> Environment:
    """Below `base`; where this module runs from a checkout of the project, its source is that."""
    checkout = Path(__file__).resolve().parents[4]
    source = checkout if SourceDownload.is_source(checkout) else base / "source"
    return Environment(base / "environment", source)


def find_python(environment: Mapping[str, str], slicer_home: Path) -> Path:
    """A Python for the server's environment, none of those below `slicer_home`.

    `environment` is the one outside Slicer (`slicer.util.startupEnvironment()`). Raises
    `InstallError` when there is none.
    """
    for version in SUPPORTED:
        for command in _candidates(version, environment):
            found = _probe(command, environment)
            if found is None or found[0] != version:
                continue
            if slicer_home.resolve() not in found[1].resolve().parents:
                return found[1]
    raise InstallError(
        "The server needs Python 3.10, 3.11 or 3.12 of its own, and none was found on this "
        "computer. Install one from python.org (Windows, macOS) or with your package manager "
        "(Linux: python3 with python3-venv), and try again."
    )


def install_steps(wanted: Environment, python: Path) -> list[list[str]]:
    """The commands that make the environment, in order. Raises `InstallError` without the room."""
    _check_room(wanted.folder)
    pip = [str(wanted.python), "-m", "pip", "install", "--disable-pip-version-check"]
    requirements = str(wanted.source / "requirements.txt")
    fetch = [str(python), str(Path(SourceDownload.__file__)), SOURCE_URL, str(wanted.source)]
    return [
        *([] if SourceDownload.is_source(wanted.source) else [fetch]),
        [str(python), "-m", "venv", str(wanted.folder)],
        [*pip, "--upgrade", "pip"],
        [*pip, "-r", requirements, str(wanted.source)],
        [str(wanted.python), "-m", "pip", "check"],
    ]


def start_command(wanted: Environment, studies: Path, port: int) -> list[str]:
    """The server, on this computer only. Raises `InstallError` when it is not installed."""
    if not wanted.is_ready:
        raise InstallError(f"There is no server in {wanted.folder}: install it first.")
    return [
        *(str(wanted.python), "-m", "monailabel.main", "start_server"),
        *("--app", str(wanted.app), "--studies", str(studies)),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]


def free_port() -> int:
    """Return port 8000 of this computer, or any other when it is taken. Raises `InstallError`."""
    for wanted in (8000, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise InstallError("No port of 127.0.0.1 is free.")


def server_variables(outside: Mapping[str, str], token: str) -> dict[str, str]:
    """The server's environment: what Slicer's launcher set stays out, the token goes in here and
    not on the command line, which every user of this computer could read.
    """
    own = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SEGSAM_TOKEN_FILE")
    kept = {name: value for name, value in outside.items() if name not in own}
    return {
        **kept,
        "SEGSAM_TOKEN": token,
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "OMP_WAIT_POLICY": "PASSIVE",
        "SAM2_BUILD_CUDA": "0",
        "PYTHONUNBUFFERED": "1",
    }


def _candidates(version: str, environment: Mapping[str, str]) -> list[list[str]]:
    path = environment.get("PATH", "")
    commands = []
    if os.name == "nt" and shutil.which("py", path=path):
        commands.append(["py", f"-{version}"])
    for name in (f"python{version}", "python3", "python"):
        found = shutil.which(name, path=path)
        if found:
            commands.append([found])
    return commands


def _probe(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, Path] | None:
    """(version, executable) of a Python that can make environments, None for what is none."""
    try:
        said = subprocess.run(
            [*command, "-I", "-c", _PROBE],
            env=server_variables(environment, ""),
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version, _, executable = said.stdout.strip().partition(" ")
    return (version, Path(executable)) if said.returncode == 0 and executable else None


def _check_room(folder: Path) -> None:
    standing = next(path for path in (folder, *folder.parents) if path.exists())
    free_gb = shutil.disk_usage(standing).free / 1e9
    if free_gb < NEEDED_GB:
        raise InstallError(
            f"The server needs {NEEDED_GB} GB in {standing}, which has {free_gb:.1f} GB left: "
            "free some, or choose another folder."
        )

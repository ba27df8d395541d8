"""Installation and start of a server in its own Python environment, never in Slicer's. No Qt.

The steps are commands for `Process`, so that their output can be shown, and each can be stopped.
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
from SEGSAMLib.Translation import tr as _

SUPPORTED = ("3.11", "3.12", "3.10")
"""Python versions that the server runs on, best first."""
NEEDED_GB = 10
"""Disk space of the environment with PyTorch's GPU build (Linux)."""
SOURCE_URL = "https://github.com/SEG-SAM/SEG-SAM/archive/refs/heads/main.zip"
"""Project with the server; the repository of the extension holds the module only."""
_PROBE = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2], sys.executable)"
_PROBE_SECONDS = 20


class InstallError(SegSamError):
    """Server that cannot be installed or started on this computer."""

    code = "install"


@dataclass(frozen=True)
class Environment:
    """Folder with a Python environment, and the project's source that the server runs from."""

    folder: Path
    source: Path

    @property
    def python(self) -> Path:
        """Python executable of the environment."""
        inner = "Scripts/python.exe" if os.name == "nt" else "bin/python"
        return self.folder / inner

    @property
    def app(self) -> Path:
        """Folder of the MONAI Label app."""
        return self.source / "monailabel_app"

    @property
    def is_ready(self) -> bool:
        """True if a server can be started: the project is installed in the environment."""
        pattern = "Lib/site-packages" if os.name == "nt" else "lib/python3.*/site-packages"
        installed = list(self.folder.glob(f"{pattern}/segsam-*.dist-info"))  # pip writes it last
        return self.python.exists() and self.app.is_dir() and bool(installed)


def default_environment(base: Path) -> Environment:
    """Return an environment below `base`. If this module runs from a checkout of the project, the
    checkout is the source.
    """
    checkout = Path(__file__).resolve().parents[4]
    source = checkout if SourceDownload.is_source(checkout) else base / "source"
    return Environment(base / "environment", source)


def find_python(environment: Mapping[str, str], slicer_home: Path) -> Path:
    """Return a Python executable for the server, which does not lie below `slicer_home`.

    `environment` is the one outside Slicer (`slicer.util.startupEnvironment()`). Raises
    `InstallError` if there is none.
    """
    for version in SUPPORTED:
        for command in _candidates(version, environment):
            found = _probe(command, environment)
            if found is None or found[0] != version:
                continue
            if slicer_home.resolve() not in found[1].resolve().parents:
                return found[1]
    sentence = _(
        "The server needs Python 3.10, 3.11 or 3.12 of its own, and none was found on this "
        "computer. Install one from python.org (Windows, macOS) or with your package manager "
        "(Linux: python3 with python3-venv), and try again."
    )
    raise InstallError(sentence)


def install_steps(target: Environment, python: Path) -> list[list[str]]:
    """Return the commands that make an environment, in order. Raises `InstallError` if the disk is
    too full.
    """
    _check_space(target.folder)
    pip = [str(target.python), "-m", "pip", "install", "--disable-pip-version-check"]
    requirements = str(target.source / "requirements.txt")
    download = [str(python), str(Path(SourceDownload.__file__)), SOURCE_URL, str(target.source)]
    return [
        *([] if SourceDownload.is_source(target.source) else [download]),
        [str(python), "-m", "venv", str(target.folder)],
        [*pip, "--upgrade", "pip"],
        [*pip, "-r", requirements, str(target.source)],
        [str(target.python), "-m", "pip", "check"],
    ]


def start_command(environment: Environment, studies: Path, port: int) -> list[str]:
    """Return the command that starts a server for this computer only. Raises `InstallError` if it
    is not installed.
    """
    if not environment.is_ready:
        sentence = _("There is no server in {folder}: install it first.")
        raise InstallError(sentence.format(folder=environment.folder))
    return [
        *(str(environment.python), "-m", "monailabel.main", "start_server"),
        *("--app", str(environment.app), "--studies", str(studies)),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]


def free_port() -> int:
    """Return port 8000 of this computer, or any other when it is taken. Raises `InstallError`."""
    for port in (8000, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise InstallError(_("No port of 127.0.0.1 is free."))


def server_variables(outside: Mapping[str, str], token: str) -> dict[str, str]:
    """Return the server's environment variables, without those that Slicer's launcher sets. The
    token is one of them, because every user of this computer can read command lines.
    """
    dropped = (
        "PYTHONHOME",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "SEGSAM_TOKEN_FILE",
    )
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",  # unless the user has set it
        **{name: value for name, value in outside.items() if name not in dropped},
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
    """Return (version, executable) of a Python that can make environments, None for any other
    command.
    """
    try:
        probed = subprocess.run(
            [*command, "-I", "-c", _PROBE],
            env=server_variables(environment, ""),
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version, _space, executable = probed.stdout.strip().partition(" ")
    return (version, Path(executable)) if probed.returncode == 0 and executable else None


def _check_space(folder: Path) -> None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    if free_gb < NEEDED_GB:
        sentence = _(
            "The server needs {needed} GB in {folder}, which has {free} GB left: free some space, "
            "or choose another folder."
        )
        raise InstallError(
            sentence.format(needed=NEEDED_GB, folder=existing, free=f"{free_gb:.1f}")
        )

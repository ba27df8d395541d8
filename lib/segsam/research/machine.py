"""Facts about the machine on which an experiment runs; they are stored beside its numbers."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path


def machine_facts(threads: int = 0) -> dict[str, str | int | None]:
    """Return commit, processor, threads and the version of torch as plain values.

    Args:
        threads: threads of a run; 0 takes OMP_NUM_THREADS, or else the machine's cores.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return {
        "commit": _commit(),
        "processor": _processor(),
        "threads": threads or (int(given) if given.isdigit() else os.cpu_count()),
        "torch": metadata.version("torch"),
    }


def _commit() -> str:
    """Return the commit of the checkout that this code runs from; empty if it is installed, where
    a surrounding checkout would be that of another project.
    """
    tracked = ["ls-files", "--error-unmatch", Path(__file__).name]
    described = ["describe", "--always", "--dirty", "--abbrev=12"]
    return _git(described) if _git(tracked) else ""


def _git(arguments: list[str]) -> str:
    """Return what git prints in the folder of this file; empty where it fails or there is none."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    """Return the processor's name and its number of cores."""
    path = Path("/proc/cpuinfo")
    name = platform.processor() or platform.machine()
    if path.is_file():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = named[0] if named else name
    return f"{name}, {os.cpu_count()} cores"

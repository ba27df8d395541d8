"""A watch on what leaves this computer, put into every Python of a test, children included.

It writes each address that is wanted outside into the file `$WANTED_OUTSIDE`, and refuses it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

WATCH = """
import os, sys

LOCAL = ("127.", "localhost", "::1", "0.0.0.0")
WATCHED = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")

def watch(event, arguments):
    if event not in WATCHED:
        return
    where = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
    host = where[0] if isinstance(where, tuple) else where
    if event in ("socket.connect", "socket.sendto") and not isinstance(where, tuple):
        return  # a file of this computer
    if host is None or str(host).startswith(LOCAL):
        return
    with open(os.environ["WANTED_OUTSIDE"], "a") as file:
        file.write(f"{sys.argv[:2]} {event} {where}\\n")
    raise OSError("refused by the test")

sys.addaudithook(watch)
"""
HIDING = re.compile(
    r"CI|DO_NOT_TRACK|.*TELEMETRY.*|RAY_.*|MPLCONFIGDIR|PYTEST_.*|TF_BUILD|JENKINS_URL|.*_ACTIONS"
    r"|XDG_.*|SEGSAM_.*|HOME"
)
"""Variables that would hide a report, or lead its file elsewhere."""


def watched_environment(base: Path) -> dict[str, str]:
    """Return an environment without CI, with an empty home in `base`, whose Pythons are watched."""
    for name in ("home", "python"):
        (base / name).mkdir()
    (base / "python" / "sitecustomize.py").write_text(WATCH)
    path = os.environ.get("PYTHONPATH", "")
    return {
        **without_hiding(os.environ),
        "HOME": str(base / "home"),
        "PYTHONPATH": os.pathsep.join([str(base / "python"), *filter(None, [path])]),
        "WANTED_OUTSIDE": str(base / "wanted"),
    }


def without_hiding(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that neither hide a report nor lead its file elsewhere."""
    return {name: value for name, value in environment.items() if not HIDING.fullmatch(name)}


def files_of_others(base: Path, *allowed: str) -> list[str]:
    """Return the files in the home that are neither in our cache nor below an allowed folder."""
    home = base / "home"
    files = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    return [file for file in files if not file.startswith((".cache/segsam/", *allowed))]


def wanted_outside(base: Path) -> str:
    """Return what was wanted outside, one line each."""
    file = base / "wanted"
    return file.read_text() if file.exists() else ""

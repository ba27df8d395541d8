"""Routes for the log, in the place of MONAI Label's: GET /logs/ and GET /logs/gpu.

They are off unless the setting `routes` names them. The log is sent as plain text, without paths of
this computer: MONAI Label's page loads scripts of other sites.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import deque
from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from monailabel.config import settings

from segsam_app.errors import NotFoundError, NotPossibleError
from segsam_app.routes.roles import Admin
from segsam_app.server_paths import without_paths
from segsam_app.storage.disk import output_errors

_MOST_LINES = 100_000
_GPU_SECONDS = 20.0
_NO_GPU = "nvidia-smi does not answer on this server, so nothing is known about a graphics card"

router = APIRouter(prefix="/logs")


@router.get("/")
def log(
    lines: Annotated[int, Query(ge=1, le=_MOST_LINES)] = 300, *, user: Admin
) -> PlainTextResponse:
    """Return the last lines of the log."""
    file = Path(settings.MONAI_LABEL_APP_DIR) / "logs" / "app.log"
    if not file.is_file():
        raise NotFoundError("there is no log on this server")
    with output_errors("Reading the log"), file.open(encoding="utf-8", errors="replace") as stream:
        last = "".join(deque(stream, lines))
    return PlainTextResponse(shown_log(last))


@router.get("/gpu")
def gpu(*, user: Admin) -> PlainTextResponse:
    """Return what nvidia-smi says about the graphics cards."""
    command = shutil.which("nvidia-smi")
    if command is None:
        raise NotPossibleError(_NO_GPU)
    try:
        run = subprocess.run([command], capture_output=True, timeout=_GPU_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotPossibleError(_NO_GPU) from error
    return PlainTextResponse(shown_log(run.stdout.decode("utf-8", "replace")))


def shown_log(text: str) -> str:
    """Return lines of the log without paths of this computer: of each its last name is left, or its
    place within a folder of the server.
    """
    return _paths().sub(r".../\1", str(without_paths(text)))


@cache
def _paths() -> re.Pattern[str]:
    """Return the pattern of a path; routes, which begin with a slash too, are none."""
    top = "|".join(re.escape(one.name) for one in sorted(Path("/").iterdir()) if one.is_dir())
    part = r"[^\s/\\'\",:;()<>\[\]]*"
    return re.compile(rf"(?<![\w./])(?:/(?:{top})|[A-Za-z]:)(?:[/\\]+{part})*[/\\]+({part})")

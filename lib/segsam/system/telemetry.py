"""Reports of libraries about their use, switched off: nothing leaves this computer unasked.

OpenVINO sends an event with a persistent id when it is imported, and MLflow, Ray and the Hugging
Face hub have reports of their own. They are off in the command line, in the server and in their
child processes. A variable that the user has set is a choice, and is kept.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import psutil

from segsam.system.folders import default_cache_dir

_OFF = {
    "DO_NOT_TRACK": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment variables that switch the reports off, as the libraries document them."""


def quiet_variables() -> dict[str, str]:
    """Return the variables for a process that reports nothing, and keeps its files in our cache.

    Matplotlib's list of fonts goes to our cache folder too, so that nothing is written elsewhere in
    the user's home.
    """
    return {**_OFF, "MPLCONFIGDIR": str(default_cache_dir().absolute() / "matplotlib")}


def switch_off_reports() -> None:
    """Switch off all reports of this process and of those that it starts."""
    for name, value in quiet_variables().items():
        os.environ.setdefault(name, value)
    block_openvino_reports()
    _stop_mlflow(os.environ)


def block_openvino_reports() -> None:
    """Make OpenVINO's reporting package impossible to import.

    OpenVINO then takes the stub that it has for computers without that package. To be called before
    OpenVINO is imported: the import itself sends an event, and writes an id to `~/intel`.
    """
    sys.modules.setdefault("openvino_telemetry", cast(Any, None))


def _stop_mlflow(env: Mapping[str, str]) -> None:
    """Stop the client of an MLflow that is already imported, and remove the id that it made.

    MONAI Label imports MLflow before it loads an app, and that import writes the id; only one that
    this process has just made is removed.
    """
    telemetry = sys.modules.get("mlflow.telemetry")
    if telemetry is None or env["MLFLOW_DISABLE_TELEMETRY"].lower() not in ("true", "1"):
        return
    telemetry.set_telemetry_client()  # with the variable set, this takes the client away
    file = _mlflow_folder(env) / "telemetry.json"
    with contextlib.suppress(OSError):
        if file.stat().st_mtime >= psutil.Process().create_time():
            file.unlink()
            file.parent.rmdir()


def _mlflow_folder(env: Mapping[str, str]) -> Path:
    named = env.get("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME")
    return Path(named or Path.home() / ".config") / "mlflow"

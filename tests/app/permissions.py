"""Processes for which permissions hold: root may read and write everything."""

from __future__ import annotations

import os
import shutil

IS_ROOT = os.name != "nt" and os.geteuid() == 0
_SETPRIV = shutil.which("setpriv")

CAN_BE_HELD = os.name != "nt" and (not IS_ROOT or _SETPRIV is not None)
"""False if a test cannot start a process that permissions hold back."""
UNPRIVILEGED = (
    [_SETPRIV, "--bounding-set=-dac_override,-dac_read_search"] if IS_ROOT and _SETPRIV else []
)
"""Beginning of the command of such a process."""

"""How far a training is, in a small file that the server reads while another process writes it.

Numbers are finite or left out: one NaN in `/info/` and 3D Slicer cannot connect at all.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from segsam.system.atomic import write_bytes
from segsam.types import Progress
from segsam_app.strict_json import json_safe

logger = logging.getLogger(__name__)

FILE = "training.json"
PREPARING, LEARNING, MEASURING = "preparing", "learning", "measuring"
DONE, ERROR, STOPPED = "done", "error", "stopped"
_WRITE_SECONDS = 0.5
_SAY_SECONDS = 5.0


class Journal:
    """What a training writes about itself; keys as MONAI Label's clients read them."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = folder / FILE
        self._clock = clock
        self._began = clock()
        self._written = self._said = -1e9
        self._facts: dict[str, Any] = {
            "started": time.time(),
            "pid": os.getpid(),
            "epoch": 0,
            "total_epochs": 0,
            "best_metric": 0.0,
        }

    def phase(self, name: str, what: str) -> Progress:
        """Say what begins now; what comes back is called with (done, total, what) at each step."""
        self._facts |= {"status": name, "what": what, "done": 0, "total": 0}
        self._write()
        logger.info("training: %s", what)

        def heard(done: int, total: int, what: str) -> None:
            self._facts |= {"what": what, "done": done, "total": total}
            now = self._clock()
            if now - self._written >= _WRITE_SECONDS:
                self._write()
            if now - self._said >= _SAY_SECONDS:
                self._said = now
                logger.info("training: %s %d of %d: %s", name, done, total, what)

        return heard

    def learning(self, epochs: int) -> Progress:
        """`phase` of the steps themselves, which are also told as `epochs` that have passed."""
        heard = self.phase(LEARNING, "learning")
        self._facts["total_epochs"] = epochs

        def stepped(done: int, total: int, what: str) -> None:
            self._facts["epoch"] = min(epochs, 1 + done * epochs // max(1, total))
            heard(done, total, what)

        return stepped

    def knows(self, **facts: Any) -> None:
        """Add facts."""
        self._facts |= facts
        self._write()

    def ends(self, status: str, why: str, **facts: Any) -> dict[str, Any]:
        """The last word: `why` is a sentence. All that is known."""
        seconds = round(self._clock() - self._began)
        epochs = self._facts["total_epochs"]
        self._facts |= {"status": status, "why": why, "total_time": str(timedelta(seconds=seconds))}
        self._facts |= {"epoch": epochs} if status == DONE else {}
        self.knows(**facts)
        logger.info("training: %s", why)
        return dict(json_safe(self._facts))

    def _write(self) -> None:
        self._written = self._clock()
        write_bytes(self._path, json.dumps(json_safe(self._facts), indent=1).encode())


def read_journal(folder: Path) -> dict[str, Any]:
    """What the last training wrote; {} when there was none."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(json_safe(found)) if isinstance(found, Mapping) else {}

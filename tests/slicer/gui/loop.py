"""Qt's event loop with Python's lock held, as in Slicer, and a clock that does not lend the lock.

PythonQt's thread support is off in Slicer: while Qt's loop runs, the GUI thread holds Python's
lock, and other Python threads stand still unless Python code of the GUI thread lends it. PySide
lends it whenever the loop runs, which hides every place where the module forgets to. Here Qt's own
functions are called through `ctypes.PyDLL`, which keeps the lock.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import PySide6
from PySide6.QtCore import SIGNAL, SLOT, QEasingCurve, QObject, QTimeLine, QTimer
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QSpinBox

CHECK_MS = 100
"""Interval at which `until` looks at its condition. Each look is Python code, which lends the lock
for some milliseconds, so it must be rare beside the module's own timers.
"""
_EXEC = "_ZN16QCoreApplication4execEv"
_PROCESS_EVENTS = "_ZN16QCoreApplication13processEventsE6QFlagsIN10QEventLoop17ProcessEventsFlagEE"
_CLOCK_TICK_MS = 2
_CLOCK_LENGTH_MS = 3_600_000


@cache
def _core() -> Any:
    """Return Qt's core library; functions called through it keep Python's lock."""
    folder = Path(PySide6.__file__).parent / "Qt" / "lib"
    found = sorted(folder.glob("libQt6Core.so*"))
    if not found:
        raise RuntimeError(
            f"Expected libQt6Core.so in {folder}: these tests need PySide6 on Linux."
        )
    return ctypes.PyDLL(str(found[0]))


def process_events() -> None:
    """Process the events that wait, with the lock held."""
    getattr(_core(), _PROCESS_EVENTS)(0)


def run(milliseconds: int) -> None:
    """Run the event loop for a time, with the lock held."""
    QTimer.singleShot(milliseconds, QApplication.exit)
    getattr(_core(), _EXEC)()


def until(condition: Callable[[], Any], what: str, seconds: float) -> None:
    """Run the event loop, with the lock held, until a condition is true."""
    end = time.monotonic() + seconds

    def check() -> None:
        is_over = True  # also if the condition raises: it does so again below
        try:
            is_over = bool(condition()) or time.monotonic() > end
        finally:
            if is_over:
                QApplication.exit()

    timer = QTimer()
    timer.setInterval(CHECK_MS)
    timer.timeout.connect(check)
    process_events()
    if condition():
        return
    timer.start()
    getattr(_core(), _EXEC)()
    timer.stop()
    assert condition(), f"{what} did not come"


class Clock:
    """The longest time between two ticks of the event loop, which is how long something held it.

    The ticks are counted by Qt alone (a time line sets a spin box, whose text goes to a list):
    ticks in Python would lend the lock 500 times a second.
    """

    def __init__(self) -> None:
        self._line = QTimeLine(_CLOCK_LENGTH_MS)
        self._line.setFrameRange(0, _CLOCK_LENGTH_MS)
        self._line.setUpdateInterval(_CLOCK_TICK_MS)
        self._line.setEasingCurve(QEasingCurve.Type.Linear)
        self._box, self._list = QSpinBox(), QPlainTextEdit()
        self._box.setMaximum(_CLOCK_LENGTH_MS)
        QObject.connect(self._line, SIGNAL("frameChanged(int)"), self._box, SLOT("setValue(int)"))
        text_changed, append = SIGNAL("textChanged(QString)"), SLOT("appendPlainText(QString)")
        QObject.connect(self._box, text_changed, self._list, append)
        self._began, self._own_s = time.monotonic(), time.thread_time()
        self._line.start()

    def stop(self) -> None:
        """Stop. The time since the last tick counts too."""
        now = round(1000 * (time.monotonic() - self._began))
        self.own_ms = 1000 * (time.thread_time() - self._own_s)
        """Processor's time of the GUI thread, which a busy machine does not change."""
        self._line.stop()
        ticks = [0, *(int(each) for each in self._list.toPlainText().split()), now]
        self.ticks = len(ticks) - 2
        self.longest_ms = max(after - before for before, after in pairwise(ticks))

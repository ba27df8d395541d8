"""Session of one widget: what the panels share. Logic, workflow, settings and the status line."""

from __future__ import annotations

from typing import Any, Callable, Iterator, MutableMapping

import qt

import slicer
from SEGSAMLib.Errors import AgreementNeededError, SegSamError
from SEGSAMLib.Parameters import Parameters, Settings
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Workflow import Workflow


class QSettingsStore(MutableMapping):
    """Slicer's own settings as a mapping of texts."""

    def __getitem__(self, key: str) -> str:
        value = qt.QSettings().value(key)
        if value is None:
            raise KeyError(key)
        return str(value)

    def __setitem__(self, key: str, value: str) -> None:
        qt.QSettings().setValue(key, value)

    def __delitem__(self, key: str) -> None:
        qt.QSettings().remove(key)

    def __iter__(self) -> Iterator[str]:
        return iter(qt.QSettings().allKeys())

    def __len__(self) -> int:
        return len(qt.QSettings().allKeys())


def make_timer(interval_ms: int, slot: Callable[[], None]) -> Any:
    """Return a stopped timer that calls a slot. Keep a reference to it, or it is deleted."""
    timer = qt.QTimer()
    timer.interval = interval_ms
    timer.timeout.connect(slot)
    return timer


def ask(question: str) -> bool:
    """Ask a question with Yes and No in Slicer's own message box."""
    return bool(slicer.util.confirmYesNoDisplay(question, windowTitle="SEG-SAM"))


class Session:
    """Shared state of the panels of one widget.

    `node` is the wrapped parameter node, None while a scene is closing. Functions in `on_changed`
    are called after a change of the scene or of the connection, those in `on_started` after each
    action that succeeded.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.settings = Settings(QSettingsStore())
        self.logic = Logic()
        self.workflow = Workflow(self.logic, self.settings)
        self.node: Any = None
        self.ask: Callable[[str], bool] = ask
        self.is_connected = False
        self.server_info: Any = None
        self.on_changed: list[Callable[[], None]] = []
        self.on_started: list[Callable[[], None]] = []

    def parameters(self) -> Parameters:
        """Return a copy of the parameters that the panel shows."""
        return Parameters.read(self.node) if self.node is not None else Parameters()

    def attempt(self, action: Callable[..., Any], *arguments: Any, **options: Any) -> bool:
        """Call an action. If it raises a `SegSamError`, show its sentence and return False.

        If the action needs the user's agreement, ask for it, store it and call the action again.
        """
        try:
            action(*arguments, **options)
        except AgreementNeededError as needed:
            if not self.ask(str(needed)):
                self.show_status(needed.refused)
                return False
            needed.agree(self.settings)
            return self.attempt(action, *arguments, **options)
        except SegSamError as error:
            self.show_status(str(error), is_error=True)
            return False
        self.notify_started()
        return True

    def show_status(self, sentence: str, *, is_error: bool = False) -> None:
        """Show one sentence in the status line at the top of the panel."""
        self.ui.statusLabel.text = f"⚠ {sentence}" if is_error else sentence

    def notify_started(self) -> None:
        """Tell the widget that an action may have started a task."""
        for callback in self.on_started:
            callback()

    def notify_changed(self) -> None:
        """Tell all panels that the scene or the connection changed."""
        for callback in self.on_changed:
            callback()

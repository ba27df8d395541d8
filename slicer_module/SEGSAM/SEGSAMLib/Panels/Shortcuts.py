"""Keyboard shortcuts of the module, active while it is open."""

from __future__ import annotations

from typing import Any, Mapping

import qt


class Shortcuts:
    """Keys that click buttons, anywhere in Slicer's main window, while they are on.

    A key that is typed into a text field goes to the field, because Qt sends it to the widget with
    the focus first. A disabled button is not clicked.
    """

    def __init__(self, window: Any, buttons: Mapping[str, Any]) -> None:
        self._window = window
        self._buttons = dict(buttons)
        self._shortcuts: list[Any] = []

    def turn_on(self) -> None:
        """Create the shortcuts."""
        if self._shortcuts:
            return
        for key, button in self._buttons.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), self._window)
            click = _clicker(button)
            shortcut.activated.connect(click)
            shortcut.activatedAmbiguously.connect(click)  # Slicer's own menu may have the key too
            self._shortcuts.append(shortcut)

    def turn_off(self) -> None:
        """Delete the shortcuts."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False
            shortcut.deleteLater()  # with its parent until then: this may be its own signal
        self._shortcuts = []


def _clicker(button: Any) -> Any:
    def click() -> None:
        if button.enabled:
            button.click()

    return click

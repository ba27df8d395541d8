"""What the panels share: the scene's logic, the verbs, the settings, and how to tell the user."""

from __future__ import annotations

from typing import Any, Callable

import qt

import slicer
from SEGSAMLib.Errors import ConsentNeededError, SegSamError
from SEGSAMLib.Parameters import Parameters, Settings
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Workflow import Workflow

POLL_MS = 20


class QSettingsStore:
    """`Settings` in Slicer's own settings, which are the operating system's."""

    def get(self, key: str) -> str | None:
        value = qt.QSettings().value(key)
        return None if value is None else str(value)

    def set(self, key: str, value: str) -> None:
        qt.QSettings().setValue(key, value)

    def remove(self, key: str) -> None:
        qt.QSettings().remove(key)


def ask(question: str) -> bool:
    """A question with Yes and No, in Slicer's own box."""
    return bool(slicer.util.confirmYesNoDisplay(question, windowTitle="SEG-SAM"))


class Session:
    """One per widget. `node` is the wrapped parameter node, None while a scene is closing."""

    def __init__(self, ui: Any, settings: Settings | None = None) -> None:
        self.ui = ui
        self.settings = settings if settings is not None else Settings(QSettingsStore())
        self.logic = Logic()
        self.workflow = Workflow(self.logic, self.settings)
        self.node: Any = None
        self.ask: Callable[[str], bool] = ask
        self.is_connected = False
        self.server_info: Any = None
        self.on_changed: list[Callable[[], None]] = []
        self.on_started: list[Callable[[], None]] = []

    def parameters(self) -> Parameters:
        """A copy of what the panel says now."""
        return Parameters.read(self.node) if self.node is not None else Parameters()

    def attempt(self, verb: Callable[..., Any], *given: Any, **more: Any) -> bool:
        """Call something that may refuse; a refusal is shown as its sentence, and is False.

        Where the user's consent is needed it is asked for, and remembered when it is given.
        """
        try:
            verb(*given, **more)
        except ConsentNeededError as needed:
            if not self.ask(str(needed)):
                self.say("Nothing was sent.")
                return False
            self.settings.consent(needed.server)
            return self.attempt(verb, *given, **more)
        except SegSamError as error:
            self.say(str(error), wrong=True)
            return False
        for started in self.on_started:
            started()
        return True

    def say(self, sentence: str, *, wrong: bool = False) -> None:
        """One sentence in the line at the top of the panel."""
        self.ui.statusLabel.text = f"⚠ {sentence}" if wrong else sentence

    def changed(self) -> None:
        """Something was done to the scene or the server: every panel shows what is now."""
        for show in self.on_changed:
            show()

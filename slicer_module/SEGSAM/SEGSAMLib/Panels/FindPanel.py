"""Field "Find" of the panel: a name in place of prompts."""

from __future__ import annotations

from typing import Any, Iterator

import qt

from SEGSAMLib.Panels.Session import Session
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values import Terminology
from SEGSAMLib.Values.Replies import Model, NotFound
from SEGSAMLib.Values.Results import AppliedSearch


class FindPanel:
    """Field for the name of an object, which completes as one types, and what the search found."""

    tasks = ("find",)

    def __init__(self, session: Session) -> None:
        self.session = session
        ui = self.ui = session.ui
        self._names: list[str] = []
        self._completer: Any = None
        ui.findEdit.returnPressed.connect(lambda *_: self.find())
        ui.findButton.clicked.connect(lambda *_: self.find())
        ui.findEdit.textChanged.connect(lambda *_: self._enable())

    def handle(self, event: Any) -> None:
        """Show what a search found and what it did not."""
        if event.kind == "done":
            self._show(event.value)
            self.session.notify_changed()

    def refresh(self) -> None:
        """Show the field where the server finds objects by name, and complete the names that it
        knows now.
        """
        ui, model = self.ui, self._model()
        ui.findEdit.visible = ui.findButton.visible = model is not None
        ui.findLabel.visible = model is not None and bool(ui.findLabel.text)
        names = [] if model is None else list(dict.fromkeys(_names(model)))
        if names != self._names:
            self._names = names
            self._completer = qt.QCompleter(names, ui.findEdit)
            self._completer.caseSensitivity = qt.Qt.CaseInsensitive
            self._completer.filterMode = qt.Qt.MatchContains
            ui.findEdit.setCompleter(self._completer)
        self._enable()

    def find(self) -> None:
        """Look for the objects of the name in the field."""
        session, name = self.session, self.ui.findEdit.text.strip()
        if not name or not self.ui.findEdit.enabled:
            return
        self._say("")
        if session.attempt(session.workflow.find, name, session.parameters()):
            session.show_status(_("Looking for {name} …").format(name=name))

    def _enable(self) -> None:
        ui, session = self.ui, self.session
        ui.findEdit.enabled = session.is_connected and session.logic.nodes.volume is not None
        ui.findButton.enabled = ui.findEdit.enabled and bool(ui.findEdit.text.strip())

    def _model(self) -> Model | None:
        """Return the chosen model if it finds objects by name."""
        session = self.session
        models = session.server_info.models if session.server_info is not None else ()
        chosen = session.parameters().model
        return next((each for each in models if each.finds and each.name == chosen), None)

    def _show(self, value: AppliedSearch) -> None:
        lines = [_found(*each) for each in value.found]
        lines += [_not_found(each) for each in value.not_found]
        self._say("\n".join([*lines, *(f"• {note}" for note in value.notes)]))
        self.session.show_status(lines[0] if lines else _("Nothing was found."))

    def _say(self, text: str) -> None:
        self.ui.findLabel.text = text
        self.ui.findLabel.visible = bool(text)


def _names(model: Model) -> Iterator[str]:
    """Yield taught names, and categories with their synonyms."""
    yield from model.taught
    for category in model.categories:
        yield category
        yield from Terminology.synonyms(category)


def _found(name: str, certainty: float | None) -> str:
    if certainty is None:
        return _("Found: {name}.").format(name=name)
    return _("Found: {name} (certainty {percent} %).").format(
        name=name, percent=round(100 * certainty)
    )


def _not_found(one: NotFound) -> str:
    sentence = _("Not found: {name}.").format(name=one.name)
    if one.probability is not None:
        likely = _("That it is there after all: {percent} %.")
        sentence += " " + likely.format(percent=round(100 * one.probability))
    return sentence if not one.reason else f"{sentence}\n• {one.reason}"

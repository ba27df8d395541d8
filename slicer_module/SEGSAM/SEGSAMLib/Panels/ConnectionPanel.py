"""Section "Server" of the panel: address, token, certificate, test, model and version."""

from __future__ import annotations

from typing import Any

from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Panels.Session import Session
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Replies import Diagnosis, Versions


class ConnectionPanel:
    """Choice of server, model and version."""

    tasks = ("connect", "version")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.ui = session.ui
        settings = session.settings
        for address in settings.servers or (settings.server,):
            self.ui.serverCombo.addItem(address)
        self.ui.certificatePath.currentPath = settings.ca_file
        self._show_token()
        self.ui.connectButton.clicked.connect(lambda *_: self.connect())
        self.ui.serverCombo.lineEdit().returnPressed.connect(lambda *_: self.connect())
        self.ui.serverCombo.currentTextChanged.connect(lambda *_: self._show_token())
        self.ui.modelCombo.activated.connect(lambda *_: self._choose_model())
        self.ui.versionCombo.activated.connect(lambda *_: self._choose_version())

    def connect(self, address: str = "") -> None:
        """Test an address, by default the one in the field, and use it if the test succeeds."""
        ui, session = self.ui, self.session
        if address:
            ui.serverCombo.currentText = address
            self._show_token()  # the token may be new even if the address is not
        typed = ui.serverCombo.currentText
        session.settings.ca_file = ui.certificatePath.currentPath or ""
        token = ui.tokenEdit.text
        if not self._set_token(typed, token):
            return
        ui.diagnosisLabel.text = _("Connecting …")
        if not session.attempt(session.workflow.connect, typed, token):
            ui.diagnosisLabel.text = ui.statusLabel.text

    def handle(self, event: Any) -> None:
        """Show the result of a task of this panel."""
        if event.kind == "done" and isinstance(event.value, Diagnosis):
            self._show_diagnosis(event.value)
        elif event.kind == "done" and isinstance(event.value, Versions):
            self._show_versions(event.value)
        elif event.kind == "cancelled" and event.task == "connect":
            self.ui.diagnosisLabel.text = _("Cancelled.")

    def refresh(self) -> None:
        """Enable what can be used."""
        for widget in (self.ui.modelCombo, self.ui.versionCombo):
            widget.enabled = self.session.is_connected and widget.count > 0

    def _set_token(self, typed: str, token: str) -> bool:
        try:
            remember = self.ui.rememberTokenCheckBox.checked
            self.session.settings.set_token(typed, token, remember=remember)
        except ClientError as error:
            self.ui.diagnosisLabel.text = f"⚠ {error}"
            return False
        return True

    def _show_token(self) -> None:
        """Show the known token for the address in the field."""
        try:
            typed = self.ui.serverCombo.currentText
            self.ui.tokenEdit.text = self.session.settings.token(typed)
            self.ui.rememberTokenCheckBox.checked = self.session.settings.remembers_token(typed)
        except ClientError:
            self.ui.tokenEdit.text = ""

    def _show_diagnosis(self, found: Diagnosis) -> None:
        ui, session = self.ui, self.session
        session.is_connected = found.is_ok
        session.server_info = found.info if found.is_ok else None
        ui.diagnosisLabel.text = f"✔ {found.line}" if found.is_ok else f"⚠ {found.line}"
        session.show_status(found.line, is_error=not found.is_ok)
        ui.modelCombo.clear()
        ui.versionCombo.clear()
        if found.is_ok and found.info is not None:
            self._offer_models(found.info)
            ui.connectionSection.collapsed = True
            if ui.modelCombo.currentText in found.info.trainers:
                session.attempt(session.workflow.versions, session.parameters())
        else:
            ui.connectionSection.collapsed = False
        session.notify_changed()

    def _offer_models(self, info: Any) -> None:
        names = [model.name for model in info.models]
        self.ui.modelCombo.addItems(names)
        model = self.session.parameters().model
        if model in names:
            self.ui.modelCombo.currentText = model
        self._write_model()

    def _choose_model(self) -> None:
        self._write_model()
        session = self.session
        self.ui.versionCombo.clear()
        if session.server_info and session.parameters().model in session.server_info.trainers:
            session.attempt(session.workflow.versions, session.parameters())
        session.notify_changed()

    def _write_model(self) -> None:
        if self.session.node is not None and self.ui.modelCombo.currentText:
            self.session.node.model = self.ui.modelCombo.currentText

    def _show_versions(self, found: Versions) -> None:
        combo = self.ui.versionCombo
        combo.clear()
        for version in found.versions:
            combo.addItem(version.id)
        combo.currentText = found.current
        self.refresh()

    def _choose_version(self) -> None:
        session = self.session
        version = self.ui.versionCombo.currentText
        session.attempt(session.workflow.use_version, session.parameters(), version)

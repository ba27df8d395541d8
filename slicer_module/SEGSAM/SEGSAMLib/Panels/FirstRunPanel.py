"""Part of the panel until the first connection: which server, or a try with the sample CT."""

from __future__ import annotations

from typing import Any, Callable

from SEGSAMLib.Panels.Session import Session
from SEGSAMLib.Scene import SampleCT, Views
from SEGSAMLib.Translation import tr as _


class FirstRunPanel:
    """Three ways to begin, each a button. It is shown until this user has connected to a server."""

    tasks = ("connect",)

    def __init__(self, session: Session, start_server: Callable[[], None]) -> None:
        self.session = session
        self.ui = session.ui
        self._start_server = start_server
        self._is_trying = False
        self.ui.trySampleButton.clicked.connect(lambda *_: self.try_sample())
        self.ui.useLocalButton.clicked.connect(lambda *_: self.use_local())
        self.ui.useRemoteButton.clicked.connect(lambda *_: self.use_remote())

    def try_sample(self) -> None:
        """Load the sample CT, show its right kidney, and start a server on this computer. When it
        is connected, the box tool is chosen.
        """
        if self.session.attempt(self._show_sample):
            self._is_trying = True
            self.use_local()

    def use_local(self) -> None:
        """Start the server on this computer, or offer to install it."""
        ui = self.ui
        ui.serverSection.collapsed = False
        if ui.startServerButton.enabled:
            self._start_server()
        state = ui.serverStateLabel.text
        if not ui.startServerButton.enabled:
            place = _("The section Server on this computer shows how far it is.")
            state = f"{state} {place}"
        elif not state.startswith("⚠"):
            state = _("No server was started.")
        self.session.show_status(state)

    def use_remote(self) -> None:
        """Let the user type the address of a server on another computer."""
        ui = self.ui
        ui.connectionSection.collapsed = False
        ui.serverCombo.currentText = ""
        ui.serverCombo.lineEdit().setFocus()
        sentence = _(
            "Type the address of the server, and its token if it requires one, and press Connect."
        )
        self.session.show_status(sentence)

    def handle(self, event: Any) -> None:
        """Choose the box tool once a server for the sample is connected."""
        if self._is_trying and self.session.is_connected:
            self._is_trying = False
            self.ui.boxButton.checked = True
            sentence = _(
                "Drag a box around the right kidney in the axial view (on the left of the picture)."
            )
            self.session.show_status(sentence)

    def refresh(self) -> None:
        """Show the part, or hide it after the first connection."""
        self.ui.firstRunFrame.visible = not self.session.settings.servers

    def _show_sample(self) -> None:
        volume = SampleCT.load_sample()
        self.session.node.volume = volume
        for axis, index in enumerate(SampleCT.RIGHT_KIDNEY_IJK):
            Views.show_slice(volume, axis, index)

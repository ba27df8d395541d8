"""Section "Server on this computer" of the panel: installation, start, log, stop."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Callable

import slicer
from SEGSAMLib.Errors import SegSamError
from SEGSAMLib.Panels.Session import Session, make_timer
from SEGSAMLib.Server import Install
from SEGSAMLib.Server.Install import Environment, InstallError
from SEGSAMLib.Server.Process import Process
from SEGSAMLib.Translation import tr as _

POLL_MS = 200
_READY = "Uvicorn running on"
"""Text in the server's log once it accepts requests."""
_LOG_LINES = 2000


class ServerPanel:
    """Server that this module starts and stops. Its token is random, and the user need not enter
    it.
    """

    def __init__(self, session: Session, connect: Callable[[str], None]) -> None:
        self.session = session
        self.ui = session.ui
        self._connect = connect
        self.process: Process | None = None
        self.address = ""
        self._is_server = False
        base = Path(slicer.app.slicerUserSettingsFilePath).parent / "SEGSAM"
        self._environment = Install.default_environment(base)
        self.ui.environmentPath.currentPath = str(self._environment.folder)
        self.ui.studiesPath.currentPath = str(base / "images")
        self.ui.serverLog.maximumBlockCount = _LOG_LINES
        self._timer = make_timer(POLL_MS, self.poll)
        self.ui.startServerButton.clicked.connect(lambda *_: self.start())
        self.ui.stopServerButton.clicked.connect(lambda *_: self.stop())
        self.refresh()

    @property
    def environment(self) -> Environment:
        """Environment in the folder that the panel names."""
        return Environment(Path(self.ui.environmentPath.currentPath), self._environment.source)

    def start(self) -> None:
        """Start the server, or offer to install it if it is missing."""
        environment = self.environment
        if not environment.is_ready:
            question = _(
                "No SEG-SAM server is installed on this computer yet.\n\n"
                "It gets a Python environment of its own in\n{folder}\n"
                "Slicer's Python is not touched. Up to {size} GB are downloaded with pip; that "
                "takes some minutes, and you can go on working. To remove it, delete the folder."
                "\n\nInstall it now?"
            )
            if self.session.ask(question.format(folder=environment.folder, size=Install.NEEDED_GB)):
                self._run(self._install_steps, _("Installing …"))
            return
        self._is_server = True
        self._run(self._start_steps, _("Starting …"))

    def stop(self) -> None:
        """Ask the server or the installation to end."""
        if self.process is not None and self.process.is_running:
            self.process.stop()
            self._show_state(_("Stopping …"))

    def close(self) -> None:
        """End the server that this module started."""
        self._timer.stop()
        if self.process is not None and self.process.is_running:
            self.process.end()

    def refresh(self) -> None:
        """Enable what can be used."""
        running = self.process is not None and self.process.is_running
        self.ui.startServerButton.enabled = not running
        self.ui.startServerButton.text = _("Start") if self.environment.is_ready else _("Install…")
        self.ui.stopServerButton.enabled = running
        self.ui.environmentPath.enabled = not running
        self.ui.studiesPath.enabled = not running

    def poll(self) -> None:
        """Show new output, and the end of the process."""
        if self.process is None:
            return
        for line in self.process.poll():
            self.ui.serverLog.appendPlainText(line)
            if self._is_server and _READY in line:
                self._show_state(_("Running on {address}.").format(address=self.address))
                self._connect(self.address)
        if not self.process.is_running:
            self._timer.stop()
            self._ended(self.process)
        self.refresh()

    def _run(self, steps: Callable[[], Any], sentence: str) -> None:
        self.ui.serverLog.clear()
        try:
            commands, variables = steps()
            self.process = Process(commands, variables)
            self.process.start()
        except SegSamError as error:
            self._show_state(f"⚠ {error}")
        else:
            self._show_state(sentence)
            self._timer.start()
        self.refresh()

    def _install_steps(self) -> Any:
        outside = slicer.util.startupEnvironment()
        self._is_server = False
        python = Install.find_python(outside, Path(slicer.app.slicerHome))
        variables = Install.server_variables(outside, "")
        return Install.install_steps(self.environment, python), variables

    def _start_steps(self) -> Any:
        studies = Path(self.ui.studiesPath.currentPath)
        try:
            studies.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            sentence = _("The folder {folder} cannot be created: {error}.")
            raise InstallError(sentence.format(folder=studies, error=error)) from error
        port = Install.free_port()
        self.address = f"http://127.0.0.1:{port}"
        token = secrets.token_urlsafe(32)
        self.session.settings.set_token(self.address, token, remember=False)
        variables = Install.server_variables(slicer.util.startupEnvironment(), token)
        return [Install.start_command(self.environment, studies, port)], variables

    def _ended(self, process: Process) -> None:
        if process.is_stopped:
            self._show_state(_("Stopped."))
        elif process.exit_status == 0 and not self._is_server:
            installed = _("Installed.")
            self._show_state(f"✔ {installed}")
            self.start()
        else:
            sentence = (
                _("The server ended (status {status}).")
                if self._is_server
                else _("The installation ended (status {status}).")
            ).format(status=process.exit_status)
            below = _("See the log below.")
            there = _("See the log in the section Server on this computer.")
            self._show_state(f"⚠ {sentence} {below}")
            self.session.show_status(f"{sentence} {there}", is_error=True)

    def _show_state(self, sentence: str) -> None:
        self.ui.serverStateLabel.text = sentence

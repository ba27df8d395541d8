"""Unsaved work kept on the server: when it is sent, what is offered, its setting in Advanced."""

from __future__ import annotations

import logging
import time
from typing import Any

import slicer
from SEGSAMLib.Drafts import TASK, Offer
from SEGSAMLib.Errors import SegSamError
from SEGSAMLib.Panels.Session import Session, make_timer
from SEGSAMLib.Translation import tr as _

TICK_MS = 1000
_STATUS_MS = 8000
logger = logging.getLogger("SEGSAM")


class DraftPanel:
    """Drafts of one widget. What goes wrong is a line in the log and in Slicer's status bar: it is
    not what the user is working on.
    """

    tasks = (TASK,)

    def __init__(self, session: Session) -> None:
        self.session = session
        ui = self.ui = session.ui
        self.timer = make_timer(TICK_MS, self.tick)
        self._is_ticking = False
        self._logged = ""
        ui.keepDraftsCheckBox.clicked.connect(lambda *_args: self._set_kept())
        ui.forgetDraftsButton.clicked.connect(lambda *_args: self._forget())

    def tick(self) -> None:
        """Start what is due."""
        try:
            if self.session.workflow.drafts.tick():
                self.session.notify_started()
        except SegSamError as error:
            self._log(error)

    def handle(self, event: Any) -> None:
        """Offer a draft that was found, and show what came back."""
        if event.kind == "failed":
            self._log(event.error)
            return
        if event.kind == "done":
            self._logged = ""
        if isinstance(event.value, Offer):
            self._offer(event.value)
        elif isinstance(event.value, int):
            sentence = _("Your unsaved work is back (segments: {count}).")
            self.session.show_status(sentence.format(count=event.value))
            self.session.notify_changed()

    def refresh(self) -> None:
        """Show the setting for the connected server."""
        is_connected = self.session.is_connected
        self.ui.keepDraftsCheckBox.enabled = is_connected
        self.ui.forgetDraftsButton.enabled = is_connected
        settings = self.session.settings
        self.ui.keepDraftsCheckBox.checked = settings.keeps_drafts(settings.server)
        if is_connected is not self._is_ticking:
            self._is_ticking = is_connected
            (self.timer.start if is_connected else self.timer.stop)()

    def close(self) -> None:
        """Stop to send drafts."""
        self.timer.stop()

    def _offer(self, offer: Offer) -> None:
        draft, drafts = offer.draft, self.session.workflow.drafts
        question = _(
            "There is unsaved work on this image, of {time} (segments: {count}).\n\n"
            "Continue it? If not, it is deleted."
        )
        shown = question.format(time=_time_of(draft.saved), count=len(draft.segments))
        if self.session.ask(shown):
            self.session.attempt(drafts.accept, offer)
        else:
            drafts.decline(offer)

    def _set_kept(self) -> None:
        settings, is_kept = self.session.settings, bool(self.ui.keepDraftsCheckBox.checked)
        settings.set_keeps_drafts(settings.server, is_kept)
        if not is_kept:
            self.session.workflow.drafts.forget()
            self.tick()

    def _forget(self) -> None:
        self.session.workflow.drafts.forget()
        self.tick()
        self.session.show_status(_("Your unsaved work on the server is deleted."))

    def _log(self, error: SegSamError) -> None:
        """Log an error, of each kind only one in a row."""
        if error.code != self._logged:
            sentence = _("Unsaved work: {reason}").format(reason=error)
            logger.warning(sentence)
            slicer.util.showStatusMessage(sentence, _STATUS_MS)
        self._logged = error.code


def _time_of(seconds: float) -> str:
    """Return a time in words: the hour if it is of today, else with the date."""
    then, now = time.localtime(seconds), time.localtime()
    is_today = then[:3] == now[:3]
    return time.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M", then)

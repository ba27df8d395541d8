"""Section "Label and learn" of the panel: next image, submission, training, versions."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import qt

from SEGSAMLib.Panels import Pixmaps
from SEGSAMLib.Panels.Session import Session, make_timer
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Replies import Conflict, LeftOutCase, Saved, TrainingStatus, Versions

WATCH_MS = 2000
_CURVE_PX = (396, 120)
_SHOWN_CASES = 8
_ENDED_STATES = ("idle", "done", "failed", "stopped")


class WorkflowPanel:
    """Loop of annotation and training."""

    tasks = ("sample", "label", "train", "version")

    def __init__(self, session: Session) -> None:
        self.session = session
        ui = self.ui = session.ui
        self.conflict: Conflict | None = None
        self.versions: Versions | None = None
        self.training = TrainingStatus("idle")
        self._watch_timer = make_timer(WATCH_MS, self._watch_training)
        flow = session.workflow
        ui.nextButton.clicked.connect(lambda *_: self._next())
        ui.submitButton.clicked.connect(lambda *_: self._submit())
        ui.showTheirsButton.clicked.connect(lambda *_: self._show_theirs())
        ui.keepMineButton.clicked.connect(lambda *_: self._keep_mine())
        ui.trainButton.clicked.connect(lambda *_: self._train())
        ui.stopTrainingButton.clicked.connect(lambda *_: session.attempt(flow.stop_training))
        ui.versionsTree.itemSelectionChanged.connect(self.refresh)
        ui.useVersionButton.clicked.connect(lambda *_: self._use_version())
        ui.conflictFrame.visible = False
        self._draw_curve()

    def handle(self, event: Any) -> None:
        """Show the result of a task of this panel."""
        if event.task == "train":
            self._handle_training(event)
        elif event.kind != "done":
            return
        elif isinstance(event.value, Versions):
            self._show_versions(event.value)
        elif event.task == "sample":
            self._show_sample(event.value)
        elif event.task == "label":
            self._show_label(event.value)
        self.refresh()

    def refresh(self) -> None:
        """Enable what can be used, and show the reason for the selected version."""
        ui, session = self.ui, self.session
        connected = session.is_connected
        ui.nextButton.enabled = connected
        ui.submitButton.enabled = connected and session.logic.nodes.segmentation is not None
        running = self.training.state not in _ENDED_STATES
        can_train = connected and session.parameters().model in session.server_info.trainers
        ui.trainButton.enabled = can_train and not running
        ui.stopTrainingButton.enabled = connected and running
        chosen = self._chosen_version()
        known = {version.id: version for version in self.versions.versions} if self.versions else {}
        ui.useVersionButton.enabled = bool(chosen) and chosen != self.versions.current
        version = known.get(chosen)
        ui.versionLabel.text = _with_left_out(version.why, version.left_out) if version else ""
        for label in (ui.versionLabel, ui.reasonLabel, ui.submitLabel):
            label.visible = bool(label.text)

    def close(self) -> None:
        """Stop to watch the training."""
        self._watch_timer.stop()

    # -- images and labels -------------------------------------------------------------------
    def _next(self) -> None:
        self.ui.reasonLabel.text = _("Loading the next image …")
        self.session.attempt(self.session.workflow.next_sample, self.session.parameters())

    def _show_sample(self, loaded: Any) -> None:
        if loaded is None:
            self.ui.reasonLabel.text = _("Every image on the server has a label.")
            return
        sample = loaded.sample
        notes = "".join(f"\n• {note}" for note in sample.notes)
        self.ui.reasonLabel.text = f"{sample.image_id}: {sample.why}{notes}"
        self._end_conflict()
        self.session.notify_changed()

    def _submit(self) -> None:
        self._end_conflict()
        self.ui.submitLabel.text = _("Submitting …")
        if not self.session.attempt(self.session.workflow.submit):
            self.ui.submitLabel.text = self.ui.statusLabel.text
        self.refresh()

    def _show_label(self, value: Any) -> None:
        if isinstance(value, Saved):
            self._end_conflict()
            saved = _("Saved as version {version} of {image}.")
            saved = saved.format(version=value.version, image=value.image_id)
            self.ui.submitLabel.text = f"✔ {saved}"
            self.session.show_status(self.ui.submitLabel.text)
        elif isinstance(value, Conflict):
            self.conflict = value
            self.ui.submitLabel.text = ""
            self.ui.conflictLabel.text = f"⚠ {value.sentence}"
            self.ui.showTheirsButton.enabled = value.current is not None
            self.ui.conflictFrame.visible = True
        else:
            self.session.show_status(_("The other label is in the scene, beside yours."))
            self.session.notify_changed()

    def _show_theirs(self) -> None:
        if self.conflict is not None and self.conflict.current is not None:
            fetch = self.session.workflow.fetch_version
            self.session.attempt(fetch, self.conflict.current.number)

    def _keep_mine(self) -> None:
        if self.conflict is not None:
            self.session.attempt(self.session.workflow.restore, self.conflict.own_version)

    def _end_conflict(self) -> None:
        self.conflict = None
        self.ui.conflictFrame.visible = False

    # -- training ----------------------------------------------------------------------------
    def _train(self) -> None:
        session = self.session
        epochs = self.ui.epochsSpinBox.value
        if session.attempt(session.workflow.train, session.parameters(), max_epochs=epochs):
            self.training = TrainingStatus("waiting", sentence=_("Starting …"))
            self._show_training()

    def _watch_training(self) -> None:
        self.session.attempt(self.session.workflow.watch_training)

    def _handle_training(self, event: Any) -> None:
        if event.kind == "done" and isinstance(event.value, TrainingStatus):
            before, self.training = self.training, event.value
            self._show_training()
            if self.training.state == "done" and before.state not in _ENDED_STATES:
                self.session.attempt(self.session.workflow.versions, self.session.parameters())
        elif event.kind == "failed":
            self.training = TrainingStatus("failed", sentence=str(event.error))
            self._show_training()

    def _show_training(self) -> None:
        now = self.training
        state = (_("{state} (epoch {epoch} of {epochs}).") if now.epochs else "{state}.").format(
            state=_state(now.state), epoch=now.epoch, epochs=now.epochs
        )
        sentence = f"{state} {now.sentence}".strip()
        self.ui.trainLabel.text = _with_left_out(sentence, now.left_out)
        self._draw_curve()
        if now.state in _ENDED_STATES:
            self._watch_timer.stop()
        else:
            self._watch_timer.start()
        self.refresh()

    def _draw_curve(self) -> None:
        label = self.ui.curveLabel
        label.visible = bool(self.training.curve)
        if self.training.curve:
            label.pixmap = Pixmaps.curve(self.training.curve, _CURVE_PX, label.palette)

    # -- versions ----------------------------------------------------------------------------
    def _show_versions(self, found: Versions) -> None:
        self.versions = found
        tree = self.ui.versionsTree
        tree.clear()
        for version in reversed(found.versions):
            mark = _("in use") if version.id == found.current else ""
            texts = [version.id, str(version.cases), _dice(version.before), _dice(version.after)]
            item = qt.QTreeWidgetItem()
            for column, text in enumerate((*texts, mark)):
                item.setText(column, text)
            item.setToolTip(0, f"{version.created}: {version.why}")
            tree.addTopLevelItem(item)

    def _chosen_version(self) -> str:
        chosen = self.ui.versionsTree.selectedItems()
        return chosen[0].text(0) if chosen else ""

    def _use_version(self) -> None:
        session = self.session
        use = session.workflow.use_version
        session.attempt(use, session.parameters(), self._chosen_version())


def _with_left_out(sentence: str, cases: Sequence[LeftOutCase]) -> str:
    """Return a sentence with a line for each case that the training left out."""
    line = _("{image} was left out: {reason}")
    lines = [line.format(image=case.image_id, reason=case.reason) for case in cases[:_SHOWN_CASES]]
    more = len(cases) - _SHOWN_CASES
    if more > 0:
        lines.append(_("{count} more were left out.").format(count=more))
    return "\n".join([sentence, *lines])


def _state(state: str) -> str:
    """Return the state of a training in the user's language."""
    return {
        "idle": _("idle"),
        "waiting": _("waiting"),
        "running": _("running"),
        "done": _("done"),
        "failed": _("failed"),
        "stopped": _("stopped"),
    }[state]


def _dice(metrics: Mapping[str, float]) -> str:
    """Return the first Dice of the metrics as text, as it was sent: in percent, or from 0 to 1."""
    for name, value in metrics.items():
        if "dice" in name.lower() or "dsc" in name.lower():
            return f"{value:.3f}" if value <= 1 else f"{value:.1f}"
    return "-"

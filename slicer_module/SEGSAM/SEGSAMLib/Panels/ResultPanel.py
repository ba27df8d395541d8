"""The section "Result": what it is, how sure that is, what else is there, where to look first."""

from __future__ import annotations

import math
from typing import Any

import qt

from SEGSAMLib.Panels import Pixmaps
from SEGSAMLib.Panels.Session import Session
from SEGSAMLib.Scene import Views

AS_THE_MODEL_SAYS = "as the model says"
MOST_PRESENT = 6


class ResultPanel:
    """Shows the newest answer for the chosen segment, and the slice that is looked at."""

    lanes = ("segment",)

    def __init__(self, session: Session) -> None:
        self.session = session
        ui = self.ui = session.ui
        self.axis = 2
        self._answers: dict[str, Any] = {}
        """Segment id -> the newest `AppliedResult`."""
        self._rows: list[tuple[Any, ...]] = []
        self._present: tuple = ()
        self._is_showing = False
        ui.sliceSlider.valueChanged.connect(self._slide)
        ui.worstSliceButton.clicked.connect(lambda *_: self.show_worst())
        ui.categoryCombo.activated.connect(lambda *_: self._choose_category())

    def handle(self, event: Any) -> None:
        if event.kind == "done":
            self._answers[event.value.segment_id] = event.value
        self.refresh()

    def refresh(self) -> None:
        """After anything that was done: the colour, the strip, the list."""
        self._show_identity()
        self._show_answer(self._answers.get(self.session.logic.segment_id))
        self._show_strip()
        self.look()

    def look(self) -> None:
        """A slice view moved: slider and list follow."""
        logic = self.session.logic
        if logic.volume is None or logic.volume.GetImageData() is None:
            return
        index = Views.shown_slice(logic.volume, self.axis)
        self._is_showing = True
        self.ui.sliceSlider.maximum = logic.grid.shape_ijk[self.axis] - 1
        if index is not None:
            self.ui.sliceSlider.value = index
        self._is_showing = False
        self._show_slice(self.ui.sliceSlider.value)

    def show_worst(self) -> None:
        """Go to the slice where the decoders agree least."""
        worst = self.session.logic.findings.worst(self.axis)
        if worst is None:
            self.session.say("No slice has a certainty yet: segment something first.")
        else:
            self.ui.sliceSlider.value = worst

    def _slide(self, index: int) -> None:
        volume = self.session.logic.volume
        if volume is not None and not self._is_showing:
            Views.show_slice(volume, self.axis, index)
            self._show_slice(index)

    def _show_answer(self, applied: Any) -> None:
        ui = self.ui
        self._percent(ui.confidenceBar, applied.confidence if applied is not None else None)
        notes = list(applied.notes) if applied is not None else []
        ui.notesLabel.text = "\n".join(f"• {note}" for note in notes)
        ui.notesLabel.visible = bool(notes)

    def _percent(self, bar: Any, share: float | None) -> None:
        is_known = share is not None and math.isfinite(share)
        bar.value = round(100 * share) if is_known and share is not None else 0
        bar.format = "%p%" if is_known else "not said"

    def _show_identity(self) -> None:
        ui, identity = self.ui, self.session.logic.identity
        ui.swatchLabel.visible = identity is not None
        if identity is None:
            ui.categoryLabel.text = "No segment chosen"
        else:
            ui.swatchLabel.pixmap = Pixmaps.swatch(identity.colour)
            by = {"model": " (the model's name)", "user": " (your choice)"}
            ui.categoryLabel.text = f"{identity.name}{by.get(identity.chosen_by, '')}"
        self._offer_categories()

    def _offer_categories(self) -> None:
        combo, session = self.ui.categoryCombo, self.session
        chosen = session.parameters().model
        models = session.server_info.models if session.server_info is not None else ()
        known = next((model.categories for model in models if model.name == chosen), ())
        wanted = [AS_THE_MODEL_SAYS, *known]
        if [combo.itemText(row) for row in range(combo.count)] != wanted:
            combo.clear()
            combo.addItems(wanted)
        identity = self.session.logic.identity
        by_user = identity is not None and identity.chosen_by == "user"
        row = combo.findText(identity.name) if by_user else 0
        combo.currentIndex = max(row, 0)
        combo.enabled = identity is not None and len(wanted) > 1

    def _choose_category(self) -> None:
        chosen = self.ui.categoryCombo.currentText
        category = "" if chosen == AS_THE_MODEL_SAYS else chosen
        self.session.attempt(self.session.logic.choose_category, category)
        self.session.changed()

    def _show_strip(self) -> None:
        findings = self.session.logic.findings
        known = list(findings.certainty.values())
        if findings.certainty:
            self.axis = next(iter(findings.certainty))[0]
        self._percent(self.ui.agreementBar, sum(known) / len(known) if known else None)
        self.ui.certaintyStrip.pixmap = Pixmaps.strip([float(each) for each in self._strip()])
        self.ui.worstSliceButton.enabled = findings.worst(self.axis) is not None

    def _strip(self) -> Any:
        logic = self.session.logic
        has_voxels = logic.volume is not None and logic.volume.GetImageData() is not None
        count = logic.grid.shape_ijk[self.axis] if has_voxels else 1
        return logic.findings.strip(self.axis, count)

    def _show_slice(self, index: int) -> None:
        logic = self.session.logic
        values = self._strip()
        value = float(values[index]) if index < len(values) else math.nan
        plane = logic.grid.plane_name(self.axis)
        how = f"{100 * value:.0f} % certain" if math.isfinite(value) else "no result here"
        self.ui.certaintyLabel.text = f"{plane} slice {index}: {how}"
        self._show_present(tuple(logic.also_present(self.axis, index))[:MOST_PRESENT])

    def _show_present(self, present: tuple) -> None:
        if present == self._present and self._rows:
            return
        self._present = present
        for widget in (each for row in self._rows for each in row):
            widget.setParent(None)
            widget.deleteLater()
        self._rows = [self._present_row(*each) for each in present] or [self._nothing_present()]
        for number, row in enumerate(self._rows):
            for column, widget in enumerate(row):
                self.ui.presentList.layout().addWidget(widget, number, column)

    def _nothing_present(self) -> tuple[Any, ...]:
        label = qt.QLabel("Nothing else that the model could name here.")
        label.wordWrap = True
        label.enabled = False
        return (label,)

    def _present_row(self, category: str, probability: float) -> tuple[Any, ...]:
        bar = qt.QProgressBar()
        bar.maximum = 100
        bar.value = round(100 * probability)
        bar.format = f"{category}  %p%"
        bar.toolTip = f"How likely {category} is on this slice."
        button = qt.QToolButton()
        button.icon = self.ui.addSegmentButton.icon
        button.toolTip = f"Make {category} a segment"
        button.clicked.connect(lambda *_: self._make_segment(category))
        return bar, button

    def _make_segment(self, category: str) -> None:
        session = self.session
        place = (self.axis, self.ui.sliceSlider.value)
        ask = session.workflow.segment_category
        if session.attempt(ask, category, *place, session.parameters()):
            session.say(f"Asking for {category} on this slice …")
        session.changed()

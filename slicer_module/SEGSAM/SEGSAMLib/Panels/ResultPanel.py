"""Section "Result" of the panel: category or nearest guesses, confidence, other categories,
certainty by slice.
"""

from __future__ import annotations

import math
from typing import Any, Mapping, Sequence

import qt

from SEGSAMLib.Panels import Pixmaps
from SEGSAMLib.Panels.Session import Session
from SEGSAMLib.Scene import Views
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values import Terminology
from SEGSAMLib.Values.Results import AppliedResult

MAX_PRESENT = 6


class ResultPanel:
    """Newest result for the selected segment, and the predictions for the slice in view."""

    tasks = ("segment",)

    def __init__(self, session: Session) -> None:
        self.session = session
        ui = self.ui = session.ui
        self.axis = 2
        self._results: dict[str, AppliedResult] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._present: tuple = ()
        self._buttons: list[Any] = []
        self._suggested: tuple = ()
        self._taught: Mapping[str, str] = {}
        self._is_showing = False
        ui.sliceSlider.valueChanged.connect(self._slide)
        ui.worstSliceButton.clicked.connect(lambda *_: self.show_worst())
        ui.proposalButton.clicked.connect(lambda *_: self.show_worst())
        ui.confirmButton.clicked.connect(lambda *_: self.confirm())
        ui.categoryCombo.activated.connect(lambda *_: self._choose_category())

    def handle(self, event: Any) -> None:
        """Show the result of a request."""
        if event.kind == "done":
            self._results[event.value.segment_id] = event.value
        self.refresh()

    def refresh(self) -> None:
        """Show everything again after a change."""
        self._show_result(self._results.get(self.session.logic.nodes.segment_id))
        self._show_identity()
        self._show_strip()
        self.follow_views()

    def follow_views(self) -> None:
        """Set slider and list to the slice that the views show."""
        nodes = self.session.logic.nodes
        if nodes.volume is None or nodes.volume.GetImageData() is None:
            return
        index = Views.shown_slice(nodes.volume, self.axis)
        self._is_showing = True
        self.ui.sliceSlider.maximum = nodes.grid.shape_ijk[self.axis] - 1
        if index is not None:
            self.ui.sliceSlider.value = index
        self._is_showing = False
        self._show_slice(self.ui.sliceSlider.value)

    def show_worst(self) -> None:
        """Go to the slice whose confirmation would help most, else to the least certain one."""
        proposed = self._proposed()
        worst = self._worst() if proposed is None else proposed
        if worst is None:
            sentence = _("No slice has a certainty yet: segment something first.")
            self.session.show_status(sentence)
        else:
            self.ui.sliceSlider.value = worst

    def confirm(self) -> None:
        """Confirm the slice in view as the segment has it, or withdraw that."""
        session = self.session
        logic = session.logic
        if not logic.nodes.segment_id:
            session.show_status(_("Choose a segment first."))
            return
        if logic.confirmed.axis is None and not logic.predictions.certainty:
            drawn = logic.drawn_axis()
            self.axis = self.axis if drawn is None else drawn
        index = Views.shown_slice(logic.nodes.volume, self.axis)
        if index is None:
            session.show_status(_("No view shows a slice of this segment."))
        elif session.attempt(logic.confirm, self.axis, index):
            is_confirmed = (self.axis, index) in logic.confirmed.slices
            sentence = (
                _("Slice {index} is confirmed: no result changes it. C takes it back.")
                if is_confirmed
                else _("Slice {index} is no longer confirmed.")
            )
            session.show_status(sentence.format(index=index))
        session.notify_changed()

    def _proposed(self) -> int | None:
        """Return the slice whose confirmation would help most, None if there is none."""
        logic = self.session.logic
        proposed = logic.predictions.proposed
        if proposed is None or proposed in logic.confirmed.slices or proposed[0] != self.axis:
            return None
        return proposed[1]

    def _worst(self) -> int | None:
        logic = self.session.logic
        return logic.predictions.worst(self.axis, logic.confirmed.along(self.axis))

    def _slide(self, index: int) -> None:
        volume = self.session.logic.nodes.volume
        if volume is not None and not self._is_showing:
            Views.show_slice(volume, self.axis, index)
            self._show_slice(index)

    def _show_result(self, result: AppliedResult | None) -> None:
        ui = self.ui
        self._show_percent(ui.confidenceBar, None if result is None else result.confidence)
        notes = () if result is None else result.notes
        ui.notesLabel.text = "\n".join(f"• {note}" for note in notes)
        ui.notesLabel.visible = bool(notes)
        identity = self.session.logic.nodes.identity
        by_user = identity is not None and identity.chosen_by == "user"
        self._taught = {} if result is None else result.taught
        self._show_suggestions(() if result is None or by_user else result.suggestions)

    def _show_suggestions(self, suggestions: tuple) -> None:
        """Offer the nearest guesses for an object without a name; a click chooses one."""
        ui = self.ui
        ui.suggestionsCaption.visible = ui.suggestionList.visible = bool(suggestions)
        if suggestions == self._suggested:
            return
        self._suggested = suggestions
        _discard(ui.suggestionList.layout(), self._buttons)
        self._buttons = [self._suggestion(*each) for each in suggestions]
        for button in self._buttons:
            ui.suggestionList.layout().addWidget(button)

    def _suggestion(self, category: str, probability: float) -> Any:
        found = Terminology.category(category)
        button = qt.QPushButton(f"{category}  {100 * probability:.0f} %")
        button.icon = qt.QIcon(Pixmaps.swatch(found.colour))
        tip = _("Name this segment {category}: name, colour and code follow.")
        button.toolTip = tip.format(category=category) + self._source(category)
        button.clicked.connect(lambda *_: self._choose(category))
        return button

    def _source(self, name: str) -> str:
        """Return where a user taught a name, to follow a sentence; empty for the model's names."""
        case = self._taught.get(name)
        return "" if case is None else " " + _("As named in {case}.").format(case=case)

    def _show_percent(self, bar: Any, share: float | None) -> None:
        is_known = share is not None and math.isfinite(share)
        bar.value = round(100 * share) if is_known and share is not None else 0
        bar.format = "%p%" if is_known else _("unknown")

    def _show_identity(self) -> None:
        ui, identity = self.ui, self.session.logic.nodes.identity
        ui.swatchLabel.visible = identity is not None
        if identity is None:
            ui.categoryLabel.text = _("No segment chosen")
        else:
            ui.swatchLabel.pixmap = Pixmaps.swatch(identity.colour)
            case = self._taught.get(identity.name)
            by_model = _("{name} (the model's name)")
            if case is not None:
                by_model = _("{name} (as named in {case})")
            by = {"model": by_model, "user": _("{name} (your choice)")}
            text = by.get(identity.chosen_by, "{name}")
            ui.categoryLabel.text = text.format(name=identity.name, case=case)
        self._offer_categories()

    def _offer_categories(self) -> None:
        combo, session = self.ui.categoryCombo, self.session
        chosen = session.parameters().model
        models = session.server_info.models if session.server_info is not None else ()
        known = next((model.categories for model in models if model.name == chosen), ())
        items = [_("the model's category"), *known]
        if [combo.itemText(row) for row in range(combo.count)] != items:
            combo.clear()
            combo.addItems(items)
        identity = session.logic.nodes.identity
        by_user = identity is not None and identity.chosen_by == "user"
        row = combo.findText(identity.name) if by_user else 0
        combo.currentIndex = max(row, 0)
        combo.enabled = identity is not None and len(items) > 1

    def _choose_category(self) -> None:
        combo = self.ui.categoryCombo
        self._choose(combo.currentText if combo.currentIndex > 0 else "")

    def _choose(self, category: str) -> None:
        self.session.attempt(self.session.logic.choose_category, category)
        self.session.notify_changed()

    def _show_strip(self) -> None:
        predictions = self.session.logic.predictions
        known = list(predictions.certainty.values())
        confirmed = self.session.logic.confirmed
        if confirmed.axis is not None:
            self.axis = confirmed.axis
        elif known:
            self.axis = next(iter(predictions.certainty))[0]
        self._show_percent(self.ui.agreementBar, sum(known) / len(known) if known else None)
        columns = [float(each) for each in self._strip()]
        self.ui.certaintyStrip.pixmap = Pixmaps.strip(columns, confirmed.along(self.axis))
        proposed = self._proposed()
        self.ui.worstSliceButton.enabled = proposed is not None or self._worst() is not None
        self.ui.proposalButton.visible = proposed is not None
        self.ui.proposalButton.text = _("Slice {index} would help most").format(index=proposed)

    def _strip(self) -> Any:
        logic = self.session.logic
        volume = logic.nodes.volume
        has_voxels = volume is not None and volume.GetImageData() is not None
        count = logic.nodes.grid.shape_ijk[self.axis] if has_voxels else 1
        return logic.predictions.strip(self.axis, count)

    def _show_slice(self, index: int) -> None:
        logic = self.session.logic
        values = self._strip()
        value = float(values[index]) if index < len(values) else math.nan
        plane = logic.nodes.grid.plane_name(self.axis)
        text = (
            _("{plane} slice {index}: {percent} % certain")
            if math.isfinite(value)
            else _("{plane} slice {index}: no result here")
        )
        if (self.axis, index) in logic.confirmed.slices:
            text = _("{plane} slice {index}: confirmed")
        self.ui.certaintyLabel.text = text.format(
            plane=plane, index=index, percent=f"{100 * value:.0f}"
        )
        self._show_present(logic.also_present(self.axis, index)[:MAX_PRESENT])

    def _show_present(self, present: tuple) -> None:
        if present == self._present and self._rows:
            return
        self._present = present
        _discard(self.ui.presentList.layout(), [each for row in self._rows for each in row])
        self._rows = [self._present_row(*each) for each in present] or [self._nothing_present()]
        for number, row in enumerate(self._rows):
            for column, widget in enumerate(row):
                self.ui.presentList.layout().addWidget(widget, number, column)

    def _nothing_present(self) -> tuple[Any, ...]:
        label = qt.QLabel(_("No other category on this slice."))
        label.wordWrap = True
        label.enabled = False
        return (label,)

    def _present_row(self, category: str, probability: float) -> tuple[Any, ...]:
        bar = qt.QProgressBar()
        bar.maximum = 100
        bar.value = round(100 * probability)
        bar.format = f"{category}  %p%"
        tip = _("Probability of {category} on this slice.")
        bar.toolTip = tip.format(category=category)
        button = qt.QToolButton()
        button.icon = self.ui.addSegmentButton.icon
        button.toolTip = _("Make {category} a segment").format(category=category)
        button.clicked.connect(lambda *_: self._make_segment(category))
        return bar, button

    def _make_segment(self, category: str) -> None:
        session = self.session
        axis, index = self.axis, self.ui.sliceSlider.value
        segment = session.workflow.segment_category
        if session.attempt(segment, category, axis, index, session.parameters()):
            sentence = _("Segmenting {category} on this slice …")
            session.show_status(sentence.format(category=category))
        session.notify_changed()


def _discard(layout: Any, widgets: Sequence[Any]) -> None:
    """Remove widgets from a layout, and delete them later: this may be the click of one of them.

    They keep their parent until then. PythonQt deletes a widget without a parent at once when
    Python's last reference goes, also inside its own signal.
    """
    for widget in widgets:
        widget.hide()
        layout.removeWidget(widget)
        widget.deleteLater()

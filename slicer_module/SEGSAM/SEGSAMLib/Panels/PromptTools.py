"""Prompt tools of the section "Segment": which one is chosen, its sign, and how both are shown."""

from __future__ import annotations

from typing import Any, Callable

from SEGSAMLib.Panels import Pixmaps
from SEGSAMLib.Scene.Pointer import Pointer
from SEGSAMLib.Scene.PromptNodes import BOX_COLOUR, INSIDE_COLOUR, OUTSIDE_COLOUR
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Prompts import PromptSet

TOOLS = {
    "inside": "pointInsideButton",
    "outside": "pointOutsideButton",
    "box": "boxButton",
    "box3d": "box3dButton",
    "scribble": "scribbleButton",
    "lasso": "lassoButton",
}
_POINTS = {True: "inside", False: "outside"}


class PromptTools:
    """Buttons of the tools, of which at most one is chosen, and of their sign.

    All tools share one sign. The two for points have their own, which the others do not take over:
    only the key T does that. `on_chosen` is called after a tool was chosen; `show` gets the
    sentence about tool and sign.
    """

    def __init__(self, ui: Any, pointer: Pointer, show: Callable[[str], None]) -> None:
        self.ui = ui
        self.pointer = pointer
        self._sign = True
        self.on_chosen: Callable[[], None] = lambda: None
        self._show = show
        for tool, name in TOOLS.items():
            getattr(ui, name).toggled.connect(self._toggle_slot(tool))
        ui.signButton.clicked.connect(lambda *_: self.toggle_sign())

    @property
    def positive(self) -> bool:
        """The sign of the next prompt."""
        tool = self.pointer.tool
        return tool == "inside" if tool in _POINTS.values() else self._sign

    @property
    def hint(self) -> str:
        """Sentence that says what to do with the chosen tool and sign."""
        inside, outside = _hints(self.pointer.tool)
        return inside if self.positive else outside

    def enable(self, *, is_on: bool) -> None:
        """Enable the tools if there is an image."""
        for name in (*TOOLS.values(), "signButton"):
            getattr(self.ui, name).enabled = is_on

    def release(self) -> None:
        """Deselect the tool."""
        for name in TOOLS.values():
            getattr(self.ui, name).checked = False

    def toggle_sign(self) -> None:
        """Change the sign of all tools, and say so."""
        self.set_sign(positive=not self.positive)
        self._show(self.hint)

    def set_sign(self, *, positive: bool) -> None:
        """Set the sign of all tools; of the two for points, the one with this sign is chosen."""
        tool, self._sign = self.pointer.tool, positive
        if tool == _POINTS[not positive]:
            getattr(self.ui, TOOLS[_POINTS[positive]]).checked = True
        else:
            self._point(tool)
        self._show_sign()

    def _show_sign(self) -> None:
        button = self.ui.signButton
        button.checked = not self.positive
        button.text = _("Sign: inside (T)") if self.positive else _("Sign: outside (T)")
        button.icon = getattr(self.ui, TOOLS[_POINTS[self.positive]]).icon

    def _point(self, tool: str) -> None:
        """Let the mouse draw with a tool, in the colour and shape of tool and sign."""
        if not tool:
            self.pointer.choose("")
            return
        positive = self._sign if tool not in _POINTS.values() else tool == "inside"
        plain = BOX_COLOUR if tool in ("box", "box3d") else INSIDE_COLOUR
        colour = plain if positive else OUTSIDE_COLOUR
        icon = getattr(self.ui, TOOLS[tool]).icon
        cursor = Pixmaps.tool_cursor(icon, positive=positive)
        self.pointer.choose(tool, colour=colour, cursor=cursor)

    def _toggle_slot(self, tool: str) -> Callable[[bool], None]:
        def on_toggled(is_on: bool) -> None:
            if is_on:
                for other, name in TOOLS.items():
                    if other != tool:
                        getattr(self.ui, name).checked = False
                self.on_chosen()
                self._point(tool)
                self._show(self.hint)
            elif self.pointer.tool == tool:
                self.pointer.choose("")
            self._show_sign()

        return on_toggled


class PromptList:
    """List of the prompts of the selected segment, in the order in which they were made."""

    def __init__(self, widget: Any) -> None:
        self._widget = widget
        self._rows: tuple[str, ...] = ()

    def show(self, prompts: PromptSet) -> None:
        """Show the prompts; the row that is chosen stays so until the list changes."""
        rows = tuple(_row(number, item) for number, item in enumerate(prompts.items, 1))
        self._widget.visible = bool(rows)
        if rows == self._rows:
            return
        self._rows = rows
        self._widget.clear()
        for row in rows:
            self._widget.addItem(row)
        self._widget.currentRow = -1
        self._widget.scrollToBottom()

    @property
    def chosen(self) -> int:
        """Number of the chosen prompt, from 0; of the last one if none is chosen."""
        row = int(self._widget.currentRow)
        return row if 0 <= row < len(self._rows) else len(self._rows) - 1


def _hints(tool: str) -> tuple[str, str]:
    """Return what to do with a tool if its sign is inside, and if it is outside."""
    if tool in _POINTS.values():
        return (
            _("Click inside the object. T: outside."),
            _("Click what is outside the object. T: inside."),
        )
    if tool == "box":
        return (
            _("Drag a box around the object. T: outside."),
            _("Drag a box around what is outside the object. T: inside."),
        )
    if tool == "box3d":
        return (
            _("Drag a 3D box around the object. T: outside."),
            _("Drag a 3D box around what is outside the object. T: inside."),
        )
    if tool == "scribble":
        return (
            _("Draw a stroke inside the object. T: outside."),
            _("Draw a stroke outside the object. T: inside."),
        )
    if tool == "lasso":
        return (
            _("Draw around the object. T: outside."),
            _("Draw around what is outside the object. T: inside."),
        )
    return (
        _("The next prompts mark what is inside the object (T)."),
        _("The next prompts mark what is outside the object (T)."),
    )


def _kinds() -> dict[str, tuple[str, str]]:
    """Return the names of the kinds of prompts, inside and outside."""
    return {
        "Point": (_("point inside"), _("point outside")),
        "Box": (_("box"), _("box outside")),
        "Scribble": (_("scribble inside"), _("scribble outside")),
        "Lasso": (_("lasso"), _("lasso outside")),
    }


def _row(number: int, item: Any) -> str:
    """Return one line about a prompt: its kind and sign, and where it is."""
    inside, outside = _kinds()[type(item).__name__]
    if hasattr(item, "min_ijk"):
        place = ", ".join(
            str(a) if a == b else _("{first} to {last}").format(first=a, last=b)
            for a, b in zip(item.min_ijk, item.max_ijk)
        )
    else:
        place = ", ".join(map(str, getattr(item, "ijk", None) or item.path_ijk[0]))
    return f"{number}  {inside if item.positive else outside}  ({place})"

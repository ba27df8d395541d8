"""The panel among the rest of Slicer: scenes, layouts, the Segment Editor, the mouse in views."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from misbehaving import answer, serving
from panel import drag_box, label, until

WORLD = (45.0, 39.0, 16.0)
"""A point inside the volume."""


def save(scene: Any, path: Path) -> str:
    assert scene.WriteToMRB(str(path))
    return str(path)


def load(scene: Any, path: str, *, add: bool = False) -> None:
    assert scene.ReadFromMRB(path, not add)


def reopened(module: Any) -> Any:
    """The module's widget made anew on the scene that is there."""
    from SEGSAM import SEGSAMWidget

    widget = SEGSAMWidget()
    widget.setup()
    widget.enter()
    return widget


class TestButtonsOfAResult:
    @staticmethod
    def click_from_qt(button: Any) -> None:
        """Click a button as Qt does, without a reference of Python's that would keep it alive."""
        from PySide6.QtCore import SIGNAL, SLOT, QObject
        from PySide6.QtWidgets import QPushButton

        trigger = QPushButton()
        QObject.connect(trigger, SIGNAL("clicked()"), button, SLOT("click()"))
        del button
        trigger.click()

    @pytest.mark.parametrize("what", ["present", "suggestion"])
    def test_a_button_outlives_its_own_click(
        self, module: Any, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Deleted inside its click, it would be read after its end."""
        from gui import loop

        drag_box(module)
        panel, gone, seen = module.panel.result, [], []
        if what == "present":
            monkeypatch.setattr(
                panel,
                "_make_segment",
                lambda category: (panel._show_present(()), seen.append(gone[:])),
            )
            panel._show_present((("spleen", 0.8),))
            buttons = module.ui.presentList.layout().itemAtPosition(0, 1)
        else:
            monkeypatch.setattr(
                panel,
                "_choose",
                lambda category: (panel._show_suggestions(()), seen.append(gone[:])),
            )
            panel._show_suggestions((("liver", 0.4),))
            buttons = module.ui.suggestionList.layout().itemAt(0)
        buttons.widget().destroyed.connect(lambda *_: gone.append(True))
        self.click_from_qt(buttons.widget())
        assert seen == [[]], "it was deleted inside its own click"
        del buttons
        loop.run(50)
        assert gone == [True], "and it goes afterwards"



"""The panel in the languages that ship: what is shown, and that it fits."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "slicer_module"))

import update_translations
from SEGSAMLib.Values.Replies import Model

LANGUAGES = update_translations.LANGUAGES
PANEL_PX = 420
"""Width of the panel as Slicer opens it (`SEGSAM.ui`)."""
FIELD_MARGIN_PX = 4
EXPECTED = {
    "de-DE": ("Ausführen (R)", "Innen (A)", "Noch keine Markierung: ", "immer", "Kein Segment"),
    "fr-FR": ("Lancer (R)", "Dedans (A)", "Pas encore de repère : ", "toujours", "Aucun segment"),
    "zh-CN": ("运行 (R)", "内部 (A)", "尚无提示", "始终", "未选择分割段"),
}


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest, qt_application: Any) -> Iterator[str]:
    """Slicer started in a language, with the module loaded in it."""
    import qt
    from SEGSAM import SEGSAM
    from SEGSAMLib import Translation

    qt.QSettings().setValue("language", request.param)
    loaded = SEGSAM(SimpleNamespace())
    yield request.param
    assert qt.QCoreApplication.removeTranslator(loaded.translator)
    Translation.use({})


class TestPanel:
    def test_captions_sentences_and_choices_are_translated_and_fit(
        self, language: str, module: Any
    ) -> None:
        ui = module.ui
        run, inside, no_prompt, always, no_segment = EXPECTED[language]
        assert ui.runButton.text() == run
        assert ui.pointInsideButton.text() == inside
        assert ui.promptsLabel.text().startswith(no_prompt)
        assert ui.propagateCombo.itemText(1) == always
        assert ui.categoryLabel.text().startswith(no_segment)
        module.panel.session.node.propagate = "always"
        assert ui.propagateCombo.currentText() == always
        assert ui.followButton.isChecked()
        ui.propagateCombo.setCurrentIndex(0)
        assert module.panel.session.node.propagate == "in boxes"
        ui.addSegmentButton.click()
        tips = {each.toolTip() for each in vars(ui).values() if hasattr(each, "toolTip")}
        assert len(tips) > 90
        assert tips & {text for _, text in update_translations.messages()} == set()
        module.panel.session.server_info = SimpleNamespace(
            models=(Model("segsam", completes=True, finds=True),), trainers=()
        )
        assert cut_off(module) == []

    def test_errors_are_translated_in_their_thread(self, language: str, module: Any) -> None:
        from panel import until

        module.ui.serverCombo.setCurrentText("http://127.0.0.1:9")
        module.ui.connectButton.click()
        translated = update_translations.translations(
            update_translations.FOLDER / f"SEGSAM_{language}.ts"
        )
        text = "No server runs at {url}: start it, or check host and port."
        expected = translated["Server.Http", text].format(url="http://127.0.0.1:9")
        until(lambda: expected in module.ui.diagnosisLabel.text(), "the sentence")


def cut_off(module: Any) -> list[str]:
    """Captions that are wider than their widget, with all sections open at the panel's width."""
    from PySide6.QtWidgets import QAbstractButton, QLabel, QLineEdit

    panel = module.ui.statusLabel.window()
    for section in module.ui.__dict__.values():
        if section.property("collapsed"):
            section.setProperty("collapsed", False)
    panel.resize(PANEL_PX, 3000)
    panel.show()
    module.panel.refresh()
    found = []
    for kind in (QAbstractButton, QLabel):
        for widget in panel.findChildren(kind):
            is_wrapped = isinstance(widget, QLabel) and widget.wordWrap()
            if not widget.isVisible() or not widget.text() or is_wrapped:
                continue
            if widget.width() < widget.sizeHint().width():
                found.append(f"{widget.objectName()}: {widget.text()}")
    for field in panel.findChildren(QLineEdit):
        needed_px = field.fontMetrics().horizontalAdvance(field.placeholderText())
        if field.isVisible() and needed_px > field.width() - 2 * FIELD_MARGIN_PX:
            found.append(f"{field.objectName()}: {field.placeholderText()}")
    assert panel.width() == PANEL_PX, f"the panel needs {panel.width()} px"
    panel.hide()
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_files_are_those_of_the_texts(language: str, qt_application: Any) -> None:
    import qt

    file = update_translations.FOLDER / f"SEGSAM_{language}"
    translator = qt.QTranslator()
    assert translator.load(f"{file}.qm")
    texts = update_translations.translations(file.with_suffix(".ts"))
    old = [
        text
        for (context, text), found in texts.items()
        if translator.translate(context, text) != found
    ]
    assert old == [], "run slicer_module/update_translations.py with the Python of .venv-slicer"


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("de-DE", "de-DE"),
        ("de", "de-DE"),
        ("de_AT", "de-DE"),
        ("fr_CA", "fr-FR"),
        ("zh-Hans", "zh-CN"),
        ("zh-Hant", ""),
        ("zh_TW", ""),
        ("en-US", ""),
        ("", ""),
    ],
)
def test_the_nearest_language_is_shown(wanted: str, shown: str, qt_application: Any) -> None:
    from SEGSAMLib.Panels.Language import nearest

    assert nearest(wanted, LANGUAGES) == shown


def test_english_needs_no_file(qt_application: Any) -> None:
    import qt
    from SEGSAMLib.Panels.Language import install_translation

    qt.QSettings().clear()
    assert install_translation(update_translations.FOLDER) is None
    qt.QSettings().setValue("language", "de-DE")
    qt.QSettings().setValue("Internationalization/Enabled", "false")
    assert install_translation(update_translations.FOLDER) is None
    qt.QSettings().clear()


def test_slicers_own_tools_find_the_same_texts(tmp_path: Path) -> None:
    """Slicer's `update_translations.py` names the context in each `_()` and calls Qt's lupdate."""
    sources = tmp_path / "SEGSAM"
    shutil.copytree(update_translations.MODULE, sources)
    for path in sources.rglob("*.py"):
        context = update_translations.context_of(path)
        text = path.read_text(encoding="utf-8")
        named = re.sub(r"(?<![\w.])_\(", f'translate("{context}", ', text)
        path.write_text(named, encoding="utf-8")
    lupdate = Path(sys.executable).parent / "pyside6-lupdate"
    files = [str(path) for kind in ("*.py", "*.ui") for path in sources.rglob(kind)]
    target = tmp_path / "found.ts"
    command = [str(lupdate), "-silent", *files, "-ts", str(target)]
    subprocess.run(command, check=True, capture_output=True)
    root = ElementTree.parse(target).getroot()  # noqa: S314 - just written
    found = {
        (context.findtext("name"), message.findtext("source"))
        for context in root.iter("context")
        for message in context.iter("message")
    }
    assert found == set(update_translations.messages())

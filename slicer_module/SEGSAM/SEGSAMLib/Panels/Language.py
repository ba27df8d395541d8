"""The module's own translations, loaded by Slicer's setting of the language.

Slicer looks for compiled translations in a folder of its own only. An extension can put none there,
so the module installs those in its resources itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence
from xml.etree import ElementTree

import qt

import slicer
from SEGSAMLib.Translation import Message
from slicer import i18n

_TRADITIONAL = ("zh-Hant", "zh-TW", "zh-HK", "zh-MO")
"""Chinese in another script than `zh-CN`."""


def install_translation(folder: Path) -> Any:
    """Install the translation in a folder that fits Slicer's language. Return the `QTranslator`,
    which the caller keeps: Qt does not. None if Slicer is in English or there is no such file.
    """
    settings = slicer.app.userSettings()
    is_on = slicer.util.toBool(settings.value("Internationalization/Enabled", True))
    files = {path.stem.partition("_")[2]: path for path in folder.glob("*_*.qm")}
    language = nearest(str(settings.value("language") or ""), tuple(files)) if is_on else ""
    if not language:
        return None
    translator = qt.QTranslator()
    is_loaded = translator.load(str(files[language])) and slicer.app.installTranslator(translator)
    return translator if is_loaded else None


def translations(folder: Path) -> dict[Message, str]:
    """Return the texts that the files in a folder list, as Slicer translates them now."""
    file = next(folder.glob("*.ts"), None)
    if file is None:
        return {}
    root = ElementTree.parse(file).getroot()  # noqa: S314 - a file of this module
    listed = [
        (context.findtext("name", ""), message.findtext("source", ""))
        for context in root.iter("context")
        for message in context.iter("message")
    ]
    return {message: i18n.translate(*message) for message in listed}


def nearest(wanted: str, languages: Sequence[str]) -> str:
    """Return the one of `languages` (such as `fr-FR`) to show where `wanted` is set: itself, or
    that of another country, as Slicer does. Empty if there is none.
    """
    wanted = wanted.replace("_", "-")
    if wanted in languages or not wanted:
        return wanted
    if wanted.startswith(_TRADITIONAL):
        return ""
    own = wanted.partition("-")[0]
    return next((each for each in languages if each.partition("-")[0] == own), "")

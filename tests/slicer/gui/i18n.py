"""`slicer.i18n`: translation by Qt, with the contexts and the check of fields that Slicer has."""

from __future__ import annotations

import inspect
import logging
import re
from pathlib import Path

import slicer


def translate(context: str, text: str) -> str:
    return str(slicer.app.translate(context, text))


def tr(text: str) -> str:
    """Translate in the context of the calling file; a translation with other fields is refused."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    source = Path(inspect.getsourcefile(frame.f_back) or "")
    context = context_of(source)
    found = translate(context, text)
    if _fields(text) != _fields(found):
        logging.warning("%s: %s has other fields than %s", context, found, text)
        return text
    return found


def context_of(source: Path) -> str:
    """Name of the file, after that of its folder if the folder is a package."""
    package = source.parent
    return f"{package.name}.{source.stem}" if (package / "__init__.py").is_file() else source.stem


def _fields(text: str) -> set[str]:
    return set(re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", text))

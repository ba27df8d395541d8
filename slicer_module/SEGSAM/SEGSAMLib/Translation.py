"""Translation of the texts that the user reads into the language of Slicer.

`from SEGSAMLib.Translation import tr as _` takes the place of `slicer.i18n.tr`, because not all of
the module knows Slicer, and worker threads must not call Qt. Contexts are named as there, for
example `Panels.ResultPanel`. Every text is a literal inside `_()`, because Slicer's tools collect
them from the source; values are filled in afterwards, by `.format`. A text is translated when it is
needed, never on import: Slicer knows its language later.
"""

from __future__ import annotations

import re
import sys
from typing import Mapping

Message = tuple[str, str]
"""Context and text."""
_BRACES = re.compile(r"\{[^{}]*\}|[{}]")
_translations: dict[Message, str] = {}


def use(translations: Mapping[Message, str]) -> None:
    """Use these translations from now on. One whose fields, such as `{name}`, are not those of the
    text is left out: `format` would fail with it.
    """
    _translations.clear()
    for (context, text), found in translations.items():
        if set(_BRACES.findall(found)) == set(_BRACES.findall(text)):
            _translations[context, text] = found


def tr(text: str) -> str:
    """Return a text in the language of Slicer, or the text itself if there is no translation. Any
    thread may call it.
    """
    module = sys._getframe(1).f_globals["__name__"]
    return _translations.get((".".join(module.split(".")[-2:]), text), text)

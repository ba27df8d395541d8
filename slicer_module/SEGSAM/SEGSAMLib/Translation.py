"""Translation of the texts that the user reads into the language of Slicer.

`from SEGSAMLib.Translation import tr as _` takes the place of `slicer.i18n.tr`, for the parts of
the module that do not know Slicer. Contexts are named as there: `Panels.ResultPanel`. Every text is
a literal inside `_()`, because Slicer's tools collect them from the source; values are filled in
afterwards, by `.format`. A text is translated when it is needed, never on import: Slicer knows its
language later.
"""

from __future__ import annotations

import re
import sys
from typing import Callable

Translate = Callable[[str, str], str]
"""Takes the context and the text, as `slicer.i18n.translate` does."""
_FIELD = re.compile(r"\{(\w+)\}")


class _Translator:
    translate: Translate = staticmethod(lambda context, text: text)


def use(translate: Translate) -> None:
    """Translate with a function from now on. Qt's may be called in any thread."""
    _Translator.translate = staticmethod(translate)


def tr(text: str) -> str:
    """Return a text in the language of Slicer; the text itself if there is no translation, or if
    its fields, such as `{name}`, are not those of the text.
    """
    module = sys._getframe(1).f_globals["__name__"]
    found = _Translator.translate(".".join(module.split(".")[-2:]), text)
    return found if set(_FIELD.findall(found)) == set(_FIELD.findall(text)) else text

"""Check of a name that somebody teaches, or renames a taught one to."""

from __future__ import annotations

import re

from segsam.categories.segment_names import category_name
from segsam.categories.vocabulary import folded
from segsam.errors import PromptError
from segsam.imaging.name_text import refused_in

_STEP_IN_PATH = re.compile(r"(^|[/\\])\.{1,2}($|[/\\])|^[/\\~]")
"""A path's step up or down, or its beginning: no structure is named so, and another program might
take it for a file. A stroke within a name, as in "necrosis/oedema", is one of the name."""


def check_taught_name(name: str) -> None:
    """Refuse what names no structure.

    Raises:
        PromptError: a name with characters that are not shown, too long, of an unnamed segment or
            the background, or like the path of a file.
    """
    if wrong := refused_in(name):
        raise PromptError(f"Expected a name that is shown in one line, got {wrong}.")
    if not category_name(name) or folded(name) == "background":
        raise PromptError(
            f"Expected a name of a structure, got {name!r:.80}, which unnamed segments have."
        )
    if _STEP_IN_PATH.search(name):
        raise PromptError(f"Expected a name of a structure, got the path {name!r:.80}.")

"""Names of segments: which name nothing, which mean the same, and which of two sources counts.

Some data sets have labels of convenience: what is at the edge of the picture, or left over. They
are masks without a name (`learnt_name`): their outlines are right, their names are none to learn.

A segmentation file names its own segments. What is said about it elsewhere (in a request, or in
`dataset.json`) must agree; it may only name segments that the file does not name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from segsam.categories.vocabulary import Categories, folded
from segsam.errors import CategoryError, LabelError

_UNNAMED = re.compile(r"(object|segment|label|region|mask|roi|foreground|structure)?[ .]*\d*")
"""Names that segments have before an annotator names them."""
MASKS_WITHOUT_NAME = frozenset(
    {"partly visible vertebra", "upper vertebra", "upper intervertebral disc", "air cavity"}
)
"""Labels of convenience, as `folded` writes them: they say where something lies in the picture, not
what it is (SPIDER's vertebra at the upper edge may be any), or join what has no name in common."""


def category_name(segment: str) -> str:
    """Return the category name of a segment; "" for one like "Segment_1", which names nothing."""
    name = " ".join(segment.replace("_", " ").split())
    return "" if _UNNAMED.fullmatch(folded(name)) else name


def is_same_name(one: str, other: str) -> bool:
    """Return True for two spellings, or two synonyms of the vocabulary, of one name."""
    if folded(one) == folded(other):
        return True
    try:
        return _vocabulary().index(one) == _vocabulary().index(other)
    except CategoryError:
        return False


def learnt_name(label: str) -> str:
    """Return the name that a model learns, and is asked for, of a label of a data set.

    It is "" for a mask without a name: one that names nothing, such as "object 2" or "", or one of
    `MASKS_WITHOUT_NAME`. Such a mask trains and measures outlines only.
    """
    return "" if folded(label) in MASKS_WITHOUT_NAME else category_name(label)


@cache
def _vocabulary() -> Categories:
    return Categories.load()


def agreed_names(own: Mapping[int, str], stated: Mapping[int, str]) -> dict[int, str]:
    """Return value -> name: those of the file itself, completed by those stated elsewhere.

    Raises LabelError for a value to which the two give different names.
    """
    names = dict(stated)
    for value, name in own.items():
        said = stated.get(value, "")
        if not category_name(name):
            names.setdefault(value, name)
        elif category_name(said) and not is_same_name(name, said):
            raise LabelError(
                f"the file itself names its value {value} {name!r:.80}, but it was sent as "
                f"{said!r:.80}; expected the same names in both"
            )
        else:
            names[value] = name
    return names


def names_in_file_first(own: Mapping[int, str], recorded: Mapping[int, str]) -> dict[int, str]:
    """Return value -> name: those in the file, else those recorded for it.

    A record may be older than the check that it agrees with the file; the file is what was drawn.
    """
    return {**recorded, **{value: name for value, name in own.items() if category_name(name)}}

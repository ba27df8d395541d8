"""Names of the values that parameters may have, in the user's language."""

from __future__ import annotations

from typing import Any, Iterable

from SEGSAMLib.Translation import tr as _


def show_names(combos: Iterable[Any]) -> None:
    """Show names in combo boxes that the parameter node wrapper filled with values. The wrapper
    reads and sets the row only, so the names may be others than the values.
    """
    names = _names()
    for combo in combos:
        for row in range(combo.count):
            value = combo.itemText(row)
            combo.setItemText(row, names.get(value, value))


def _names() -> dict[str, str]:
    """Return the name of each value of `Parameters.CHOICES` that has one; axes are letters."""
    return {
        "auto": _("auto"),
        "all": _("all"),
        "in boxes": _("in boxes"),
        "always": _("always"),
        "never": _("never"),
        "overwrite": _("overwrite"),
        "keep others": _("keep others"),
        "allow overlap": _("allow overlap"),
        "binary": _("binary"),
        "semantic": _("semantic"),
        "soft-tissue": _("soft-tissue"),
        "lung": _("lung"),
        "bone": _("bone"),
        "brain": _("brain"),
        "liver": _("liver"),
        "mediastinum": _("mediastinum"),
        "angio": _("angio"),
        "stroke": _("stroke"),
        "spine": _("spine"),
        "agreement": _("agreement"),
        "diversity": _("diversity"),
        "mix": _("mix"),
        "random": _("random"),
        "first": _("first"),
    }

"""States carried from case to case: what was learnt about a name, from which the next may start.

labelled cases of one name --learn_on--> CarriedState --Teacher, if it helps there--> the next
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from segsam.errors import PromptError
from segsam.prediction.completion.adaptation import Weights


@dataclass(frozen=True)
class Gain:
    """Mean Dice on slices that were not learnt from, by the parent and by what was learnt."""

    before: float
    after: float


@dataclass(frozen=True, eq=False)
class CarriedState:
    """Weights of the mask decoder that were learnt about one name; nothing of it changes later.

    `parent` identifies the model, `cases` are those that were learnt from, the newest last, and
    `annotators` who labelled them. `created` is a time in UTC, ISO 8601.
    """

    parent: str
    learnt: Weights
    name: str
    cases: tuple[str, ...]
    gain: Gain
    annotators: tuple[str, ...] = ()
    created: str = ""

    @property
    def in_words(self) -> str:
        """The source, as in "what was learnt as 'left iliopsoas' in case7"."""
        return f"what was learnt as '{self.name}' in {places(self.cases)}"

    def check_parent(self, parent: str) -> None:
        """Raise PromptError if it was learnt with another checkpoint than `parent`."""
        if self.parent != parent:
            raise PromptError(
                f"Expected {self.in_words} to be of this checkpoint, got that of another; complete "
                "without it."
            )


FindCarried: TypeAlias = Callable[[str], CarriedState | None]
"""Returns what was learnt about a name with the model in use; None if nothing was."""


def places(cases: tuple[str, ...]) -> str:
    """Return the cases in words: one by its name, several by their number and the newest."""
    return cases[0] if len(cases) == 1 else f"{len(cases)} cases, {cases[-1]} the last"

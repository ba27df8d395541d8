"""What the server calls an object, and whether that is what the sample calls it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from segsam.categories import Categories
from segsam.remote.client import Reply

_TOLD = 3
"""Of what else is present, so many are told."""


@dataclass(frozen=True)
class Named:
    """Of one reply: category and confidence, and what else is on a slice, likeliest first."""

    category: str | None = None
    confidence: float | None = None
    present: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, reply: Reply, index: int | None = None) -> Named:
        """What `reply` says, and of what else is present, what it says about slice `index`."""
        params = reply.params
        return cls(params["category"], params["confidence"], params["present"].get(str(index), {}))

    @property
    def in_words(self) -> str:
        """Name and confidence."""
        if self.category is None or self.confidence is None:
            return "not named"
        return f"{self.category} ({self.confidence:.0%})"

    @property
    def also(self) -> str:
        """The likeliest of what else is present."""
        return ", ".join(f"{name} {p:.0%}" for name, p in list(self.present.items())[:_TOLD])


def expected_name(organ: str, trained: Collection[str]) -> str | None:
    """What a checkpoint that was trained on these categories should call an organ of the sample;
    None when it is not among them.
    """
    known = Categories.load()
    name = known.names[known.index(organ)]
    return name if name in trained else None

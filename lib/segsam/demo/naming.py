"""Names that the server gives to objects, and the names that the sample CT's labels give them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from segsam.categories import Categories
from segsam.remote.client import Reply

_SHOWN = 3
"""Number of other categories that are shown."""


@dataclass(frozen=True)
class ObjectName:
    """Category and confidence of an object, what else is on a slice, and the nearest names of an
    object without one, the most probable first.
    """

    category: str | None = None
    confidence: float | None = None
    present: Mapping[str, float] = field(default_factory=dict)
    suggestions: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_reply(cls, reply: Reply, index: int | None = None) -> ObjectName:
        """Read the name from a reply, and the other categories that it finds on slice `index`."""
        params = reply.params
        present = params["present"].get(str(index), {})
        nearest = params.get("suggestions", {})  # other servers do not send them
        return cls(params["category"], params["confidence"], present, nearest)

    @property
    def text(self) -> str:
        """Name and confidence for a person; without a name, the nearest one."""
        if self.category is None or self.confidence is None:
            nearest = [f", most like {name} ({p:.0%})" for name, p in self.suggestions.items()]
            return "".join(["not named", *nearest[:1]])
        return f"{self.category} ({self.confidence:.0%})"

    @property
    def also_present(self) -> str:
        """Most probable other categories on the slice."""
        return ", ".join(f"{name} {p:.0%}" for name, p in list(self.present.items())[:_SHOWN])


def expected_name(organ: str, trained: Collection[str]) -> str | None:
    """Return the category that stands for an organ of the sample.

    Returns None if the checkpoint was not trained on it; `trained` are its categories.
    """
    known = Categories.load()
    name = known.names[known.index(organ)]
    return name if name in trained else None

"""Record of one run of the bench, as it is stored in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segsam.errors import BenchError
from segsam.research.bench.plan import BASELINE
from segsam.research.bench.timing import Timing
from segsam.research.json_files import read_object

_COMPARED_WITH = {"http_click": "second"}
"""Item of a server -> item of programs without HTTP that it is compared with."""


class ContenderRecord(BaseModel):
    """Measurements of one contender, or the reason why there are none."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    title: str
    skipped: str = ""
    """Reason why it was not measured; empty if it was."""
    items: Mapping[str, Timing] = Field(default_factory=dict)
    facts: Mapping[str, Any] = Field(default_factory=dict)
    peak_mb: float | None = None


class BenchRecord(BaseModel):
    """Measurements of all contenders in one run."""

    model_config = ConfigDict(frozen=True, extra="allow")

    when: str
    """Start of the run in UTC, ISO 8601."""
    machine: Mapping[str, Any]
    plan: Mapping[str, Any]
    """Fields of the run's `BenchPlan`."""
    contenders: tuple[ContenderRecord, ...]

    @classmethod
    def read(cls, path: Path) -> BenchRecord:
        """Read what an earlier run wrote; raises BenchError for any other file."""
        try:
            return cls.model_validate(read_object(path, BenchError))
        except ValidationError as error:
            raise BenchError(
                f"Expected a file of `segsam bench --json`, got {path.name}."
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return self.model_dump(mode="json", exclude_unset=True)

    def median_s(self, name: str, item: str) -> float | None:
        """Return the median seconds of a contender's item; None if it was not measured."""
        for one in self.contenders:
            if one.name == name and item in one.items:
                return one.items[item].median_s
        return None

    def fact(self, name: str, key: str) -> Any:
        """Return another fact of a contender; None if it was not measured."""
        return next((one.facts.get(key) for one in self.contenders if one.name == name), None)

    def speedup(self, name: str, item: str, than: str = BASELINE) -> float | None:
        """Return the time of the contender `than` for an item over that of `name`.

        An item over HTTP is compared with the same work of programs that have no HTTP.
        """
        seconds = self.median_s(name, item)
        reference = self.median_s(than, _COMPARED_WITH.get(item, item))
        return None if seconds is None or reference is None else reference / seconds

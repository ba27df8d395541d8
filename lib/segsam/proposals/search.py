"""Settings of a search without prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segsam.errors import PromptError
from segsam.types import AxisName


@dataclass(frozen=True)
class Search:
    """Settings of the automatic segmentation. Raises PromptError for invalid ones."""

    axis: AxisName | Literal["auto"] = "auto"
    """The voxel axis to slice across; "auto" is that of `choose_axis`."""
    categories: tuple[str, ...] = ()
    """Names or synonyms; empty for all categories with examples in training."""
    slices: int = 5
    """About how many slices are searched by points, where the checkpoint has no dense head."""
    grid: int = 8
    """Points per side on each of these slices."""
    min_certainty: float = 0.4
    """Objects with a lower certainty are left out. Half of it is enough for requested names, three
    quarters for what the dense head and the prompted decoders name alike."""

    def __post_init__(self) -> None:
        """Refuse invalid settings; raises PromptError."""
        if self.axis not in ("auto", "i", "j", "k"):
            raise PromptError(f"Expected one axis auto, i, j or k, got {self.axis!r}.")
        if not 1 <= self.slices <= 1000 or not 1 <= self.grid <= 32:
            raise PromptError(
                f"Expected 1 to 1000 slices and a grid of 1 to 32 points a side, got {self.slices} "
                f"and {self.grid}."
            )
        if not 0 <= self.min_certainty <= 1:
            raise PromptError(f"Expected a certainty of 0 to 1, got {self.min_certainty}.")

"""Figures of the SEG-SAM paper, tables 1, 4, 5, 7 and 8, in percent.

The paper measured on SA-Med2D-16M with SAM-Med2D, MedSAM and Med-SA as hosts. Only the differences
between rows can be compared with the results of this study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class PaperRow:
    """Row of tables 4 (boxes) and 8 (points)."""

    box_dsc: float
    point_dsc: float
    box_mdsc: float | None = None
    point_mdsc: float | None = None

    def figure(self, prompt: str, score: str) -> float | None:
        """Return a score (dsc, mdsc) for a prompt (box, point); None if the paper has none."""
        value: float | None = getattr(self, f"{prompt}_{score}", None)
        return value


BY_VARIANT: Mapping[str, PaperRow] = MappingProxyType(
    {
        "baseline": PaperRow(77.30, 65.45),
        "baseline_sem": PaperRow(74.72, 64.56, 76.35, 65.11),
        "so": PaperRow(78.01, 68.53, 78.83, 70.14),
        "so_co": PaperRow(78.61, 69.88, 79.34, 71.68),
        "so_full_image": PaperRow(77.03, 67.69, 77.61, 69.03),
        "so_co_t2vse": PaperRow(80.13, 71.70, 80.35, 73.67),
        "segsam": PaperRow(81.46, 73.15, 80.90, 75.28),
    }
)
"""Rows by name in `segsam.model.VARIANTS`."""
PLUG_IN = "SAM-Med2D 77.30 to 78.51, MedSAM 77.37 to 78.83, Med-SA 77.23 to 78.42 with boxes"
"""Tables 5 and 7 on Med2D: DSC before and after the semantic decoder was added."""

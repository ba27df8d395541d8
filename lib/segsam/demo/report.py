"""What the demo found: the numbers, and how they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from segsam.demo.checking import GeometryCheck
from segsam.demo.timing import OVERHEAD_GOAL_MS, SECOND_SHARE_GOAL, Timings

_TIE = 0.005
"""Half a point of Dice: below it, resampling at the rim decides."""


@dataclass(frozen=True)
class OrganScore:
    """Dice with the sample's pseudo-label, of SEG-SAM over HTTP and of LiteMedSAM itself."""

    organ: str
    slices: int
    voxels: int
    dice: float
    litemedsam_dice: float
    seconds: float

    @property
    def ok(self) -> bool:
        """At least what LiteMedSAM itself reaches on the same slices and boxes."""
        return self.dice >= self.litemedsam_dice - _TIE


@dataclass(frozen=True)
class Answer:
    """One of the smaller requests, in words."""

    request: str
    found: str


@dataclass(frozen=True)
class DemoReport:
    """Everything that `segsam demo --json` writes."""

    out: Path
    scores: tuple[OrganScore, ...]
    answers: tuple[Answer, ...]
    geometry: tuple[GeometryCheck, ...]
    timings: Timings
    seconds: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Every returned volume lies on the voxels that were sent; nothing less is a demo."""
        return bool(self.geometry) and all(check.ok for check in self.geometry)

    @property
    def mean_dice(self) -> float:
        """Over the organs."""
        return sum(score.dice for score in self.scores) / len(self.scores)

    @property
    def mean_litemedsam_dice(self) -> float:
        """Over the organs."""
        return sum(score.litemedsam_dice for score in self.scores) / len(self.scores)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return {
            "ok": self.ok,
            "out": str(self.out),
            "scores": [asdict(score) | {"ok": score.ok} for score in self.scores],
            "mean_dice": self.mean_dice,
            "mean_litemedsam_dice": self.mean_litemedsam_dice,
            "reference": "pseudo-labels (the output of TotalSegmentator), not drawn by anybody",
            "answers": [asdict(answer) for answer in self.answers],
            "geometry": [asdict(check) for check in self.geometry],
            "timings": asdict(self.timings)
            | {
                "second_share": self.timings.second_share,
                "second_ok": self.timings.second_ok,
                "overhead_ok": self.timings.overhead_ok,
            },
            "seconds": dict(self.seconds),
            "notes": list(self.notes),
        }


def tell(report: DemoReport, console: Console) -> None:
    """The report as tables and sentences."""
    console.print(score_table(report))
    wrong = [check for check in report.geometry if not check.ok]
    for check in wrong:
        words = f"  [red]WRONG VOXELS[/red] {check.file} ({check.reader}): {check.found}"
        console.print(words, soft_wrap=True)
    console.print(
        f"  {verdict(report.ok)} geometry: {len(report.geometry) - len(wrong)} of "
        f"{len(report.geometry)} readings of the returned volumes have the shape and affine "
        "of the image that was sent",
        soft_wrap=True,
    )
    _tell_timings(report.timings, console)
    for note in report.notes:
        console.print(f"  note: {note}", soft_wrap=True)


def _tell_timings(timings: Timings, console: Console) -> None:
    console.print(
        f"  {verdict(timings.second_ok)} second prompt on the same slice: "
        f"{timings.second_ms:.0f} ms, {timings.second_share:.1%} of the first "
        f"({timings.first_ms:.0f} ms); goal: at most {SECOND_SHARE_GOAL:.0%}",
        soft_wrap=True,
    )
    console.print(
        f"  {verdict(timings.overhead_ok)} HTTP for one slice: {timings.overhead_ms:.1f} ms on top "
        f"of the model's own time; goal: at most {OVERHEAD_GOAL_MS:.0f} ms",
        soft_wrap=True,
    )


def score_table(report: DemoReport) -> Table:
    """One row per organ, and the mean."""
    table = Table(title="Dice with the sample's pseudo-labels (tight 3D boxes, slice by slice)")
    table.add_column("organ")
    for heading in ("slices", "voxels", "seconds", "SEG-SAM, served", "LiteMedSAM itself", ""):
        table.add_column(heading, justify="right")
    for score in report.scores:
        table.add_row(
            score.organ.replace("_", " "),
            str(score.slices),
            f"{score.voxels:,}",
            f"{score.seconds:.1f}",
            f"{score.dice:.3f}",
            f"{score.litemedsam_dice:.3f}",
            verdict(score.ok),
        )
    table.add_section()
    means = (f"{report.mean_dice:.3f}", f"{report.mean_litemedsam_dice:.3f}")
    table.add_row("mean", "", "", "", *means, verdict(report.mean_dice >= means_goal(report)))
    return table


def means_goal(report: DemoReport) -> float:
    """What the mean Dice has to reach."""
    return report.mean_litemedsam_dice - _TIE


def verdict(ok: bool) -> str:
    """One coloured word."""
    return "[green]PASS[/green]" if ok else "[red]MISS[/red]"

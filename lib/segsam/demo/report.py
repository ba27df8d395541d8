"""What the demo found: the numbers, and how they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from segsam.demo.checking import GeometryCheck
from segsam.demo.timing import OVERHEAD_GOAL_MS, SECOND_SHARE_GOAL, Timings

_DICE = ("dice", "litemedsam_dice", "followed_dice")

_TIE = 0.001
"""Of Dice: below it, rounding in another order of sums decides about a voxel at the rim."""


@dataclass(frozen=True)
class OrganScore:
    """Dice with the sample's pseudo-label of what the server and LiteMedSAM itself returned.

    `dice` and `litemedsam_dice` are of the same slices and boxes, the 3D box's section on each;
    `followed_dice` is of the object followed through the box, which is what a user gets.
    `seconds` is the wall clock of that last request, when the slices had been encoded.
    """

    organ: str
    slices: int
    voxels: int
    dice: float
    litemedsam_dice: float
    followed_dice: float
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

    def mean(self, what: str) -> float:
        """Of one of the scores' Dice values, over the organs."""
        return fmean(getattr(score, what) for score in self.scores)

    @property
    def dice_ok(self) -> bool:
        """The mean over the organs, held against LiteMedSAM's."""
        return self.mean("dice") >= self.mean("litemedsam_dice") - _TIE

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return {
            "ok": self.ok,
            "out": str(self.out),
            "scores": [asdict(score) | {"ok": score.ok} for score in self.scores],
            "means": {what: self.mean(what) for what in _DICE},
            "dice_ok": self.dice_ok,
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
    table = Table(title="Dice with the sample's pseudo-labels, tight 3D boxes")
    table.add_column("organ", no_wrap=True)
    table.add_column("slices", justify="right")
    table.add_column("voxels", justify="right")
    table.add_column("slice by slice", justify="right")
    table.add_column("LiteMedSAM itself", justify="right")
    table.add_column("goal")
    table.add_column("followed from the middle", justify="right")
    table.add_column("seconds", justify="right")
    for score in report.scores:
        table.add_row(
            score.organ.replace("_", " "),
            str(score.slices),
            f"{score.voxels:,}",
            f"{score.dice:.3f}",
            f"{score.litemedsam_dice:.3f}",
            verdict(score.ok),
            f"{score.followed_dice:.3f}",
            f"{score.seconds:.1f}",
        )
    table.add_section()
    dice, litemedsam, followed = (f"{report.mean(what):.3f}" for what in _DICE)
    table.add_row("mean", "", "", dice, litemedsam, verdict(report.dice_ok), followed, "")
    return table


def verdict(ok: bool) -> str:
    """One coloured word."""
    return "[green]PASS[/green]" if ok else "[red]MISS[/red]"

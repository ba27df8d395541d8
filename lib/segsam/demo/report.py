"""What the demo found: the numbers, and how they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from segsam.demo.checking import GeometryCheck
from segsam.demo.naming import Named
from segsam.demo.timing import OVERHEAD_GOAL_MS, SECOND_SHARE_GOAL, Timings

_DICE = ("dice", "followed_dice", "host_dice", "litemedsam_dice")

_TIE = 0.001
"""Of Dice: below it, rounding in another order of sums decides about a voxel at the rim."""


@dataclass(frozen=True)
class OrganScore:
    """Dice with the sample's pseudo-label of what the server and LiteMedSAM itself returned.

    `dice` is of the default checkpoint with the 3D box's section as the prompt on every slice,
    `followed_dice` of the object followed through the box, which is what a user gets. `host_dice`
    and `litemedsam_dice` are of the same slices and boxes as `dice`, by the host alone on our
    server and by LiteMedSAM itself. `seconds` is the wall clock of the following, when the slices
    had been encoded. `expected` is what the checkpoint should call the organ, None when it was not
    trained on it.
    """

    organ: str
    slices: int
    voxels: int
    dice: float
    followed_dice: float
    host_dice: float
    litemedsam_dice: float
    seconds: float
    named: Named = field(default_factory=Named)
    expected: str | None = None

    @property
    def ok(self) -> bool:
        """Our host reaches at least what LiteMedSAM itself does on the same slices and boxes."""
        return self.host_dice >= self.litemedsam_dice - _TIE

    @property
    def named_right(self) -> bool:
        """Whether the category is the sample's."""
        return self.expected is not None and self.named.category == self.expected

    @property
    def title(self) -> str:
        """For people."""
        return self.organ.replace("_", " ")

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return asdict(self) | {"ok": self.ok, "named_right": self.named_right}


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
        """The host's mean over the organs, held against LiteMedSAM's."""
        return self.mean("host_dice") >= self.mean("litemedsam_dice") - _TIE

    @property
    def names(self) -> str:
        """How many organs were called what the sample calls them, and which could not be."""
        if not any(score.expected for score in self.scores):
            return "no organ of the sample is among the categories of this checkpoint"
        right = sum(score.named_right for score in self.scores)
        words = f"{right} of {len(self.scores)} organs named as the sample names them"
        unknown = [score.title for score in self.scores if score.expected is None]
        if unknown:
            words += f"; not among the trained categories: {', '.join(unknown)}"
        return words

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and words."""
        return {
            "ok": self.ok,
            "out": str(self.out),
            "scores": [score.to_json() for score in self.scores],
            "named_right": sum(score.named_right for score in self.scores),
            "names": self.names,
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
    console.print(f"  names: {report.names}", soft_wrap=True)
    console.print(parity_table(report))
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
    """What a user gets: Dice, name and neighbours; one row per organ, and the mean."""
    table = Table(title="What came back: Dice with the sample's pseudo-labels, tight 3D boxes")
    table.add_column("organ", no_wrap=True)
    table.add_column("voxels", justify="right")
    table.add_column("slice by slice", justify="right")
    table.add_column("followed from the middle", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("named", no_wrap=True)
    table.add_column("also present on its widest slice")
    for score in report.scores:
        table.add_row(
            score.title,
            f"{score.voxels:,}",
            f"{score.dice:.3f}",
            f"{score.followed_dice:.3f}",
            f"{score.seconds:.1f}",
            score.named.in_words,
            score.named.also,
        )
    table.add_section()
    table.add_row("mean", "", *(f"{report.mean(what):.3f}" for what in _DICE[:2]), "", "", "")
    return table


def parity_table(report: DemoReport) -> Table:
    """The host alone on our server against LiteMedSAM itself: the same slices and boxes."""
    table = Table(title="The host alone, slice by slice, against LiteMedSAM itself")
    table.add_column("organ", no_wrap=True)
    table.add_column("slices", justify="right")
    table.add_column("on this server", justify="right")
    table.add_column("LiteMedSAM itself", justify="right")
    table.add_column("goal")
    for score in report.scores:
        ours, theirs = f"{score.host_dice:.3f}", f"{score.litemedsam_dice:.3f}"
        table.add_row(score.title, str(score.slices), ours, theirs, verdict(score.ok))
    table.add_section()
    means = (f"{report.mean(what):.3f}" for what in _DICE[2:])
    table.add_row("mean", "", *means, verdict(report.dice_ok))
    return table


def verdict(ok: bool) -> str:
    """One coloured word."""
    return "[green]PASS[/green]" if ok else "[red]MISS[/red]"

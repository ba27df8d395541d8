"""Report of the demo: its numbers, and their display."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from segsam.demo.checking import GeometryCheck
from segsam.demo.naming import ObjectName

_DICE = ("dice", "followed_dice")


@dataclass(frozen=True)
class OrganScore:
    """Dice of the server's masks of one organ with the sample's pseudo-label.

    `dice` is of the masks slice by slice, with the 3D box's section as the prompt on every slice;
    `followed_dice` of the object followed through the box. `seconds` is the wall-clock time of the
    following, after the slices were encoded. `expected` is the category that stands for the organ,
    None if the checkpoint was not trained on it.
    """

    organ: str
    slices: int
    voxels: int
    dice: float
    followed_dice: float
    seconds: float
    named: ObjectName = field(default_factory=ObjectName)
    expected: str | None = None

    @property
    def named_right(self) -> bool:
        """True if the server gave the organ its category."""
        return self.expected is not None and self.named.category == self.expected

    @property
    def title(self) -> str:
        """Name of the organ for a person."""
        return self.organ.replace("_", " ")

    def to_json(self) -> dict[str, Any]:
        """Return numbers and words for JSON."""
        return asdict(self) | {"named_right": self.named_right}


@dataclass(frozen=True)
class ClickTimes:
    """Wall-clock times of two clicks on one slice, as the client measures them."""

    first_ms: float
    second_ms: float
    overhead_ms: float
    """Time of the second click beyond the model's own: HTTP and the server."""

    @property
    def second_share(self) -> float:
        """Time of the second click as a share of the first's."""
        return self.second_ms / self.first_ms


@dataclass(frozen=True)
class Answer:
    """Result of one of the smaller requests, in words."""

    request: str
    found: str


@dataclass(frozen=True)
class DemoReport:
    """Report that `segsam demo --json` writes."""

    out: Path
    scores: tuple[OrganScore, ...]
    answers: tuple[Answer, ...]
    geometry: tuple[GeometryCheck, ...]
    clicks: ClickTimes
    seconds: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True if every returned volume lies on the voxels that were sent."""
        return bool(self.geometry) and all(check.ok for check in self.geometry)

    def mean(self, score: str) -> float:
        """Return the mean of one of the Dice values over the organs."""
        return fmean(getattr(one, score) for one in self.scores)

    @property
    def names(self) -> str:
        """Sentence on how many organs got their right name, and which names are not trained."""
        if not any(score.expected for score in self.scores):
            return "no organ of the sample is among the categories of this checkpoint"
        right = sum(score.named_right for score in self.scores)
        text = f"{right} of {len(self.scores)} organs named as the sample names them"
        unknown = [score.title for score in self.scores if score.expected is None]
        if unknown:
            text += f"; not among the trained categories: {', '.join(unknown)}"
        return text

    def to_json(self) -> dict[str, Any]:
        """Return numbers and words for JSON."""
        return {
            "ok": self.ok,
            "out": str(self.out),
            "scores": [score.to_json() for score in self.scores],
            "named_right": sum(score.named_right for score in self.scores),
            "names": self.names,
            "means": {score: self.mean(score) for score in _DICE},
            "reference": "pseudo-labels (the output of TotalSegmentator), not drawn by anybody",
            "answers": [asdict(answer) for answer in self.answers],
            "geometry": [asdict(check) for check in self.geometry],
            "timings": asdict(self.clicks) | {"second_share": self.clicks.second_share},
            "seconds": dict(self.seconds),
            "notes": list(self.notes),
        }


def show_report(report: DemoReport, console: Console) -> None:
    """Print the report as a table and sentences."""
    console.print(score_table(report))
    console.print(f"  names: {report.names}", soft_wrap=True)
    wrong = [check for check in report.geometry if not check.ok]
    for check in wrong:
        line = f"  [red]WRONG VOXELS[/red] {check.file} ({check.reader}): {check.found}"
        console.print(line, soft_wrap=True)
    verdict = "[green]PASS[/green]" if report.ok else "[red]MISS[/red]"
    console.print(
        f"  {verdict} geometry: {len(report.geometry) - len(wrong)} of "
        f"{len(report.geometry)} readings of the returned volumes have the shape and affine "
        "of the image that was sent",
        soft_wrap=True,
    )
    for note in report.notes:
        console.print(f"  note: {note}", soft_wrap=True)


def score_table(report: DemoReport) -> Table:
    """Return the table of Dice and names, one row per organ, and the mean."""
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
            score.named.text,
            score.named.also_present,
        )
    table.add_section()
    table.add_row("mean", "", *(f"{report.mean(score):.3f}" for score in _DICE), "", "", "")
    return table

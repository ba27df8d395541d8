"""What was aimed at, and whether it was reached; every figure comes from the stored results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from segsam.categories.category import MODALITIES
from segsam.research.study.board import Board, Figure, difference
from segsam.research.study.plan import TableName


@dataclass(frozen=True)
class Target:
    """One aim; `measure` says what came of it, None where that was not measured."""

    what: str
    wanted: float
    measure: Callable[[Board], Figure | None]
    goal: float | None = None
    """What would be better still."""
    at_most: bool = False
    unit: str = ""

    def reached(self, found: Figure) -> bool:
        """Whether a measured number is enough."""
        return found.mean <= self.wanted if self.at_most else found.mean >= self.wanted


def shipped_average(prompt: str, score: str) -> Callable[[Board], Figure | None]:
    """Of the shipped checkpoint, the mean over the modalities."""

    def measure(board: Board) -> Figure | None:
        row = board.first("shipped")
        return None if row is None else board.average(row.run, prompt, score)

    return measure


def shipped_volume(dataset: str) -> Callable[[Board], Figure | None]:
    """Of the shipped checkpoint, the Dice of volumes with a box a slice."""

    def measure(board: Board) -> Figure | None:
        row = board.first("shipped")
        if row is None:
            return None
        return board.figure(
            row.run, lambda result: result.of_dataset("box", "volume_dice", dataset)
        )

    return measure


def gain_over(variant: str, prompt: str, score: str) -> Callable[[Board], Figure | None]:
    """SEG-SAM minus another variant that was trained in the same way: the shipped one if it has
    such a partner, else that of the tables.
    """

    def measure(board: Board) -> Figure | None:
        for table in ("shipped", "methods", "ladder"):
            row = board.first(table, "segsam")
            partner = None if row is None else board.partner(row.run, variant)
            if row is None or partner is None:
                continue
            found = difference(
                board.average(row.run, prompt, score), board.average(partner, prompt, score)
            )
            if found is not None:
                return found
        return None

    return measure


def worst_gain_over_the_host(board: Board) -> Figure | None:
    """The least difference of a modality between the shipped checkpoint and the host as it comes,
    with boxes; None unless all modalities were measured.
    """
    row = board.first("shipped")
    host = next(
        (
            one
            for one in board.study.rows_of("methods")
            if board.entry(one.run).kind == "checkpoint"
        ),
        None,
    )
    if row is None or host is None:
        return None
    found = [
        difference(
            board.of_modality(row.run, "box", "dsc", name),
            board.of_modality(host.run, "box", "dsc", name),
        )
        for name in MODALITIES
    ]
    known = [one for one in found if one is not None]
    return min(known, key=lambda one: one.mean) if len(known) == len(MODALITIES) else None


def minutes_an_epoch(table: str) -> Callable[[Board], Figure | None]:
    """Of SEG-SAM in the shipped configuration (that of the tables, where the shipped one is an
    average), or in that of the ladder, in the run made to time it if there is one; embeddings kept.
    """

    def measure(board: Board) -> Figure | None:
        tables: tuple[TableName, ...] = (
            ("shipped", "methods") if table == "shipped" else ("epoch", "ladder")
        )
        rows = [board.first(one, "segsam") for one in tables]
        row = next((one for one in rows if one is not None), None)
        if row is None:
            return None
        return board.figure(row.run, lambda result: result.minutes_an_epoch)

    return measure


TARGETS = (
    Target("DSC with boxes, average of eight modalities", 84, shipped_average("box", "dsc"), 88),
    Target(
        "the same minus the host fine-tuned without semantic parts",
        4,
        gain_over("baseline", "box", "dsc"),
    ),
    Target(
        "least gain of a modality over the host as it comes, boxes", 0, worst_gain_over_the_host
    ),
    Target("DSC with points, average", 72, shipped_average("point", "dsc"), 78),
    Target("mDSC with boxes, average", 78, shipped_average("box", "mdsc"), 82),
    Target("the same minus BaselineSem", 4, gain_over("baseline_sem", "box", "mdsc")),
    Target("volume Dice of the hippocampus, a box a slice", 88, shipped_volume("hippocampus")),
    Target(
        "volume Dice of ventricles and myocardium, a box a slice",
        88,
        shipped_volume("acdc_cardiac"),
    ),
    Target(
        "category named right inside the modality, boxes",
        95,
        shipped_average("box", "category_accuracy_in_modality"),
    ),
    Target(
        "minutes an epoch in the shipped configuration",
        30,
        minutes_an_epoch("shipped"),
        at_most=True,
        unit="min",
    ),
    Target(
        "minutes an epoch in the ablations' configuration",
        5,
        minutes_an_epoch("ladder"),
        at_most=True,
        unit="min",
    ),
)

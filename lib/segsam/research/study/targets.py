"""Targets of the study; every figure comes from the stored results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from segsam.categories.category import PAPER_MODALITIES
from segsam.research.study.measured_study import MeasuredStudy, SeedMean, difference
from segsam.research.study.plan import TableName
from segsam.research.study.results import Result
from segsam.research.targets import Target

StudyTarget: TypeAlias = Target[MeasuredStudy, SeedMean]
Measure: TypeAlias = Callable[[MeasuredStudy], SeedMean | None]


def _shipped(value: Callable[[Result], float | None]) -> Measure:
    """Return a function that reads a number of the shipped checkpoint."""

    def measure(measured: MeasuredStudy) -> SeedMean | None:
        row = measured.first("shipped")
        return None if row is None else measured.mean(row.run, value)

    return measure


def _shipped_average(prompt: str, score: str) -> Measure:
    return _shipped(lambda result: result.average(prompt, score))


def _shipped_volume_dice(dataset: str) -> Measure:
    return _shipped(lambda result: result.dataset_score("box", "volume_dice", dataset))


def _gain_over(variant: str, score: str) -> Measure:
    """Return a function that subtracts a variant trained in the same way from SEG-SAM, both with
    boxes: from the shipped run if it has such a partner, else from that of the tables.
    """

    def measure(measured: MeasuredStudy) -> SeedMean | None:
        tables: tuple[TableName, ...] = ("shipped", "methods", "ladder")
        for table in tables:
            row = measured.first(table, "segsam")
            partner = None if row is None else measured.partner(row.run, variant)
            if row is None or partner is None:
                continue
            found = difference(
                measured.average(row.run, "box", score), measured.average(partner, "box", score)
            )
            if found is not None:
                return found
        return None

    return measure


def _smallest_gain_over_host(measured: MeasuredStudy) -> SeedMean | None:
    """Return the smallest difference of a modality between the shipped checkpoint and the
    published host, with boxes; None unless all modalities were measured.
    """
    row = measured.first("shipped")
    methods = measured.study.rows_of("methods")
    host = next((one for one in methods if measured.entry(one.run).kind == "checkpoint"), None)
    if row is None or host is None:
        return None
    gains = [
        difference(*(measured.modality_score(one.run, "box", "dsc", name) for one in (row, host)))
        for name in PAPER_MODALITIES
    ]
    known = [one for one in gains if one is not None]
    return min(known, key=lambda one: one.mean) if len(known) == len(gains) else None


def _minutes_per_epoch(*tables: TableName) -> Measure:
    """Return a function that reads the time of an epoch from the first table with SEG-SAM."""

    def measure(measured: MeasuredStudy) -> SeedMean | None:
        rows = (measured.first(table, "segsam") for table in tables)
        row = next((one for one in rows if one is not None), None)
        if row is None:
            return None
        return measured.mean(row.run, lambda result: result.minutes_per_epoch)

    return measure


TARGETS: tuple[StudyTarget, ...] = (
    Target(
        "DSC with boxes, average of eight modalities", 84, _shipped_average("box", "dsc"), goal=88
    ),
    Target(
        "its gain over the host fine-tuned without semantic parts", 4, _gain_over("baseline", "dsc")
    ),
    Target(
        "smallest gain of a modality over the published host, boxes", 0, _smallest_gain_over_host
    ),
    Target("DSC with points, average", 72, _shipped_average("point", "dsc"), goal=78),
    Target("mDSC with boxes, average", 78, _shipped_average("box", "mdsc"), goal=82),
    Target("its gain over BaselineSem", 4, _gain_over("baseline_sem", "mdsc")),
    Target(
        "volume Dice of the hippocampus, a box per slice", 88, _shipped_volume_dice("hippocampus")
    ),
    Target(
        "volume Dice of ventricles and myocardium, a box per slice",
        88,
        _shipped_volume_dice("acdc_cardiac"),
    ),
    Target(
        "correct category within the modality, boxes",
        95,
        _shipped_average("box", "category_accuracy_in_modality"),
    ),
    # The shipped checkpoint may be an average, which has no steps of its own.
    Target(
        "minutes per epoch in the shipped configuration",
        30,
        _minutes_per_epoch("shipped", "methods"),
        "min",
        at_most=True,
    ),
    # The table `epoch` holds a run that was made to time it, if there is one.
    Target(
        "minutes per epoch in the ablations' configuration",
        5,
        _minutes_per_epoch("epoch", "ladder"),
        "min",
        at_most=True,
    ),
)

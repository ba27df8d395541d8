"""The paper's tables in small, as data: what to write and how is `markdown`'s affair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from segsam.categories.category import MODALITIES
from segsam.study.board import Board, Figure, difference
from segsam.study.paper import BY_VARIANT, PLUG_IN
from segsam.study.plan import Row

Cell: TypeAlias = Figure | str | None
"""A number, a text, or None for what was not measured."""


@dataclass(frozen=True)
class TableRow:
    """Cells under the headings, the label first."""

    label: str
    cells: tuple[Cell, ...]
    signed: bool = False
    """Whether its numbers are differences."""


@dataclass(frozen=True)
class Table:
    """One table of the page."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()
    """Paragraphs before it."""


def methods_table(board: Board, prompt: str) -> Table:
    """Table 1 in small: DSC by modality of the host as it comes, fine-tuned, and as SEG-SAM."""
    rows: list[TableRow] = []
    for row in board.study.rows_of("methods"):
        rows.append(_by_modality(board, row, prompt, "dsc"))
        partner = board.partner(row.run, "baseline") if board.variant(row.run) == "segsam" else None
        if partner is not None:
            rows.append(_minus(board, row.run, partner, prompt, "dsc"))
    host, ours = BY_VARIANT["baseline"], BY_VARIANT["segsam"]
    gain = ours.figure(prompt, "dsc"), host.figure(prompt, "dsc")
    return Table(
        f"DSC with {prompt} prompts, by modality",
        ("", *MODALITIES, "average", "paper"),
        tuple(rows),
        (
            f"The paper's averages are of its own host and data: {gain[1]:.2f} fine-tuned, "
            f"{gain[0]:.2f} as SEG-SAM, {gain[0] - gain[1]:+.2f}."
            if gain[0] is not None and gain[1] is not None
            else "",
        ),
    )


def semantic_table(board: Board) -> Table:
    """Table 2 in small: mDSC by modality, promptable models with a box and networks without."""
    rows: list[TableRow] = []
    for row in board.study.rows_of("semantic"):
        prompt = "none" if board.entry(row.run).kind == "unet" else "box"
        rows.append(_by_modality(board, row, prompt, "mdsc"))
        sem = board.partner(row.run, "baseline_sem") if board.variant(row.run) == "segsam" else None
        if sem is not None:
            rows.append(_minus(board, row.run, sem, prompt, "mdsc"))
    return Table(
        "mDSC by modality",
        ("", *MODALITIES, "average", "paper"),
        tuple(rows),
        (
            "A mask counts for the category that the model itself gives, all categories competing. "
            "The networks see no prompt: they have to find what the others are pointed at. They "
            "were trained on the same slices for a time; see the rows at the end of the page.",
        ),
    )


def ladder_table(board: Board) -> Table:
    """Table 4 in small: the ablation ladder with box and point."""
    scores = [(prompt, score) for prompt in ("box", "point") for score in ("dsc", "mdsc")]
    rows = []
    for row in board.study.rows_of("ladder"):
        paper = BY_VARIANT.get(board.variant(row.run))
        cells: list[Cell] = []
        for prompt, score in scores:
            figure = None if paper is None else paper.figure(prompt, score)
            cells += [
                board.average(row.run, prompt, score),
                "" if figure is None else f"{figure:.2f}",
            ]
        rows.append(TableRow(row.label, tuple(cells)))
    headings = [
        heading for prompt, score in scores for heading in (f"{_NAMES[score]}, {prompt}", "paper")
    ]
    return Table(
        "Every part by itself",
        ("", *headings),
        tuple(rows),
        (
            "Averages over the modalities, mean ± standard deviation over the seeds, all rows with "
            "the same steps on the same slices; the paper's figures are of its own host and data.",
        ),
    )


def hosts_table(board: Board) -> Table:
    """Table 5 in small: the semantic decoder on another host."""
    rows = []
    for row in board.study.rows_of("hosts"):
        cells = [
            board.average(row.run, prompt, score)
            for prompt in ("box", "point")
            for score in ("dsc", "mdsc")
        ]
        rows.append(TableRow(row.label, tuple(cells)))
    headings = ("DSC, box", "mDSC, box", "DSC, point", "mDSC, point")
    note = f"The paper, on Med2D: {PLUG_IN}."
    return Table("The semantic decoder on another host", ("", *headings), tuple(rows), (note,))


def grid_table(board: Board) -> Table:
    """What a finer grid of the decoders costs and brings."""
    rows = []
    for row in board.study.rows_of("grid"):
        seconds = board.figure(row.run, lambda result: result.seconds_per_step)
        milliseconds = board.figure(row.run, lambda result: result.ms_per_prompt)
        cells = (
            board.average(row.run, "box", "dsc"),
            board.average(row.run, "point", "dsc"),
            board.average(row.run, "box", "mdsc"),
            seconds,
            milliseconds,
        )
        rows.append(TableRow(row.label, cells))
    headings = ("DSC, box", "DSC, point", "mDSC, box", "seconds a step", "ms a prompt")
    return Table("What the decoders' grid costs", ("", *headings), tuple(rows))


def runs_table(board: Board, study_path: str) -> Table:
    """How each row was made."""
    rows = []
    for run in dict.fromkeys(entry.run for entry in board.study.entries):
        results = board.of(run)
        seeds = [str(one.seed) for one in results if one.seed is not None]
        commits = dict.fromkeys(str(one.facts.get("commit", "")) for one in results)
        cells: tuple[Cell, ...] = (
            ", ".join(seeds) if results else None,
            board.figure(run, lambda result: result.steps),
            board.figure(run, lambda result: result.seconds),
            board.figure(run, lambda result: result.trained_parameters_in_millions),
            ", ".join(commit for commit in commits if commit),
            f"`segsam study run {study_path} --data DATA --out RUNS --only {run}`",
        )
        rows.append(TableRow(run, cells))
    headings = ("seeds", "steps", "seconds", "decoder, 10⁶ parameters", "commit", "command")
    return Table("How each row was made", ("run", *headings), tuple(rows))


_NAMES = {"dsc": "DSC", "mdsc": "mDSC"}


def _by_modality(board: Board, row: Row, prompt: str, score: str) -> TableRow:
    paper = BY_VARIANT.get(board.variant(row.run))
    figure = None if paper is None else paper.figure(prompt, score)
    cells = [board.of_modality(row.run, prompt, score, name) for name in MODALITIES]
    average = board.average(row.run, prompt, score)
    return TableRow(row.label, (*cells, average, "" if figure is None else f"{figure:.2f}"))


def _minus(board: Board, run: str, partner: str, prompt: str, score: str) -> TableRow:
    """The difference of two runs, as a row under the first."""
    cells: list[Cell] = [
        difference(
            board.of_modality(run, prompt, score, name),
            board.of_modality(partner, prompt, score, name),
        )
        for name in MODALITIES
    ]
    cells.append(
        difference(board.average(run, prompt, score), board.average(partner, prompt, score))
    )
    ours, theirs = (BY_VARIANT[board.variant(one)].figure(prompt, score) for one in (run, partner))
    cells.append("" if ours is None or theirs is None else f"{ours - theirs:+.2f}")
    return TableRow(f"the last minus {partner}", tuple(cells), signed=True)

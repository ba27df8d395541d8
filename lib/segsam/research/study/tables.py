"""The paper's tables in small, as data: what to write and how is `markdown`'s affair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from segsam.categories.category import MODALITIES
from segsam.research.study.board import Board, Figure, difference
from segsam.research.study.paper import BY_VARIANT, PLUG_IN
from segsam.research.study.plan import Row, TableName

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
    rows = [_by_modality(board, row, prompt, "dsc") for row in board.study.rows_of("methods")]
    rows += _gains(board, "methods", "baseline", prompt, "dsc")
    host, ours = BY_VARIANT["baseline"], BY_VARIANT["segsam"]
    gain = ours.figure(prompt, "dsc"), host.figure(prompt, "dsc")
    return Table(
        f"DSC with {prompt} prompts, by modality",
        ("", *MODALITIES, *_OVER_ALL),
        tuple(rows),
        (
            _INTERVAL,
            f"The paper's averages are of its own host and data: {gain[1]:.2f} fine-tuned, "
            f"{gain[0]:.2f} as SEG-SAM, {gain[0] - gain[1]:+.2f}."
            if gain[0] is not None and gain[1] is not None
            else "",
        ),
    )


def semantic_table(board: Board) -> Table:
    """Table 2 in small: mDSC by modality, promptable models with a box and networks without."""
    rows = [
        _by_modality(board, row, "none" if board.entry(row.run).kind == "unet" else "box", "mdsc")
        for row in board.study.rows_of("semantic")
    ]
    rows += _gains(board, "semantic", "baseline_sem", "box", "mdsc")
    return Table(
        "mDSC by modality",
        ("", *MODALITIES, *_OVER_ALL),
        tuple(rows),
        (
            "A mask counts for the category that the model itself gives, all categories competing. "
            "The networks see no prompt: they have to find what the others are pointed at. They "
            "were trained on the same slices for a time; see the rows at the end of the page.",
            _INTERVAL,
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
            *_limits(board, "ladder"),
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
    title = "What the decoders' grid costs"
    return Table(title, ("", *headings), tuple(rows), _limits(board, "grid"))


def runs_table(board: Board, study_path: str) -> Table:
    """How each row was made."""
    rows = []
    for run in dict.fromkeys(entry.run for entry in board.study.entries):
        results = board.of(run)
        seeds = ", ".join(str(one.seed) for one in results if one.seed is not None)
        if not board.is_current(run):
            seeds += " (configured otherwise than the study says now)"
        commits = dict.fromkeys(str(one.facts.get("commit", "")) for one in results)
        cells: tuple[Cell, ...] = (
            seeds if results else None,
            board.figure(run, lambda result: result.steps),
            board.figure(run, lambda result: result.seconds),
            board.figure(run, lambda result: result.trained_parameters_in_millions),
            ", ".join(commit for commit in commits if commit),
            f"`segsam study run {study_path} --data DATA --out RUNS --only {run}`",
        )
        rows.append(TableRow(run, cells))
    headings = ("seeds", "steps", "seconds", "decoder, 10⁶ parameters", "commit", "command")
    return Table("How each row was made", ("run", *headings), tuple(rows))


def _limits(board: Board, table: TableName) -> tuple[str, ...]:
    """A note where the rows of a table were not measured on all slices."""
    rows = board.study.rows_of(table)
    limits = sorted({board.entry(row.run).evaluations.slices for row in rows} - {0})
    if not limits:
        return ()
    words = " or ".join(map(str, limits))
    return (f"Measured on at most {words} slices of each volume, evenly spread.",)


_INTERVAL = (
    "The 95 % interval is of the average, by drawing patients of the test part with replacement "
    "(of the first seed); ± is the standard deviation over seeds, where there are several."
)
_OVER_ALL = ("average", "95 %", "paper")
_NAMES = {"dsc": "DSC", "mdsc": "mDSC"}


def _by_modality(board: Board, row: Row, prompt: str, score: str) -> TableRow:
    paper = BY_VARIANT.get(board.variant(row.run))
    figure = None if paper is None else paper.figure(prompt, score)
    cells = [board.of_modality(row.run, prompt, score, name) for name in MODALITIES]
    average = board.average(row.run, prompt, score)
    ends = [one.interval(prompt, score) for one in board.of(row.run)]
    interval = "" if not ends or ends[0] is None else f"{ends[0][0]:.1f} to {ends[0][1]:.1f}"
    figure_text = "" if figure is None else f"{figure:.2f}"
    return TableRow(row.label, (*cells, average, interval, figure_text))


def _gains(board: Board, table: TableName, variant: str, prompt: str, score: str) -> list[TableRow]:
    """SEG-SAM's rows of a table minus the row that is trained in the same way without its parts."""
    labels = {row.run: row.label for row in board.study.rows_of(table)}
    found = []
    for run, label in labels.items():
        partner = board.partner(run, variant) if board.variant(run) == "segsam" else None
        if partner in labels:
            title = f"{label} minus {labels[partner]}"
            found.append(TableRow(title, _minus(board, run, partner, (prompt, score)), signed=True))
    return found


def _minus(board: Board, run: str, partner: str, what: tuple[str, str]) -> tuple[Cell, ...]:
    """The difference of two runs under a prompt and in a score."""
    pairs = [
        (board.of_modality(run, *what, name), board.of_modality(partner, *what, name))
        for name in MODALITIES
    ]
    pairs.append((board.average(run, *what), board.average(partner, *what)))
    ours, theirs = (BY_VARIANT[board.variant(one)].figure(*what) for one in (run, partner))
    paper = "" if ours is None or theirs is None else f"{ours - theirs:+.2f}"
    return (*(difference(*pair) for pair in pairs), "", paper)

"""The paper's tables at a small scale, as data; `markdown` formats them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from segsam.categories.category import PAPER_MODALITIES
from segsam.research.study.measured_study import MeasuredStudy, SeedMean, difference
from segsam.research.study.paper import BY_VARIANT, PLUG_IN
from segsam.research.study.plan import Row, TableName

Cell: TypeAlias = SeedMean | str | None
"""Number, text, or None if it was not measured."""

_INTERVAL = (
    "The 95 % interval is that of the average of the first seed, from drawing patients of the test "
    "part with replacement. ± is the standard deviation over seeds, where there are several."
)
_BY_MODALITY = ("", *PAPER_MODALITIES, "average", "95 %", "paper")
_SCORES = [(prompt, score) for prompt in ("box", "point") for score in ("dsc", "mdsc")]
_SCORE_NAMES = {"dsc": "DSC", "mdsc": "mDSC"}


@dataclass(frozen=True)
class TableRow:
    """Label and cells of one row."""

    label: str
    cells: tuple[Cell, ...]
    signed: bool = False
    """True if the numbers are differences."""


@dataclass(frozen=True)
class Table:
    """One table of the page."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()
    """Paragraphs before the table."""


def methods_table(measured: MeasuredStudy, prompt: str) -> Table:
    """Return table 1: DSC by modality of the published host, the fine-tuned host and SEG-SAM."""
    rows = [_by_modality(measured, row, prompt, "dsc") for row in measured.study.rows_of("methods")]
    rows += _gains(measured, "methods", "baseline", prompt, "dsc")
    host, segsam = (BY_VARIANT[name].figure(prompt, "dsc") for name in ("baseline", "segsam"))
    note = "The paper's averages are of its own host and data"
    if host is not None and segsam is not None:
        note += f": {host:.2f} fine-tuned, {segsam:.2f} as SEG-SAM, {segsam - host:+.2f}"
    title = f"DSC with {prompt} prompts, by modality"
    return Table(title, _BY_MODALITY, tuple(rows), (_INTERVAL, f"{note}."))


def semantic_table(measured: MeasuredStudy) -> Table:
    """Return table 2: mDSC by modality of promptable models with a box, and of networks without
    prompts.
    """
    rows = []
    for row in measured.study.rows_of("semantic"):
        prompt = "none" if measured.entry(row.run).kind == "unet" else "box"
        rows.append(_by_modality(measured, row, prompt, "mdsc"))
    rows += _gains(measured, "semantic", "baseline_sem", "box", "mdsc")
    note = (
        "A mask counts for the category that the model itself predicts among all categories. The "
        "networks receive no prompt: they have to find the objects that the other models are "
        "pointed at. They were trained on the same slices for a fixed time; see the last table of "
        "this page."
    )
    return Table("mDSC by modality", _BY_MODALITY, tuple(rows), (note, _INTERVAL))


def ladder_table(measured: MeasuredStudy) -> Table:
    """Return table 4: the ablation steps with box and point."""
    rows = []
    for row in measured.study.rows_of("ladder"):
        cells: list[Cell] = []
        for prompt, score in _SCORES:
            cells += [
                measured.average(row.run, prompt, score),
                _paper_figure(measured, row, prompt, score),
            ]
        rows.append(TableRow(row.label, tuple(cells)))
    headings = (text for name in _score_headings() for text in (name, "paper"))
    note = (
        "Averages over the modalities, mean ± standard deviation over the seeds. All rows have the "
        "same number of steps on the same slices. The paper's figures are of its own host and data."
    )
    notes = (note, *_slice_limits(measured, "ladder"))
    return Table("Effect of each part", ("", *headings), tuple(rows), notes)


def hosts_table(measured: MeasuredStudy) -> Table:
    """Return table 5: the semantic decoder on another host."""
    rows = [
        TableRow(row.label, tuple(measured.average(row.run, *one) for one in _SCORES))
        for row in measured.study.rows_of("hosts")
    ]
    note = f"The paper, on Med2D: {PLUG_IN}."
    title = "The semantic decoder on another host"
    return Table(title, ("", *_score_headings()), tuple(rows), (note,))


def grid_table(measured: MeasuredStudy) -> Table:
    """Return the table of accuracy and cost by the decoders' grid."""
    rows = []
    for row in measured.study.rows_of("grid"):
        cells = (
            measured.average(row.run, "box", "dsc"),
            measured.average(row.run, "point", "dsc"),
            measured.average(row.run, "box", "mdsc"),
            measured.mean(row.run, lambda result: result.seconds_per_step),
            measured.mean(row.run, lambda result: result.ms_per_prompt),
        )
        rows.append(TableRow(row.label, cells))
    headings = ("", "DSC, box", "DSC, point", "mDSC, box", "seconds per step", "ms per prompt")
    title = "Cost of a finer grid of the decoders"
    return Table(title, headings, tuple(rows), _slice_limits(measured, "grid"))


def runs_table(measured: MeasuredStudy, study_path: str) -> Table:
    """Return the table of all runs with the command of each."""
    rows = []
    for run in dict.fromkeys(entry.run for entry in measured.study.entries):
        results = measured.results_of(run)
        seeds = ", ".join(str(one.seed) for one in results if one.seed is not None)
        if not measured.is_current(run):
            seeds += " (the study has another configuration now)"
        commits = dict.fromkeys(str(one.facts.get("commit", "")) for one in results)
        cells: tuple[Cell, ...] = (
            seeds if results else None,
            measured.mean(run, lambda result: result.steps),
            measured.mean(run, lambda result: result.seconds),
            measured.mean(run, lambda result: result.trained_parameters_in_millions),
            ", ".join(commit for commit in commits if commit),
            f"`segsam study run {study_path} --data DATA --out RUNS --only {run}`",
        )
        rows.append(TableRow(run, cells))
    headings = ("seeds", "steps", "seconds", "decoder, 10⁶ parameters", "commit", "command")
    return Table("All runs", ("run", *headings), tuple(rows))


def _score_headings() -> list[str]:
    return [f"{_SCORE_NAMES[score]}, {prompt}" for prompt, score in _SCORES]


def _slice_limits(measured: MeasuredStudy, table: TableName) -> tuple[str, ...]:
    """Return a note if the rows of a table were not measured on all slices."""
    rows = measured.study.rows_of(table)
    limits = sorted({measured.entry(row.run).evaluations.slices for row in rows} - {0})
    if not limits:
        return ()
    counts = " or ".join(map(str, limits))
    return (f"Measured on at most {counts} slices of each volume, evenly spread.",)


def _paper_figure(measured: MeasuredStudy, row: Row, prompt: str, score: str) -> str:
    """Return the paper's figure for the variant of a row; empty if there is none."""
    paper = BY_VARIANT.get(measured.variant(row.run))
    figure = None if paper is None else paper.figure(prompt, score)
    return "" if figure is None else f"{figure:.2f}"


def _by_modality(measured: MeasuredStudy, row: Row, prompt: str, score: str) -> TableRow:
    cells = [measured.modality_score(row.run, prompt, score, name) for name in PAPER_MODALITIES]
    average = measured.average(row.run, prompt, score)
    ends = [one.interval(prompt, score) for one in measured.results_of(row.run)]
    interval = "" if not ends or ends[0] is None else f"{ends[0][0]:.1f} to {ends[0][1]:.1f}"
    paper = _paper_figure(measured, row, prompt, score)
    return TableRow(row.label, (*cells, average, interval, paper))


def _gains(
    measured: MeasuredStudy, table: TableName, variant: str, prompt: str, score: str
) -> list[TableRow]:
    """Return SEG-SAM's rows of a table minus the row of a variant trained in the same way."""
    labels = {row.run: row.label for row in measured.study.rows_of(table)}
    found = []
    for run, label in labels.items():
        partner = measured.partner(run, variant) if measured.variant(run) == "segsam" else None
        if partner in labels:
            title = f"{label} minus {labels[partner]}"
            cells = _differences(measured, run, partner, (prompt, score))
            found.append(TableRow(title, cells, signed=True))
    return found


def _differences(
    measured: MeasuredStudy, run: str, partner: str, prompt_score: tuple[str, str]
) -> tuple[Cell, ...]:
    runs = (run, partner)
    cells = [
        difference(*(measured.modality_score(one, *prompt_score, name) for one in runs))
        for name in PAPER_MODALITIES
    ]
    cells.append(difference(*(measured.average(one, *prompt_score) for one in runs)))
    first, second = (BY_VARIANT[measured.variant(one)].figure(*prompt_score) for one in runs)
    paper = "" if first is None or second is None else f"{first - second:+.2f}"
    return (*cells, "", paper)

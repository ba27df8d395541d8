"""`docs/benchmarks.md` from the study and the stored results alone: no data, no weights.

Nothing on the page is typed in but the paper's own figures; what was not measured is a dash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import OutputError, StudyError
from segsam.research.study import tables
from segsam.research.study.board import Board
from segsam.research.study.extras import Extra, extra_lines, load_extras
from segsam.research.study.markdown import NOT_MEASURED, picture_line, table_lines, target_lines
from segsam.research.study.plan import load_study
from segsam.research.study.plots import (
    GridPoint,
    bins_of,
    draw_agreement,
    draw_grid,
    draw_reliability,
)
from segsam.research.study.results import Result, load_results
from segsam.research.study.targets import TARGETS
from segsam.system.atomic import write_bytes

GRID, RELIABILITY, AGREEMENT = "grid.png", "reliability.png", "agreement.png"
_FOLDER = "benchmarks"
"""Of the pictures, beside the page."""
_HEAD = """# Benchmarks: the paper's tables in small

This page is generated. `segsam study report` makes it from `{study}`, which says what is to be \
run, and from what is stored of the runs in `docs/benchmarks/results/`; it needs neither data nor \
weights, and `segsam study report --check` says whether the page is up to date. A dash is what was \
not measured.

To run what is missing, or all of it anew into another folder of results:

```
segsam study run {study} --data DATA --out RUNS [--embeddings FOLDER] [--only NAME] [--jobs 2]
segsam study report
```

`DATA` holds the data sets that the study names. The command may be stopped at any time and goes \
on where it was. Who is held out is in `{split}`, by patient, and the same for all rows; all \
scores are of its part `test`, in percent, over the eight modalities: a data set is the mean over \
its objects (DSC) or over its categories (mDSC), a modality the mean over its data sets, an \
average the mean over modalities. Prompts are simulated as `segsam evaluate` does it, the same for \
every row."""


@dataclass(frozen=True)
class Page:
    """The text, and what is drawn beside it."""

    text: str
    pictures: tuple[str, ...]


def make_page(board: Board, study_path: str, extras: Sequence[Extra] = ()) -> Page:
    """The page's text, from what there is."""
    grid, shipped = grid_points(board), calibrated(board)
    lines = [_HEAD.format(study=study_path, split=board.study.split), "", "## Targets", ""]
    lines += target_lines(board, TARGETS)
    lines += ["## Table 1 in small: prompts and masks", ""]
    lines += table_lines(tables.methods_table(board, "box"))
    lines += table_lines(tables.methods_table(board, "point"))
    lines += ["## Table 2 in small: names", "", *table_lines(tables.semantic_table(board))]
    lines += ["## Table 4 in small: the ablation ladder", ""]
    lines += table_lines(tables.ladder_table(board))
    lines += ["## Table 5 in small: another host", "", *table_lines(tables.hosts_table(board))]
    lines += ["## Accuracy and cost", "", *table_lines(tables.grid_table(board))]
    pictures = []
    if grid:
        lines += [picture_line(f"{_FOLDER}/{GRID}", "DSC against cost, by grid"), ""]
        pictures.append(GRID)
    lines += ["## Calibration", "", *calibration_lines(shipped)]
    if shipped is not None:
        pictures += [RELIABILITY, AGREEMENT]
    lines += extra_lines(extras, _FOLDER)
    pictures += [extra.picture for extra in extras if extra.picture]
    lines += ["## Rows", "", *table_lines(tables.runs_table(board, study_path))]
    lines += machine_lines(board)
    return Page("\n".join(lines).rstrip() + "\n", tuple(pictures))


def write_report(study: Path, results: Path, page: Path) -> list[str]:
    """Write the page and its pictures; names of the pictures.

    Raises:
        StudyError: a study or result that cannot be read.
        OutputError: a folder that cannot be written to.
    """
    board = Board(load_study(study), load_results(results))
    made = make_page(board, study.as_posix(), load_extras(results))
    folder = page.parent / _FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write to {folder.name}: {error.strerror}.") from error
    if GRID in made.pictures:
        draw_grid(folder / GRID, grid_points(board))
    shipped = calibrated(board)
    if shipped is not None:
        test, pairs = shipped.calibration["test"], shipped.calibration["pairs"]
        bins = [bins_of(test[when]["bins"]) for when in ("before", "after")]
        draw_reliability(folder / RELIABILITY, *bins)
        draw_agreement(folder / AGREEMENT, [(pair[0], pair[1]) for pair in pairs])
    write_bytes(page, made.text.encode())
    return list(made.pictures)


def check_report(study: Path, results: Path, page: Path) -> None:
    """Refuse a page that is not what would be written now.

    Raises:
        StudyError: another text, or a picture that is missing.
    """
    board = Board(load_study(study), load_results(results))
    made = make_page(board, study.as_posix(), load_extras(results))
    there = page.read_text(encoding="utf-8") if page.is_file() else ""
    if there != made.text:
        raise StudyError(
            f"{page.name} is not what the stored results give now; run: segsam study report"
        )
    missing = [name for name in made.pictures if not (page.parent / _FOLDER / name).is_file()]
    if missing:
        raise StudyError(f"Missing beside {page.name}: {', '.join(missing)}.")


def grid_points(board: Board) -> list[GridPoint]:
    """The points of the curve that were measured in full."""
    points = []
    for row in board.study.rows_of("grid"):
        figures = (
            board.figure(row.run, lambda result: result.seconds_per_step),
            board.figure(row.run, lambda result: result.ms_per_prompt),
            board.average(row.run, "box", "dsc"),
            board.average(row.run, "point", "dsc"),
        )
        known = [figure.mean for figure in figures if figure is not None]
        if len(known) == len(figures):
            points.append(GridPoint(row.label, *known))
    return points


def calibrated(board: Board) -> Result | None:
    """The shipped run's result with a calibration, if there is one."""
    row = board.first("shipped")
    found = [] if row is None else [one for one in board.of(row.run) if "pairs" in one.calibration]
    return found[0] if found else None


def calibration_lines(result: Result | None) -> list[str]:
    """What the confidence is worth, and the agreement."""
    if result is None:
        return ["Not measured.", ""]
    test = result.calibration["test"]
    before, after = (100 * float(test[when]["ece"]) for when in ("before", "after"))
    ranks = ", ".join(
        f"{_rank(one['rho'])} with {prompt} prompts ({one['objects']} objects)"
        for prompt, one in test["agreement"].items()
    )
    return [
        "The logits behind the confidence are divided by a temperature of "
        f"{result.calibration['temperature']:.3f}, fitted to the part `validation`. On the part "
        f"`test` the expected calibration error is {before:.2f} % before and {after:.2f} % after "
        f"it, over {test['after']['objects']} objects, of which "
        f"{100 * test['after']['accuracy']:.1f} % are named right among all categories.",
        "",
        picture_line(f"{_FOLDER}/{RELIABILITY}", "Reliability before and after the temperature"),
        "",
        "The agreement of both decoders is what the app shows as certainty. Its rank correlation "
        f"(Spearman) with the true Dice of the mask is {ranks}.",
        "",
        picture_line(f"{_FOLDER}/{AGREEMENT}", "Agreement against Dice, an object a dot"),
        "",
    ]


def machine_lines(board: Board) -> list[str]:
    """Where it ran."""
    results = [board.results[one.id] for one in board.study.entries if one.id in board.results]
    known = [one.facts for one in results if one.facts]
    machines = _distinct(
        f"{one['processor']}, {one['threads']} thread(s) a run, torch {one['torch']}"
        for one in known
    )
    splits = _distinct(str(one["split_sha256"]) for one in known)
    if not machines:
        return []
    text = f"Ran on: {'; '.join(machines)}. SHA-256 of the split begins with {', '.join(splits)}."
    return [text, ""]


def _rank(rho: float | None) -> str:
    return NOT_MEASURED if rho is None else f"{rho:.2f}"


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))

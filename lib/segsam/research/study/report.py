"""Page `docs/benchmarks.md`, made from the study and the stored results without data or weights.

All numbers are read from the results, but the paper's own figures. A dash stands for a value that
was not measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import OutputError, StudyError
from segsam.evaluation.records import ReliabilityBin
from segsam.research.page import NOT_MEASURED, picture_line
from segsam.research.study import tables
from segsam.research.study.markdown import table_lines, target_lines
from segsam.research.study.measured_study import MeasuredStudy
from segsam.research.study.plan import load_study
from segsam.research.study.plots import GridPoint, draw_agreement, draw_grid, draw_reliability
from segsam.research.study.results import Result, load_results
from segsam.research.study.stored_tables import StoredTable, load_tables, stored_table_lines
from segsam.research.study.targets import TARGETS
from segsam.system.atomic import write_bytes
from segsam.system.folders import make_folder

_GRID, _RELIABILITY, _AGREEMENT = "grid.png", "reliability.png", "agreement.png"
_FOLDER = "benchmarks"
"""Folder of the pictures beside the page."""
_HEAD = """# Benchmarks: the paper's tables at a small scale

This page is generated: `segsam study report` makes it from the list of runs in `{study}` and from \
the results in `docs/benchmarks/results/`. It needs neither data nor weights. `segsam study report \
--check` tests if the page is up to date. A dash stands for a value that was not measured.

To do the missing runs, or all of them again with another folder of results:

```
segsam study run {study} --data DATA --out RUNS [--embeddings FOLDER] [--only NAME] [--jobs 2]
segsam study report
```

`DATA` holds the data sets that the study names. The command may be stopped at any time; the same \
command continues. `{split}` lists the patients that are held out, the same for all rows. All \
scores are of its part `test`, in percent, over the eight modalities. The score of a data set is \
the mean over its objects (DSC) or over its categories (mDSC). The score of a modality is the mean \
over its data sets, and the average is the mean over the modalities. Prompts are simulated as \
`segsam evaluate` does it, the same for every row."""
_TITLE = _HEAD.partition("\n")[0]


@dataclass(frozen=True)
class Page:
    """Text of the page, and the names of its pictures."""

    text: str
    pictures: tuple[str, ...]


def make_page(
    measured: MeasuredStudy, study_path: str, stored_tables: Sequence[StoredTable] = ()
) -> Page:
    """Return the page for the results that there are."""
    shipped = _calibrated(measured)
    pictures = [_GRID] if grid_points(measured) else []
    grid_picture = [picture_line(f"{_FOLDER}/{_GRID}", "DSC against cost, by grid"), ""]
    lines = [
        *(_HEAD.format(study=study_path, split=measured.study.split), ""),
        *("## Targets", "", *target_lines(measured, TARGETS)),
        *("## Table 1: prompts and masks", ""),
        *table_lines(tables.methods_table(measured, "box")),
        *table_lines(tables.methods_table(measured, "point")),
        *("## Table 2: names", "", *table_lines(tables.semantic_table(measured))),
        *("## Table 4: ablation", "", *table_lines(tables.ladder_table(measured))),
        *("## Table 5: another host", "", *table_lines(tables.hosts_table(measured))),
        *("## Accuracy and cost", "", *table_lines(tables.grid_table(measured))),
        *(grid_picture if pictures else ()),
        *("## Calibration", "", *_calibration_lines(shipped)),
        *stored_table_lines(stored_tables, _FOLDER),
        *("## Runs", "", *table_lines(tables.runs_table(measured, study_path))),
        *_machine_lines(measured),
    ]
    if shipped is not None:
        pictures += [_RELIABILITY, _AGREEMENT]
    pictures += [table.picture for table in stored_tables if table.picture]
    return Page("\n".join(lines).rstrip() + "\n", tuple(pictures))


def write_report(study: Path, results: Path, page: Path) -> list[str]:
    """Write the page and its pictures; return the names of the pictures.

    Raises:
        StudyError: a study or result that cannot be read.
        OutputError: a folder that cannot be written to, or a page or picture there that is of
            somebody else.
    """
    measured, made = _load(study, results)
    folder = page.parent / _FOLDER
    _check_own(page, folder)
    make_folder(folder)
    if _GRID in made.pictures:
        draw_grid(folder / _GRID, grid_points(measured))
    shipped = _calibrated(measured)
    if shipped is not None:
        test = shipped.calibration["test"]
        before, after = (
            [ReliabilityBin(**one) for one in test[when]["bins"]] for when in ("before", "after")
        )
        draw_reliability(folder / _RELIABILITY, before, after)
        draw_agreement(folder / _AGREEMENT, shipped.calibration["pairs"])
    write_bytes(page, made.text.encode())
    return list(made.pictures)


def _check_own(page: Path, folder: Path) -> None:
    """Raise OutputError for a page that is not of a study, or a picture of its name without one."""
    before = page.read_text(encoding="utf-8", errors="replace") if page.is_file() else ""
    if before and not before.startswith(_TITLE):
        raise OutputError(f"Expected a page of this command to replace, got {page}, another text.")
    for name in (_GRID, _RELIABILITY, _AGREEMENT):
        if (folder / name).exists() and f"{_FOLDER}/{name}" not in before:
            raise OutputError(
                f"{folder / name} would be replaced, and is not of {page.name}; move it, or choose "
                "another folder for the page."
            )


def check_report(study: Path, results: Path, page: Path) -> None:
    """Check that the page is what `write_report` would write now.

    Raises:
        StudyError: another text, or a missing picture.
    """
    _, made = _load(study, results)
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if text != made.text:
        raise StudyError(f"{page.name} differs from the stored results; run: segsam study report")
    missing = [name for name in made.pictures if not (page.parent / _FOLDER / name).is_file()]
    if missing:
        raise StudyError(f"Missing beside {page.name}: {', '.join(missing)}.")


def grid_points(measured: MeasuredStudy) -> list[GridPoint]:
    """Return the rows of the table of grids that were measured in full."""
    points = []
    for row in measured.study.rows_of("grid"):
        means = (
            measured.mean(row.run, lambda result: result.seconds_per_step),
            measured.mean(row.run, lambda result: result.ms_per_prompt),
            measured.average(row.run, "box", "dsc"),
            measured.average(row.run, "point", "dsc"),
        )
        known = [one.mean for one in means if one is not None]
        if len(known) == len(means):
            points.append(GridPoint(row.label, *known))
    return points


def _load(study: Path, results: Path) -> tuple[MeasuredStudy, Page]:
    measured = MeasuredStudy(load_study(study), load_results(results))
    return measured, make_page(measured, study.as_posix(), load_tables(results))


def _calibrated(measured: MeasuredStudy) -> Result | None:
    """Return the result of the shipped run if it has a calibration."""
    row = measured.first("shipped")
    results = [] if row is None else measured.results_of(row.run)
    return next((one for one in results if "pairs" in one.calibration), None)


def _calibration_lines(result: Result | None) -> list[str]:
    """Return the section about confidence and agreement."""
    if result is None:
        return ["Not measured.", ""]
    test = result.calibration["test"]
    before, after = (100 * float(test[when]["ece"]) for when in ("before", "after"))
    correlations = ", ".join(
        f"{_correlation(one['rho'])} with {prompt} prompts ({one['objects']} objects)"
        for prompt, one in test["agreement"].items()
    )
    return [
        "The logits behind the confidence are divided by a temperature of "
        f"{result.calibration['temperature']:.3f}, fitted to the part `validation`. On the part "
        f"`test` the expected calibration error is {before:.2f} % before and {after:.2f} % after "
        f"it, over {test['after']['objects']} objects. The category of "
        f"{100 * test['after']['accuracy']:.1f} % of them is correct, among all categories.",
        "",
        picture_line(f"{_FOLDER}/{_RELIABILITY}", "Reliability before and after the temperature"),
        "",
        "The agreement of both decoders is what the app shows as certainty. Its rank correlation "
        f"(Spearman) with the true Dice of the mask is {correlations}.",
        "",
        picture_line(f"{_FOLDER}/{_AGREEMENT}", "Agreement against Dice, one dot per object"),
        "",
    ]


def _machine_lines(measured: MeasuredStudy) -> list[str]:
    """Return a paragraph about the machines of the runs and the split."""
    entries = measured.study.entries
    results = [measured.results[one.id] for one in entries if one.id in measured.results]
    facts = [one.facts for one in results if one.facts]
    machines = _distinct(
        f"{one['processor']}, {one['threads']} thread(s) per run, torch {one['torch']}"
        for one in facts
    )
    if not machines:
        return []
    splits = _distinct(str(one["split_sha256"]) for one in facts)
    return [f"Ran on: {machines}. SHA-256 of the split begins with {splits}.", ""]


def _correlation(rho: float | None) -> str:
    return NOT_MEASURED if rho is None else f"{rho:.2f}"


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))

"""`segsam study run | report | active | automatic | unet | cost`, for the main command line."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from segsam.cli.terminal import JsonOption, shown_progress
from segsam.errors import OutputError
from segsam.system.atomic import write_bytes

app = typer.Typer(
    help="The paper's tables in small: do what is missing of a study, and report what there is.",
    no_args_is_help=True,
)
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)
STUDY = Path("docs/benchmarks/study.yaml")
RESULTS = Path("docs/benchmarks/results")
PAGE = Path("docs/benchmarks.md")

StudyArgument = Annotated[Path, typer.Argument(help="The study, as YAML.")]
ResultsOption = Annotated[
    Path, typer.Option("--results", help="Where one small JSON file a run is stored.")
]


@app.command()
def run(  # noqa: PLR0917 - typer makes them options; nobody calls it by position
    study: StudyArgument,
    out_folder: Annotated[
        Path, typer.Option("--out", help="A folder of checkpoints and logs for each run.")
    ],
    data: Annotated[Path, typer.Option("--data", help="What {data} stands for in the study.")],
    embeddings: Annotated[
        Path | None,
        typer.Option("--embeddings", help="Kept embeddings; by default a folder in --out."),
    ] = None,
    results: ResultsOption = RESULTS,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="This run, of all its seeds or as NAME-s0 (repeatable)."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Runs at a time; from two on, each has one thread.")
    ] = 1,
    json_file: JsonOption = None,
) -> None:
    """Train and measure what is missing of a study; stopped anywhere, the same command goes on.

    Example: segsam study run docs/benchmarks/study.yaml --data data --out runs/study --jobs 2
    """
    from segsam.research.study.commands import Places
    from segsam.research.study.plan import load_study
    from segsam.research.study.runner import run_study

    places = Places(data, out_folder, results, embeddings)
    plan = load_study(study)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        outcomes = run_study(plan, places, only=only or (), jobs=jobs, tell=_say)
    except KeyboardInterrupt:
        err.print("Stopped; the same command goes on from there.")
        raise typer.Exit(130) from None
    failed = [outcome for outcome in outcomes if outcome.error]
    out.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} runs are done.")
    _write(json_file, {"runs": [asdict(outcome) for outcome in outcomes]})
    if failed:
        raise typer.Exit(1)


@app.command()
def report(
    study: Annotated[Path, typer.Option("--study", help="The study, as YAML.")] = STUDY,
    results: ResultsOption = RESULTS,
    page: Annotated[
        Path, typer.Option("-o", "--output", help="The page; pictures go into a folder beside it.")
    ] = PAGE,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the page is not up to date.")
    ] = False,
) -> None:
    """Write docs/benchmarks.md from stored results; data and weights are not needed."""
    from segsam.research.study.report import check_report, write_report

    if check:
        check_report(study, results, page)
        out.print(f"{page} is up to date.", highlight=False)
        return
    pictures = write_report(study, results, page)
    out.print(f"Written: {page}, with {len(pictures)} pictures.", highlight=False)


@app.command()
def unet(
    config: Annotated[
        Path, typer.Argument(help="The run, as YAML: network, datasets, split, out.")
    ],
    json_file: JsonOption = None,
) -> None:
    """Train a network without prompts (DynUNet, UNETR) for a given time and measure it; what was
    begun is gone on with.
    """
    from segsam.research.study.unet.config import UNetConfig
    from segsam.research.study.unet.run import run_unet

    with shown_progress(err, "loading") as progress:
        record = run_unet(UNetConfig.load(config), progress)
    mdsc = record["evaluation"]["average"]["mdsc"]
    out.print(f"{record['training']['steps']} steps; mDSC {mdsc:.2f} %.", highlight=False)
    _write(json_file, record)


@app.command()
def cost(
    checkpoint: Annotated[str, typer.Argument(help="Name or path of the weights.")],
    json_file: JsonOption = None,
) -> None:
    """Count a model's parameters and time a prompt on a slice that is encoded."""
    from segsam.model import load_pretrained
    from segsam.research.study.cost import measure_cost

    found = measure_cost(load_pretrained(checkpoint))
    out.print(
        f"{found.parameters:,} parameters, {found.decoder_parameters:,} beside the image encoder; "
        f"{found.ms_per_prompt:.1f} ms a prompt with {found.threads} threads.",
        highlight=False,
    )
    _write(json_file, asdict(found))


@app.command()
def active(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="What is simulated, as YAML.")],
    out_folder: Annotated[Path, typer.Option("--out", help="A folder of one file for each curve.")],
    data: Annotated[Path, typer.Option("--data", help="What {data} stands for in the plan.")],
    embeddings: Annotated[
        Path | None,
        typer.Option("--embeddings", help="Kept embeddings; by default a folder in --out."),
    ] = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Simulate annotators who label the cases that each strategy chooses; stopped anywhere, the
    same command goes on. Writes the table and the picture of the page.

    Example: segsam study active docs/benchmarks/active.yaml --data data --out runs/active
    """
    from segsam.research.study.active.annotators import simulate
    from segsam.research.study.active.curves import NAME, PICTURE, SCORES, active_table, lines_of
    from segsam.research.study.active.plan import ActivePlan
    from segsam.research.study.plots import draw_lines

    plan = ActivePlan.load(plan_file)
    folders = {"data": str(data), "out": str(out_folder)}
    curves = simulate(plan, folders, out_folder, embeddings, tell=_say)
    written = active_table(plan, curves).save(results, NAME)
    panels = [(words, lines_of(plan, curves, score)) for score, words in SCORES]
    draw_lines(results.parent / PICTURE, panels, across="labelled cases")
    out.print(f"Written: {written}; now: segsam study report", highlight=False)


@app.command()
def automatic(  # noqa: PLR0917 - typer makes them options; nobody calls it by position
    datasets: Annotated[
        list[Path], typer.Argument(help="Folders of data sets.", metavar="DATASET_DIR...")
    ],
    checkpoint: Annotated[str, typer.Option(help="Name or path of the weights.")] = "segsam",
    split: Annotated[
        str, typer.Option(help="FILE:NAME, a split and its part.")
    ] = "docs/benchmarks/split.json:test",
    limit: Annotated[int, typer.Option(help="At most so many cases of each; 0 for all.")] = 0,
    embeddings: Annotated[
        Path | None, typer.Option("--embeddings", help="A folder of kept embeddings.")
    ] = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Segment held-out cases without any prompt and measure it; writes the table of the page."""
    from segsam.evaluation.cases import select
    from segsam.model import load_pretrained
    from segsam.model.digests import weights_id
    from segsam.proposals.automatic import Search
    from segsam.research.study.automatic import NAME, automatic_table, measure_automatic

    selections = select(datasets, split=split, limit=limit)
    model, search = load_pretrained(checkpoint), Search()
    with shown_progress(err, "loading") as progress:
        found = measure_automatic(
            model, selections, embeddings=embeddings, search=search, progress=progress
        )
    table = automatic_table(
        found,
        checkpoint=f"{Path(checkpoint).stem}, weights {weights_id(model)[:12]}",
        search=search,
        alone=not model.card.presence_is_trained,
    )
    out.print(f"Written: {table.save(results, NAME)}; now: segsam study report", highlight=False)


def _say(line: str) -> None:
    out.print(line, markup=False, highlight=False)


def _write(path: Path | None, record: dict[str, Any]) -> None:
    if path is None:
        return
    if not path.absolute().parent.is_dir():
        raise OutputError(f"The folder of {path.name} does not exist; make it first.")
    write_bytes(path, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())

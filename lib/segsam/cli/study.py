"""Commands `segsam study run | report | active | automatic | names | completion | carried | unet |
cost`.
"""

from __future__ import annotations

import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from segsam.cli.terminal import (
    DatasetsArgument,
    EmbeddingsOption,
    JsonOption,
    check_outputs,
    check_target,
    exit_when_interrupted,
    out,
    print_plain,
    progress_bar,
    write_json,
)
from segsam.errors import OutputError

app = typer.Typer(
    help="Small versions of the paper's tables: run what is missing of a study, and report it.",
    no_args_is_help=True,
)
STUDY = Path("docs/benchmarks/study.yaml")
RESULTS = Path("docs/benchmarks/results")
PAGE = Path("docs/benchmarks.md")

StudyArgument = Annotated[Path, typer.Argument(help="The study, as YAML.")]
ObjectsFolderOption = Annotated[
    Path, typer.Option("--out", help="Folder with one file per object; they are not redone.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", help="Only objects with this label name (repeatable)."),
]
ConfirmationsOption = Annotated[
    int, typer.Option(min=1, help="Slices that are confirmed, one after the other.")
]
ResultsOption = Annotated[
    Path, typer.Option("--results", help="Folder with one small JSON file per run.")
]
DataOption = Annotated[
    Path, typer.Option("--data", help="Folder that stands for {data} in the YAML file.")
]
StoredEmbeddingsOption = Annotated[
    Path | None,
    typer.Option("--embeddings", help="Folder that stores embeddings; default: one in --out."),
]


@app.command()
def run(  # noqa: PLR0917 - the options of the command
    study: StudyArgument,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder of the checkpoints and logs of the runs.")
    ],
    data: DataOption,
    embeddings: StoredEmbeddingsOption = None,
    results: ResultsOption = RESULTS,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Only this run, with all seeds or as NAME-s0 (repeatable)."),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(min=1, help="Runs at the same time; with two or more, each has one thread."),
    ] = 1,
    json_file: JsonOption = None,
) -> None:
    """Train and measure what is missing of a study. If it is stopped, the same command continues.

    Example: segsam study run docs/benchmarks/study.yaml --data data --out runs/study --jobs 2
    """
    from segsam.research.study.plan import load_study
    from segsam.research.study.runner import run_study
    from segsam.research.study.steps import StudyFolders

    check_target(json_file, ".json")
    check_outputs([study], json_file)
    folders = StudyFolders(data, out_folder, results, embeddings)
    plan = load_study(study)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with exit_when_interrupted("Stopped; the same command continues."):
        outcomes = run_study(plan, folders, only=only or (), jobs=jobs, report=print_plain)
    failed = [outcome for outcome in outcomes if outcome.error]
    out.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} runs are done.")
    write_json(json_file, {"runs": [asdict(outcome) for outcome in outcomes]})
    if failed:
        raise typer.Exit(1)


@app.command()
def report(
    study: Annotated[Path, typer.Option("--study", help="The study, as YAML.")] = STUDY,
    results: ResultsOption = RESULTS,
    page: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="Page to write; its pictures go to a folder beside it."
        ),
    ] = PAGE,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the page is not up to date.")
    ] = False,
) -> None:
    """Write docs/benchmarks.md from stored results, without data and weights."""
    from segsam.research.study.report import check_report, write_report

    check_target(page, ".md")
    check_outputs([study], page)
    if not results.is_dir():
        raise OutputError(f"Expected the folder of results as --results, got {str(results)!r}.")
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
    """Train a network without prompts (DynUNet, UNETR) for a given time and measure it. An earlier
    run is continued.
    """
    from segsam.research.study.unet.config import UNetConfig
    from segsam.research.study.unet.run import run_unet

    check_target(json_file, ".json")
    check_outputs([config], json_file)
    with progress_bar("loading") as progress:
        record = run_unet(UNetConfig.load(config), progress)
    mdsc = record["evaluation"]["average"]["mdsc"]
    out.print(f"{record['training']['steps']} steps; mDSC {mdsc:.2f} %.", highlight=False)
    write_json(json_file, record)


@app.command()
def cost(
    checkpoint: Annotated[str, typer.Argument(help="Name or path of the weights.")],
    json_file: JsonOption = None,
) -> None:
    """Count a model's parameters and time a prompt on an encoded slice."""
    from segsam.model import load_pretrained
    from segsam.research.study.cost import measure_cost

    check_target(json_file, ".json")
    check_outputs([Path(checkpoint)], json_file)
    found = measure_cost(load_pretrained(checkpoint))
    out.print(
        f"{found.parameters:,} parameters, {found.decoder_parameters:,} beside the image encoder; "
        f"{found.ms_per_prompt:.1f} ms a prompt with {found.threads} threads.",
        highlight=False,
    )
    write_json(json_file, asdict(found))


@app.command()
def active(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="The simulation, as YAML.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder with one file per curve.")],
    data: DataOption,
    embeddings: StoredEmbeddingsOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Simulate annotators who label the cases that each strategy chooses, and write the table and
    the picture of the page. If it is stopped, the same command continues.

    Example: segsam study active docs/benchmarks/active.yaml --data data --out runs/active
    """
    from segsam.research.study.active.curves import NAME, PICTURE, SCORES, active_table, lines_of
    from segsam.research.study.active.plan import ActivePlan
    from segsam.research.study.active.simulation import simulate
    from segsam.research.study.plots import draw_lines

    plan = ActivePlan.load(plan_file)
    folders = {"data": str(data), "out": str(out_folder)}
    curves = simulate(plan, folders, out_folder, embeddings, report=print_plain)
    written = active_table(plan, curves).save(results, NAME)
    panels = [(title, lines_of(plan, curves, score)) for score, title in SCORES]
    draw_lines(results.parent / PICTURE, panels, x_label="labelled cases")
    out.print(f"Written: {written}; next: segsam study report", highlight=False)


@app.command()
def automatic(  # noqa: PLR0917 - the options of the command
    datasets: DatasetsArgument,
    checkpoint: Annotated[str, typer.Option(help="Name or path of the weights.")] = "segsam",
    split: Annotated[
        str, typer.Option(help="FILE:NAME, a split and its part.")
    ] = "docs/benchmarks/split.json:test",
    limit: Annotated[int, typer.Option(help="Largest number of cases per data set; 0: all.")] = 0,
    embeddings: EmbeddingsOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Segment held-out cases without a prompt, measure that, and write the table of the page."""
    from segsam.evaluation.cases import select
    from segsam.model import load_pretrained
    from segsam.model.digests import weights_id
    from segsam.proposals.automatic import Search
    from segsam.research.study.automatic import NAME, automatic_table, measure_automatic

    selections = select(datasets, split=split, limit=limit)
    model, search = load_pretrained(checkpoint), Search()
    with progress_bar("loading") as progress:
        found = measure_automatic(
            model, selections, embeddings=embeddings, search=search, progress=progress
        )
    table = automatic_table(
        found,
        model,
        checkpoint=f"{Path(checkpoint).stem}, weights {weights_id(model)[:12]}",
        search=search,
    )
    out.print(f"Written: {table.save(results, NAME)}; next: segsam study report", highlight=False)


@app.command()
def names(
    objects: Annotated[
        list[Path],
        typer.Argument(
            help="Objects of a checkpoint's held-out cases and of other data sets, written by "
            "segsam evaluate --objects FILE.npz.",
            metavar="OBJECTS...",
        ),
    ],
    checkpoint: Annotated[str, typer.Option(help="Name or path of the weights.")] = "segsam",
    results: ResultsOption = RESULTS,
) -> None:
    """Count the names that a checkpoint gives to what it knows, there and elsewhere, and to what it
    does not know, and write the table and the reliability diagrams of the page.

    Example: segsam study names test_box.npz test_point.npz unseen_box.npz unseen_point.npz
    """
    from segsam.evaluation.objects_file import ObjectTable, load_objects
    from segsam.model.checkpoint import find_card
    from segsam.research.study.names import NAME, PICTURE, NamedObjects, names_table

    card = find_card(checkpoint)
    if card is None:
        raise typer.BadParameter("Expected a SEG-SAM checkpoint, got official weights of a host.")
    table = ObjectTable.joined([load_objects(path) for path in objects])
    found = NamedObjects.of(table, card.training_data)
    named = f"{Path(checkpoint).stem}, weights {card.sha256[:12]}"
    written = names_table(found, checkpoint=named).save(results, NAME)
    found.draw(results.parent / PICTURE)
    out.print(f"Written: {written}; next: segsam study report", highlight=False)


@app.command()
def completion(  # noqa: PLR0917 - the options of the command
    datasets: DatasetsArgument,
    out_folder: ObjectsFolderOption,
    only: OnlyOption = None,
    confirmations: ConfirmationsOption = 7,
    checkpoint: Annotated[str, typer.Option(help="Name or path of the weights.")] = "segsam",
    split: Annotated[str | None, typer.Option(help="FILE:NAME, a split and its part.")] = None,
    limit: Annotated[int, typer.Option(help="Largest number of cases per data set; 0: all.")] = 0,
    results: ResultsOption = RESULTS,
) -> None:
    """Simulate annotators who confirm the slices that `segsam complete` proposes, and write the
    table and the curves of the page. If it is stopped, the same command continues.

    Example: segsam study completion data/kidney_mr --out runs/completion --limit 2
    """
    from segsam.evaluation.cases import select
    from segsam.prediction.predictor import Predictor
    from segsam.research.study.completion.curves import NAME, PICTURE, completion_table, lines_of
    from segsam.research.study.completion.measuring import measure
    from segsam.research.study.plots import draw_lines

    predictor = Predictor.from_pretrained(checkpoint)
    with exit_when_interrupted("Stopped; the same command continues."):
        found = measure(
            predictor,
            select(datasets, split=split, limit=limit),
            out_folder,
            names=only or (),
            confirmations=confirmations,
            report=print_plain,
        )
    named = f"{Path(checkpoint).stem}, weights {found[0].weights_id[:12]}"
    written = completion_table(found, checkpoint=named).save(results, NAME)
    draw_lines(results.parent / PICTURE, lines_of(found), x_label="confirmed slices")
    out.print(f"Written: {written}; next: segsam study report", highlight=False)


@app.command()
def carried(  # noqa: PLR0917 - the options of the command
    datasets: DatasetsArgument,
    out_folder: ObjectsFolderOption,
    only: OnlyOption = None,
    confirmations: ConfirmationsOption = 4,
    checkpoint: Annotated[str, typer.Option(help="Name or path of the weights.")] = "segsam",
    split: Annotated[str | None, typer.Option(help="FILE:NAME, a split and its part.")] = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Measure what the cases before are worth to the first, second and fifth case of each set, and
    write the table of the page. If it is stopped, the same command continues.

    Example: segsam study carried data/kidney_mr --out runs/carried --only kidney
    """
    from segsam.evaluation.cases import select
    from segsam.prediction.predictor import Predictor
    from segsam.research.study.completion.carrying import NAME, carried_table, measure_carried

    predictor = Predictor.from_pretrained(checkpoint)
    with exit_when_interrupted("Stopped; the same command continues."):
        found = measure_carried(
            predictor,
            select(datasets, split=split),
            out_folder,
            names=only or (),
            confirmations=confirmations,
            report=print_plain,
        )
    named = f"{Path(checkpoint).stem}, weights {found[0].weights_id[:12]}"
    written = carried_table(found, checkpoint=named).save(results, NAME)
    out.print(f"Written: {written}; next: segsam study report", highlight=False)

"""Command `segsam bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsam.cli.terminal import (
    JsonOption,
    ServerAppOption,
    check_outputs,
    check_target,
    out,
    print_plain,
    write_json,
)


def bench(
    *,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Few slices and rounds, to check that it works; no figures."),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Measure this one only, as litemedsam or fast (repeatable)."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", help="Also write this page, with pictures in a folder beside it."),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option("--from", help="Show the results of an earlier run, written with --json."),
    ] = None,
    server_app: ServerAppOption = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Weights of SEG-SAM (.safetensors); default: those in this package."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Measure speed and memory side by side in one run: the own code of LiteMedSAM, SAM and SAM 2,
    and SEG-SAM in each mode. Takes about twelve minutes on two cores; run nothing else meanwhile.

    Example: segsam bench --json bench.json --page docs/lab/speed.md
    """
    from segsam.research.bench.plan import FULL, QUICK
    from segsam.research.bench.record import BenchRecord
    from segsam.research.bench.report import tables, write_page
    from segsam.research.bench.run import run_bench

    check_target(json_file, ".json")
    check_outputs([earlier, checkpoint], json_file, page)
    check_target(page, ".md")
    if earlier is not None:
        record = BenchRecord.read(earlier)
    else:
        record = run_bench(
            QUICK if quick else FULL,
            only=only or (),
            app=server_app,
            checkpoint=checkpoint,
            report=print_plain,
        )
    for table in tables(record):
        out.print(table)
    write_json(json_file, record.to_json())
    if page is not None:
        pictures = write_page(record, page)
        out.print(f"Written: {page}, with {len(pictures)} pictures.", highlight=False)

"""`segsam bench`: the command that the main command line mounts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from segsam.cli.terminal import JsonOption
from segsam.errors import OutputError
from segsam.system.atomic import write_bytes

out = Console(soft_wrap=True, width=150)


def bench(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few slices and rounds: a check, not a measurement.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="This contender, such as litemedsam or fast (repeatable)."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", help="Also write this page, with pictures in a folder beside it."),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option("--from", help="Measure nothing; show what an earlier run wrote with --json."),
    ] = None,
    server_app: Annotated[
        Path | None,
        typer.Option("--app", help="The MONAI Label app, when it is not this checkout's."),
    ] = None,
    fast_weights: Annotated[
        Path | None,
        typer.Option(help="Weights of segsam-fast, a .safetensors; else those of this package."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Measure speed and memory, side by side in one run: LiteMedSAM's, SAM's and SAM 2's own code
    and ours in each mode. Takes about twelve minutes on two idle cores; leave the machine alone.

    Example: segsam bench --json bench.json --page docs/speed.md
    """
    from segsam.research.bench.plan import FULL, QUICK
    from segsam.research.bench.report import figures, memory, read_record, targets, write_page
    from segsam.research.bench.run import run_bench

    for path in (json_file, page):
        if path is not None and not path.absolute().parent.is_dir():
            raise OutputError(f"The folder of {path.name} does not exist; make it first.")
    if earlier is not None:
        record = read_record(earlier)
    else:
        plan = QUICK if quick else FULL
        record = run_bench(
            plan, only=only or (), app=server_app, fast_weights=fast_weights, tell=_say
        )
    for table in (figures(record), memory(record), targets(record)):
        out.print(table)
    if json_file is not None:
        write_bytes(json_file, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    if page is not None:
        pictures = write_page(record, page)
        out.print(f"Written: {page}, with {len(pictures)} pictures.", highlight=False)


def _say(line: str) -> None:
    out.print(line, markup=False, highlight=False)

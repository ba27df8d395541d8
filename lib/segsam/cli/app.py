"""Command line `segsam`: the entry point, which collects the commands.

Every command prints its result for a person, and `--json FILE` writes it for a program. An error is
one sentence on standard error and exit code 2; Ctrl-C gives exit code 130. A command that fails
writes no result. `study` and `bench` import `segsam.research` only when they run.
"""

from __future__ import annotations

import re
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from segsam.cli.auto import auto
from segsam.cli.batch import app as batch_app
from segsam.cli.bench import bench
from segsam.cli.categories import app as categories_app
from segsam.cli.complete import complete
from segsam.cli.convert import convert, split
from segsam.cli.demo import demo
from segsam.cli.doctor import doctor
from segsam.cli.evaluate import calibrate, evaluate
from segsam.cli.memory import app as memory_app
from segsam.cli.models import app as models_app
from segsam.cli.segment import segment
from segsam.cli.study import app as study_app
from segsam.cli.terminal import accept_any_name, err, out
from segsam.cli.train import distill, train
from segsam.errors import SegSamError
from segsam.system.process import set_passive_openmp_wait, tune_allocator
from segsam.system.telemetry import switch_off_reports

_COMMANDS = (
    *(segment, complete, demo, doctor, auto, convert, split),
    *(train, distill, evaluate, calibrate, bench),
)


class _Commands(TyperGroup):
    """Commands whose options refuse a value in our words, not in those of pydantic, with which
    typer reads them.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run a command. Raises `typer.BadParameter` for an option's value."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _FOREIGN.sub("", error.message).replace("Input should", "it should")
            raise


_FOREIGN = re.compile(r"^Value error, |, unable to parse string as .*")
"""What pydantic adds to a sentence."""
app = typer.Typer(
    name="segsam",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in _COMMANDS:
    app.command()(_command)
app.add_typer(batch_app, name="batch")
app.add_typer(categories_app, name="categories")
app.add_typer(memory_app, name="memory")
app.add_typer(models_app, name="models")
app.add_typer(study_app, name="study")


def main() -> None:
    """Run the command `segsam`."""
    set_passive_openmp_wait()
    tune_allocator()
    switch_off_reports()
    accept_any_name()
    try:
        app()
    except SegSamError as error:
        err.print(f"[bold red]Error[/] ({error.code}): ", end="")
        err.print(str(error), markup=False, highlight=False)
        raise SystemExit(2) from None


def _version(requested: bool) -> None:
    if requested:
        out.print(f"segsam {metadata.version('segsam')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """SEG-SAM: promptable segmentation of medical images, with names for what it finds."""

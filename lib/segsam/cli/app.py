"""The command line: `segsam demo`, `segment`, `train`, `evaluate` and the other verbs.

Every command has `--json FILE` for machines and says the rest to people. A refusal is one sentence
on standard error and exit code 2; Ctrl-C ends with 130. Nothing is written by a command that fails.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from segsam.cli.auto import auto
from segsam.cli.batch import app as batch_app
from segsam.cli.bench import bench
from segsam.cli.categories import app as categories_app
from segsam.cli.convert import convert, split
from segsam.cli.distill import distill
from segsam.cli.evaluate import calibrate, evaluate
from segsam.cli.models import app as models_app
from segsam.cli.study import app as study_app
from segsam.cli.terminal import ImageArgument, JsonOption, LabelsOption, shown_progress
from segsam.cli.train import train
from segsam.errors import OutputError, SegSamError
from segsam.system.process import set_passive_openmp_wait, tune_allocator

if TYPE_CHECKING:
    from segsam.prediction.result import Result
    from segsam.types import AxisChoice, DecoderName, PrecisionName, RuntimeName

app = typer.Typer(
    name="segsam",
    help="SEG-SAM: promptable segmentation of medical images that names what it finds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(batch_app, name="batch")
app.add_typer(categories_app, name="categories")
app.add_typer(models_app, name="models")
app.add_typer(study_app, name="study")
app.command()(auto)
app.command()(convert)
app.command()(split)
app.command()(train)
app.command()(distill)
app.command()(evaluate)
app.command()(calibrate)
app.command()(bench)
out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 150)
err = Console(stderr=True, soft_wrap=True)


def main() -> None:
    """The `segsam` command."""
    set_passive_openmp_wait()
    tune_allocator()
    try:
        app()
    except SegSamError as error:
        err.print(f"[bold red]Error[/] ({error.code}): ", end="")
        err.print(str(error), markup=False, highlight=False)
        raise SystemExit(2) from None


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"segsam {metadata.version('segsam')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """SEG-SAM: promptable segmentation of medical images that names what it finds."""


@app.command()
def segment(  # noqa: PLR0913, PLR0917 - typer makes them options; nobody calls it by position
    image: ImageArgument,
    output: LabelsOption,
    point: Annotated[
        list[str] | None,
        typer.Option(help="Voxel in the object as i,j,k, or beside it as i,j,k,- (repeatable)."),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            help="Box as i0,j0,k0,i1,j1,k1, both corners included (repeatable); one voxel thick "
            "along an axis it is a 2D box on that slice."
        ),
    ] = None,
    axis: Annotated[
        str,
        typer.Option(
            help="Slice across this voxel axis: auto, i, j, k, or all (three directions averaged)."
        ),
    ] = "auto",
    propagate: Annotated[
        bool | None,
        typer.Option(
            "--propagate/--no-propagate",
            help="Follow the object from slice to slice, or decode each prompted slice by itself. "
            "By default it is followed inside 3D boxes only.",
        ),
    ] = None,
    decoder: Annotated[
        str, typer.Option(help="Whose mask is the result: binary or semantic.")
    ] = "binary",
    category: Annotated[
        str | None,
        typer.Option(help="Look for this category only (see: segsam categories)."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            help="Displayed values: a CT preset (soft-tissue, lung, bone, brain, ...) or low,high."
        ),
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="Name or path of the weights; the embedded ones by default.")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="What computes the image encoder: auto, torch or openvino."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="exact, or fast: half precision where there is OpenVINO.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Also draw the result to this .png.")] = None,
    json_file: JsonOption = None,
) -> None:
    """Segment one object, marked by points and boxes in voxel indices, and write its label volume.

    Example: segsam segment ct.nii.gz --box 70,40,80,105,75,110 -o out.nii.gz --picture out.png
    """
    from segsam.imaging.volume import Volume
    from segsam.imaging.writers import WRITABLE
    from segsam.prompting.parsing import window_from_text
    from segsam.prompting.prompts import Prompts

    _check_target(output, WRITABLE)
    _check_target(picture, (".png",))
    _check_target(json_file)
    prompts = Prompts.from_text(point or (), box or ())
    shown = window_from_text(window)
    volume = Volume.load(image)
    prompts.checked(volume.shape_ijk)
    with err.status("Loading the weights"):
        from segsam.prediction.predictor import Predictor

        predictor = Predictor.from_pretrained(
            checkpoint,
            runtime=cast("RuntimeName | None", runtime),
            precision=cast("PrecisionName | None", precision),
        )
    predictor.set_volume(volume, window=shown)
    with shown_progress(err, "encoding the first slice") as progress:
        result = predictor.predict(
            prompts,
            axis=cast("AxisChoice", axis),
            propagate=propagate,
            decoder=cast("DecoderName", decoder),
            category=category,
            progress=progress,
        )
    result.save(output)
    if picture is not None:
        from segsam.prediction.picture import draw_result

        draw_result(picture, result, prompts, window=shown)
    _write_json(
        json_file, {**result.to_json(), "prompts": prompts.to_json(), "output": str(output)}
    )
    _tell(result, volume.notes, output, picture)


@app.command()
def demo(
    out_folder: Annotated[
        Path, typer.Option("--out", help="Where the results go; made when missing.")
    ] = Path("demo_output"),
    server_app: Annotated[
        Path | None,
        typer.Option("--app", help="The MONAI Label app, when it is not this checkout's."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Segment organs of a real CT through a real MONAI Label server, and check what comes back."""
    from segsam.demo import run_demo

    _check_target(json_file)
    report = run_demo(out_folder, out, app=server_app)
    _write_json(json_file, report.to_json())
    if not report.ok:
        err.print("[bold red]The demo failed:[/] a returned volume is not on the voxels sent.")
        raise typer.Exit(1)


@app.command()
def doctor(json_file: JsonOption = None) -> None:
    """Check this machine: packages, versions, weights, port, memory, disk; one line per check."""
    from segsam.cli.doctor import run_checks

    with err.status("Checking; MONAI Label alone takes about 10 s to import"):
        checks = run_checks()
    words = {True: "[green]  ok  [/]", None: "[yellow] note [/]", False: "[bold red] FAIL [/]"}
    for check in checks:
        remedy = "" if check.ok or not check.remedy else f" -> {check.remedy}"
        out.print(words[check.ok], end="")
        out.print(f"{check.name}: {check.found}{remedy}", markup=False, highlight=False)
    _write_json(json_file, {"checks": [asdict(check) for check in checks]})
    if any(check.ok is False for check in checks):
        raise typer.Exit(1)


def _check_target(path: Path | None, endings: tuple[str, ...] = ("",)) -> None:
    """Refuse before the work, not after it, what could not be written at its end."""
    if path is None:
        return
    if not path.name.lower().endswith(endings):
        raise OutputError(f"{path.name}: a name ending in {', '.join(endings)} is wanted.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"The folder of {path} does not exist; make it first.")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; a file name is wanted.")


def _write_json(path: Path | None, value: dict[str, Any]) -> None:
    from segsam.system.atomic import replacing

    if path is not None:
        with replacing(path, ".json") as partial:
            partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", "utf-8")


def _tell(result: Result, notes: tuple[str, ...], output: Path, picture: Path | None) -> None:
    name = result.category or "object"
    sure = "" if result.confidence is None else f" ({result.confidence:.0%})"
    seconds = result.seconds
    out.print(
        f"{name}{sure}: {result.size_in_words}; slices across "
        f"{', '.join(result.axes)}: {len(result.slices)}"
    )
    out.print(
        f"{seconds['total']:.1f} s: {seconds['encode']:.1f} s to encode {result.encoded} of them, "
        f"{seconds['decode']:.1f} s to decode"
    )
    if result.agreement is not None:
        also = ", ".join(f"{name} {p:.0%}" for name, p in result.neighbours.items()) or "nothing"
        out.print(f"the two decoders agree by {result.agreement:.0%}; also present: {also}")
    for note in notes + result.notes:
        out.print(f"Note: {note}", markup=False, highlight=False)
    out.print(f"Written: {output}" + ("" if picture is None else f" and {picture}"), markup=False)

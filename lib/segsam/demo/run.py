"""The demo from the first line to the last: sample, server, questions, comparison, report."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from segsam.categories import Categories
from segsam.datasets.sample import fetch_sample, is_cached
from segsam.demo.asking import Asking, Case, Served
from segsam.demo.baseline import litemedsam_masks
from segsam.demo.checking import GeometryCheck, check_geometry, dice
from segsam.demo.naming import expected_name
from segsam.demo.report import DemoReport, OrganScore, tell
from segsam.demo.sheet import colours_for, write_sheet
from segsam.demo.timing import Timings
from segsam.errors import OutputError
from segsam.imaging.formats.seg_nrrd import Segment
from segsam.imaging.slices import choose_axis
from segsam.prediction.labels import merge_objects
from segsam.remote.client import HOST_ALONE, Client
from segsam.remote.server import Server, find_app
from segsam.system.process import tune_allocator


def run_demo(
    out: Path, console: Console, *, app: Path | None = None, cache_dir: Path | None = None
) -> DemoReport:
    """Segment organs of the sample CT through a real server; files and report go to `out`.

    Says what it does on `console`. `app` names the MONAI Label app when it is not this checkout's.
    The server is stopped whatever happens. Raises SampleError, OutputError or a server's error;
    a wrong geometry is no exception but `report.ok` being False.
    """
    start = time.monotonic()
    tune_allocator()
    folder = find_app(app)
    served_folder = _made(out / "served")
    if is_cached(cache_dir):
        sample = fetch_sample(cache_dir)
    else:
        with _progress(console) as bar:
            sample = fetch_sample(cache_dir, Stepper(bar))
    console.print(f"Sample CT: {sample.image}", soft_wrap=True)
    case = Case.of(sample)
    with _stoppable():
        served, timings, started = _ask_a_server(case, console, app=folder, folder=served_folder)
    asked = time.monotonic()
    console.print("The same slices and boxes, by LiteMedSAM itself (its own code and steps)")
    axis = choose_axis(case.volume, "auto")
    with _progress(console) as bar:
        theirs = litemedsam_masks(case.volume, case.organs, axis=axis, progress=Stepper(bar))
    scores = _scores(case, served, theirs, axis)
    merged = _write(out, case, served, scores)
    end = time.monotonic()
    report = DemoReport(
        out=out,
        scores=scores,
        answers=tuple(served.answers),
        geometry=(*served.geometry, *merged),
        timings=timings,
        seconds={
            "server_start": started,
            "served": asked - start - started,
            "comparison": end - asked,
            "total": end - start,
        },
        notes=tuple(served.notes),
    )
    tell(report, console)
    console.print(f"Files: {out} (total {end - start:.0f} s)", soft_wrap=True)
    return report


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    return folder


def _ask_a_server(
    case: Case, console: Console, *, app: Path, folder: Path
) -> tuple[Served, Timings, float]:
    """Start, ask, stop. Gives the answers, the click times, and the seconds until it was up."""
    log = folder.parent / "server.log"
    with tempfile.TemporaryDirectory(prefix="segsam-demo-") as work:
        with Server(app, Path(work), log, also=(HOST_ALONE,)) as server:
            console.print(f"Starting the MONAI Label server, {server.address}", soft_wrap=True)
            console.print(f"  its log: {log}", soft_wrap=True)
            with console.status("waiting for the server") as status:
                started = server.wait(
                    lambda seconds: status.update(f"waiting for the server, {seconds:.0f} s")
                )
            with Client(server.address) as client:
                info = client.info()
                console.print(f"{info['name']} {info['version']} answered after {started:.1f} s")
                asking = Asking(client, case, console, folder)
                console.print("Session with the CT is open; sending prompts")
                timings = asking.all()
        console.print("Server stopped")
    return asking.served, timings, started


def _scores(
    case: Case, served: Served, theirs: Mapping[str, NDArray[np.bool_]], axis: int
) -> tuple[OrganScore, ...]:
    return tuple(
        OrganScore(
            organ=organ.name,
            slices=organ.box.max_ijk[axis] - organ.box.min_ijk[axis] + 1,
            voxels=int(organ.mask.sum()),
            dice=dice(served.by_section[organ.name], organ.mask),
            followed_dice=dice(served.followed[organ.name], organ.mask),
            host_dice=dice(served.by_host[organ.name], organ.mask),
            litemedsam_dice=dice(theirs[organ.name], organ.mask),
            seconds=served.seconds[organ.name],
            named=served.names[organ.name],
            expected=expected_name(organ.name, served.trained),
        )
        for organ in case.organs
    )


def _write(
    out: Path, case: Case, served: Served, scores: tuple[OrganScore, ...]
) -> tuple[GeometryCheck, ...]:
    """All organs, followed through their boxes, in one label volume; and the contact sheet."""
    largest_first = sorted(case.organs, key=lambda organ: -int(organ.mask.sum()))
    labels = merge_objects([(served.followed[organ.name], organ.value) for organ in largest_first])
    colours = colours_for(case.organs)
    known = Categories.load()
    segments = {
        organ.value: Segment(
            organ.title, colours[organ.value], known.items[known.index(organ.name)].snomed
        )
        for organ in case.organs
    }
    volume = case.volume.like(labels)
    checks: list[GeometryCheck] = []
    for name in ("labels.nii.gz", "labels.seg.nrrd"):
        volume.save(out / name, segments=segments)
        checks.extend(check_geometry(out / name, case.sample.image))
    by_name = {score.organ: score for score in scores}
    titles = {
        organ.name: (
            f"{organ.title}   Dice {by_name[organ.name].followed_dice:.3f}\n"
            f"{by_name[organ.name].named.in_words}"
        )
        for organ in case.organs
    }
    write_sheet(out / "contact_sheet.png", case.volume, labels, organs=case.organs, titles=titles)
    return tuple(checks)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


class Stepper:
    """A library's (done, total, what) as one rich task, made when the first step is told."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None

    def __call__(self, done: int, total: int, what: str) -> None:
        if self._task is None:
            self._task = self._bar.add_task(what, total=total)
        self._bar.update(self._task, completed=done, total=total, description=what)


@contextmanager
def _stoppable() -> Iterator[None]:
    """A polite kill (SIGTERM) unwinds like Ctrl-C, so that the server goes too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

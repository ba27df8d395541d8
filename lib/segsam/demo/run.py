"""Run of the demo: sample CT, server, requests, scores, label volumes, pictures, report."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from segsam.categories import Categories
from segsam.datasets.sample import Sample, fetch_sample
from segsam.demo.checking import GeometryCheck, check_geometry, dice
from segsam.demo.naming import expected_name
from segsam.demo.report import ClickTimes, DemoReport, OrganScore, show_report
from segsam.demo.session import Case, DemoSession, Served
from segsam.demo.sheet import colours_for, write_sheet
from segsam.errors import OutputError
from segsam.imaging.formats.seg_nrrd import Segment
from segsam.imaging.slices import choose_axis
from segsam.prediction.labels import merge_objects
from segsam.remote.client import Client
from segsam.remote.server import Server, find_app

_RESULTS = ("served", "server.log", "labels.nii.gz", "labels.seg.nrrd", "contact_sheet.png")
_MARK = ".segsam-demo"
"""File by which a folder of results is known again."""


def run_demo(
    out: Path,
    console: Console,
    *,
    app: Path | None = None,
    fetch: Callable[[], Sample] = fetch_sample,
) -> DemoReport:
    """Segment organs of the sample CT through a real server; files and report go to `out`.

    The server is always stopped at the end. If a returned volume does not lie on the voxels that
    were sent, no error is raised, but `report.ok` is False.

    Args:
        out: the folder of the results; made if it does not exist. Those of an earlier demo are
            replaced, and nothing else.
        console: where progress and report are printed.
        app: the MONAI Label app; by default the one of this checkout.
        fetch: returns the sample CT, and downloads it if it is not in the cache.

    Raises:
        SampleError: the sample cannot be fetched.
        OutputError: a result cannot be written, or would replace a file of somebody.
        ServerError: the server did not start, or a request failed.
    """
    start = time.monotonic()
    app_folder = find_app(app)
    served_folder = _make_own(out)
    sample = fetch()
    console.print(f"Sample CT: {sample.image}", soft_wrap=True)
    case = Case.load(sample)
    with _interrupt_on_sigterm():
        served, clicks, started = _run_session(case, console, app=app_folder, folder=served_folder)
    scores = _scores(case, served)
    written = _write_results(out, case, served, scores)
    seconds = time.monotonic() - start
    report = DemoReport(
        out=out,
        scores=scores,
        answers=tuple(served.answers),
        geometry=(*served.geometry, *written),
        clicks=clicks,
        seconds={"server_start": started, "total": seconds},
        notes=tuple(served.notes),
    )
    show_report(report, console)
    console.print(f"Files: {out} (total {seconds:.0f} s)", soft_wrap=True)
    return report


def _make_own(out: Path) -> Path:
    """Make the folder of the results, mark it as a demo's, and return that of what was served."""
    mark = out / _MARK
    found = [name for name in _RESULTS if (out / name).exists() and not mark.is_file()]
    if found:
        raise OutputError(
            f"Expected a folder without results, or that of an earlier demo, got {out} with "
            f"{found[0]}. Nothing in it was changed."
        )
    folder = out / _RESULTS[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    return folder


def _run_session(
    case: Case, console: Console, *, app: Path, folder: Path
) -> tuple[Served, ClickTimes, float]:
    """Run the server and the session; return the results and the seconds of the server's start."""
    log = folder.parent / "server.log"
    with tempfile.TemporaryDirectory(prefix="segsam-demo-") as work:
        with Server(app, Path(work), log) as server:
            console.print(f"Starting the MONAI Label server, {server.address}", soft_wrap=True)
            console.print(f"  its log: {log}", soft_wrap=True)
            with console.status("waiting for the server") as status:
                started = server.wait(
                    lambda seconds: status.update(f"waiting for the server, {seconds:.0f} s")
                )
            with Client(server.address) as client:
                info = client.info()
                console.print(f"{info['name']} {info['version']} answered after {started:.1f} s")
                session = DemoSession(client, case, console, folder)
                console.print("The CT is uploaded; sending prompts")
                clicks = session.run()
        console.print("Server stopped")
    return session.served, clicks, started


def _scores(case: Case, served: Served) -> tuple[OrganScore, ...]:
    axis = choose_axis(case.volume, "auto")
    return tuple(
        OrganScore(
            organ=organ.name,
            slices=organ.box.max_ijk[axis] - organ.box.min_ijk[axis] + 1,
            voxels=int(organ.mask.sum()),
            dice=dice(served.by_section[organ.name], organ.mask),
            followed_dice=dice(served.followed[organ.name], organ.mask),
            seconds=served.seconds[organ.name],
            named=served.names[organ.name],
            expected=expected_name(organ.name, served.trained),
        )
        for organ in case.organs
    )


def _write_results(
    out: Path, case: Case, served: Served, scores: tuple[OrganScore, ...]
) -> tuple[GeometryCheck, ...]:
    """Write all followed organs in one label volume, and the contact sheet."""
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
    titles = {
        score.organ: f"{score.title}   Dice {score.followed_dice:.3f}\n{score.named.text}"
        for score in scores
    }
    write_sheet(out / "contact_sheet.png", case.volume, labels, organs=case.organs, titles=titles)
    return tuple(checks)


@contextmanager
def _interrupt_on_sigterm() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that the server is stopped too. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

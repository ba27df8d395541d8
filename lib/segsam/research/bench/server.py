"""The real server, measured from its start to a click over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from segsam.imaging.volume import Volume
from segsam.remote.client import Client, prompt_params
from segsam.remote.server import Server, find_app
from segsam.research.bench.case import BenchCase
from segsam.research.bench.plan import BenchPlan
from segsam.research.bench.timing import Measurements, Timing, seconds_of, timed

_TINY_IJK = (24, 24, 6)


def measure_server(
    case: BenchCase, deep: BenchCase, plan: BenchPlan, work: Path, app: Path | None
) -> Measurements:
    """Measure clicks with an empty and a full studies folder, saves, and the server's memory.

    Raises:
        ServerError: no app, or a server that does not answer.
    """
    folder = find_app(app)
    found = Measurements()
    with Server(folder, work / "empty", work / "server.log") as running:
        found.items["server_start"] = Timing.of([running.wait()])
        with Client(running.address) as client:
            found.items |= _measure_clicks(client, case, plan)
            _click_through(client, deep, plan)
            found.facts["server_peak_mb"] = _peak_mb(running.pid)
    full = work / "full"
    _write_images(full / "studies", plan.stored)
    with Server(folder, full, work / "server_full.log") as running:
        running.wait()
        with Client(running.address) as client:
            found.items["http_click_full"] = _measure_clicks(client, case, plan)["http_click"]
            found.items["label_save_full"] = _measure_saves(client, work, plan)
    return found


def _measure_clicks(client: Client, case: BenchCase, plan: BenchPlan) -> dict[str, Timing]:
    """Time the first click, with the upload of the image, then clicks on the same slice."""
    params = prompt_params(case.slice_prompt(case.middle), "slice")
    sessions: list[str] = []

    def first_click() -> None:
        sessions.append(client.open_session(case.path))
        client.infer(sessions[0], params)

    first = Timing.of([seconds_of(first_click)])
    client.infer(sessions[0], params)
    replies = [client.infer(sessions[0], params) for _ in range(2 * plan.rounds)]
    client.close_session(sessions[0])
    added = (reply.seconds - reply.model_seconds for reply in replies)
    return {
        "first_click": first,
        "http_click": Timing.of(reply.seconds for reply in replies),
        "http_overhead": Timing.of(added),
    }


def _measure_saves(client: Client, work: Path, plan: BenchPlan) -> Timing:
    """Time saves of the label of one small image."""
    label = work / "label.nii.gz"
    Volume.from_array(np.ones(_TINY_IJK, dtype=np.uint8), np.eye(4)).save(label)
    return timed(lambda: client.save_label("image0000", label, {"liver": 1}), 2 * plan.rounds)


def _click_through(client: Client, deep: BenchCase, plan: BenchPlan) -> None:
    """Click on `plan.clicked` slices of the deep volume, so that the server encodes them."""
    session = client.open_session(deep.path)
    for index in np.linspace(0, deep.box.max_ijk[2], plan.clicked).round().astype(int):
        client.infer(session, prompt_params(deep.slice_prompt(int(index)), "slice"))
    client.close_session(session)


def _write_images(folder: Path, images: int) -> None:
    """Write small images of noise."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for number in range(images):
        voxels = noise.integers(-200, 200, _TINY_IJK).astype(np.int16)
        Volume.from_array(voxels, np.eye(4)).save(folder / f"image{number:04d}.nii.gz")


def _peak_mb(pid: int | None) -> float | None:
    """Return the highest memory of another process so far in MiB; None outside of Linux."""
    if pid is None or not sys.platform.startswith("linux"):
        return None
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return None

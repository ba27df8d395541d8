"""The real server, from its start to a click over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from segsam.imaging.volume import Volume
from segsam.prompting.prompts import Prompts
from segsam.remote.client import Client, prompt_params
from segsam.remote.server import Server, find_app
from segsam.research.bench.case import BenchCase
from segsam.research.bench.measuring import Found, Timing, once
from segsam.research.bench.plan import BenchPlan

_TINY = (24, 24, 6)


def server(
    case: BenchCase, deep: BenchCase, plan: BenchPlan, work: Path, app: Path | None
) -> Found:
    """Times of clicks, with an empty store and with a full one, and the server's memory.

    Raises:
        ServerError: no app, or a server that does not answer.
    """
    folder = find_app(app)
    found = Found()
    with Server(folder, work / "empty", work / "server.log") as running:
        found.items["server_start"] = Timing.of([running.wait()])
        with Client(running.address) as client:
            _clicks(client, case, plan, found)
            _deep(client, deep, plan)
            found.facts["server_peak_mb"] = _peak_mb(running.pid)
    full = work / "full"
    _store(full / "studies", plan.stored)
    with Server(folder, full, work / "server_full.log") as running:
        running.wait()
        with Client(running.address) as client:
            among = Found()
            _clicks(client, case, plan, among)
            found.items["http_click_full"] = among.items["http_click"]
    return found


def _clicks(client: Client, case: BenchCase, plan: BenchPlan, found: Found) -> None:
    """The first click with the image's way to the server, then clicks on the same slice."""
    asked = prompt_params(Prompts(boxes=(case.section(case.middle),)), "slice")
    sessions: list[str] = []

    def first() -> None:
        sessions.append(client.open_session(case.path))
        client.infer(sessions[0], asked)

    found.items["first_click"] = Timing.of([once(first)])
    client.infer(sessions[0], asked)
    replies = [client.infer(sessions[0], asked) for _ in range(2 * plan.rounds)]
    found.items["http_click"] = Timing.of(reply.seconds for reply in replies)
    found.items["http_overhead"] = Timing.of(
        reply.seconds - reply.model_seconds for reply in replies
    )
    client.close_session(sessions[0])


def _deep(client: Client, deep: BenchCase, plan: BenchPlan) -> None:
    """Click on slices of the deep volume until so many are encoded."""
    session = client.open_session(deep.path)
    last = deep.box.max_ijk[2]
    for index in np.linspace(0, last, plan.clicked).round().astype(int):
        asked = prompt_params(Prompts(boxes=(deep.section(int(index)),)), "slice")
        client.infer(session, asked)
    client.close_session(session)


def _store(folder: Path, images: int) -> None:
    """Small images of their own, as many as wanted."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for number in range(images):
        voxels = noise.integers(-200, 200, _TINY).astype(np.int16)
        Volume.from_array(voxels, np.eye(4)).save(folder / f"image{number:04d}.nii.gz")


def _peak_mb(pid: int | None) -> float | None:
    """The most memory that another process had so far, in MiB, where Linux tells."""
    if pid is None or not sys.platform.startswith("linux"):
        return None
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return None

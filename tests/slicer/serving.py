"""The project's server as a process, started from the project's own environment."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Server.Http import Http, HttpRequest
from SEGSAMLib.Server.HttpReply import check_status
from SEGSAMLib.Server.Worker import CancelToken
from SEGSAMLib.Values.Address import Address
from SEGSAMLib.Values.Geometry import VolumeGrid
from SEGSAMLib.Values.ImageFiles import nrrd_file

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("SEGSAM_SERVER_PYTHON", str(ROOT / ".venv" / "bin" / "python"))
START_SECONDS = 300
SHAPE_IJK = (64, 56, 8)
AFFINE_RAS = np.diag([-1.5, -1.5, 4.0, 1.0])
IMAGES = ("one", "two", "three")


@dataclass(frozen=True)
class Server:
    """URL, study folder and log of a running server."""

    url: str
    studies: Path
    log: Path


def ball() -> np.ndarray:
    """Bool (i, j, k): the object in every test image."""
    i, j, k = np.ogrid[: SHAPE_IJK[0], : SHAPE_IJK[1], : SHAPE_IJK[2]]
    return ((i - 30) / 13) ** 2 + ((j - 26) / 10) ** 2 + ((k - 4) / 3.4) ** 2 < 1


def picture(seed: int = 7) -> np.ndarray:
    """int16 (i, j, k): the ball, bright in noise."""
    noise = np.random.default_rng(seed).normal(100, 8, SHAPE_IJK)
    return (noise + 120 * ball()).astype(np.int16)


def write_images(folder: Path) -> None:
    grid = VolumeGrid.of(SHAPE_IJK, AFFINE_RAS)
    for seed, name in enumerate(IMAGES):
        array = np.ascontiguousarray(picture(seed).transpose(2, 1, 0))
        with nrrd_file(array, grid, lambda: None, small=True) as file:
            (folder / f"{name}.nrrd").write_bytes(file.read())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(base: Path, *options: str, **env: str) -> Iterator[Server]:
    """The server in `base`; at its end, none of its answers may have been a bug (status 500)."""
    if not Path(PYTHON).exists():
        pytest.skip(f"the server needs the project's environment at {PYTHON}: make test")
    studies, sessions = base / "studies", base / "sessions"
    for folder in (studies, sessions):
        folder.mkdir()
    write_images(studies)
    port = free_port()
    command = [PYTHON, "-m", "monailabel.main", "start_server"]
    command += ["--app", str(ROOT / "monailabel_app"), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port), *options]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SEGSAM_")}
    environment = {
        **kept,
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "MONAI_LABEL_SESSION_PATH": str(sessions),
        "OMP_WAIT_POLICY": "PASSIVE",
        **env,
    }
    running = Server(f"http://127.0.0.1:{port}", studies, base / "server.log")
    with running.log.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=base, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait(process, running)
            yield running
            metrics = _get(running, "/metrics")
        finally:
            process.terminate()
            process.wait(timeout=60)
    assert 'status="500"' not in metrics, f"a request ended in a bug: see {running.log}"


def _wait(process: subprocess.Popen[bytes], running: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            _get(running, "/info/")
            return
        except ClientError:
            time.sleep(0.3)
    pytest.fail(f"the server did not start:\n{running.log.read_text()[-4000:]}")


def _get(running: Server, path: str) -> str:
    reply = Http(Address.parse(running.url)).send(HttpRequest("GET", path), CancelToken())
    check_status(reply)
    return reply.body.decode()

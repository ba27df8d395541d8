"""Real servers on loopback, with small images to segment. The shared ones are started as an
operator starts them; those of one file are forks of a process that has imported MONAI Label.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from monailabel.client import MONAILabelClient
from numpy.typing import NDArray

from ..conftest import uses_server
from ..warm_python import ForkedProcess, WarmPython

os.environ["SEGSAM_DISK_CACHE"] = "off"  # an app in this process writes nothing there

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (64, 56, 8)
LPS_MM = np.diag([-1.5, -1.5, 4.0, 1.0])
START_SECONDS = 900
TOKEN = "a-token-for-the-tests"
NAME = "ct.example.org"
"""Host name that a reverse proxy uses for the server."""


@dataclass(frozen=True)
class Server:
    """Running server: its address and its folders."""

    url: str
    studies: Path
    temporary: Path
    sessions: Path
    log: Path
    token: str | None = None
    pid: int = 0

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.ask("GET", path, **more)

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send one request, with the token if the server has one."""
        token = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers = {**token, **more.pop("headers", {})}
        seconds = more.pop("timeout", 120)
        url = f"{self.url}{path}"
        return requests.request(method, url, headers=headers, timeout=seconds, **more)

    def infer(
        self,
        query: dict[str, str] | None = None,
        *,
        params: str = "{}",
        model: str = "segsam",
        **more: Any,
    ) -> requests.Response:
        """Send `POST /infer/segsam` with the form field `params`, unchanged."""
        fields = {"params": (None, params), **more.pop("files", {})}
        return self.ask("POST", f"/infer/{model}", params=query, files=fields, **more)

    def lines_of(self, request: str) -> list[str]:
        """Return the lines of the log about a request: they are written after the reply."""

        def lines() -> list[str]:
            return [line for line in self.log.read_text().split("\n")[:-1] if request in line]

        return list(soon(lines))

    def client(self, folder: Path) -> Any:
        """Return the client that the stock 3D Slicer module uses."""
        return MONAILabelClient(self.url, tmpdir=str(folder), client_id="test")


def ball(shape: tuple[int, int, int] = SHAPE) -> NDArray[np.uint8]:
    """Return the object in every test image: 1 inside an ellipsoid, (i, j, k)."""
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    inside = ((i - 30) / 13) ** 2 + ((j - 26) / 10) ** 2 + ((k - 4) / 3.4) ** 2 < 1
    return inside.astype(np.uint8)


def picture() -> NDArray[np.int16]:
    """Return the image: the ellipsoid, bright in noise."""
    noise = np.random.default_rng(7).normal(100, 8, SHAPE)
    return (noise + 120 * ball()).astype(np.int16)


def oblique_affine() -> NDArray[np.float64]:
    """Return an affine that is turned about two axes, anisotropic and off the origin."""
    a, b = np.deg2rad(25), np.deg2rad(-17)
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn_z @ turn_x @ np.diag([-1.2, -1.3, 3.5])
    affine[:3, 3] = [21.5, -33.0, 402.25]
    return affine


def write_images(folder: Path) -> None:
    """Write the study folder: two good images and five that cannot be segmented."""
    sheared = LPS_MM.copy()
    sheared[0, 1] = 0.6
    hole = picture().astype(np.float32)
    hole[3, 4, 5] = np.nan
    images = {
        "straight": (picture(), LPS_MM),
        "oblique": (picture(), oblique_affine()),
        "movie": (np.stack([picture()] * 3, axis=-1), LPS_MM),
        "hole": (hole, LPS_MM),
        "sheared": (picture(), sheared),
    }
    for name, (voxels, affine) in images.items():
        image = nibabel.Nifti1Image(voxels, affine)
        image.set_sform(affine, code=1)
        nibabel.save(image, folder / f"{name}.nii.gz")
    (folder / "text.nii.gz").write_bytes(b"this is not an image")
    huge = nibabel.Nifti1Header()
    huge.set_data_dtype(np.uint8)
    huge.set_data_shape((1024, 1024, 512))
    (folder / "huge.nii").write_bytes(huge.binaryblock + bytes(64))


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command() -> list[str]:
    """Return the command `monailabel`; its script takes the Python of `environment`."""
    script = shutil.which("monailabel", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "monailabel.main"]


def _wait_until_up(process: subprocess.Popen[bytes] | ForkedProcess, running: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if running.get("/info/", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.3)
    pytest.fail(f"the server did not start:\n{running.log.read_text()[-4000:]}")


@contextmanager
def started(
    base: Path,
    *options: str,
    studies: str | None = None,
    python: WarmPython | None = None,
    **env: str,
) -> Iterator[Server]:
    """Run `monailabel start_server` in `base`, on a folder of images unless `studies` is the URL of
    a DICOMweb server; as a fork of `python` if it is given.

    At the end there may be no traceback in its log, and no reply with status 500.
    """
    port = free_port()
    running = Server(
        f"http://127.0.0.1:{port}",
        *(base / name for name in ("studies", "tmp", "sessions")),
        log=base / "server.log",
        token=env.get("SEGSAM_TOKEN"),
    )
    for folder in (running.studies, running.temporary, running.sessions):
        folder.mkdir()
    write_images(running.studies)
    studies = studies or str(running.studies)
    folders = ["--app", str(ROOT / "monailabel_app"), "--studies", studies]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    command = ["start_server", *folders, *address, *options]
    variables = {**environment(running), **env}
    process: subprocess.Popen[bytes] | ForkedProcess
    if python is None:
        with running.log.open("wb") as log:
            process = subprocess.Popen(
                [*_command(), *command],
                cwd=base,
                env=variables,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
    else:
        command = ["-m", "monailabel.main", *command]
        process = python.start(command, cwd=base, env=variables, output=running.log)
    running = replace(running, pid=process.pid)
    try:
        _wait_until_up(process, running)
        yield running
        metrics = running.get("/metrics").text
    finally:
        process.terminate()
        process.wait(timeout=120)
    assert 'status="200"' in metrics
    assert 'status="500"' not in metrics, "a request ended in a bug: see the log"
    assert "Traceback" not in running.log.read_text(), "a request ended in a bug: see the log"


def environment(running: Server) -> dict[str, str]:
    """Return the environment of the server."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SEGSAM_")}
    return {
        **kept,
        "MONAILABEL_PYEXE": sys.executable,
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "MONAI_LABEL_SESSION_PATH": str(running.sessions),
        "OMP_WAIT_POLICY": "PASSIVE",  # the processor is shared with the tests
        "SEGSAM_MAX_VOXELS": "200000",
        "SEGSAM_VERSIONS_FOLDER": str(running.studies.parent / "versions"),
        "SEGSAM_DISK_CACHE": "off",  # a first prompt has to encode its slice
        "SEGSAM_PREFETCH": "0",
        "SEGSAM_RUNTIME": "torch",  # ready at once; the shared server takes the best one
        "TMPDIR": str(running.temporary),
    }


_shared = ExitStack()
"""Servers that tests of several files share."""


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the shared servers after the last test that uses one: each holds two gigabytes.

    A single process does not run these tests one after the other, and stops them at its end.
    """
    is_last = uses_server(item) and not (nextitem and uses_server(nextitem))
    if is_last and hasattr(item.config, "workerinput"):
        _shared.close()


def pytest_sessionfinish() -> None:
    """Stop the shared servers that still run."""
    _shared.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, standin: Path) -> Server:
    """Server with the usual settings, which all tests share."""
    conf = ["--conf", "labels", "ball,rest", "--conf", "checkpoint", "litemedsam"]
    conf += ["--conf", "also", str(standin), "--conf", "runtime", "auto"]
    return _shared.enter_context(started(tmp_path_factory.mktemp("server"), *conf))


@pytest.fixture(scope="session")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Server started with `--uvicorn_app`, with a token and limits that a test can reach."""
    conf = ["--uvicorn_app", "segsam_app.asgi:app", "--conf", "checkpoint", "litemedsam"]
    conf += ["--conf", "routes", "delete", "--conf", "warm", "off"]
    limits = {
        "SEGSAM_TOKEN": TOKEN,
        "SEGSAM_HOSTS": NAME,
        "SEGSAM_QUEUE": "1",
        "SEGSAM_INFER_SECONDS": "4",
        "SEGSAM_SESSIONS": "2",
        "SEGSAM_UPLOAD_MEGABYTES": "1",
        "SEGSAM_BODY_KILOBYTES": "64",
        "SEGSAM_BODY_SECONDS": "2",
    }
    return _shared.enter_context(started(tmp_path_factory.mktemp("tight"), *conf, **limits))


def soon(find: Callable[[], Any], seconds: float = 10) -> Any:
    """Return the first true value of `find`: a server does some things after its reply."""
    ends = time.monotonic() + seconds
    while not (found := find()) and time.monotonic() < ends:
        time.sleep(0.05)
    return found


_KEPT_BESIDE = (".segsam", "contents.json")
"""What a server notes about images that were opened, when it comes to it."""


@contextmanager
def nothing_new(folder: Path, *, but_folders: bool = False) -> Iterator[None]:
    """Check that, a moment after the block, there is no new path in `folder`."""

    def paths() -> set[Path]:
        found = {path for path in folder.rglob("*") if path.is_file() or not but_folders}
        return {path for path in found if path.name not in _KEPT_BESIDE}

    before = paths()
    yield
    soon(lambda: paths() <= before)
    assert paths() - before == set()


@pytest.fixture
def no_file_left(server: Server) -> Iterator[None]:
    """Check that the test leaves no file in the server's temporary folder."""
    with nothing_new(server.temporary):
        yield

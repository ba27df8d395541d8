"""A server that is killed while 3D Slicer waits, and started again: matrix F12 and F13, with the
module's own client, and F5. Two starts of a server each, so only with SEGSAM_TEST_FULL=1 (`make
reliability`); the behaviour of a client whose connection breaks is in tests/slicer/test_http.py.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from segsam.prediction.labels import Region
from segsam.remote.masks import decode_mask, encode_mask

from .annotators import FULL
from .conftest import (
    LPS_MM,
    ROOT,
    SHAPE,
    Server,
    _wait_until_up,
    ball,
    environment,
    free_port,
    picture,
    soon,
    write_images,
)
from .routes.test_training import TINY, save_ball

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FULL, reason="two starts of a server: SEGSAM_TEST_FULL=1"),
]
sys.path.append(str(ROOT / "slicer_module" / "SEGSAM"))

EVERY_SLICE = {"boxes": [{"min_ijk": [17, 16, 1], "max_ijk": [43, 36, 7]}]}
ONE_SLICE = {"boxes": [{"min_ijk": [17, 16, 4], "max_ijk": [43, 36, 4]}]}


@contextmanager
def running(base: Path, port: int) -> Iterator[tuple[Server, subprocess.Popen[bytes]]]:
    """Run a server on `port`, which the test may kill."""
    folders = [base / name for name in ("studies", "tmp", "sessions")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    write_images(folders[0])
    server = Server(f"http://127.0.0.1:{port}", *folders, log=base / f"{time.time_ns()}.log")
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--host", "127.0.0.1"]
    command += ["--app", str(ROOT / "monailabel_app"), "--studies", str(server.studies)]
    command += ["--port", str(port), "--conf", "checkpoint", "litemedsam", "--conf", "warm", "off"]
    command += ["--conf", "infer_seconds", "900"]
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=base, env=environment(server), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait_until_up(process, server)
            yield server, process
        finally:
            process.kill()
            process.wait(timeout=30)


def request(name: str, prompts: dict[str, Any], axis: str = "k") -> dict[str, Any]:
    return {"prompts": prompts, "axis": axis, "result": "region", "request_id": name}


def test_f12_f13_killed_and_started_again(tmp_path: Path) -> None:
    from SEGSAMLib.Errors import ClientError
    from SEGSAMLib.Server.Client import Client
    from SEGSAMLib.Server.Worker import CancelToken
    from SEGSAMLib.Values.Address import Address
    from SEGSAMLib.Values.Geometry import VolumeGrid
    from SEGSAMLib.Values.ImageFiles import ImagePayload

    def nobody(*_: object) -> None:
        """Ignore progress."""

    voxels = picture()
    image = ImagePayload(
        np.ascontiguousarray(voxels.transpose(2, 1, 0)), VolumeGrid.of(voxels.shape, LPS_MM), "key"
    )
    port, failed = free_port(), []
    client = Client(Address.parse(f"http://127.0.0.1:{port}"))

    def wait_for_an_answer() -> None:
        try:
            client.infer(
                "segsam", image, request("long", EVERY_SLICE, "all"), CancelToken(), nobody
            )
        except ClientError as error:
            failed.append(str(error))

    with running(tmp_path, port) as (server, process):
        before = client.infer("segsam", image, request("a", ONE_SLICE), CancelToken(), nobody)
        waiting = threading.Thread(target=wait_for_an_answer)
        waiting.start()
        deadline = time.monotonic() + 300
        while not server.get("/segsam/health").json()["running"] and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        waiting.join(timeout=60)
    assert not waiting.is_alive(), "it waits for a server that is dead"
    assert len(failed) == 1
    assert "\n" not in failed[0]
    with running(tmp_path, port):
        after = client.infer("segsam", image, request("b", ONE_SLICE), CancelToken(), nobody)
    assert before.region is not None
    assert after.region is not None
    assert after.region.min_ijk == before.region.min_ijk
    np.testing.assert_array_equal(after.region.values, before.region.values)


def test_killed_while_it_learns_from_confirmed_slices(tmp_path: Path) -> None:
    """The client holds the slices: the same request has the same answer afterwards."""
    drawn = Region.of_mask(np.where(np.arange(8) == 4, ball(), 0) != 0)
    confirmed = [{"axis": "k", "index": 4, "mask": encode_mask(drawn)}]
    params = json.dumps({"confirmed": confirmed, "result": "region", "request_id": "long"})
    found: list[Any] = []

    def complete(server: Server) -> None:
        with suppress(requests.ConnectionError):
            found.append(server.infer({"image": "straight"}, params=params, timeout=900).json())

    def is_learning(server: Server) -> bool:
        progress = server.get("/segsam/progress/long")
        return progress.ok and progress.json()["what"].startswith("learning")

    with running(tmp_path, free_port()) as (server, _):
        complete(server)
    with running(tmp_path, free_port()) as (server, process):
        waiting = threading.Thread(target=complete, args=(server,))
        waiting.start()
        assert soon(lambda: is_learning(server), 300)
        process.send_signal(signal.SIGKILL)
        waiting.join(timeout=60)
    with running(tmp_path, free_port()) as (server, _):
        complete(server)
    first, second = ({key: one[key] for key in ("mask", "certainty", "notes")} for one in found)
    assert first == second
    assert np.array_equal(decode_mask(first["mask"], SHAPE)[..., 4], ball()[..., 4] != 0)


def test_a_training_that_had_only_been_accepted(tmp_path: Path) -> None:
    """It is named after the next start, with what to do."""
    with running(tmp_path, free_port()) as (server, process):
        save_ball(server, "straight", ["liver"])
        assert server.ask("POST", "/train/segsam", json=TINY).status_code == 200
        assert server.ask("POST", "/batch/infer/segsam_auto", json={}).status_code == 200
        process.kill()
    with running(tmp_path, free_port()) as (server, _):
        batch = server.get("/batch/infer").json()
        assert (batch["status"], batch["request"]["model"]) == ("ERROR", "segsam_auto"), batch
        assert batch["why"].endswith("the labels that it saved are kept")
        found = server.get("/train/").json()
        assert found["status"] == "ERROR", found
        assert found["why"] == "this training was interrupted before its first step: start it again"
        assert server.get("/info/").json()["train_stats"]["segsam"]["why"] == found["why"]
        assert server.ask("POST", "/train/segsam", json=TINY).status_code == 200
        assert "why" not in server.get("/train/").json()

"""The server answers while the model works, and refuses what it cannot: matrix L1, L2, L5, F10.

No test here depends on times: each checks the order of events.
"""

from __future__ import annotations

import json
import select
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import nibabel
import numpy as np
import pytest
import requests

pytestmark = pytest.mark.usefixtures("no_file_left")

EVERY_SLICE = {
    "prompts": {"boxes": [{"min_ijk": [17, 16, 1], "max_ijk": [43, 36, 7]}]},
    "axis": "all",
    "result": "region",
}
"""Request with some fifty slices to encode: minutes on one core."""


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def fresh_image(server: Any, name: str) -> None:
    """Add an image of which no slice is in the cache."""
    seed = np.random.default_rng(sum(name.encode()))
    voxels = seed.normal(100, 30, (64, 56, 8)).astype(np.int16)
    content = nibabel.Nifti1Image(voxels, np.diag([1.5, 1.5, 4, 1])).to_bytes()
    files = {"file": ("x.nii", content)}
    assert server.ask("PUT", "/datastore/image", params={"image": name}, files=files).ok


def long_request(server: Any, image: str, seconds: float) -> requests.Response | None:
    """Send an inference whose client disconnects after `seconds`; return None if it did."""
    try:
        return server.infer({"image": image}, params=json.dumps(EVERY_SLICE), timeout=seconds)
    except requests.Timeout:
        return None


def until(server: Any, running: int, waiting: int) -> None:
    deadline = time.monotonic() + 120
    health: dict[str, Any] = {}
    while time.monotonic() < deadline:
        health = server.get("/segsam/health").json()
        if (health["running"], health["waiting"]) == (running, waiting):
            return
        time.sleep(0.05)
    pytest.fail(f"the queue never had {running} + {waiting}: {health}")


@contextmanager
def asked(server: Any, image: str) -> Iterator[HTTPConnection]:
    """Send an inference without reading its reply; disconnect at the end of the block."""
    with closing(HTTPConnection(server.url.removeprefix("http://"))) as connection:
        form = urlencode({"params": json.dumps(EVERY_SLICE)})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", f"/infer/segsam?image={image}", form, kind)
        yield connection


def test_other_requests_are_answered_meanwhile(server: Any) -> None:
    fresh_image(server, "meanwhile")
    drawn = nibabel.Nifti1Image(np.ones((64, 56, 8), np.uint8), np.diag([1.5, 1.5, 4, 1]))
    with ExitStack() as clients:
        busy = [clients.enter_context(asked(server, "meanwhile")) for _ in range(4)]
        until(server, 1, 3)
        files = {"label": ("x.nii", drawn.to_bytes())}
        answers = [
            server.get("/info/"),
            server.ask("PUT", "/datastore/label", params={"image": "meanwhile"}, files=files),
            server.get("/datastore/", params={"output": "all"}),
            server.get("/segsam/health"),
            server.get("/metrics"),
        ]
        assert [reply.status_code for reply in answers] == [200] * 5
        answered, _, _ = select.select([one.sock for one in busy], [], [], 0)
        assert not answered
    until(server, 0, 0)  # the clients have disconnected, so nothing is computed


def test_the_queue_is_full_and_the_deadline_passes(tight: Any, threads: ThreadPoolExecutor) -> None:
    fresh_image(tight, "queue")
    ask: list[Future[requests.Response | None]] = []
    for waiting in (0, 1):
        ask.append(threads.submit(long_request, tight, "queue", 120))
        until(tight, 1, waiting)
    refused = tight.infer({"image": "queue"}, params=json.dumps(EVERY_SLICE))
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert int(refused.headers["retry-after"]) > 0
    late = [future.result() for future in ask]
    assert [reply.status_code for reply in late if reply is not None] == [504, 504]
    assert all(reply.json()["code"] == "timeout" for reply in late if reply is not None)
    until(tight, 0, 0)


def test_a_client_that_disconnects_leaves_nothing(server: Any, threads: ThreadPoolExecutor) -> None:
    content = (server.studies / "straight.nii.gz").read_bytes()

    def disconnect(number: int) -> None:
        files = {"file": ("x.nii.gz", content), "params": (None, json.dumps(EVERY_SLICE))}
        with pytest.raises(requests.Timeout):
            server.ask("POST", "/infer/segsam", files=files, timeout=0.5 + number / 10)

    list(threads.map(disconnect, range(8)))
    until(server, 0, 0)
    assert server.get("/info/").status_code == 200

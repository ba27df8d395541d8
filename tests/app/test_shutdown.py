"""A server that is asked to end has ended ten seconds later, whatever its clients do (C14)."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from segsam_app.training.progress import LEARNING, STOPPED, read_progress

from ..warm_python import WarmPython
from .conftest import ROOT, Server, _wait_until_up, environment, free_port, soon, write_images
from .routes.test_training import save_ball

SECONDS = 10
EVERY_SLICE = {
    "prompts": {"boxes": [{"min_ijk": [17, 16, 1], "max_ijk": [43, 36, 7]}]},
    "axis": "all",
    "result": "region",
}
ENDLESS = {"max_epochs": 1000, "minutes": 60, "slices": 4, "copies": 0, "train_batch_size": 2}
WAYS = {
    "monailabel": (signal.SIGTERM, []),
    "asgi": (signal.SIGINT, ["--uvicorn_app", "segsam_app.asgi:app"]),
}
"""How the server is started, and how it is asked to end."""


@contextmanager
def running(base: Path, options: list[str], checkpoint: Path, python: WarmPython) -> Iterator[Any]:
    """Run a server with many images, so that a task with all of them does not end by itself."""
    folders = [base / name for name in ("studies", "tmp", "sessions")]
    for folder in folders:
        folder.mkdir()
    write_images(folders[0])
    for number in range(200):
        (folders[0] / f"copy{number}.nii.gz").hardlink_to(folders[0] / "straight.nii.gz")
    noise = np.random.default_rng(0).bytes(48 << 20)
    (folders[0] / "large.nii").write_bytes(noise)
    port = free_port()
    server = Server(f"http://127.0.0.1:{port}", *folders, log=base / "server.log")
    command = ["-m", "monailabel.main", "start_server", "--host", "127.0.0.1"]
    command += ["--app", str(ROOT / "monailabel_app"), "--studies", str(server.studies)]
    command += ["--port", str(port), "--conf", "checkpoint", str(checkpoint), *options]
    process = python.start(command, cwd=base, env=environment(server), output=server.log)
    try:
        _wait_until_up(process, server)
        yield server, process
    finally:
        process.kill()
        process.wait(timeout=30)


def connected(server: Server, head: str, body: bytes = b"") -> socket.socket:
    """Send a request by hand, and neither the rest of it nor read the reply."""
    host, port = server.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    client.sendall(f"{head}\r\nHost: {host}:{port}\r\n".encode() + body)
    return client


def slow_upload(server: Server) -> socket.socket:
    head = "PUT /datastore/image?image=slow HTTP/1.1\r\nContent-Length: 1000000"
    return connected(server, head, b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")


def deaf_client(server: Server) -> socket.socket:
    return connected(server, "GET /datastore/image?image=large HTTP/1.1", b"\r\n")


def waiting_inference(server: Server) -> socket.socket:
    params = json.dumps(EVERY_SLICE).encode()
    form = b"params=" + params.replace(b"+", b"%2B")
    head = f"POST /infer/segsam?image=straight HTTP/1.1\r\nContent-Length: {len(form)}"
    kind = b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    return connected(server, head, kind + form)


def task_processes(process: Any) -> dict[str, psutil.Process]:
    """Return the processes of MONAI Label's tasks, by kind."""
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        command = child.cmdline()
        if "monailabel.interfaces.utils.app" in command:
            found[command[command.index("-m", command.index("-m") + 1) + 1]] = child
    return found


def post(server: Server, path: str, params: Any) -> None:
    reply = server.ask("POST", path, json=params)
    assert reply.status_code == 200, reply.text


def progress_of(base: Path) -> dict[str, Any]:
    files = list((base / "versions").glob("*/training.json"))
    return read_progress(files[0].parent) if files else {}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_it_ends_whatever_its_clients_do(
    tmp_path: Path, standin: Path, warm_monailabel: WarmPython, way: str
) -> None:
    number, options = WAYS[way]
    start = running(tmp_path, options, standin, warm_monailabel)
    with start as (server, process), ExitStack() as clients:
        for image in ("straight", "oblique"):
            save_ball(server, image, ["ball"])
        post(server, "/train/segsam", ENDLESS)
        post(server, "/train/segsam?enqueue=true", ENDLESS)  # it waits, and may not begin
        assert soon(lambda: progress_of(tmp_path).get("status") == LEARNING, seconds=400)
        post(server, "/batch/infer/segsam_auto", {})
        post(server, "/scoring/overview", {})
        for make in (slow_upload, deaf_client, waiting_inference, waiting_inference):
            clients.enter_context(closing(make(server)))
        assert soon(lambda: len(task_processes(process)) == 3, seconds=300)
        tasks = task_processes(process)
        assert soon(lambda: server.get("/segsam/health").json()["waiting"] == 1, seconds=60)
        before = time.monotonic()
        process.send_signal(number)
        process.wait(timeout=60)
        seconds = time.monotonic() - before
        assert seconds < SECONDS, f"status {process.returncode}"
        assert not tasks["batch_infer"].is_running()
        assert not tasks["scoring"].is_running()
        assert soon(lambda: not tasks["train"].is_running(), seconds=120)
    progress = progress_of(tmp_path)
    assert progress["status"] == STOPPED, progress
    assert "continues from here" in progress["why"]
    assert "Traceback" not in server.log.read_text()


BUSY = """
import ctypes, sys, threading
import uvicorn
from segsam_app.web import shutdown

shutdown.SECONDS, shutdown.GRACE_SECONDS = 1.0, 0.5
ending = shutdown.Shutdown()

def compute():
    ending._begun.wait()
    ctypes.PyDLL(None).sleep(60)  # keeps every other thread of Python from running

async def app(scope, receive, send):
    await receive()
    ending.install()
    threading.Thread(target=compute, daemon=True).start()
    await send({"type": "lifespan.startup.complete"})
    sys.stdout.write("up\\n")
    sys.stdout.flush()
    await receive()

uvicorn.run(app, port=0, lifespan="on", log_level="error")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer of the system")
def test_it_ends_also_when_no_thread_of_python_can_run() -> None:
    command = [sys.executable, "-c", BUSY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        assert process.wait(timeout=30) in (-signal.SIGALRM, 128 + signal.SIGTERM)

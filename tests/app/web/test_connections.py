"""Silent, slow and too many clients: their connections end, and the server answers the others."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segsam_app.web import connections

from ...warm_python import WarmPython
from ..conftest import Server, nothing_new, soon, started

TOKEN = "a-token-for-the-tests"


def connected(server: Server) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def reply_to(line: socket.socket) -> bytes:
    """Return everything until the server closes the connection."""
    answer = b""
    try:
        while piece := line.recv(65536):
            answer += piece
    except ConnectionError:
        pass
    return answer


class TestHeadsOfRequests:
    """The time of the server `tight` is 2 s."""

    def test_a_silent_client_is_cut_off(self, tight: Server) -> None:
        with connected(tight) as line:
            assert reply_to(line).startswith(b"HTTP/1.1 408")

    def test_a_header_a_second_does_not_keep_a_connection(self, tight: Server) -> None:
        with connected(tight) as line:
            line.sendall(b"GET /info/ HTTP/1.1\r\n")
            for number in range(6):
                time.sleep(0.8)
                try:
                    line.sendall(f"X-{number}: y\r\n".encode())
                except OSError:
                    break
            assert not reply_to(line).startswith(b"HTTP/1.1 2")

    def test_a_second_request_has_the_same_time(self, tight: Server) -> None:
        head = (
            f"GET /segsam/health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        )
        with connected(tight) as line:
            line.sendall(f"{head}\r\n{head}".encode())
            answer = reply_to(line)
            assert answer.count(b"HTTP/1.1 200") == 1
        assert tight.get("/info/").status_code == 200

    def test_what_is_no_http_is_refused_in_our_words(self, tight: Server) -> None:
        with connected(tight) as line:
            line.sendall(b"this is no request\r\n\r\n")
            head, _, body = reply_to(line).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert b"application/json" in head
        assert json.loads(body)["detail"] == "expected a request of HTTP/1.1, got something else"

    def test_two_hundred_of_them_keep_nobody_out(self, tight: Server) -> None:
        lines = [connected(tight) for _ in range(200)]
        assert tight.get("/info/").status_code == 200
        for line in lines:
            assert b" 200 " not in reply_to(line)
            line.close()


def test_the_body_of_a_refused_request_is_cut_off(tight: Server) -> None:
    """Without a token, with a wrong address, and to a route without body."""
    for head in (
        "POST /train/segsam HTTP/1.1\r\nHost: localhost",
        "POST /train/segsam HTTP/1.1\r\nHost: elsewhere.example",
        f"GET /info/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}",
    ):
        with connected(tight) as line:
            line.sendall(f"{head}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            sent = 0
            try:
                while sent < 2**27:
                    sent += line.send(b"10000\r\n" + bytes(65536) + b"\r\n")
            except OSError:
                pass
            assert sent < 2**26


def test_a_reply_after_a_whole_body_keeps_the_connection(tight: Server) -> None:
    head = "POST /train/segsam HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    with connected(tight) as line:
        for _ in range(2):
            line.sendall(head.encode())
            answer = b""
            while b'"}' not in answer:
                answer += line.recv(65536)
            assert answer.startswith(b"HTTP/1.1 401")
            assert b"connection: close" not in answer.lower()


@pytest.fixture
def alone(tmp_path: Path, warm_monailabel: WarmPython) -> Iterator[Server]:
    conf = ("--conf", "checkpoint", "litemedsam", "--conf", "warm", "off")
    with started(tmp_path, *conf, python=warm_monailabel) as running:
        yield running


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit and /proc")
def test_without_file_descriptors_no_reply_is_a_bug(alone: Server) -> None:
    import resource

    def seconds_of_work() -> float:
        times = Path(f"/proc/{alone.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")

    assert alone.get("/info/").status_code == 200
    open_files = len(list(Path(f"/proc/{alone.pid}/fd").iterdir()))
    before = resource.prlimit(alone.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(alone.pid, resource.RLIMIT_NOFILE, (open_files + 8, before[1]))
    size, work = alone.log.stat().st_size, seconds_of_work()
    lines = [connected(alone) for _ in range(100)]
    statuses = [status_of(alone, path) for path in ("/info/", "/datastore/", "/ohif/") * 5]
    time.sleep(3)
    assert set(statuses) <= {0, 200, 503, 507}
    assert seconds_of_work() - work < 3
    assert alone.log.stat().st_size - size < 50_000
    for line in lines:
        line.close()
    resource.prlimit(alone.pid, resource.RLIMIT_NOFILE, before)
    assert soon(lambda: status_of(alone, "/info/") == 200)


def status_of(server: Server, path: str) -> int:
    """Return the status of a reply, 0 if there was none."""
    try:
        return server.get(path, timeout=5).status_code
    except OSError:
        return 0


class TestExhaustion:
    def test_one_line_is_logged_and_other_errors_pass(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        passed: list[Any] = []

        async def run() -> None:
            loop = asyncio.get_running_loop()
            loop.default_exception_handler = passed.append  # type: ignore[method-assign]
            connections.survive_exhaustion(loop)
            for _ in range(2000):
                error = OSError(errno.EMFILE, "Too many open files")
                loop.call_exception_handler({"message": "accept", "exception": error})
            loop.call_exception_handler({"message": "other", "exception": ValueError()})

        with caplog.at_level(logging.WARNING):
            asyncio.run(run())
        assert len(caplog.records) == 1
        assert [context["message"] for context in passed] == ["other"]


class TestTheWholeDataSet:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Referer": "https://elsewhere.example/page"},
            {"Origin": "https://elsewhere.example"},
            {"Origin": "null"},
        ],
        ids=str,
    )
    def test_a_page_elsewhere_gets_and_changes_nothing(
        self, server: Server, headers: dict[str, str]
    ) -> None:
        for method, path in (("GET", "/datastore/dataset"), ("POST", "/activelearning/random")):
            reply = server.ask(method, path, headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (400, "origin")

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Sec-Fetch-Site": "same-origin", "Referer": "http://127.0.0.1:1/"},
            {"Sec-Fetch-Site": "none"},
        ],
        ids=str,
    )
    def test_others_get_it_and_no_file_is_left(
        self, server: Server, headers: dict[str, str]
    ) -> None:
        with nothing_new(server.temporary):
            assert server.get("/datastore/dataset", headers=headers).status_code in (200, 404)

    def test_a_link_to_a_page_works_from_anywhere(self, server: Server) -> None:
        headers = {"Sec-Fetch-Site": "cross-site", "Referer": "https://elsewhere.example/"}
        assert server.get("/", headers=headers).status_code == 200

"""Bodies that are too large, too slow or declare a wrong size: matrix B8, F11."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from ..conftest import soon

TOKEN = "a-token-for-the-tests"


def send(server: Any, head: str, *pieces: bytes, pause: float = 0) -> bytes:
    """Return the reply to raw bytes."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as line:
        access = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        line.sendall(head.replace("\n", "\r\n").format(access).encode() + b"\r\n")
        for piece in pieces:
            try:
                line.sendall(piece)
            except OSError:
                break
            time.sleep(pause)
        answer = b""
        try:
            while piece := line.recv(65536):
                answer += piece
                if b"\r\n\r\n" in answer and b'"}' in answer:
                    break
        except OSError:
            pass
        return answer


def test_an_upload_beyond_the_limit(tight: Any) -> None:
    for size in (1 << 20, 5 << 20):
        files = {"file": ("x.nii", bytes(size))}
        reply = tight.ask("PUT", "/datastore/image", params={"image": "big"}, files=files)
        assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
        assert "1 MB" in reply.json()["detail"]


def test_an_upload_without_a_declared_size(tight: Any) -> None:
    def pieces() -> Any:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.nii"\r\n\r\n'
        for _ in range(20):
            yield bytes(100_000)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    reply = tight.ask("PUT", "/datastore/image?image=big", data=pieces(), headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")


def test_other_bodies_have_a_smaller_limit(tight: Any) -> None:
    reply = tight.ask("POST", "/activelearning/random", json={"client_id": "x" * 70_000})
    assert (reply.status_code, reply.json()["detail"][:40]) == (
        413,
        "the body of this request may have 64 kB;",
    )
    reply = tight.ask("POST", "/activelearning/random", json={"client_id": "x" * 60_000})
    assert reply.status_code == 200


def test_an_invalid_content_length(tight: Any) -> None:
    for size in ("x", "-1", "1e3", "9" * 30):
        answer = send(tight, f"POST /train/x HTTP/1.1\nContent-Length: {size}\n{{}}")
        assert answer.split(b" ")[1:2] in ([b"400"], [b"413"])


def test_a_body_that_never_ends(tight: Any) -> None:
    head = "POST /activelearning/random HTTP/1.1\nTransfer-Encoding: chunked\n{}"
    assert b"408" in send(tight, head, b"5\r\n12345\r\n").split(b"\r\n")[0]


def test_a_client_that_sends_a_byte_a_second(tight: Any) -> None:
    head = "POST /activelearning/random HTTP/1.1\nContent-Length: 1000\n{}"
    answer = send(tight, head, *[b"x"] * 5, pause=0.8)
    assert b"408" in answer.split(b"\r\n")[0]
    assert tight.get("/info/").status_code == 200


def test_a_form_of_a_thousand_parts(server: Any) -> None:
    files = [("params", (None, "{}"))] * 1001
    assert server.ask("POST", "/infer/segsam", files=files).status_code == 400


def test_a_request_for_thousands_of_ranges(server: Any) -> None:
    ranges = ",".join(f"{n}-{n + 1}" for n in range(0, 4000, 2))
    reply = server.get("/datastore/image?image=straight", headers={"Range": f"bytes={ranges}"})
    assert reply.status_code in (200, 206, 400, 416)
    assert len(reply.content) < 1 << 20


def test_unknown_methods(server: Any) -> None:
    for method in ("TRACE", "PROPFIND", "PATCH"):
        assert server.ask(method, "/info/").status_code == 405
    assert soon(lambda: 'method="other"' in server.get("/metrics").text)
    assert "PROPFIND" not in server.get("/metrics").text


@pytest.mark.parametrize("name", ["straight.nii.gz", "John Doe 1970-01-01.nii.gz"])
def test_the_request_log_holds_nothing_of_the_request(server: Any, name: str) -> None:
    secret = "left kidney of Jane"
    files = {"file": (f"/home/doe/{name}", b"garbage")}
    params = json.dumps({"foreground": [[31, 27, 5]], "label": secret, "request_id": secret})
    reply = server.infer(params=params, files=files)
    number = reply.headers["x-request-id"]
    assert reply.status_code == 422
    (line,) = server.lines_of(number)
    entry = json.loads(line)
    assert set(entry) == {
        *("time", "request", "method", "route", "status", "bytes_in", "bytes_out", "ms"),
    }
    assert (entry["route"], entry["status"]) == ("/infer/{model}", 422)
    assert entry["bytes_out"] == len(reply.content)
    log = server.log.read_text()
    for word in (secret, "/home/doe", "John Doe", "Jane", "[31, 27, 5]"):
        assert word not in log

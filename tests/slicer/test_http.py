"""Broken and hostile servers: the client gets a sentence to show, and nothing more (B11 of
docs/reliability.md).
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from misbehaving import Misbehaving, answer, raw, serving, silence
from SEGSAMLib.Errors import CancelledError, ClientError
from SEGSAMLib.Server.Client import Client
from SEGSAMLib.Server.Http import Http, HttpRequest
from SEGSAMLib.Server.HttpReply import json_object
from SEGSAMLib.Server.Worker import CancelToken, Progress, Worker
from SEGSAMLib.Values.Address import Address
from SEGSAMLib.Values.Geometry import VolumeGrid
from SEGSAMLib.Values.ImageFiles import ImagePayload, LabelPayload
from SEGSAMLib.Values.Replies import Conflict

INFO = b'{"name": "x", "version": "1", "models": {"m": {"checkpoint": {}}}}'
GRID = VolumeGrid.of((4, 3, 2), np.eye(4))
IMAGE = ImagePayload(np.zeros((2, 3, 4), np.int16), GRID, "key")
TOKEN = "sixteen-characters-at-least"


def client(where: Misbehaving | str, **more: str) -> Client:
    return Client(Address.parse(where if isinstance(where, str) else where.url), **more)


def ignore(*_: object) -> None:
    """Report no progress."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("script", "code", "sentence"),
    [
        (answer(b"<html><body>Welcome</body></html>"), "reply", "a web page"),
        (answer(b"\xff\xfe\x00"), "reply", "no JSON"),
        (answer(b'{"name": NaN}'), "reply", "no JSON"),
        (answer(b"[" * 200_000), "reply", "no JSON"),
        (answer(b"[1, 2]"), "reply", "no JSON object"),
        (answer(b'{"name": ', length=5000), "reply", "cut off"),
        (answer(b"", length=5 << 30), "reply", "announces 5120 MB"),
        (answer(b"{}", "200 OK", "Content-Encoding: gzip"), "reply", "not requested"),
        (answer(b"", "302 Found", "Location: http://evil.example/"), "redirect", "evil.example"),
        (answer(b"", "500 Internal Server Error"), "status", "status 500"),
        (answer(b"x" * 70_000, "502 Bad Gateway"), "status", "The proxy"),
        (answer(b'{"detail": "No.", "code": "unauthorised"}', "401 x"), "unauthorised", "a token"),
        (answer(b'{"detail": 7, "code": []}', "503 x", "Retry-After: soon"), "status", "busy"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "reply", "does not speak HTTP"),
        (raw(b""), "reply", "closed the connection"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n"), "reply", "not speak HTTP"),
        (
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "reply",
            "closed the connection",
        ),
    ],
)
def test_a_broken_answer_is_a_sentence(script: object, code: str, sentence: str) -> None:
    with serving(script) as where:  # type: ignore[arg-type]
        found = client(where).diagnose(CancelToken())
    assert not found.is_ok
    assert found.code == code
    assert sentence in found.line
    assert "\n" not in found.line


def test_a_redirect_is_not_followed() -> None:
    with serving(answer(INFO)) as other:
        moved = answer(b"", "307 Moved", f"Location: {other.url}/info/")
        with serving(moved) as where:
            assert not client(where, token=TOKEN).diagnose(CancelToken()).is_ok
        assert other.requests == []


class TestDiagnosis:
    """Diagnosis of a connection: one line with what to do."""

    def test_a_server_of_ours(self) -> None:
        with serving(answer(INFO)) as where:
            found = client(where).diagnose(CancelToken())
        assert found.is_ok
        assert found.line.startswith("Connected to x 1 at http://127.0.0.1")

    def test_another_monai_label_app(self) -> None:
        with serving(answer(b'{"name": "MONAILabel - Radiology", "models": {"a": {}}}')) as where:
            found = client(where).diagnose(CancelToken())
        assert found.code == "wrong_server"
        assert "Radiology" in found.line

    def test_nobody_is_there(self) -> None:
        found = client(f"http://127.0.0.1:{free_port()}").diagnose(CancelToken())
        assert found.code == "refused"
        assert "start it" in found.line

    def test_no_such_computer(self) -> None:
        found = client("http://no-such-computer.invalid:8000").diagnose(CancelToken())
        assert found.code == "dns"

    def test_plain_http_where_tls_was_wanted(self) -> None:
        with serving(answer(INFO)) as where:
            found = client(where.url.replace("http:", "https:")).diagnose(CancelToken())
        assert found.code == "tls"
        assert "http:// instead of https://" in found.line

    def test_too_slow(self) -> None:
        with serving(silence) as where, pytest.raises(ClientError, match="did not answer") as got:
            Http(Address.parse(where.url)).send(
                HttpRequest("GET", "/", reply_seconds=0.2), CancelToken()
            )
        assert got.value.code == "timeout"

    def test_wait_as_long_as_the_server_asks(self) -> None:
        script = answer(b'{"detail": "Full.", "code": "busy"}', "503 x", "Retry-After: 7")
        with serving(script) as where, pytest.raises(ClientError, match="Full") as got:
            client(where).info(CancelToken())
        assert (got.value.code, got.value.retry_seconds) == ("busy", 7.0)


class TestCancel:
    """Cancelling ends the connection, so that the server hears of it too."""

    def test_while_the_server_thinks(self) -> None:
        hung_up = threading.Event()

        def think(connection: socket.socket, request: bytes) -> None:
            silence(connection, request)
            hung_up.set()

        with serving(think) as where:
            cancel = CancelToken()
            threading.Timer(0.3, cancel.set).start()
            with pytest.raises(CancelledError):  # not the time-out's error
                client(where).info(cancel)
            assert hung_up.wait(60)

    def test_an_endless_answer(self) -> None:
        def pour(connection: socket.socket, request: bytes) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while True:
                connection.sendall(b" ")
                time.sleep(0.05)

        with serving(pour) as where:
            cancel = CancelToken()
            threading.Timer(0.3, cancel.set).start()
            with pytest.raises(CancelledError):
                client(where).info(cancel)

    def test_the_worker_answers_at_once(self) -> None:
        with serving(silence) as where:
            worker, remote = Worker(), client(where)
            worker.start("segment", lambda cancel, report: remote.info(cancel))
            time.sleep(0.1)
            worker.cancel("segment")
            assert not worker.is_busy
            assert [event.kind for event in worker.poll()] == ["cancelled"]


class TestToken:
    def test_it_goes_into_its_header_and_nowhere_else(self) -> None:
        with serving(answer(INFO)) as where:
            client(where, token=TOKEN).info(CancelToken())
            (request,) = where.requests
        assert request.count(TOKEN.encode()) == 1
        assert f"Authorization: Bearer {TOKEN}".encode() in request

    @pytest.mark.parametrize("token", ["with blank", "two\r\nlines", "ünicode"])
    def test_what_no_token_is(self, token: str) -> None:
        with pytest.raises(ClientError, match="Expected a token"):
            client("http://127.0.0.1:1", token=token)


class TestFiles:
    """Nothing that a server names is a path here."""

    @pytest.mark.parametrize("name", ["../../evil.sh", "/etc/passwd", "", "image.exe", "nii.gz\0"])
    def test_the_name_of_a_file_counts_for_nothing(self, name: str) -> None:
        sample = answer(b'{"id": "one"}')
        file = answer(b"data", "200 OK", f'Content-Disposition: attachment; filename="{name}"')
        before = set(Path(tempfile.gettempdir()).glob("segsam-*"))
        with serving(sample, file) as where, pytest.raises(ClientError):
            client(where).next_sample("first", CancelToken(), ignore)
        assert set(Path(tempfile.gettempdir()).glob("segsam-*")) == before

    def test_a_path_before_a_good_ending_is_left_out(self) -> None:
        file = answer(b"data", "200 OK", 'Content-Disposition: a; filename="../../x/evil.nii.gz"')
        none = answer(b'{"current": 0, "versions": []}')
        with serving(answer(b'{"id": "one", "why": "so"}'), file, none) as where:
            sample = client(where).next_sample("first", CancelToken(), ignore)
        assert sample is not None
        path = Path(sample.path)
        assert path.parent == Path(tempfile.gettempdir())
        assert path.name.startswith("segsam-")
        assert "evil" not in path.name
        path.unlink()

    @pytest.mark.parametrize("image_id", [b'"../x"', b'".."', b"7", b'"a/b"', b'""'])
    def test_ids_that_are_none(self, image_id: bytes) -> None:
        with (
            serving(answer(b'{"id": %s}' % image_id)) as where,
            pytest.raises(ClientError, match="id of an image"),
        ):
            client(where).next_sample("first", CancelToken(), ignore)

    def test_the_next_image_comes_with_its_notes(self) -> None:
        refused = b'"refused": {"count": 7, "images": {"a": "x", "b": "y"}}'
        body = b'{"id": "one", "why": "so", "notes": ["left and right"], %s}' % refused
        none = answer(b'{"current": 0, "versions": []}')
        file = answer(b"data", "200 OK", 'Content-Disposition: a; filename="x.nii.gz"')
        with serving(answer(body), file, none) as where:
            sample = client(where).next_sample("first", CancelToken(), ignore)
        assert sample is not None
        Path(sample.path).unlink()
        assert sample.notes == (
            "left and right",
            "7 image(s) cannot be opened: a, b and others.",
        )

    def test_no_image_that_can_be_opened_is_not_the_end_of_the_work(self) -> None:
        body = b'{"why": "Every image is damaged.", "refused": {"count": 1, "images": {"a": "x"}}}'
        with (
            serving(answer(body)) as where,
            pytest.raises(ClientError, match="Every image is damaged"),
        ):
            client(where).next_sample("first", CancelToken(), ignore)

    def test_a_session_that_is_none(self) -> None:
        with (
            serving(answer(b'{"session_id": "../../x"}')) as where,
            pytest.raises(ClientError, match="id of a session"),
        ):
            client(where).uploads.open(IMAGE, CancelToken(), ignore)

    def test_what_goes_out_names_no_patient(self) -> None:
        with serving(answer(b'{"session_id": "s1"}')) as where:
            remote = client(where)
            remote.uploads.open(IMAGE, CancelToken(), ignore)
            remote.uploads.open(IMAGE, CancelToken(), ignore)
            assert len(where.requests) == 1  # once for the same voxels
            assert b'filename="image.nrrd"' in where.requests[0]


class TestSessions:
    def test_one_that_has_ended_is_opened_again(self) -> None:
        gone = answer(b'{"detail": "The session has ended.", "code": "gone"}', "410 Gone")
        reply = answer(b'{"request_id": "r", "mask": null, "axes": ["k"]}')
        with serving(
            answer(b'{"session_id": "s1"}'), gone, answer(b'{"session_id": "s2"}'), reply
        ) as where:
            request = {"request_id": "r", "result": "region"}
            found = client(where).infer("segsam", IMAGE, request, CancelToken(), ignore)
            sent = [request.split(b" ", 2)[1] for request in where.requests]
        assert found.region is None
        assert b"session_id=s1" in sent[1]
        assert b"session_id=s2" in sent[3]


def test_progress_is_asked_for_until_the_answer_is_there() -> None:
    not_yet = answer(b'{"detail": "It waits for its turn."}', "404 x")
    ended, reported = threading.Event(), []

    def report(progress: Progress) -> None:
        reported.append(progress)
        ended.set()

    with serving(not_yet, answer(b'{"done": 3, "planned": 10}')) as where:
        client(where)._watch_progress("r", ended, report)
    assert reported == [Progress(3, 10, "slice 3 of 10")]


def test_a_conflict_is_a_value() -> None:
    label = LabelPayload(np.ones((2, 3, 4), np.uint8), GRID, "one", 1, {1: "liver"})
    clash = answer(b'{"detail": "Saved by B.", "code": "conflict"}', "409 Conflict")
    kept = answer(
        b'{"current": 2, "versions": [{"version": 1, "kind": "saved"},'
        b'{"version": 2, "kind": "saved", "user": "B", "names": {"1": "liver"}},'
        b'{"version": 3, "kind": "conflict", "user": "A"}]}'
    )
    with serving(clash, kept) as where:
        found = client(where).submit(label, "A", CancelToken(), ignore)
        assert b'If-Match: "1"' in where.requests[0]
        assert b'"label_names": {"liver": 1}' in where.requests[0]
    assert isinstance(found, Conflict)
    assert found.own_version == 3
    assert found.current is not None
    assert (found.current.number, found.current.user, found.current.names) == (2, "B", {1: "liver"})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of our own for 127.0.0.1, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, pem = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(
            [*command, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl is not here to make a certificate")
    both = folder / "both.pem"
    both.write_text(key.read_text() + pem.read_text())
    return both


class TestTls:
    def test_a_certificate_that_nobody_vouches_for(self, certificate: Path) -> None:
        with serving(answer(INFO), tls=_context(certificate)) as where:
            found = client(where).diagnose(CancelToken())
            assert where.requests == []
        assert found.code == "tls"
        assert "certificate is not accepted" in found.line

    def test_the_hospitals_own(self, certificate: Path) -> None:
        with serving(answer(INFO), tls=_context(certificate)) as where:
            remote = client(where, ca_file=str(certificate.with_name("cert.pem")))
            assert remote.diagnose(CancelToken()).is_ok

    def test_for_another_name(self, certificate: Path) -> None:
        with serving(answer(INFO), tls=_context(certificate)) as where:
            url = where.url.replace("127.0.0.1", "localhost")
            found = client(url, ca_file=str(certificate.with_name("cert.pem"))).diagnose(
                CancelToken()
            )
        assert found.code == "tls"

    def test_a_file_that_is_no_certificate(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("hello")
        with pytest.raises(ClientError, match="cannot be read as PEM"):
            client("https://127.0.0.1:1", ca_file=str(tmp_path / "ca.pem"))


def test_a_refusal_during_the_upload_is_read() -> None:
    """A server that does not want a body answers before it has it all."""
    full = answer(b'{"detail": "Too large.", "code": "too_large"}', "413 x")
    with serving(full) as where:
        http = Http(Address.parse(where.url))
        reply = http.send(HttpRequest("PUT", "/session/", body=b"x" * (1 << 20)), CancelToken())
        with pytest.raises(ClientError, match="Too large"):
            json_object(reply)


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context

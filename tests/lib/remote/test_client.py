"""Client of the server, against scripted replies on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from segsam.prompting.prompts import Box, Point, Prompts
from segsam.remote.client import Client, ServerError, prompt_params
from segsam.remote.server import free_port


class Answers(BaseHTTPRequestHandler):
    """A server of scripted answers: (status, content type, body) by path."""

    script: ClassVar[dict[str, tuple[int, str, bytes]]] = {}
    seen: ClassVar[list[tuple[str, bytes]]] = []
    location: ClassVar[str] = ""
    """Where a redirect leads."""
    missing: ClassVar[int] = 0
    """Bytes that an answer declares and lacks."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((f"{self.command} {self.path}", body))
        status, kind, content = self.script[self.path.split("?")[0]]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) + self.missing))
        if self.location:
            self.send_header("Location", self.location)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the test's output."""


@pytest.fixture
def scripted() -> Iterator[tuple[Client, type[Answers]]]:
    Answers.script, Answers.seen = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        client = Client(f"http://127.0.0.1:{server.server_port}")
        yield client, Answers
        client.close()
        server.shutdown()
        thread.join()


class TestClient:
    def test_a_session(self, scripted: tuple[Client, type[Answers]], tmp_path: Path) -> None:
        client, answers = scripted
        answers.script = {
            "/session/": (200, "application/json", b'{"session_id": "abc"}'),
            "/session/abc": (200, "application/json", b"{}"),
        }
        (tmp_path / "image.nrrd").write_bytes(b"voxels")
        assert client.open_session(tmp_path / "image.nrrd") == "abc"
        client.close_session("abc")
        (put, body), (delete, _) = answers.seen
        assert put == "PUT /session/"
        assert b'name="files"; filename="image.nrrd"' in body
        assert str(tmp_path).encode() not in body, "the folder is not sent"
        assert delete == "DELETE /session/abc"

    def test_a_json_reply(self, scripted: tuple[Client, type[Answers]]) -> None:
        client, answers = scripted
        reply = b'{"latencies": {"model": 0.25}, "notes": []}'
        answers.script = {"/infer/segsam": (200, "application/json", reply)}
        answer = client.infer("abc", {"prompts": {}})
        assert answer.file is None
        assert answer.model_seconds == 0.25
        assert answer.seconds > 0
        path, body = answers.seen[0]
        assert path == "POST /infer/segsam?image=&session_id=abc"
        assert body == b"params=%7B%22prompts%22%3A+%7B%7D%7D"

    def test_a_multipart_reply(self, scripted: tuple[Client, type[Answers]]) -> None:
        client, answers = scripted
        content = b"\r\nbinary\n\r--voxels\x00\xff\r\n"
        body = (
            b'--b\r\nContent-Disposition: form-data; name="params"\r\n'
            b'Content-Type: application/json\r\n\r\n{"notes": ["n"]}\r\n--b\r\n'
            b'Content-Disposition: form-data; name="image"; filename="../../evil.nii.gz"\r\n\r\n'
            + content
            + b"\r\n--b--\r\n"
        )
        answers.script = {"/infer/segsam": (200, "multipart/form-data; boundary=b", body)}
        answer = client.infer("abc", {})
        assert answer.params == {"notes": ["n"]}
        assert answer.file == content
        assert answer.file_name == "evil.nii.gz"

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b'{"detail": "the box is reversed", "code": "prompt"}', "the box is reversed"),
            (b"Internal Server Error", "Internal Server Error"),
        ],
    )
    def test_an_error_has_the_servers_message(
        self, scripted: tuple[Client, type[Answers]], content: bytes, sentence: str
    ) -> None:
        client, answers = scripted
        answers.script = {"/infer/segsam": (400, "application/json", content)}
        with pytest.raises(
            ServerError, match=f"POST /infer/segsam was answered with status 400: {sentence}"
        ):
            client.infer("abc", {})

    def test_a_redirect_a_cut_answer_and_a_wrong_token_are_told(
        self, scripted: tuple[Client, type[Answers]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client, answers = scripted
        answers.script = {"/info/": (302, "text/html", b"")}
        monkeypatch.setattr(answers, "location", "https://login.example/")
        with pytest.raises(ServerError, match=r"sent on to 'https://login\.example/'.*log-in page"):
            client.info()
        answers.script = {"/info/": (200, "application/json", b"{}")}
        monkeypatch.setattr(answers, "missing", 5)
        with pytest.raises(ServerError, match="the answer was cut off"):
            client.info()
        with pytest.raises(ServerError, match="the token has a line break"):
            Client(client._address, token="a\nb").info()

    def test_no_server(self) -> None:
        with pytest.raises(ServerError, match="No answer to GET /info/"):
            Client(f"http://127.0.0.1:{free_port()}").info()

    def test_an_image_of_the_studies_folder(self, scripted: tuple[Client, type[Answers]]) -> None:
        client, answers = scripted
        answers.script = {"/infer/segsam": (200, "application/json", b'{"mask": null}')}
        assert client.infer_image("ct_17", {}).params == {"mask": None}
        assert answers.seen[0] == ("POST /infer/segsam?image=ct_17", b"params=%7B%7D")

    def test_a_label_is_sent_with_its_names(
        self, scripted: tuple[Client, type[Answers]], tmp_path: Path
    ) -> None:
        client, answers = scripted
        answers.script = {"/datastore/label": (200, "application/json", b'{"version": 1}')}
        (tmp_path / "l.nii.gz").write_bytes(b"voxels")
        assert client.save_label("ct_17", tmp_path / "l.nii.gz", {"liver": 1}) == {"version": 1}
        path, body = answers.seen[0]
        assert path == "PUT /datastore/label?image=ct_17&tag=final"
        assert b'{"label_names": {"liver": 1}}' in body
        assert b'name="label"; filename="l.nii.gz"' in body

    def test_a_reply_that_is_not_json(self, scripted: tuple[Client, type[Answers]]) -> None:
        client, answers = scripted
        for content in (b"<html>", b"[1]", b"3", b"[" * 100_000):
            answers.script = {"/info/": (200, "text/html", content)}
            with pytest.raises(ServerError, match="Expected a JSON object from the server, got"):
                client.info()


def test_params_of_prompts() -> None:
    prompts = Prompts(
        points=(Point((8, 12, 4), positive=False),), boxes=(Box((5, 9, 1), (11, 15, 7)),)
    )
    assert prompt_params(prompts, "volume") == {
        "prompts": {
            "points": [{"ijk": [8, 12, 4], "positive": False}],
            "boxes": [{"min_ijk": [5, 9, 1], "max_ijk": [11, 15, 7]}],
        },
        "axis": "auto",
        "propagate": False,
        "result": "volume",
    }

"""Every error is a sentence with a status, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import requests
from fastapi import FastAPI

from segsam.errors import VolumeError

UNCLOSED = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""MONAI Label's client leaves its sockets and files to the garbage collector."""

pytestmark = [UNCLOSED, pytest.mark.usefixtures("no_file_left")]

BOX = {"min_ijk": [17, 16, 4], "max_ijk": [43, 36, 4]}
GOOD = {"prompts": {"boxes": [BOX]}, "result": "slice"}


def refused(reply: requests.Response) -> tuple[int, str, str]:
    """Return (status, code, sentence); every error has this form."""
    body = reply.json()
    assert set(body) == {"detail", "code"}
    assert isinstance(body["detail"], str)
    return reply.status_code, body["code"], body["detail"]


def point(*ijk: object) -> dict[str, Any]:
    return {"prompts": {"points": [{"ijk": list(ijk)}]}}


def both(*ijk: object) -> dict[str, Any]:
    """Prompts with one voxel inside the object and outside it."""
    points = [{"ijk": list(ijk), "positive": positive} for positive in (True, False)]
    return {"prompts": {"points": points}}


def box(low: list[int], high: list[int]) -> dict[str, Any]:
    return {"prompts": {"boxes": [{"min_ijk": low, "max_ijk": high}]}}


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({}, "prompt", "at least one point or box"),
        ({"prompts": {}}, "prompt", "at least one point or box"),
        ({"foreground": [], "background": [], "roi": []}, "prompt", "at least one"),
        ({"background": [[1, 1, 1]]}, "prompt", "positive"),
        (point(64, 0, 0), "prompt", "outside the volume of 64x56x8"),
        (point(-1, 0, 0), "prompt", "outside the volume"),
        (point(0.5, 0, 0), "prompt", "three whole numbers"),
        (both(9, 8, 4), "prompt", "The point (9, 8, 4) is positive and negative"),
        (
            {"foreground": [[9, 8, 4]], "background": [[9.2, 8, 4]]},
            "prompt",
            "The point (9, 8, 4) is positive and negative",
        ),
        ({"foreground": [[9, 8, 4]], "label": "li\nver"}, "request", "U+000A"),
        (box([40, 10, 4], [10, 30, 4]), "prompt", "reversed along i"),
        (box([10, 10, 4], [10, 10, 4]), "prompt", "degenerate"),
        (box([70, 70, 4], [80, 80, 4]), "prompt", "wholly outside"),
        ({"roi": [70, 80, 0, 5, 0, 5]}, "prompt", "roi is outside the image"),
        ({**GOOD, "result": "mesh"}, "request", "got 'mesh'"),
        ({**GOOD, "propogate": True}, "request", "got propogate. The nearest is propagate."),
        ({**GOOD, "image": "/etc/passwd"}, "request", "got image."),
        ({**GOOD, "axis": "all"}, "request", 'ask for "region"'),
        ({**GOOD, "propagate": True}, "request", 'ask for "region"'),
        ({**GOOD, "propagate": "memory"}, "request", 'ask for "region"'),
        ({**GOOD, "propagate": "memory", "result": "region"}, "prompt", "a host with a memory"),
        ({"roi": [17, 43, 16, 36, 1, 7], "propagate": "memory"}, "prompt", "a host with a memory"),
        ({**GOOD, **box([1, 1, 1], [9, 9, 5])}, "request", "lie on 5 slices along k"),
        ({**GOOD, "category": "unicorn"}, "category", "unicorn"),
        ({**GOOD, "decoder": "semantic"}, "prompt", "with a trained semantic decoder"),
        ({**GOOD, "window": "sunset"}, "request", "unknown window 'sunset'"),
        ({**GOOD, "roi": [1, 2, 3, 4, 5, 6]}, "request", "two dialects"),
    ],
    ids=str,
)
def test_an_invalid_request_is_refused(
    server: Any, params: dict[str, Any], code: str, words: str
) -> None:
    status, word, sentence = refused(server.infer({"image": "straight"}, params=json.dumps(params)))
    assert words in sentence
    assert word == code
    assert status == 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "params is not JSON"),
        ("[1, 2]", "must be a JSON object, got an array"),
        ('{"window": [NaN, 1]}', "holds NaN"),
        ("[" * 100_000, "nested too deeply"),
    ],
    ids=["torn", "array", "nan", "deep"],
)
def test_anything_but_a_json_object_is_refused(server: Any, text: str, words: str) -> None:
    status, code, sentence = refused(server.infer({"image": "straight"}, params=text))
    assert (status, code) == (400, "request")
    assert words in sentence


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("movie", "4"),
        ("hole", "NaN"),
        ("sheared", "shear"),
        ("text", "text.nii.gz"),
    ],
)
def test_an_image_that_cannot_be_segmented_is_refused(server: Any, image: str, words: str) -> None:
    status, code, sentence = refused(server.infer({"image": image}, params=json.dumps(GOOD)))
    assert (status, code) == (422, "volume")
    assert words.lower() in sentence.lower()
    assert str(server.studies) not in sentence


def test_a_header_of_a_huge_image_is_refused(server: Any) -> None:
    status, code, sentence = refused(server.infer({"image": "huge"}, params=json.dumps(GOOD)))
    assert (status, code) == (413, "too_large")
    assert "1024x1024x512" in sentence


def test_a_form_field_of_megabytes_is_refused(server: Any) -> None:
    status, _, sentence = refused(server.infer({"image": "straight"}, params="x" * 3_000_000))
    assert status in (400, 413)
    assert "exceeded" in sentence


class TestNotFound:
    def test_an_image(self, server: Any) -> None:
        reply = server.infer({"image": "nowhere"}, params=json.dumps(GOOD))
        assert refused(reply) == (
            404,
            "not_found",
            "there is no image 'nowhere' in the study folder",
        )

    def test_no_image_at_all(self, server: Any) -> None:
        status, code, sentence = refused(server.infer(params=json.dumps(GOOD)))
        assert (status, code) == (400, "request")
        assert "image=<id>" in sentence

    def test_a_path_is_no_id_even_if_it_exists(self, server: Any) -> None:
        path = server.studies / "straight.nii.gz"
        assert path.exists()
        for image in (str(path), "../studies/straight.nii.gz", "/etc/passwd"):
            status, code, _ = refused(server.infer({"image": image}, params=json.dumps(GOOD)))
            assert (status, code) == (400, "request")
        reply = server.infer({"image": "straight.nii.gz"}, params=json.dumps(GOOD))
        assert refused(reply)[:2] == (404, "not_found")

    def test_a_session(self, server: Any) -> None:
        query = {"image": "straight", "session_id": "gone"}
        status, code, sentence = refused(server.infer(query, params=json.dumps(GOOD)))
        assert (status, code) == (404, "not_found")
        assert "send the image again" in sentence
        for session in ("../studies", "a/b", "x" * 5000):
            query = {"image": "straight", "session_id": session}
            reply = server.infer(query, params=json.dumps(GOOD))
            assert refused(reply)[:2] == (400, "request")

    def test_of_two_images_none_is_dropped(self, server: Any) -> None:
        content = (server.studies / "oblique.nii.gz").read_bytes()
        upload = {"files": ("o.nii.gz", content)}
        made = server.ask("PUT", "/session/", files=upload).json()["session_id"]
        file, straight = {"file": ("o.nii.gz", content)}, {"image": "straight"}
        for query, files, named in (
            (straight, file, "image=straight and the file 'o.nii.gz'"),
            ({**straight, "session_id": made}, {}, f"image=straight and session_id={made}"),
            ({"session_id": made}, file, f"session_id={made} and the file 'o.nii.gz'"),
        ):
            reply = server.infer(query, params=json.dumps(GOOD), files=files)
            sentence = f"expected one image, got {named}; send one of them"
            assert refused(reply) == (400, "request", sentence)
        mixed = [("files", ("a.dcm", b"x")), ("files", ("o.nii.gz", content))]
        status, _, sentence = refused(server.ask("PUT", "/session/", files=mixed))
        assert (status, "'o.nii.gz' among them" in sentence) == (422, True)
        server.ask("DELETE", f"/session/{made}")

    def test_a_model(self, server: Any) -> None:
        reply = requests.post(f"{server.url}/infer/other?image=straight", timeout=30)
        assert refused(reply) == (
            404,
            "not_found",
            "there is no model 'other'; this server has: segsam, standin, segsam_auto",
        )

    def test_whole_slides(self, server: Any) -> None:
        url = f"{server.url}/infer/wsi/segsam?image=/etc/passwd"
        status, code, _ = refused(requests.post(url, json={}, timeout=30))
        assert (status, code) == (404, "not_found")

    def test_a_route(self, server: Any) -> None:
        status, code, _ = refused(requests.get(f"{server.url}/nothing/here", timeout=30))
        assert (status, code) == (404, "not_found")


class TestUploads:
    def test_an_unreadable_upload_is_refused_and_removed(self, server: Any) -> None:
        for name in ("x.nii.gz", "../../x.py", "noextension", "x." + "y" * 500):
            files = {"file": (name, b"garbage")}
            reply = server.infer(params=json.dumps(GOOD), files=files)
            status, code, _ = refused(reply)
            assert (status, code) == (422, "volume")

    def test_a_bad_session_image_is_refused_at_once(self, server: Any) -> None:
        files = {"files": ("bad.nii.gz", b"garbage")}
        reply = server.ask("PUT", "/session/", files=files)
        assert refused(reply)[:2] == (422, "volume")

    def test_a_session_without_a_file(self, server: Any) -> None:
        status, code, sentence = refused(requests.put(f"{server.url}/session/", timeout=30))
        assert (status, code) == (400, "request")
        assert "files" in sentence


class TestTheOtherRoutes:
    """MONAI Label's own routes, which returned only 500."""

    def test_broken_json(self, server: Any) -> None:
        url = f"{server.url}/datastore/image/info?image=straight"
        reply = requests.put(url, data={"info": "{"}, timeout=30)
        assert refused(reply)[:2] == (400, "request")

    def test_an_image_to_download(self, server: Any) -> None:
        reply = requests.get(f"{server.url}/datastore/image?image=nowhere", timeout=30)
        assert refused(reply)[:2] == (404, "not_found")

    def test_no_page_of_the_web_may_read_an_answer(self, server: Any) -> None:
        # MONAI Label's own CORS middleware would admit every page, with its cookies.
        asks = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "DELETE"}
        replies = [
            server.ask("POST", "/infer/other", headers={"Origin": "http://localhost:3000"}),
            server.ask("OPTIONS", "/datastore/image", headers=asks),
        ]
        assert [refused(reply)[0] for reply in replies] == [404, 405]
        for reply in replies:
            assert not [name for name in reply.headers if name.lower().startswith("access-control")]


@pytest.mark.filterwarnings("ignore:'crypt' is deprecated:DeprecationWarning")
class TestInstall:
    """Installation in an app that was already started, as MONAI Label's is by then."""

    @staticmethod
    def call(app: FastAPI, path: str) -> tuple[int, dict[str, Any], list[str]]:
        """Return (status, body, exceptions that reached the server) of one GET."""
        sent: list[dict[str, Any]] = []
        raised: list[str] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        async def run() -> None:
            headers = [(b"host", b"localhost")]
            scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
            try:
                await app({**scope, "query_string": b""}, receive, send)
            except ZeroDivisionError as error:
                raised.append(repr(error))

        asyncio.run(run())
        body = b"".join(message.get("body", b"") for message in sent)
        return sent[0]["status"], json.loads(body), raised

    @pytest.fixture
    def app(self) -> FastAPI:
        started = FastAPI()

        @started.get("/fails")
        def fails() -> None:
            _ = 1 / 0

        @started.get("/refuses")
        def refuses() -> None:
            raise VolumeError("sheared")

        started.middleware_stack = started.build_middleware_stack()
        return started

    def test_a_bug_is_reported_as_one_and_logged(self, app: FastAPI) -> None:
        from segsam_app import guard

        guard.install(app)
        status, body, raised = self.call(app, "/fails")
        assert (status, body["code"]) == (500, "bug")
        assert "ZeroDivisionError" in body["detail"]
        assert raised == ["ZeroDivisionError('division by zero')"]

    def test_an_error_of_the_library_is_no_bug(self, app: FastAPI) -> None:
        from segsam_app import guard

        guard.install(app)
        assert self.call(app, "/refuses") == (422, {"detail": "sheared", "code": "volume"}, [])

    def test_a_second_install_has_no_effect(self, app: FastAPI) -> None:
        from segsam_app import guard

        guard.install(app)
        routes, stack = list(app.router.routes), app.middleware_stack
        guard.install(app)
        assert (app.router.routes, app.middleware_stack) == (routes, stack)


@pytest.mark.parametrize("output", ["image", "dicom_seg"])
def test_a_mask_in_json_cannot_be_sent_as_a_file(server: Any, output: str) -> None:
    query = {"image": "straight", "output": output}
    status, code, sentence = refused(server.infer(query, params=json.dumps(GOOD)))
    assert (status, code) == (400, "request")
    assert output in sentence


@pytest.mark.parametrize("output", ["dicom_seg", "exe"])
def test_another_output_is_refused_with_those_that_there_are(server: Any, output: str) -> None:
    params = json.dumps({"prompts": {"boxes": [BOX]}})
    query = {"image": "straight", "output": output}
    status, code, sentence = refused(server.infer(query, params=params))
    assert (status, code) == (400, "request")
    assert sentence == f"Expected output to be 'image', 'json' or 'all', got '{output}'."

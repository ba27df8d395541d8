"""What may be an id, and that nothing else gets through: matrix B1."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from segsam_app.errors import RequestError
from segsam_app.ids import checked_id

from ..conftest import nothing_new

BAD = [
    *("..", ".", "../x", "../../x", "x/..", "a/b", "/etc/passwd", "//x", "~/x", "C:\\x", "a\\b"),
    *("..\\x", "%2e%2e", "%2e%2e%2fx", "%252e%252e", "a%00b", "a\0b", "a\nb", "a\rb", "a\tb"),
    *("x" * 129, ".lock", ".versions", "CON", "con.nii", "NUL", "aux.txt", "COM1", "lpt9.x"),
    *(
        "\uff41",
        "\uff0e\uff0e",
        "a\u2215b",
        "a\u202eb",
        "a\u0301\u202e",
        "a..b",
        "a.",
        "a ",
        " a",
        "-a",
    ),
    *("a;b", "a|b", "a*", "a?b", "$HOME", "`x`", "a'b", "file:x", "http://x", "<x>", '"x"'),
]


@pytest.mark.parametrize("value", ["case0", "A-1_b.c", "1.2.840.113619.2.55", "a (1)", "x" * 128])
def test_a_name_is_an_id(value: str) -> None:
    assert checked_id("image", value) == value


@pytest.mark.parametrize("value", ["\u00e9", "e\u0301", "\u60a3\u8005 7", "\u00e9" * 100])
def test_an_image_may_have_letters_of_any_script(value: str) -> None:
    assert checked_id("image", value) == value
    for name in ("tag", "model", "session_id", "strategy", "request_id"):
        with pytest.raises(RequestError, match=f"{name} must be an id"):
            checked_id(name, value)


@pytest.mark.parametrize("value", ["", *BAD])
def test_anything_that_could_be_more_is_not(value: str) -> None:
    with pytest.raises(RequestError, match="image must be an id"):
        checked_id("image", value)


QUERIES = [
    ("GET", "/datastore/image", "image", {}),
    ("GET", "/datastore/image/info", "image", {}),
    ("PUT", "/datastore/image/info", "image", {}),
    ("GET", "/datastore/label", "label", {"tag": "final"}),
    ("GET", "/datastore/label", "tag", {"label": "straight"}),
    ("GET", "/datastore/label/info", "label", {"tag": "final"}),
    ("PUT", "/datastore/label/info", "tag", {"label": "straight"}),
    ("POST", "/infer/segsam", "image", {}),
    ("POST", "/infer/segsam", "session_id", {}),
]
UPLOADS = [
    ("/datastore/image", "image", {}, "file"),
    ("/datastore/label", "image", {}, "label"),
    ("/datastore/label", "tag", {"image": "straight"}, "label"),
]


@pytest.mark.parametrize(("method", "path", "name", "more"), QUERIES, ids=str)
def test_in_a_query(server: Any, method: str, path: str, name: str, more: dict[str, str]) -> None:
    with nothing_new(server.studies.parent):
        for value in BAD:
            reply = server.ask(method, path, params={name: value, **more})
            assert reply.status_code == 400, value
            assert set(reply.json()) == {"detail", "code"}


@pytest.mark.parametrize(("path", "name", "more", "part"), UPLOADS, ids=str)
def test_beside_an_upload(
    server: Any, path: str, name: str, more: dict[str, str], part: str
) -> None:
    content = (server.studies / "straight.nii.gz").read_bytes()
    with nothing_new(server.studies.parent.parent, but_folders=True):
        for value in BAD:
            files = {part: ("x.nii.gz", content)}
            reply = server.ask("PUT", path, params={name: value, **more}, files=files)
            assert reply.status_code == 400, value


@pytest.mark.parametrize("path", ["/session/{}", "/model/info/{}", "/model/{}"])
def test_in_a_path(server: Any, path: str) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for value in ("%2e%2e", "..%2fx", "%252e%252e", "a%5cb", "a%00b", "%2elock", "CON", "a%0ab"):
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", path.format(value))  # requests would tidy the path up
        assert connection.getresponse().status in (400, 404), value
        connection.close()


@pytest.mark.parametrize("name", ["label_tag", "y", "name"])
def test_in_json(server: Any, name: str) -> None:
    for value in BAD:
        reply = server.ask("POST", "/batch/infer/segsam_auto", json={name: value})
        assert reply.status_code == 400, value


@pytest.mark.parametrize("name", ["image", "label_tag", "session", "session_id", "model"])
def test_in_the_form_of_an_inference(server: Any, name: str) -> None:
    for value in BAD:
        params = json.dumps({name: value, "foreground": [[30, 26, 4]]})
        assert server.infer({"image": "straight"}, params=params).status_code == 400, value

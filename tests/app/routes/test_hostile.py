"""Hostile values at every route: no reply is a bug, and nothing is kept that cannot be given back.

The routes are those of the server's own OpenAPI list, the older ones that the list leaves out, and
the pages. Every path, query parameter, header, form field, file and body gets every value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from ...warm_python import WarmPython
from ..conftest import Server, started

TEXTS: tuple[str, ...] = (
    "", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "..%2f..%2fx", "a/b", "a\\b", "a\0b",
    "\r\nX-Injected: 1", "con", "-1", "0", "1e999", "NaN", "Infinity", "9" * 5000, "a" * 3000,
    "null", "true", "{}", "[]", "é", "\u202egnp", "💥", "<script>", "${jndi:ldap://x}", "a,b", "*",
    "https://example.org/x", "final", "straight",
)  # fmt: skip
"""Values of paths, parameters, headers and form fields; the last two are valid ids."""
RAW = (b"%ff%fe", b"%00", b"%ed%a0%80", b"%", b"%zz")
"""Values that are no text, as they stand in an address."""
DEEP = '{"a": ' + "[" * 500 + "]" * 500 + "}"
OBJECTS: tuple[str, ...] = (
    "", "{", "null", "3", '"text"', "[]", "[1, 2]", "NaN", '{"a": NaN}', '{"a": -Infinity}',
    '{"a": 1e999}', '{"a": ' + "9" * 5000 + "}", '{"a": ' + "9" * 400 + "}", DEEP, DEEP[6:-1],
    "[" * 100_000, '{"a": "\\ud800"}', '{"\\udfff": 1}', '{"a": ["\\ud800x"]}', '{"": 1}',
    '{"id": "x"}', '{"id": {"a": 1}}', '{"strategy": "x"}', '{"strategy": {"random": 5}}',
    '{"strategy": {"random": {"ts": "x"}}}', '{"random": 1}', '{"path": "/etc/passwd"}',
    '{"ts": "x"}', '{"name": 1}', '{"why": 1}', '{"score": []}', '{"user": {"a": 1}}',
    '{"version": "../x"}', '{"label_info": 3}', '{"label_names": []}', '{"client_id": {"a": []}}',
    '{"model": []}', '{"image": []}', '{"seed": true, "x": 1}', '{"prompts": {"points": 3}}',
    '{"segsam": 3}', '{"overview": 3}', '{"expected_version": 1e99}', "\x00", "\ufeff{}",
)  # fmt: skip
"""Bodies and form fields that are read as JSON."""
FILES: tuple[tuple[str, bytes], ...] = (
    ("x.nii.gz", b""), ("x.nii.gz", b"\x1f\x8b\x08\0"), ("x.nii", b"\x5c\x01\0\0" + bytes(400)),
    ("x.nrrd", b"NRRD0004\ntype: uchar\nsizes: x\n\n"), ("x.mha", b"NDims = 3\n"),
    ("x.dcm", bytes(128) + b"DICM" + bytes(40)), ("x.png", b"\x89PNG\r\n\x1a\n"), ("x", b"text"),
    ("../../x.nii.gz", b"x"), ("x.seg.nrrd", b"NRRD"), ("\u202e.nii", b"x"), (".", b"x"),
)  # fmt: skip
HIDDEN: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("POST", "/prefetch", ("image", "session_id", "model", "axis", "slice", "window")),
    ("GET", "/segsam/progress/{request_id}", ()),
    ("PUT", "/session/{session_id}/alive", ()),
    ("PUT", "/datastore/", ("image",)),
    ("PUT", "/datastore/updatelabelinfo", ("label", "tag", "params")),
    ("DELETE", "/datastore/", ("id",)),
    ("POST", "/train/", ("run_sync",)),
    ("POST", "/scoring/", ("run_sync",)),
    ("POST", "/infer/wsi/{model}", ("image",)),
    ("GET", "/segsam/health", ()),
    ("GET", "/metrics", ()),
    ("GET", "/", ()),
    ("GET", "/docs", ()),
    ("GET", "/openapi.json", ()),
    ("GET", "/ohif/{path}", ()),
    ("GET", "/proxy/dicom/qido/studies", ("PatientName", "limit", "includefield", "00100020")),
    ("GET", "/proxy/dicom/wado/studies/{study}/series/{series}/metadata", ()),
    ("GET", "/proxy/dicom/wado/{path}", ()),
    ("POST", "/proxy/{path}", ()),
    ("GET", "/{path}", ()),
)
"""Routes and pages beside those of the OpenAPI list: method, path, names of parameters."""
NEVER = {("POST", "/reload"), ("DELETE", "/train/")}


@dataclass(frozen=True)
class Route:
    """Route with the names of what a client may send to it."""

    method: str
    path: str
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    is_json: bool = False

    def address(self, value: str = "straight") -> str:
        """Return the path with `value`, quoted, at each of its places."""
        parts = self.path.split("/")
        return "/".join(value if part.startswith("{") else part for part in parts)


@dataclass
class Seen:
    """Replies of all requests so far: those that were bugs, and how many there were."""

    bugs: list[str] = field(default_factory=list)
    count: int = 0

    def look(self, what: str, reply: requests.Response) -> None:
        self.count += 1
        if reply.status_code == 500 or reply.status_code > 507:
            self.bugs.append(f"{what[:160]}: {reply.status_code} {reply.text[:160]}")


def routes(server: Server) -> Iterator[Route]:
    """Return all routes."""
    listed = server.get("/openapi.json").json()
    forms = listed["components"]["schemas"]
    for path, methods in listed["paths"].items():
        for method, one in methods.items():
            if (method.upper(), path) not in NEVER:
                yield route_of(method.upper(), path, one, forms)
    for method, path, query in HIDDEN:
        yield Route(method, path, query, is_json=method == "POST")


def route_of(method: str, path: str, one: Mapping[str, Any], forms: Mapping[str, Any]) -> Route:
    named = [(each["name"], each["in"]) for each in one.get("parameters", ())]
    content = one.get("requestBody", {}).get("content", {})
    fields: dict[str, Any] = {}
    for kind, body in content.items():
        if "form" in kind:
            fields = forms[body["schema"]["$ref"].rpartition("/")[2]]["properties"]
    files = [name for name, schema in fields.items() if "octet-stream" in json.dumps(schema)]
    return Route(
        method,
        path,
        tuple(name for name, place in named if place == "query"),
        tuple(name for name, place in named if place == "header"),
        tuple(name for name in fields if name not in files),
        tuple(files),
        "application/json" in content,
    )


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, warm_monailabel: WarmPython
) -> Iterator[Server]:
    """Server of this file's own, because its images get hostile metadata."""
    conf = ["--conf", "labels", "ball,rest", "--conf", "checkpoint", "litemedsam"]
    base = tmp_path_factory.mktemp("hostile")
    conf += ["--conf", "warm", "off"]
    with started(base, *conf, python=warm_monailabel) as running:
        yield running


def walk(house: Server, route: Route, seen: Seen) -> None:  # noqa: C901 - one loop per place
    """Send every value to every place of a route."""
    valid = {name: "straight" for name in route.query if name in ("image", "label", "id")}
    valid |= {"tag": "final"} if "tag" in route.query else {}
    refused = {"json": {"no such key": 1}} if route.is_json else {}

    def ask(what: str, address: str, **more: Any) -> None:
        kept = {**refused, **more}
        seen.look(f"{route.method} {route.path} {what}", house.ask(route.method, address, **kept))

    if "{" in route.path:
        for text in [quote(text, safe="") for text in TEXTS] + [raw.decode() for raw in RAW]:
            ask(f"path {text!r}", route.address(text), params=valid)
    for name in route.query:
        for text in TEXTS:
            ask(f"{name}={text!r}", route.address(), params={**valid, name: text})
        for raw in RAW:
            ask(f"{name}={raw!r}", f"{route.address()}?{name}={raw.decode()}")
    for name in route.headers:
        for text in TEXTS:
            if text.strip() and text.isascii() and text.isprintable():
                ask(f"{name}: {text!r}", route.address(), params=valid, headers={name: text})
    for address in {route.address(), route.address("segsam"), route.address("random")}:
        for text in OBJECTS if route.is_json else ():
            body = {"data": text.encode(), "headers": {"Content-Type": "application/json"}}
            ask(f"body {text!r}", address, params=valid, json=None, **body)
    sound = dict.fromkeys(route.files, ("x.nii.gz", b"no image"))
    for name in route.texts:
        for text in (*OBJECTS, *TEXTS):
            files: dict[str, Any] = {**sound, name: (None, text.encode())}
            ask(f"{name} {text!r}", route.address(), params=valid, files=files)
    for name in route.files:
        for file in FILES:
            ask(f"{name} {file!r}", route.address(), params=valid, files={**sound, name: file})


def test_no_value_at_any_place_ends_in_a_bug(house: Server, record_property: Any) -> None:
    seen = Seen()
    walked = list(routes(house))
    assert len(walked) > 50
    for route in walked:
        walk(house, route, seen)
    record_property("hostile requests", float(seen.count))
    assert seen.bugs == []
    assert seen.count > 3000
    assert_everything_can_be_given_back(house)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": NaN}', "NaN"),
        ('{"a": 1e999}', "not finite"),
        ('{"a": "\\ud800"}', "whole characters"),
        ('{"\\ud800": 1}', "whole characters"),
        ('{"a": ' + "9" * 5000 + "}", "64 bits"),
        ('{"a": ' + "9" * 30 + "}", "64 bits"),
        (DEEP, "nested too deeply"),
        ("[1]", "must be a JSON object, got an array"),
        ("3", "must be a JSON object, got a number"),
        ('{"id": "x"}', "the key 'id'"),
        ('{"strategy": {"random": 5}}', "the key 'strategy'"),
        ('{"random": 5}', "the key 'random'"),
    ],
    ids=lambda value: value[:14],
)
def test_what_cannot_be_given_back_is_not_kept(house: Server, text: str, words: str) -> None:
    before = house.get("/datastore/?output=all").text
    for path, key in (("/datastore/image/info?image=straight", "info"),):
        reply = house.ask("PUT", path, files={key: (None, text)})
        assert (reply.status_code, reply.json()["code"]) == (400, "request")
        assert words in reply.json()["detail"]
    image = Path(house.studies / "straight.nii.gz").read_bytes()
    form: dict[str, Any] = {"params": (None, text), "file": ("x.nii.gz", image)}
    reply = house.ask("PUT", "/datastore/image?image=another", files=form)
    assert (reply.status_code, reply.json()["code"]) == (400, "request")
    assert house.get("/datastore/?output=all").text == before


def test_what_can_be_given_back_is_kept(house: Server) -> None:
    info = {"note": "größer 💥", "size": 2**53 + 1, "list": [[1.5, None], {"a": True}], "user": "x"}
    form = {"info": (None, json.dumps(info))}
    reply = house.ask("PUT", "/datastore/image/info?image=straight", files=form)
    assert reply.status_code == 200
    kept = house.get("/datastore/image/info?image=straight").json()
    assert {key: kept[key] for key in info} == info
    assert_everything_can_be_given_back(house)


def assert_everything_can_be_given_back(house: Server) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    for path in ("/datastore/?output=all", "/datastore/?output=train", "/datastore/", "/info/"):
        reply = house.get(path)
        assert reply.status_code == 200
        json.loads(reply.content, parse_constant=refuse)
    for image in house.get("/datastore/?output=all").json()["objects"]:
        assert house.get("/datastore/image/info", params={"image": image}).status_code == 200
    for strategy in ("random", "first", "agreement", "diversity", "mix"):
        reply = house.ask("POST", f"/activelearning/{strategy}", json={})
        assert reply.status_code == 200
        assert reply.json()["id"] in house.get("/datastore/?output=all").json()["objects"]

"""Orders by HTTP: refused before any process is started."""

from __future__ import annotations

from typing import Any

import pytest


def refused(reply: Any) -> tuple[int, str]:
    body = reply.json()
    assert set(body) == {"detail", "code"}
    return reply.status_code, body["detail"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/train/nobody", "there is no trainer 'nobody'"),
        ("/batch/infer/nobody", "there is no model 'nobody'; this server has: segsam, standin"),
        ("/scoring/nobody", "there is no scoring method 'nobody'"),
        ("/activelearning/nobody", "there is no strategy 'nobody'; this server has: random, first"),
        ("/train/..%5cx", "there is no trainer"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(server: Any, path: str, words: str) -> None:
    status, sentence = refused(server.ask("POST", path, json={}))
    assert status == 404
    assert words in sentence


@pytest.mark.parametrize(
    ("path", "params", "words"),
    [
        ("/batch/infer/segsam", {"label_tag": "final"}, "label_tag final is what annotators saved"),
        ("/batch/infer/segsam", {"device": "cpu", "tag": "x"}, "unknown key 'tag'"),
        ("/batch/infer/segsam?images=some", {}, "images"),
        ("/batch/infer/segsam?run_sync=true", {}, "run_sync is not offered"),
        ("/activelearning/random", {"image": "x"}, "unknown key 'image'"),
        ("/activelearning/random", ["x"], "body"),
    ],
    ids=str,
)
def test_what_cannot_be_meant(server: Any, path: str, params: Any, words: str) -> None:
    status, sentence = refused(server.ask("POST", path, json=params))
    assert status == 400
    assert words in sentence


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", "7", '"x"', "[" * 60_000, '{"a":1,"a":2}', '{"a":NaN}', '{"__proto__":1}', "\0"],
    ids=["torn", "array", "number", "text", "deep", "double", "nan", "proto", "nul"],
)
def test_what_is_not_a_json_object(server: Any, text: str) -> None:
    for path in ("/batch/infer/segsam", "/activelearning/random"):
        headers = {"Content-Type": "application/json"}
        status, _ = refused(server.ask("POST", path, data=text.encode(), headers=headers))
        assert status == 400


def test_nothing_was_started(server: Any) -> None:
    for path in ("/train/", "/batch/infer", "/scoring/"):
        assert server.get(path).status_code == 404  # no such task was ever found

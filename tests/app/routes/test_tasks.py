"""Task requests by HTTP: refused before any process is started."""

from __future__ import annotations

from typing import Any

import pytest


def refused(reply: Any) -> tuple[int, str]:
    body = reply.json()
    assert set(body) == {"detail", "code"}
    return reply.status_code, body["detail"]


def task_ids(server: Any) -> dict[str, list[str]]:
    """Ids of all tasks since the server's start, by route; the route is 404 if there was none."""
    found = {}
    for path in ("/train/", "/batch/infer", "/scoring/"):
        reply = server.get(path, params={"all": "true"})
        assert reply.status_code in (200, 404)
        found[path] = [task["id"] for task in reply.json()] if reply.ok else []
    return found


@pytest.fixture(scope="module", autouse=True)
def tasks_before(server: Any) -> dict[str, list[str]]:
    """Tasks that other tests have started on the shared server."""
    return task_ids(server)


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
def test_an_unknown_name_is_refused_with_the_known_ones(server: Any, path: str, words: str) -> None:
    status, sentence = refused(server.ask("POST", path, json={}))
    assert status == 404
    assert words in sentence


@pytest.mark.parametrize(
    ("path", "params", "words"),
    [
        ("/batch/infer/segsam", {"label_tag": "final"}, "label_tag final is what annotators saved"),
        ("/batch/infer/segsam", {"device": "cpu", "tag": "x"}, "got tag"),
        ("/batch/infer/segsam?images=some", {}, "images"),
        ("/batch/infer/segsam_auto?run_sync=true", {}, "run_sync is not offered"),
        (
            "/batch/infer/segsam",
            {},
            "needs no prompts for a batch (segsam_auto), got segsam",
        ),
        ("/activelearning/random", {"image": "x"}, "got image"),
        ("/activelearning/random", ["x"], "body"),
    ],
    ids=str,
)
def test_an_invalid_request_is_refused(server: Any, path: str, params: Any, words: str) -> None:
    status, sentence = refused(server.ask("POST", path, json=params))
    assert status == 400
    assert words in sentence


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", "7", '"x"', "[" * 60_000, '{"a":1,"a":2}', '{"a":NaN}', '{"__proto__":1}', "\0"],
    ids=["torn", "array", "number", "text", "deep", "double", "nan", "proto", "nul"],
)
def test_anything_but_a_json_object_is_refused(server: Any, text: str) -> None:
    for path in ("/batch/infer/segsam", "/activelearning/random"):
        headers = {"Content-Type": "application/json"}
        status, _ = refused(server.ask("POST", path, data=text.encode(), headers=headers))
        assert status == 400


@pytest.mark.parametrize(
    ("params", "status", "words"),
    [
        ({"overview": {"x": 1}}, 400, "got x"),
        ({"overview": 3}, 400, "must be a JSON object"),
        ({"nobody": {}}, 404, "there is no scoring method 'nobody'"),
        ({"overview": {"y": "../x"}}, 400, "y"),
    ],
    ids=str,
)
def test_all_scorings_are_checked_as_one_is(
    server: Any, params: dict[str, Any], status: int, words: str
) -> None:
    reply = refused(server.ask("POST", "/scoring/", json=params))
    assert reply[0] == status
    assert words in reply[1]


def test_nothing_was_started(server: Any, tasks_before: dict[str, list[str]]) -> None:
    assert task_ids(server) == tasks_before

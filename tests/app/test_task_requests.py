"""Request bodies of long-running tasks: matrix B2 and B10, for words and numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from segsam_app.errors import NotFoundError, RequestError
from segsam_app.inference.auto import AutoRequest
from segsam_app.inference.dialects import read_request
from segsam_app.limits import Limits
from segsam_app.records import RequestRecord
from segsam_app.task_requests import (
    BatchInferRequest,
    NextSampleRequest,
    ScoringRequest,
    TrainRequest,
    check_limits,
    find_task,
    read_task_request,
)
from segsam_app.training.settings import TrainSettings

TRAINER = {"max_epochs": 50, "replay_share": 0.5, "dataset": ["Dataset"], "tracking_uri": ""}


def test_a_valid_request_is_passed_on() -> None:
    params = {"max_epochs": 3, "val_split": 0.2, "name": "second", "replay_share": 0.25}
    assert read_task_request(TrainRequest, params, TRAINER) == params


def test_keys_that_the_server_decides_have_no_effect() -> None:
    params = {
        "device": "cuda:7",
        "gpus": "0,1",
        "client_id": "slicer",
        "dataset": "/etc",
        "model": "x",
    }
    assert read_task_request(TrainRequest, params, TRAINER) == {}


@pytest.mark.parametrize("params", [None, {}])
def test_an_empty_request_is_valid(params: dict[str, Any] | None) -> None:
    for order in (TrainRequest, BatchInferRequest, ScoringRequest, NextSampleRequest):
        assert read_task_request(order, params, {}) == {}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"max_epochs": 0}, "Expected max_epochs to be greater than or equal to 1, got 0"),
        ({"max_epochs": -1}, "max_epochs"),
        ({"max_epochs": 1.5}, "max_epochs"),
        ({"max_epochs": "ten"}, "max_epochs"),
        (
            {"max_epochs": None, "epochs": 3},
            "one of the keys name, pretrained, max_epochs",
        ),
        ({"max_epochs": True}, "Expected numbers as max_epochs, got True"),
        ({"val_split": False}, "Expected numbers as val_split, got False"),
        ({"replay_share": True}, "replay_share must not be true or false, got True"),
        ({"val_split": 2.0}, "val_split"),
        ({"val_split": -0.1}, "val_split"),
        ({"val_split": math.nan}, "val_split"),
        ({"train_batch_size": 0}, "train_batch_size"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"name": "../../../run"}, "Expected name to be an id"),
        ({"name": "/abs"}, "to be an id"),
        ({"name": ".."}, "to be an id"),
        ({"train_ds": "/any/path"}, "got train_ds"),
        ({"pretrained_path": "http://x/y.pt"}, "got pretrained_path"),
        ({"tracking_uri": "http://x"}, "tracking_uri must not be a path or a URL"),
        ({"replay_share": "a/b"}, "replay_share must not be a path"),
        ({"replay_share": {"deep": 1}}, "replay_share"),
        ({"replay_share": math.nan}, "'replay_share' holds a number that is not finite"),
        ({"__proto__": {}}, "got __proto__"),
    ],
    ids=str,
)
def test_an_invalid_request_is_refused(params: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_task_request(TrainRequest, params, TRAINER)
    assert words in str(refused.value)


@pytest.mark.parametrize("name", ["max_epochs", "train_batch_size", "val_batch_size"])
def test_the_operators_limits(name: str) -> None:
    limits = Limits(max_epochs=10, max_batch=10)
    check_limits({name: 10}, limits)
    with pytest.raises(RequestError, match=f"{name} may be at most 10 on this server, got 11"):
        check_limits({name: 11}, limits)


@pytest.mark.parametrize(
    ("order", "params"),
    [
        (BatchInferRequest, {"label_tag": "../x"}),
        (BatchInferRequest, {"max_batch_size": -1}),
        (BatchInferRequest, {"max_workers": 64}),
        (BatchInferRequest, {"result_extension": ".exe"}),
        (ScoringRequest, {"y": "a/b"}),
        (ScoringRequest, {"output": "/x"}),
        (NextSampleRequest, {"image": "x"}),
    ],
    ids=str,
)
def test_the_other_requests(order: Any, params: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        read_task_request(order, params, {})


def test_an_unknown_task() -> None:
    with pytest.raises(NotFoundError, match="there is no trainer 'x'; this server has: none"):
        find_task("trainer", "x", {})
    assert find_task("trainer", "a", {"a": 1}) == 1


REQUESTS = (TrainRequest, BatchInferRequest, TrainSettings, AutoRequest)
NUMBERS = [
    (record, name)
    for record in REQUESTS
    for name, facts in record.model_json_schema()["properties"].items()
    for one in [facts, *facts.get("anyOf", ())]
    if one.get("type") in ("integer", "number")
]


@pytest.mark.parametrize(("record", "name"), NUMBERS, ids=str)
def test_true_is_no_number_in_any_request(record: type[RequestRecord], name: str) -> None:
    with pytest.raises(RequestError, match=f"Expected numbers as {name}, got True"):
        record.model_validate({name: True})


def test_there_are_such_numbers_and_switches_stay() -> None:
    assert len(NUMBERS) > 20
    assert TrainSettings.read({"pretrained": False}).pretrained is False


def test_true_is_no_voxel_index_nor_seed() -> None:
    for key, value in (
        ("foreground", [[1, True, 2]]),
        ("roi", [0, 1, 0, 1, 0, True]),
        ("slice", True),
    ):
        with pytest.raises(RequestError, match=f"Expected numbers as {key}, got"):
            read_request({key: value})
    with pytest.raises(RequestError, match="window"):
        read_request({"prompts": {}, "window": [True, 5]})
    assert read_request({"foreground": [[1, 2, 3]], "propagate": True})
    with pytest.raises(RequestError, match="seed must not be true or false"):
        read_task_request(NextSampleRequest, {"seed": True}, {"seed": 0})

"""Status, sentence and code of each error."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.exceptions import RequestValidationError
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)
from starlette.exceptions import HTTPException
from starlette.requests import Request

from segsam import errors
from segsam_app.errors import ConfigError, NotFoundError, RequestError
from segsam_app.strict_json import json_safe
from segsam_app.web.error_handlers import HANDLED, error_response

REQUEST = Request({"type": "http", "method": "POST", "path": "/infer/segsam", "headers": []})


def reply(error: Exception) -> tuple[int, dict[str, Any]]:
    response = asyncio.run(error_response(REQUEST, error))
    return response.status_code, json.loads(bytes(response.body))


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (RequestError, 400, "request"),
        (errors.PromptError, 400, "prompt"),
        (errors.CategoryError, 400, "category"),
        (NotFoundError, 404, "not_found"),
        (errors.VolumeNotFoundError, 404, "not_found"),
        (errors.VolumeTooLargeError, 413, "too_large"),
        (errors.VolumeError, 422, "volume"),
        (errors.CancelledError, 499, "cancelled"),
        (errors.CheckpointError, 503, "checkpoint"),
        (errors.OutputError, 507, "output"),
        (ConfigError, 500, "config"),
    ],
)
def test_our_errors_keep_their_sentence(
    kind: type[errors.SegSamError], status: int, code: str
) -> None:
    assert reply(kind("what was wanted and what came")) == (
        status,
        {"detail": "what was wanted and what came", "code": code},
    )


def test_monai_labels_errors_get_a_status() -> None:
    invalid = MONAILabelException(MONAILabelError.INVALID_INPUT, "no model")
    assert reply(invalid) == (400, {"detail": "no model", "code": "request"})
    assert reply(ImageNotFoundException("no image"))[0] == 404
    assert reply(LabelNotFoundException("no label"))[0] == 404
    assert reply(MONAILabelException(MONAILabelError.APP_ERROR, "x")) == (
        500,
        {"detail": "x", "code": "bug"},
    )


def test_http_errors_keep_their_status_and_headers() -> None:
    error = HTTPException(401, "who are you?", headers={"WWW-Authenticate": "Bearer"})
    response = asyncio.run(error_response(REQUEST, error))
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert json.loads(bytes(response.body)) == {"detail": "who are you?", "code": "unauthorised"}


def test_a_detail_that_is_no_text_becomes_text() -> None:
    _, body = reply(HTTPException(422, {"msg": "x"}))  # type: ignore[arg-type]
    assert body["detail"] == '{"msg": "x"}'


def test_a_missing_field_is_named() -> None:
    error = RequestValidationError(
        [{"type": "missing", "loc": ("body", "files"), "msg": "Field required"}]
    )
    sentence = "Expected values for files, got none."
    assert reply(error) == (400, {"detail": sentence, "code": "request"})


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            {"type": "int_parsing", "loc": ("query", "lines"), "msg": "Input", "input": "x"},
            "Expected lines to be a whole number, got 'x'.",
        ),
        (
            {"type": "json_invalid", "loc": ("body", 3), "msg": "JSON decode error", "input": {}},
            "the body is not JSON: it cannot be read from character 3 on",
        ),
    ],
)
def test_no_text_of_pydantic_is_sent(found: dict[str, Any], sentence: str) -> None:
    assert reply(RequestValidationError([found]))[1]["detail"] == sentence


def test_json_and_memory() -> None:
    assert reply(json.JSONDecodeError("Expecting value", "x", 0)) == (
        400,
        {"detail": "not JSON: it cannot be read from character 0 on", "code": "request"},
    )
    assert reply(MemoryError())[0] == 503
    assert reply(torch.OutOfMemoryError())[0] == 503


def test_any_other_error_is_a_bug_without_its_details() -> None:
    status, body = reply(KeyError("/srv/secret"))
    assert status == 500
    assert body["code"] == "bug"
    assert "bug" in body["detail"]
    assert "secret" not in body["detail"]
    assert Exception in HANDLED


def test_json_safe_leaves_only_types_of_json() -> None:
    value = {
        1: np.float32(0.5),
        "nan": math.nan,
        "array": np.array([1, 2]),
        "deep": ({"x": np.int64(3), "inf": -math.inf},),
        "none": None,
        "yes": np.bool_(True),
    }
    text = json.dumps(json_safe(value), allow_nan=False)
    assert json.loads(text) == {
        "1": 0.5,
        "nan": None,
        "array": [1, 2],
        "deep": [{"x": 3, "inf": None}],
        "none": None,
        "yes": True,
    }

"""The page for programs, docs/http.md: each request on it is one that the server reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from segsam_app.inference.completing import CompletionRequest
from segsam_app.inference.confirmed import read_confirmed
from segsam_app.inference.dialects import OurRequest, StockRequest, read_request
from segsam_app.inference.finding import FindRequest

PAGE = Path(__file__).parents[3] / "docs" / "http.md"
SHAPE = (122, 101, 112)


def requests_on_the_page() -> list[dict[str, Any]]:
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [json.loads(block) for block in blocks]


@pytest.mark.parametrize("params", requests_on_the_page(), ids=lambda one: next(iter(one)))
def test_a_request_is_read(params: dict[str, Any]) -> None:
    if "confirmed" in params:
        request = CompletionRequest.model_validate(params)
        assert read_confirmed(request.confirmed)
        return
    if "find" in params:
        assert FindRequest.model_validate(params).find
        return
    found = read_request(params)
    assert isinstance(found, OurRequest if "prompts" in params else StockRequest)
    prompts, notes = found.for_image(SHAPE).prompts.checked(SHAPE)
    assert prompts.boxes
    assert notes == ()


def test_the_table_has_every_key_of_our_dialect() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE))
    unlisted = {"result_dtype", "client_id"}  # they have no effect
    assert listed == set(OurRequest.model_fields) - unlisted

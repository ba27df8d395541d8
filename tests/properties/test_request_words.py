"""Whatever JSON a client sends is understood or refused with a sentence: matrix Z2 and Z4."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsam.errors import SegSamError
from segsam_app.errors import RequestError
from segsam_app.ids import checked_id
from segsam_app.inference.dialects import StockRequest, read_request
from segsam_app.strict_json import read_object
from segsam_app.task_requests import (
    BatchInferRequest,
    ScoringRequest,
    TrainRequest,
    read_task_request,
)

TIMES = 20 if os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0") else 1
"""How many times the usual number of examples."""

KEYS = st.sampled_from(
    [
        *("prompts", "points", "boxes", "ijk", "min_ijk", "max_ijk", "positive", "decoder"),
        *("category", "window", "result", "__proto__"),
        *sorted(StockRequest.model_fields),
        *sorted(
            {
                *TrainRequest.model_fields,
                *BatchInferRequest.model_fields,
                *ScoringRequest.model_fields,
            }
        ),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["auto", "slice", "region", "binary", "../x", "always", ".nrrd", "lung"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=7) | st.dictionaries(KEYS | st.text(), inner, max_size=5)
    ),
    max_leaves=20,
)
OBJECTS = st.dictionaries(KEYS | st.text(max_size=10), JSON, max_size=6)
POINT = st.lists(st.integers(-2, 12) | st.floats(-2, 12), min_size=2, max_size=4)
OUR_POINT = st.fixed_dictionaries({"ijk": POINT})
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "foreground": st.lists(POINT, max_size=4),
        "background": st.lists(POINT, max_size=4),
        "roi": st.lists(st.integers(-5, 20) | st.floats(), min_size=5, max_size=7),
        "slice": st.integers(-2, 12),
        "propagate": st.sampled_from([True, None, "always", "memory", "sometimes"]),
        "prompts": st.fixed_dictionaries(
            {"points": st.lists(st.fixed_dictionaries({"ijk": POINT}))}
        ),
    },
)


@settings(max_examples=1000 * TIMES, deadline=None)
@given(OBJECTS | NEARLY)
def test_a_prompt_is_understood_or_refused(params: dict[str, Any]) -> None:
    try:
        click = read_request(params).for_image((10, 9, 8))
        prompts, _ = click.prompts.checked((10, 9, 8))
    except SegSamError:
        return
    assert prompts.points or prompts.boxes


@settings(max_examples=1000 * TIMES, deadline=None)
@given(OBJECTS)
def test_a_task_request_is_accepted_or_refused(params: dict[str, Any]) -> None:
    for model in (TrainRequest, BatchInferRequest, ScoringRequest):
        try:
            request = read_task_request(model, params, {"replay_share": 0.5})
        except RequestError:
            continue
        assert "/" not in json.dumps(request)
        assert set(request) <= {*model.model_fields, "replay_share"}


@settings(max_examples=500 * TIMES)
@given(st.text(max_size=60) | JSON.map(lambda value: json.dumps(value)[:-1]))
def test_a_form_field_is_an_object_or_refused(text: str) -> None:
    try:
        assert isinstance(read_object(text), dict)
    except RequestError:
        return


@pytest.mark.parametrize("alphabet", ["./\\%2e~", None], ids=["hostile", "any"])
def test_an_id_stays_in_its_folder(alphabet: str | None) -> None:
    texts = st.text(max_size=140) if alphabet is None else st.text(alphabet + "aC0", max_size=12)

    @settings(max_examples=2500 * TIMES, deadline=None)
    @given(texts)
    def stays(value: str) -> None:
        root = Path("/study/labels")
        try:
            checked_id("image", value)
        except RequestError:
            return
        assert (root / value).resolve().parent == root

    stays()

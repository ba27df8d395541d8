from __future__ import annotations

import json

import pytest

from segsam.system.reasons import reason_of
from segsam.system.unique_keys import RepeatedKeyError, unique_object, unique_yaml


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '{"b": [{"a": {}, "c": 0, "a": []}]}'])
def test_a_key_that_comes_twice_is_named(text: str) -> None:
    with pytest.raises(RepeatedKeyError) as of_json:
        json.loads(text, object_pairs_hook=unique_object)
    with pytest.raises(RepeatedKeyError) as of_yaml:
        unique_yaml(text)
    assert reason_of(of_json.value) == reason_of(of_yaml.value) == "the key 'a' comes twice"


def test_all_else_is_read_as_ever() -> None:
    text = '{"a": {"a": [1, {"b": null}]}, "A": 1.5}'
    expected = json.loads(text)
    assert json.loads(text, object_pairs_hook=unique_object) == expected
    assert unique_yaml(text) == expected
    merged = "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  a: 3\n"
    assert unique_yaml(merged)["y"] == {"a": 3, "b": 2}

"""Names of a label's values: which form the client uses follows from what it sent."""

from __future__ import annotations

from typing import Any

import pytest

from segsam.errors import LabelError, VolumeError
from segsam_app.errors import RequestError
from segsam_app.storage.label_metadata import info_without_names, names_by_value


def listed(**named: int) -> dict[str, Any]:
    return {"label_info": [{"name": name, "idx": index} for name, index in named.items()]}


@pytest.mark.parametrize(
    ("info", "values", "names"),
    [
        ({}, (1, 7), {}),
        ({"label_info": []}, (1, 7), {}),
        # 3D Slicer's module: background came before a, so idx is one more than the value
        (listed(a=2, b=3, c=4), (1, 3), {1: "a", 2: "b", 3: "c"}),
        (listed(a=1, b=2), (1, 2), {1: "a", 2: "b"}),
        # a client whose idx is the value: its order, or its label, shows it
        (listed(b=2, a=1), (1, 2), {2: "b", 1: "a"}),
        (listed(liver=5), (5,), {5: "liver"}),
        (listed(liver=2, spleen=7), (2, 7), {2: "liver", 7: "spleen"}),
        ({"label_info": [{"name": "a"}, {"name": "b"}]}, (2,), {1: "a", 2: "b"}),
        # unambiguous
        ({"label_names": {"liver": 2}, **listed(other=1)}, (2,), {2: "liver"}),
    ],
)
def test_names(info: dict[str, Any], values: tuple[int, ...], names: dict[int, str]) -> None:
    assert names_by_value(info, values) == names


def test_a_value_without_a_name() -> None:
    with pytest.raises(VolumeError, match="holds 3, 4, but names were sent only for 1, 2"):
        names_by_value(listed(a=1, b=2), (1, 3, 4))


@pytest.mark.parametrize(
    "info",
    [
        {"label_info": "liver"},
        {"label_info": ["liver"]},
        {"label_info": [{"idx": 1}]},
        {"label_info": [{"name": 3, "idx": 1}]},
        {"label_info": [{"name": "b", "idx": 2}, {"name": "a", "idx": "1"}]},
        {"label_info": [{"name": "b", "idx": 2}, {"name": "a", "idx": 2}]},
        {"label_info": [{"name": "x" * 201, "idx": 1}]},
        {"label_info": [{"name": "", "idx": 1}]},
        {"label_info": [{"name": "a", "idx": 1}, {"name": " \t", "idx": 2}]},
        {"label_names": {"": 1}},
        {"label_names": {" ": 1}},
        {"label_names": ["liver"]},
        {"label_names": {"liver": True}},
        {"label_names": {"liver": 1.5}},
        {"label_names": {"liver": 2**31}},
    ],
    ids=str,
)
def test_invalid_names(info: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        names_by_value(info, (1,))


@pytest.mark.parametrize(
    ("indices", "values"), [((2, 3), (2,)), ((2, 3, 9), (2,)), ((1, 3, 4), (3,))]
)
def test_names_that_can_be_read_in_two_ways_are_refused(
    indices: tuple[int, ...], values: tuple[int, ...]
) -> None:
    sent = {"label_info": [{"name": f"n{index}", "idx": index} for index in indices]}
    with pytest.raises(VolumeError, match="can be read in two ways: value"):
        names_by_value(sent, values)


@pytest.mark.parametrize("indices", [("2", "1"), (2.0, 1.0), (None, 1), (True, 2)])
def test_idx_that_are_no_whole_numbers_are_refused(indices: tuple[Any, ...]) -> None:
    sent = {"label_info": [{"name": f"n{index}", "idx": index} for index in indices]}
    with pytest.raises(RequestError, match="a value from 0"):
        names_by_value(sent, (1, 2))


NAMES = {"1": "liver", "2": "spleen"}


class TestNamesThatAreSentLater:
    """Names belong to a version: its metadata cannot say another one."""

    @pytest.mark.parametrize(
        "info",
        [
            {},
            {"label_names": {"liver": 1}},
            {"label_names": {"Liver": 1, "spleen": 2}},
            listed(liver=1, spleen=2),
            listed(liver=2, spleen=3),  # as 3D Slicer's module counts
            {"label_info": [{"name": "spleen", "idx": 2}, {"name": "liver", "idx": 1}]},
            {"label_info": []},
        ],
    )
    def test_the_same_are_no_change(self, info: dict[str, Any]) -> None:
        assert info_without_names({**info, "note": 1}, NAMES) == {"note": 1}

    @pytest.mark.parametrize(
        "info",
        [
            {"label_names": {"liver": 2}},
            {"label_names": {"liver": 1, "kidney": 3}},
            {"label_names": {"liver": 1}, **listed(kidney=1)},
            listed(spleen=1, liver=2),
            listed(liver=1, kidney=2),
        ],
    )
    def test_others_are_refused(self, info: dict[str, Any]) -> None:
        with pytest.raises(LabelError, match=r"expected the names .* 1 'liver', 2 'spleen', got"):
            info_without_names(info, NAMES)

    def test_of_a_label_without_names(self) -> None:
        with pytest.raises(LabelError, match="names of the label's version, none, got 'liver'"):
            info_without_names(listed(liver=1), {})

"""Names of a label's values: which form the client uses follows from what it sent."""

from __future__ import annotations

from typing import Any

import pytest

from segsam.errors import LabelError, VolumeError
from segsam_app.errors import RequestError
from segsam_app.storage.label_names import info_of_restored, info_without_names, names_by_value

NAMES = {"1": "liver", "2": "spleen"}


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
        {"label_names": {"li\0ver": 1}},
        {"label_names": {"liver\n": 1}},
        {"label_names": {"li\u200bver": 1}},
        {"label_info": [{"name": "\u202eliver", "idx": 1}]},
        {"label_names": {"liver": 0, "spleen": 1}},
        {"label_info": [{"name": "liver", "idx": 0}, {"name": "spleen", "idx": 1}]},
        {"params": {"label_names": {"liver": 1.5}}},
        {"params": {"label_info": "liver"}},
    ],
    ids=str,
)
def test_invalid_names(info: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        names_by_value(info, (1,))


def test_the_background_may_be_named() -> None:
    assert names_by_value({"label_names": {"Background": 0, "liver": 1}}, (1,))[1] == "liver"
    with pytest.raises(RequestError, match=r"expected the name 'background', .* got 'liver'"):
        names_by_value({"label_names": {"liver": 0}}, ())


ELSEWHERE = [
    ({"params": {"label_names": {"spleen": 1}}}, "params.label_names"),
    ({"params": {"label_info": [{"name": "spleen", "idx": 1}]}}, "params.label_info"),
    ({"Label_Names": {"spleen": 1}}, "Label_Names"),
    ({"labelNames": {"spleen": 1}}, "labelNames"),
    ({"info": {"LABEL-INFO": [{"name": "spleen", "idx": 1}]}}, "info.LABEL-INFO"),
    ({"a": [0, {"b": {"label_names": {"liver": 2}}}]}, r"a\[1\].b.label_names"),
    ({"info": {"names": {"1": "spleen"}}}, "info.names"),
]


@pytest.mark.parametrize(("more", "where"), ELSEWHERE)
def test_names_have_one_place(more: dict[str, Any], where: str) -> None:
    with pytest.raises(LabelError, match=f"1 'liver', got .* in {where}; names belong to"):
        names_by_value({"label_names": {"liver": 1}, **more}, (1,))
    with pytest.raises(LabelError, match=f"1 'liver', 2 'spleen', got .* in {where}; names"):
        info_without_names(more, NAMES)
    with pytest.raises(LabelError, match=f"version, none, got .* in {where}; names belong to"):
        names_by_value(more, (1,))
    assert info_of_restored({"note": 1, **more}, {"1": "liver"}).keys() == {"note", "names_note"}


@pytest.mark.parametrize(
    "more",
    [
        {"params": {"label_names": {"Liver": 1}, "label_info": []}},
        {"params": {"label_info": [{"name": "liver", "idx": 3}]}},
        {"info": {"names": {"1": "liver"}, "label_names": None}},
        {"names_of_readers": {"1": "Doe"}, "readers": {"names": ["Doe", "Roe"]}},
        {"names": "Doe"},
    ],
)
def test_the_same_names_elsewhere_are_kept(more: dict[str, Any]) -> None:
    assert names_by_value({"label_names": {"liver": 1}, **more}, (1,)) == {1: "liver"}
    assert info_without_names(more, {"1": "liver"}) == more
    assert info_of_restored(more, {"1": "liver"}) == more


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

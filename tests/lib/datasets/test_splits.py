"""Splits: a patient is in one part only, over all data sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsam.datasets.folder import Dataset
from segsam.datasets.splits import TEST, TRAIN, VALIDATION, Split, patient_of, split_cases
from segsam.errors import TrainingError

SHARES = {TEST: 0.2, VALIDATION: 0.1}


def dataset(name: str, cases: list[str]) -> Dataset:
    return Dataset(Path(name), name, "MR", "CC0", {1: "a"}, tuple(sorted(cases)))


def assert_parted(split: Split, datasets: list[Dataset], shares: dict[str, float]) -> None:
    """Every case is in one part; so is every patient, but of data sets that go by frame."""
    part_of: dict[str, str] = {}
    for one in datasets:
        found = [case for part in (TRAIN, *shares) for case in split.cases(part, one.name)]
        assert sorted(found) == sorted(one.cases)
        if one.name in split.by_frame:
            continue
        for part in (TRAIN, *shares):
            for case in split.cases(part, one.name):
                assert part_of.setdefault(patient_of(case), part) == part


@pytest.mark.parametrize(
    ("case", "patient"),
    [
        ("ABD_001_110", "ABD_001"),
        ("STS_017_PET", "STS_017"),
        ("patient042_frame01", "patient042"),
        ("patient042_frame01--mr_00--x_0010", "patient042"),
        ("cvc_fine_12", "cvc_fine"),
        ("hippocampus_001", "hippocampus_001"),
        ("hippocampus_001--mr_00--z_0003", "hippocampus_001"),
        ("--odd", "--odd"),
    ],
)
def test_the_patient_of_a_case(case: str, patient: str) -> None:
    assert patient_of(case) == patient


def test_a_pattern_of_ones_own() -> None:
    assert patient_of("left_p7_eye", r"p\d+") == "p7"
    assert patient_of("nobody", r"p\d+") == "nobody"
    with pytest.raises(TrainingError, match="The pattern of patients '\\(' is wrong"):
        patient_of("p7", "(")


def test_patients_that_data_sets_share_are_in_one_part() -> None:
    ct = dataset("ct", [f"STS_{n:03d}_CT" for n in range(5)])
    pet = dataset("pet", [f"STS_{n:03d}_PET" for n in range(40)])
    split = split_cases([pet, ct], shares=SHARES, seed=0)
    assert_parted(split, [pet, ct], SHARES)
    assert len(split.cases(TEST, "pet")) == 8
    assert len(split.cases(VALIDATION, "pet")) == 4
    assert len(split.cases(TEST, "ct")) == 1
    assert len(split.cases(TRAIN, "ct")) >= 2


def test_the_order_of_the_data_sets_does_not_matter_and_the_seed_does() -> None:
    sets = [dataset("a", [f"a{n}" for n in range(30)]), dataset("b", [f"b{n}" for n in range(9)])]
    first = split_cases(sets, shares=SHARES, seed=0)
    assert first == split_cases(sets, shares=SHARES, seed=0)
    reversed_order = split_cases(sets[::-1], shares=SHARES, seed=0)
    assert all(
        first.cases(part, one.name) == reversed_order.cases(part, one.name)
        for part in (TRAIN, TEST, VALIDATION)
        for one in sets
    )
    assert first.cases(TEST, "a") != split_cases(sets, shares=SHARES, seed=1).cases(TEST, "a")


def test_a_single_sequence_is_split_by_frame_at_its_end() -> None:
    one = dataset("polyp", [f"cvc_fine_{n}" for n in range(1, 21)])
    split = split_cases([one], shares=SHARES)
    assert split.by_frame == ("polyp",)
    assert split.cases(TEST, "polyp") == tuple(f"cvc_fine_{n}" for n in range(17, 21))
    assert split.cases(VALIDATION, "polyp") == ("cvc_fine_15", "cvc_fine_16")
    assert split.cases(TRAIN, "polyp")[-1] == "cvc_fine_14"


def test_few_patients_are_learnt_from_first() -> None:
    two = dataset("two", ["a", "b"])
    assert split_cases([two], shares=SHARES).cases(TRAIN, "two") == ("a", "b")
    three = dataset("three", ["a", "b", "c"])
    split = split_cases([three], shares=SHARES)
    assert (len(split.cases(TRAIN, "three")), len(split.cases(TEST, "three"))) == (2, 1)
    alone = split_cases([dataset("one", ["a"])], shares=SHARES)
    assert alone.cases(TRAIN, "one") == ("a",)
    assert alone.by_frame == ()


def test_no_share_holds_nobody_out() -> None:
    one = dataset("a", [f"a{n}" for n in range(10)])
    split = split_cases([one], shares={TEST: 0.0})
    assert split.cases(TEST, "a") == ()
    assert split.cases(TRAIN, "a") == one.cases


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=20), min_size=1, max_size=4),
    st.integers(0, 5),
    st.floats(0, 0.45),
    st.floats(0, 0.45),
)
def test_no_patient_is_ever_in_two_parts(
    patients: list[set[int]], seed: int, test: float, validation: float
) -> None:
    datasets = [
        dataset(f"d{k}", [f"STS_{n:03d}_{k}{view}" for n in one for view in "ab"])
        for k, one in enumerate(patients)
    ]
    shares = {TEST: test, VALIDATION: validation}
    assert_parted(split_cases(datasets, shares=shares, seed=seed), datasets, shares)


def test_a_split_is_kept_and_read_back(tmp_path: Path) -> None:
    one = dataset("polyp", [f"cvc_fine_{n}" for n in range(9)])
    split = split_cases([one, dataset("a", list("pqrst"))], shares=SHARES, seed=4)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    assert split.cases("elsewhere", "a") == split.cases(TEST, "elsewhere") == ()


def test_what_is_no_split_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    for content in ("", "[]", json.dumps({"parts": []}), json.dumps({"parts": {"test": 1}})):
        path.write_text(content)
        with pytest.raises(TrainingError, match="Expected a split with parts"):
            Split.load(path)
    with pytest.raises(TrainingError, match="Expected a split with parts"):
        Split.load(tmp_path / "none.json")
    one = dataset("a", ["p"])
    parts = {"train": {"a": ["x", "y"]}, "test": {"b": ["y"], "a": ["y"]}}
    (tmp_path / "twice.json").write_text(json.dumps({"parts": parts}))
    with pytest.raises(TrainingError, match=r"twice\.json, got y of a in train and test"):
        Split.load(tmp_path / "twice.json")
    with pytest.raises(TrainingError, match="different names, got 'a' twice"):
        split_cases([one, one], shares=SHARES)

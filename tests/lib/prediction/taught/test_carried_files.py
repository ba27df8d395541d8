"""What was learnt about a name on disk: what was written is read, and nothing damaged is used."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from segsam.errors import DamagedRecordError
from segsam.prediction.completion.adaptation import Weights
from segsam.prediction.completion.carried import CarriedState, Gain
from segsam.prediction.taught.carried_files import (
    FILE,
    check_carried,
    forget_learnt,
    read_carried,
    read_facts,
    write_carried,
)
from segsam.prediction.taught.examples import TaughtName
from segsam.prediction.taught.files import damaged_records, read_folder, write_change, write_without

from .test_files import NOW, example, psoas, write

PARENT: Weights = {"level": torch.tensor(100.0), "edge": torch.linspace(-1, 1, 6).reshape(2, 3)}
LEARNT: Weights = {"level": torch.tensor(100.001), "edge": PARENT["edge"] + 0.01}


def state(*cases: str) -> CarriedState:
    return CarriedState("weights", LEARNT, "psoas", cases, Gain(0.5, 0.75), ("anna", "ben"), NOW)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write(tmp_path, psoas(example("case7"), example("case8")))
    write_carried(tmp_path / psoas().id, state("case7"), PARENT)
    return tmp_path / psoas().id


def test_what_was_written_is_read(place: Path) -> None:
    found = read_carried(place, "left iliopsoas", PARENT)
    assert found is not None
    assert (found.parent, found.name, found.cases) == ("weights", "left iliopsoas", ("case7",))
    assert (found.gain, found.annotators, found.created) == (Gain(0.5, 0.75), ("anna", "ben"), NOW)
    for name, weight in LEARNT.items():  # half precision of the difference, not of the weight
        assert torch.allclose(found.learnt[name], weight, rtol=0, atol=1e-5)
    facts = read_facts(place)
    assert facts is not None
    assert facts.to_json()["gain"] == {"before": 0.5, "after": 0.75}


def test_nothing_was_learnt(tmp_path: Path) -> None:
    assert read_carried(tmp_path, "psoas", PARENT) is None
    assert read_facts(tmp_path) is None
    check_carried(tmp_path)
    forget_learnt(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.97], ids=["all", "header", "record", "weights"])
def test_a_cut_file_is_refused(place: Path, share: float) -> None:
    content = (place / FILE).read_bytes()
    (place / FILE).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DamagedRecordError):
        read_carried(place, "psoas", PARENT)
    (found,) = damaged_records(place.parent)
    assert found.path == place / FILE
    assert len(read_folder(place.parent).names) == 1, "the name itself is whole"


@pytest.mark.parametrize(
    ("old", "new"), [(b"case7", b"case8"), (b"0.75", b"0.85"), (b"weights_", b"veights_")], ids=str
)
def test_another_record_is_refused(place: Path, old: bytes, new: bytes) -> None:
    content = (place / FILE).read_bytes()
    assert old in content
    (place / FILE).write_bytes(content.replace(old, new))
    with pytest.raises(DamagedRecordError):
        read_facts(place)


def test_other_weights_are_refused(place: Path) -> None:
    content = bytearray((place / FILE).read_bytes())
    content[-1] ^= 1
    (place / FILE).write_bytes(content)
    with pytest.raises(DamagedRecordError, match="checksum"):
        read_carried(place, "psoas", PARENT)
    write_carried(place, state("case7"), PARENT)
    with pytest.raises(DamagedRecordError, match="not those of this mask decoder"):
        read_carried(place, "psoas", {"level": torch.zeros(2), "edge": PARENT["edge"]})
    nan = {name: torch.full_like(weight, torch.nan) for name, weight in PARENT.items()}
    for wrong in (CarriedState("weights", nan, "psoas", ("case7",), Gain(0, 1)),):
        write_carried(place, wrong, PARENT)
        with pytest.raises(DamagedRecordError, match="no numbers"):
            read_carried(place, "psoas", PARENT)


def test_a_file_of_other_weights_is_refused(place: Path) -> None:
    (place / FILE).write_bytes(safetensors.torch.save({"level": torch.zeros(1)}))
    with pytest.raises(DamagedRecordError, match="no file of weights that were learnt"):
        read_facts(place)
    (place / FILE).write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(DamagedRecordError):
        read_facts(place)


@pytest.mark.parametrize(("gone", "is_left"), [("case7", False), ("case8", True)])
def test_it_goes_with_a_case_that_it_was_learnt_from(place: Path, gone: str, is_left: bool) -> None:
    (name,) = read_folder(place.parent).names
    rest: TaughtName = name.without(lambda one: one.case == gone)
    write_without(place.parent, name, rest, user="", now=NOW)
    assert (place / FILE).is_file() is is_left


def test_it_goes_with_its_name_and_stays_with_another(place: Path) -> None:
    (name,) = read_folder(place.parent).names
    write_change(place.parent, name, "changed", user="", now=NOW)
    assert (place / FILE).is_file()
    write_change(place.parent, name.without(lambda _: True), "removed", user="", now=NOW)
    assert not (place / FILE).exists()

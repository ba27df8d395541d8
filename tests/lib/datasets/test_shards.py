"""Slices in shards: what was written is read back, in any order, and by other tools."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from segsam.datasets.folder import Dataset
from segsam.datasets.labelled_slices import Instance, LabelledSlice
from segsam.datasets.shards import PreparedSlice, Shards, write_shards
from segsam.errors import OutputError, TrainingError


def dataset(name: str) -> Dataset:
    return Dataset(Path("nowhere"), name, "CT", "CC0", {1: "liver", 7: "spleen"}, ())


def prepared(number: int, part: str = "train", name: str = "squares") -> PreparedSlice:
    rng = np.random.default_rng(number)
    picture = rng.integers(0, 256, (20 + number, 16, 3), dtype=np.uint8)
    labels = np.zeros(picture.shape[:2], dtype=np.uint8)
    labels[3:9, 3:9] = 7
    instances: tuple[Instance, ...] = ()
    if number % 2:
        masks = [labels > 0, rng.random(labels.shape) > 0.5]
        instances = tuple(Instance(7, mask) for mask in masks)
    ended = (Instance(3, labels > 0),) if number == 3 else ()
    beside = (255 - picture, picture[::-1])[: max(0, number - 2)]
    one = LabelledSlice(f"{name}/case/{number}", picture, labels, (7,), instances, ended, beside)
    return PreparedSlice(one, name, part)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    parts = ("train", "train", "validation", "train", "test")
    slices = [prepared(number, part) for number, part in enumerate(parts)]
    count = write_shards(tmp_path / "shards", [dataset("squares")], slices, per_shard=2)
    assert count == 5
    return tmp_path / "shards"


def test_what_was_written_is_read_in_any_order(written: Path) -> None:
    shards = Shards(written)
    assert len(shards) == 5
    assert [path.name for path in sorted(written.glob("*.tar"))] == [
        "000000.tar",
        "000001.tar",
        "000002.tar",
    ]
    for index in (4, 1, 3, 0, 2):
        found, expected = shards[index], prepared(index)
        assert np.array_equal(found.slice.picture, expected.slice.picture)
        assert np.array_equal(found.slice.labels, expected.slice.labels)
        assert (found.slice.name, found.slice.prompted) == (expected.slice.name, (7,))
        assert [one.value for one in found.slice.instances] == [7, 7][: 2 * (index % 2)]
        assert [one.value for one in found.slice.ended] == [3] * (index == 3)
        assert len(found.slice.beside) == max(0, index - 2)
        for picture, other in zip(found.slice.beside, expected.slice.beside, strict=True):
            assert np.array_equal(picture, other)
        for one in found.slice.ended:
            assert np.array_equal(one.mask, found.slice.labels > 0)
        for one, other in zip(found.slice.instances, expected.slice.instances, strict=True):
            assert np.array_equal(one.mask, other.mask)
    assert [one.slice.name for one in shards[1:3]] == ["squares/case/1", "squares/case/2"]
    assert shards.indices("train") == [0, 1, 3]
    assert (shards[4].part, shards.dataset_of(4)) == ("test", "squares")
    facts = shards.datasets[0]
    assert (facts.modality, facts.licence, facts.labels) == ("CT", "CC0", {1: "liver", 7: "spleen"})


def test_other_tar_readers_can_read_them(written: Path) -> None:
    with tarfile.open(written / "000000.tar") as tar:
        names = tar.getnames()
        record = tar.extractfile(names[0])
        assert record is not None
        assert json.loads(record.read())["dataset"] == "squares"
    keys = [name.partition(".")[0] for name in names]
    assert keys == sorted(keys)
    assert [name.partition(".")[2] for name in names[:3]] == ["json", "picture.png", "labels.png"]


class TestRefusals:
    def test_no_shards(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match=r"Expected shards with index\.npz"):
            Shards(tmp_path)

    def test_a_damaged_index(self, written: Path) -> None:
        (written / "index.npz").write_bytes(b"PK nothing")
        with pytest.raises(TrainingError, match="Expected shards with"):
            Shards(written)

    def test_a_damaged_shard(self, written: Path) -> None:
        content = bytearray((written / "000000.tar").read_bytes())
        content[:600] = bytes(600)
        (written / "000000.tar").write_bytes(bytes(content))
        with pytest.raises(TrainingError, match=r"Cannot read slice 0 of 000000\.tar"):
            Shards(written)[0]
        (written / "000001.tar").unlink()
        with pytest.raises(TrainingError, match=r"Cannot read slice 2 of 000001\.tar"):
            Shards(written)[2]

    def test_a_slice_of_something_else(self, tmp_path: Path) -> None:
        for one in (prepared(0, name="circles"), prepared(0, part="later")):
            with pytest.raises(TrainingError, match="Expected a slice of squares for train"):
                write_shards(tmp_path / "shards", [dataset("squares")], [one])
        assert not list((tmp_path / "shards").glob("*")), "nothing is left behind"

    def test_a_file_in_place_of_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="Cannot write to shards"):
            write_shards(tmp_path / "file" / "shards", [dataset("squares")], [])

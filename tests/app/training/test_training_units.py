"""Parts of the trainer that need no model: validation split, names, settings, progress."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from segsam.categories import Categories, Category
from segsam.categories.segment_names import category_name
from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.model.digests import weights_digest
from segsam_app.errors import RequestError
from segsam_app.training.cases import LabelledCase
from segsam_app.training.new_categories import new_categories
from segsam_app.training.progress import DONE, LEARNING, ProgressFile, read_progress
from segsam_app.training.promotion import Scores
from segsam_app.training.result import average_weights
from segsam_app.training.settings import TrainSettings
from segsam_app.training.validation_split import BY_SLICE, split_cases


def cases(count: int) -> list[LabelledCase]:
    return [
        LabelledCase(f"case{n}", Path("i"), Path("l"), {1: "liver"}, str(n)) for n in range(count)
    ]


class TestValidationSplit:
    @pytest.mark.parametrize("count", [1, 2])
    def test_of_one_or_two_cases_slices(self, count: int) -> None:
        chosen, notes = split_cases(cases(count), (), 0.2)
        assert set(chosen.values()) == {BY_SLICE}
        assert "as there are fewer than 3 cases" in notes[0]

    def test_when_nobody_shall_be(self) -> None:
        chosen, notes = split_cases(cases(5), (), 0.0)
        assert set(chosen.values()) == {BY_SLICE}
        assert "as val_split is 0" in notes[0]

    @pytest.mark.parametrize(("count", "share", "wanted"), [(3, 0.2, 1), (10, 0.2, 2), (4, 0.9, 2)])
    def test_at_least_one_and_two_are_left(self, count: int, share: float, wanted: int) -> None:
        chosen, notes = split_cases(cases(count), (), share)
        assert list(chosen.values()).count(VALIDATION) == wanted
        assert list(chosen.values()).count(TRAIN) == count - wanted
        assert notes == ()

    def test_who_was_held_out_stays_so(self) -> None:
        for image in ("case0", "case3", "case7"):
            chosen, _ = split_cases(cases(10), {image}, 0.2)
            assert chosen[image] == VALIDATION
        assert split_cases(cases(10), (), 0.2) == split_cases(cases(10)[::-1], (), 0.2)


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("Segment_1", ""),
        ("Segment 12", ""),
        ("object", ""),
        ("Label", ""),
        ("3", ""),
        ("", ""),
        ("kidney_left", "kidney left"),
        (" liver ", "liver"),
        ("region of interest", "region of interest"),
        ("vertebrae L3", "vertebrae L3"),
    ],
)
def test_names_of_segments(segment: str, name: str) -> None:
    assert category_name(segment) == name


class TestNewCategories:
    def test_the_packages_own_come_with_their_texts(self) -> None:
        package = Categories.load()
        known = package.only(["liver"])
        (found,) = new_categories(known, ["Liver", "kidney_right"])
        assert found.category.name == "right kidney"
        assert found.category.snomed is not None
        assert np.array_equal(
            found.embedding, package.text_embeddings[package.index("right kidney")]
        )
        assert found.note == ""

    def test_another_name_is_neutral_and_noted(self) -> None:
        items = tuple(
            Category(name, (k, k, k), texture="Grey.", shape="Round.", position="Inside.")
            for k, name in enumerate(["liver", "spleen"])
        )
        known = Categories(items, np.eye(2, 12, dtype=np.float32), "another encoder")
        found = new_categories(known, ["my lesion", "Zyst", "my lesion", "spleen", ""])
        assert [one.category.name for one in found] == ["my lesion", "Zyst"]
        assert len({one.category.colour for one in found}) == 2
        assert all(np.allclose(one.embedding, known.text_embeddings.mean(0)) for one in found)
        assert "'my lesion' is a new category" in found[0].note
        grown = known
        for one in found:
            grown = grown.with_category(one.category, one.embedding)
        assert grown.index("MY LESION") == 2


class TestSettings:
    def test_what_clients_are_shown_can_be_sent_back(self) -> None:
        defaults = TrainSettings.defaults()
        assert TrainSettings.read(defaults) == TrainSettings()
        assert "name" not in defaults
        assert json.dumps(defaults, allow_nan=False)

    def test_texts_of_a_table_are_numbers(self) -> None:
        assert TrainSettings.read({"minutes": "2.5", "slices": "40"}).minutes == 2.5

    def test_bounds(self) -> None:
        with pytest.raises(RequestError, match="minutes"):
            TrainSettings.read({"minutes": math.inf})


class TestProgress:
    def test_as_monai_labels_clients_read_it(self, tmp_path: Path) -> None:
        times = iter(float(n) for n in range(100))
        progress = ProgressFile(tmp_path, lambda: next(times))
        step = progress.learning(epochs=4)
        step(50, 100, "loss nan")
        read = read_progress(tmp_path)
        assert (read["status"], read["epoch"], read["total_epochs"]) == (LEARNING, 3, 4)
        assert "total_time" not in read, "its presence says that a training has ended"
        progress.finish(DONE, "Done.", metrics={"after": {"dsc_box": math.nan}})
        text = (tmp_path / "training.json").read_text()
        assert json.loads(text, parse_constant=pytest.fail)["metrics"]["after"]["dsc_box"] is None
        assert read_progress(tmp_path)["epoch"] == 4

    @pytest.mark.parametrize("text", ["", "[]", "{", '"x"'])
    def test_a_damaged_file_says_nothing(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "training.json").write_text(text)
        assert read_progress(tmp_path) == {}


def test_only_what_both_have_is_compared() -> None:
    scores = Scores.compare(
        {"dsc_box": 80.0, "dsc_point": 60.0}, {"dsc_box": 90.0, "dsc_point": 62.0, "mdsc_box": 10.0}
    )
    assert (scores.before["score"], scores.after["score"], scores.gain) == (70.0, 76.0, 6.0)
    assert Scores.compare({}, {"dsc_box": 1.0}).gain is None


def test_what_did_not_change_stays_bit_for_bit() -> None:
    """A sum makes 0.0 of -0.0, and the memory of examples belongs to exactly these bits."""
    model = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight[0, 0] = -0.0
        model[0].weight[0, 1] = 1.7e-8
    before, digest = copy.deepcopy(model).state_dict(), weights_digest(model)
    average_weights(model, before, 0.25)
    assert weights_digest(model) == digest


def test_weights_go_back_by_a_share_where_both_have_them() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    nn.init.constant_(model[0].weight, 4.0)
    before = {
        "0.weight": torch.zeros(2, 2),
        "0.bias": torch.zeros(3),
        "1.num_batches_tracked": torch.tensor(9),
    }
    bias = model[0].bias.clone()
    average_weights(model, before, 0.25)
    assert torch.equal(model[0].weight, torch.full((2, 2), 3.0))
    assert torch.equal(model[0].bias, bias), "of another shape: grown since"
    assert model[1].num_batches_tracked == 0, "a count is no weight"

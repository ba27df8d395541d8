"""Left and right stay right: in every storage order, in every copy, and in mirrored pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segsam.datasets.folder import Dataset, open_dataset
from segsam.datasets.labelled_slices import Instance, LabelledSlice, slices_of
from segsam.datasets.sides import mirrored_values
from segsam.datasets.splits import TRAIN, VALIDATION
from segsam.datasets.transforms import augmented, mirrored
from segsam.errors import TrainingError
from segsam.imaging.volume import Volume
from segsam.research.study.unet.slices import Augmentation, ClassSlice
from segsam.training.config import TrainConfig
from segsam.training.samples import cut_case

from ...conftest import StorageOrder

SHARED_DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
ABDOMEN = {1: "right kidney", 2: "left kidney", 3: "liver"}


def named(labels: Mapping[int, str], folder: Path | None = None) -> Dataset:
    return Dataset(folder or Path("made"), "made", "endoscopy", "CC0", labels, ())


def abdomen(order: StorageOrder, folder: Path) -> Dataset:
    """One volume of 5 mm slices with both kidneys and the liver, the patient's right at low i."""
    labels = np.zeros((40, 36, 6), np.uint8)
    labels[5:12, 6:15, 1:5] = 1
    labels[27:35, 8:16, 1:5] = 2
    labels[4:20, 20:31, 1:4] = 3
    greys = (labels * 70 + np.arange(40, dtype=np.uint8)[:, None, None]).astype(np.int16)
    affine = np.diag([-1.0, 1.0, 5.0, 1.0])
    for part, voxels in (("images", greys), ("labels", labels)):
        (folder / part).mkdir(parents=True)
        stored = order.stored(Volume.from_array(voxels, affine))
        stored.save(folder / part / "c1.nii.gz")
    record = {"name": "made", "modality": "MR", "labels": {str(k): v for k, v in ABDOMEN.items()}}
    (folder / "dataset.json").write_text(json.dumps(record))
    return open_dataset(folder)


def config(folder: Path, **changes: object) -> TrainConfig:
    return TrainConfig.model_validate({"datasets": [str(folder)], "out": "o"} | changes)


def column(labels: NDArray[np.uint8], value: int) -> float:
    return float(np.argwhere(labels == value)[:, 1].mean())


class TestVolumes:
    def test_training_slices_are_the_same_in_all_storage_orders(
        self, storage_order: StorageOrder, tmp_path: Path
    ) -> None:
        plain = abdomen(StorageOrder((0, 1, 2), (False, False, False)), tmp_path / "plain")
        other = abdomen(storage_order, tmp_path / "other")
        run = config(tmp_path, augmented_copies_of={"made": 1})
        expected, found = (
            list(cut_case(run, each, "c1", part=TRAIN, input_size=48)) for each in (plain, other)
        )
        assert len(found) == len(expected) == 8
        by_picture = {one.picture.tobytes(): one for one in found if "#" not in one.name}
        for one in expected:
            # The patient's right is at the left of a picture, as radiologists look at it.
            assert column(one.labels, 1) + 5 < column(one.labels, 2)
            if "#" not in one.name:
                same = by_picture[one.picture.tobytes()]
                assert np.array_equal(one.labels, same.labels)
                assert one.prompted == same.prompted

    @pytest.mark.parametrize("name", ["btcv_ct", "chaos_mr_t2", "openkbp_hn_ct", "jsrt_xray"])
    def test_of_real_patients(self, name: str) -> None:
        if not (SHARED_DATA / name).exists():
            pytest.skip("the labelled development data are not on this machine")
        dataset = open_dataset(SHARED_DATA / name)
        pairs = [(one, two) for one, two in mirrored_values(dataset).items() if one != two]
        pairs = [pair for pair in pairs if "right" in dataset.labels[pair[0]].split()]
        compared = 0
        for case in dataset.cases[:3]:
            for one in slices_of(dataset, case, input_size=128, limit=4):
                for right, left in pairs:
                    if {right, left} <= set(one.prompted):
                        compared += 1
                        assert column(one.labels, right) < column(one.labels, left), one.name
        assert compared > 1


def drawn() -> LabelledSlice:
    """Blocks without any symmetry, and an instance that overlaps another."""
    labels = np.zeros((48, 64), np.uint8)
    labels[4:20, 5:22] = 1
    labels[8:30, 40:60] = 2
    labels[34:46, 12:33] = 3
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    return LabelledSlice("made/case/0", picture, labels, (1, 3))


class TestMirrored:
    def test_picture_and_sides_are_exchanged_together(self) -> None:
        one, values = drawn(), mirrored_values(named(ABDOMEN))
        one = replace(one, beside=(255 - one.picture,))
        assert values == {1: 2, 2: 1, 3: 3}
        turned = mirrored(one, values)
        assert turned.name == "made/case/0|"
        assert np.array_equal(turned.picture, one.picture[:, ::-1])
        assert np.array_equal(turned.beside[0], 255 - turned.picture)
        for value, other in values.items():
            assert np.array_equal(turned.labels == other, (one.labels == value)[:, ::-1])
        assert turned.prompted == (2, 3), "the small left kidney became a small right one"
        again = mirrored(turned, values)
        assert np.array_equal(again.picture, one.picture)
        assert np.array_equal(again.labels, one.labels)
        assert again.prompted == one.prompted

    def test_objects_with_masks_of_their_own(self) -> None:
        one = drawn()
        large = Instance(1, one.labels == 1)
        wide = Instance(3, np.ones((48, 64), np.bool_))
        one = LabelledSlice(one.name, one.picture, one.labels, (1, 3), (large, wide))
        turned = mirrored(one, mirrored_values(named(ABDOMEN)))
        assert [each.value for each in turned.instances] == [2, 3]
        assert np.array_equal(turned.instances[0].mask, large.mask[:, ::-1])
        assert turned.instances[0].mask.flags.c_contiguous

    @pytest.mark.parametrize(
        ("labels", "values"),
        [
            ({1: "kidney_left", 2: "Right Kidney"}, {1: 2, 2: 1}),
            ({1: "polyp", 2: "skin lesion"}, {1: 1, 2: 2}),
            ({1: "left screw", 2: "right screw"}, {1: 2, 2: 1}),
            ({4: "eyeball_left", 9: "optic disc"}, {4: 4, 9: 9}),
            ({1: "parotid_gland_left", 7: "right parotid gland"}, {1: 7, 7: 1}),
            ({1: "upper vertebra", 2: "object 2", 3: ""}, {1: 1, 2: 2, 3: 3}),
        ],
    )
    def test_by_name_or_synonym(self, labels: dict[int, str], values: dict[int, int]) -> None:
        assert mirrored_values(named(labels)) == values

    @pytest.mark.parametrize(
        "labels",
        [
            {1: "left kidney", 2: "liver"},
            {1: "right ventricle", 2: "left ventricle"},
            {1: "right middle lobe of lung"},
            {1: "left screw"},
        ],
    )
    def test_names_that_do_not_follow_the_picture(self, labels: dict[int, str]) -> None:
        with pytest.raises(TrainingError, match=r"no mirrored copies of made: its label '.*' has"):
            mirrored_values(named(labels))

    def test_a_run_has_as_many_as_it_names_in_training_only(self, tmp_path: Path) -> None:
        order = StorageOrder((0, 1, 2), (False, False, False))
        dataset = abdomen(order, tmp_path / "made")
        run = config(tmp_path, mirrored_copies_of={"made": 2}, slices_per_volume=1)
        found = list(cut_case(run, dataset, "c1", part=TRAIN, input_size=48))
        assert [one.name.removeprefix(found[0].name) for one in found] == ["", "|", "|#1"]
        expected = mirrored(found[0], {1: 2, 2: 1, 3: 3})
        assert np.array_equal(found[1].picture, expected.picture)
        assert np.array_equal(found[1].labels, expected.labels)
        for one in found:
            assert column(one.labels, 1) < column(one.labels, 2)
        assert len(list(cut_case(run, dataset, "c1", part=VALIDATION, input_size=48))) == 1
        assert len(list(cut_case(config(tmp_path), dataset, "c1", part=TRAIN, input_size=48))) == 4


def handedness(labels: NDArray[np.uint8]) -> float:
    """Sign of the triangle of three blocks: a rotation, scale or shift keeps it, a mirror not."""
    one, two, three = (np.argwhere(labels == value).mean(0) for value in (1, 2, 3))
    return float(np.sign(np.linalg.det(np.stack([two - one, three - one]))))


def test_no_other_copy_is_mirrored() -> None:
    one = drawn()
    competing = torch.ones(4, dtype=torch.bool)
    slices = [ClassSlice("made", one.picture, one.labels, competing)] * 40
    _, targets = Augmentation().batch(slices, seed=5)
    copies = [augmented(one, seed=2, copy=n, coarse=bool(n % 2)).labels for n in range(40)]
    copies += list(targets.numpy().astype(np.uint8))
    whole = [labels for labels in copies if set(np.unique(labels)) >= {1, 2, 3}]
    assert len(whole) > 70
    assert {handedness(labels) for labels in whole} == {handedness(one.labels)}
    assert handedness(mirrored(one, {}).labels) == -handedness(one.labels)

"""Prompts with nothing to draw: where they lie, what they ask for, and what is learnt of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segsam.datasets.labelled_slices import Instance, LabelledSlice, cut_volume
from segsam.errors import TrainingError
from segsam.imaging.volume import Volume
from segsam.training.config import TrainConfig
from segsam.training.negative_prompts import draw_negative_prompts
from segsam.training.samples import Sample
from segsam.training.targets import NO_CATEGORY, NO_CLASS
from segsam.training.teacher_masks import TeacherMasks


def labels() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Object 1 on slices 2 to 5 of 8, object 2 from slice 4 to the volume's end."""
    made = np.zeros((20, 24, 8), dtype=np.uint8)
    made[4:12, 6:14, 2:6] = 1
    made[14:19, 15:22, 4:] = 2
    return made


def test_ends_are_slices_beside_an_object_and_never_the_volumes_last() -> None:
    volume = Volume.from_array(labels().astype(np.int16) * 50, np.diag([1, 1, 4, 1]))
    cut = list(cut_volume(volume, labels(), "made/c", input_size=0, axes="k", limit=1, ends=9))
    ended = {one.name: tuple(each.value for each in one.ended) for one in cut}
    assert ended == {"made/c/k1": (1,), "made/c/k2": (), "made/c/k3": (2,), "made/c/k6": (1,)}
    first = next(one for one in cut if one.name == "made/c/k1")
    assert (first.prompted, int(first.labels.max())) == ((), 0)
    assert int(first.ended[0].mask.sum()) == 64
    without = list(cut_volume(volume, labels(), "made/c", input_size=0, axes="k"))
    assert [one.name for one in without] == [f"made/c/k{n}" for n in range(2, 8)]
    assert not any(one.ended for one in without)


def ended_sample(**changes: Any) -> Sample:
    """Return a slice with one object, and another that ended beside it."""
    plane = np.zeros((32, 32), dtype=np.uint8)
    plane[6:18, 5:16] = 1
    mask = np.zeros((32, 32), dtype=np.bool_)
    mask[20:26, 18:28] = True
    one = LabelledSlice("d/c/0", np.zeros((32, 32, 3), np.uint8), plane, (1,))
    ended = (Instance(2, mask),)
    packed = tuple((each.value, np.packbits(each.mask)) for each in ended)
    known: dict[str, Any] = {
        "name": one.name, "dataset": "d", "modality": "CT", "key": "", "labels": plane,
        "prompted": (1,), "classes": {1: 1, 2: 2}, "ended": packed,
    }  # fmt: skip
    return Sample(**known | changes)


def config(**changes: Any) -> TrainConfig:
    record = {"out": "x", "datasets": ["x"], "prompts_per_image": 4}
    return TrainConfig.model_validate(record | changes)


def test_a_box_of_what_has_ended_lies_where_it_was() -> None:
    drawn = draw_negative_prompts(ended_sample(), config(end_share=1.0), np.random.default_rng(0))
    assert drawn is not None
    assert drawn.classes == (2, 2, 2, 2)
    assert drawn.masks is not None
    assert not drawn.masks.any()
    assert drawn.prompts.boxes_px is not None
    centres = (drawn.prompts.boxes_px[:, :2] + drawn.prompts.boxes_px[:, 2:]) / 2
    assert torch.allclose(centres, torch.tensor([22.5, 22.5]), atol=5)


def test_a_box_without_label_covers_no_object() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        one = ended_sample(ended=())
        drawn = draw_negative_prompts(one, config(unlabelled_share=1.0), rng)
        assert drawn is not None
        assert set(drawn.classes) == {NO_CATEGORY}
        assert drawn.masks is None
        assert drawn.prompts.boxes_px is not None
        for x0, y0, x1, y1 in drawn.prompts.boxes_px.long().tolist():
            inside = one.labels[y0 : y1 + 1, x0 : x1 + 1]
            assert 0 <= x0 <= x1 < 32
            assert 0 <= y0 <= y1 < 32
            assert (inside > 0).mean() <= 0.05


def test_an_image_full_of_labels_is_prompted_as_usual() -> None:
    full = ended_sample(labels=np.ones((32, 32), np.uint8), ended=())
    rng = np.random.default_rng(0)
    assert draw_negative_prompts(full, config(unlabelled_share=1.0), rng) is None


def test_no_random_number_is_used_without_them() -> None:
    rng = np.random.default_rng(0)
    assert draw_negative_prompts(ended_sample(ended=()), config(), rng) is None
    assert rng.random() == np.random.default_rng(0).random()


def test_a_box_of_the_teacher_asks_for_its_mask_and_no_name() -> None:
    masks = np.zeros((2, 32, 32), np.bool_)
    masks[0, 24:28, 20:30], masks[1, 20:22, 2:9] = True, True
    boxes_px = torch.tensor([[20.0, 24, 29, 27], [2, 20, 8, 21]])
    taught = TeacherMasks(boxes_px, np.packbits(masks.reshape(2, -1), axis=1))
    one, rng = ended_sample(ended=(), taught=taught), np.random.default_rng(0)
    changes = {"teacher": "litemedsam", "teacher_boxes_of": {"d": 2}, "teacher_share": 1.0}
    drawn = draw_negative_prompts(one, config(**changes), rng)
    assert drawn is not None
    assert set(drawn.classes) == {NO_CLASS}
    assert drawn.masks is not None
    assert drawn.prompts.boxes_px is not None
    for box, mask in zip(drawn.prompts.boxes_px, drawn.masks, strict=True):
        which = int(torch.nonzero((boxes_px == box).all(dim=1))[0])
        assert (mask == masks[which]).all()
    with pytest.raises(TrainingError, match="teacher_share together"):
        config(teacher="litemedsam")


def test_augmenting_anew_needs_a_learning_encoder() -> None:
    with pytest.raises(Exception, match="encoder_learning_rate above 0 with augment_share"):
        config(augment_share=0.5)

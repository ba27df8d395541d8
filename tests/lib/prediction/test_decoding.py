from __future__ import annotations

import numpy as np
import pytest
import torch

from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.model import BoxKind
from segsam.prediction.decoding import suppress_stray_parts
from segsam.prediction.prompt_tensors import prompt_tensors
from segsam.prompting.prompts import Box, Point, SlicePrompts

CPU = torch.device("cpu")


@pytest.fixture
def view() -> SliceView:
    """64 x 64 voxels shown as 256 pixels, nothing flipped."""
    volume = Volume.from_array(np.zeros((64, 64, 4), np.uint8), np.diag([-1.0, -1, 1, 1]))
    return SliceView.of(volume, 2)


class TestPromptTensors:
    def test_a_box_alone(self, view: SliceView) -> None:
        tensors = prompt_tensors(view, SlicePrompts(boxes=(Box((8, 4, 1), (15, 11, 1)),)), CPU)
        assert tensors.points_px is None
        assert tensors.boxes_px is not None
        assert tensors.boxes_px.tolist() == [[32, 16, 63, 47]]

    def test_a_section_ends_at_its_last_index_as_in_litemedsam(self, view: SliceView) -> None:
        tensors = prompt_tensors(view, SlicePrompts(sections=(Box((8, 4, 1), (15, 11, 1)),)), CPU)
        assert tensors.boxes_px is not None
        assert tensors.boxes_px.tolist() == [[32, 16, 60, 44]]

    def test_each_box_has_its_kind(self, view: SliceView) -> None:
        box = Box((8, 4, 1), (15, 11, 1))
        tensors = prompt_tensors(view, SlicePrompts((), (box,), (box,), (box, box)), CPU)
        assert tensors.box_kinds is not None
        expected = [BoxKind.DRAWN, BoxKind.SECTION, BoxKind.NEIGHBOUR, BoxKind.NEIGHBOUR]
        assert tensors.box_kinds.tolist() == expected
        assert tensors.boxes_px is not None
        assert tensors.boxes_px[2].tolist() == tensors.boxes_px[0].tolist()

    def test_points_alone_are_one_prompt(self, view: SliceView) -> None:
        points = (Point((8, 4, 1)), Point((0, 63, 1), positive=False))
        tensors = prompt_tensors(view, SlicePrompts(points), CPU)
        assert tensors.boxes_px is None
        assert tensors.points_px is not None
        assert tensors.point_labels is not None
        assert tensors.points_px.tolist() == [[[32, 16], [0, 252]]]
        assert tensors.point_labels.tolist() == [[1, 0]]

    def test_each_box_gets_the_points_that_concern_it(self, view: SliceView) -> None:
        left, right = Box((0, 0, 1), (9, 9, 1)), Box((20, 20, 1), (29, 29, 1))
        points = (
            Point((5, 5, 1)),  # in the left box
            Point((40, 40, 1)),  # in neither: concerns both
            Point((25, 25, 1), positive=False),  # negative: concerns both
        )
        tensors = prompt_tensors(view, SlicePrompts(points, (left, right)), CPU)
        assert tensors.point_labels is not None
        assert tensors.point_labels.tolist() == [[1, 1, 0], [1, 0, -1]]
        assert len(tensors) == 2

    def test_a_mask_is_repeated_for_every_box(self, view: SliceView) -> None:
        prompts = SlicePrompts(boxes=(Box((0, 0, 1), (9, 9, 1)), Box((20, 20, 1), (29, 29, 1))))
        tensors = prompt_tensors(view, prompts, CPU, torch.ones(1, 1, 8, 8))
        assert tensors.mask_logits is not None
        assert tensors.mask_logits.shape == (2, 1, 8, 8)


class TestStrayParts:
    def logits(self) -> np.ndarray:
        """Three parts of a mask on 64 x 64: in the box, half in it, and far away."""
        logits = np.full((64, 64), -3.0, np.float32)
        logits[10:14, 10:14] = 2.0
        logits[18:26, 18:30] = 2.0
        logits[40:50, 40:50] = 2.0
        return logits

    def test_parts_that_touch_no_box_are_dropped(self, view: SliceView) -> None:
        box = Box((8, 8, 1), (20, 20, 1))
        for kind in ("boxes", "sections", "neighbours"):
            prompts = SlicePrompts(**{kind: (box,)})
            mask = suppress_stray_parts(self.logits(), view, prompts) > 0
            assert mask[10:14, 10:14].all()
            assert mask[18:26, 18:30].all()
            assert not mask[40:50, 40:50].any()

    def test_a_positive_point_keeps_its_part(self, view: SliceView) -> None:
        box, inside = Box((8, 8, 1), (20, 20, 1)), (45, 45, 1)
        for positive in (True, False):
            prompts = SlicePrompts((Point(inside, positive),), (box,))
            assert (suppress_stray_parts(self.logits(), view, prompts)[45, 45] > 0) is np.bool_(
                positive
            )

    def test_an_empty_mask_stays_empty(self, view: SliceView) -> None:
        prompts = SlicePrompts(boxes=(Box((8, 8, 1), (20, 20, 1)),))
        assert (
            suppress_stray_parts(np.full((64, 64), -1.0, np.float32), view, prompts) == -1
        ).all()

"""`propagate="memory"` through volumes, against the package's video predictor on random weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.categories import Categories
from segsam.errors import PromptError
from segsam.imaging.volume import Volume
from segsam.model import Host, SegSam, build_variant
from segsam.model.hosts import Sam2
from segsam.model.official import fit_host
from segsam.prediction.embeddings import EmbeddingCache
from segsam.prediction.memory_propagation import LOST_SLICES, model_mask
from segsam.prediction.predictor import Predictor
from segsam.prompting.prompts import Box, Point, Prompts

from ..model.sam2_package import SMALL, predictor, video_state

DEPTH, SEED = 18, 7
FLAT = Prompts(boxes=(Box((20, 24, SEED), (66, 70, SEED)),))


def volume(depth: int = DEPTH) -> Volume:
    """A cylinder in noise, 128 x 100 voxels a slice, with an affine that flips the display."""
    rng = np.random.default_rng(0)
    i, j = np.mgrid[:128, :100]
    inside = (i - 44) ** 2 + (j - 48) ** 2 < 500
    voxels = inside[..., None] * 120 + rng.normal(80, 12, (128, 100, depth))
    return Volume.from_array(voxels.astype(np.int16), np.diag([-1.0, 1.0, 2.0, 1.0]))


def shifted(model: Any, presence: float) -> Any:
    """Let the decoder's score of presence be `presence`, more or less."""
    nn.init.constant_(model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, presence)
    return model


def built(package: Any, categories: Categories, **config: Any) -> Predictor:
    host = Sam2(SMALL)
    fit_host(host, package.state_dict(), "a.pt")
    model = SegSam(host, categories) if not config else build_variant("segsam", host, categories)
    model = model.with_card(replace(model.card, **config)).eval()
    return Predictor(model, embeddings=EmbeddingCache(precision=torch.float32))


@pytest.fixture
def present(five_categories: Categories) -> tuple[Any, Predictor]:
    package = shifted(predictor(SMALL), 4.0)
    found = built(package, five_categories)
    found.set_volume(volume())
    return package, found


@pytest.fixture
def absent(five_categories: Categories) -> Predictor:
    found = built(shifted(predictor(SMALL), -4.0), five_categories)
    found.set_volume(volume())
    return found


@pytest.mark.filterwarnings("ignore")
def test_both_directions_equal_the_package(present: tuple[Any, Predictor]) -> None:
    package, found = present
    result = found.predict(FLAT, propagate="memory")
    loaded = found._require_volume()
    view = found.slices(2).view
    prepared = [
        found.model.host.prepare(view.image(loaded.volume, loaded.intensity, index))
        for index in range(DEPTH)
    ]
    seed = view.cut(result.labels, SEED) > 0
    assert 20 < seed.sum() < seed.size - 20
    for reverse, indices in ((False, range(SEED + 1, DEPTH)), (True, range(SEED - 1, -1, -1))):
        state = video_state(package, torch.stack(prepared))
        package.add_new_mask(state, SEED, 1, model_mask(view, seed))
        list(package.propagate_in_video(state, start_frame_idx=SEED, reverse=reverse))
        wanted = state["output_dict_per_obj"][0]["non_cond_frame_outputs"]
        for index in indices:
            plane = view.logits_to_plane(wanted[index]["pred_masks"][0, 0]).numpy()
            clear = np.abs(plane) > 1e-3
            np.testing.assert_array_equal(
                (view.cut(result.labels, index) > 0)[clear], (plane > 0)[clear]
            )
            assert (plane > 0).any()
    assert [report.index for report in result.slices if not report.propagated] == [SEED]
    assert sorted(report.index for report in result.slices) == list(range(DEPTH))


def test_it_stops_when_the_object_is_gone_for_as_long_as_memory_lasts(absent: Predictor) -> None:
    result = absent.predict(FLAT, propagate="memory")
    assert [report.index for report in result.slices] == [SEED]
    assert result.encoded == 1 + 2 * LOST_SLICES
    assert LOST_SLICES == 6


def test_a_3d_box_is_followed_to_its_ends_and_not_left(present: tuple[Any, Predictor]) -> None:
    _, found = present
    box = Box((20, 24, 3), (66, 70, 11))
    result = found.predict(Prompts(boxes=(box,)), propagate="memory")
    assert sorted(report.index for report in result.slices) == list(range(3, 12))
    assert sum(report.propagated for report in result.slices) == 8
    for k in range(3, 12):
        parts = result.labels[..., k]
        if parts.any():
            assert parts[20:67, 24:71].any()


def test_prompts_on_two_slices_meet_halfway(present: tuple[Any, Predictor]) -> None:
    _, found = present
    both = Prompts(boxes=(*FLAT.boxes, Box((20, 24, 13), (66, 70, 13))))
    result = found.predict(both, propagate="memory")
    assert sorted(report.index for report in result.slices) == list(range(DEPTH))


def test_points_count_on_the_slices_that_memory_reaches(present: tuple[Any, Predictor]) -> None:
    _, found = present
    box = Prompts(boxes=(Box((20, 24, 3), (66, 70, 11)),))
    outside = (Point((30, 30, 4), positive=False), Point((60, 60, 4), positive=False))
    plain = found.predict(box, propagate="memory")
    pointed = found.predict(replace(box, points=outside), propagate="memory")
    assert (plain.labels[..., 4] != pointed.labels[..., 4]).any()


def test_all_three_axes(present: tuple[Any, Predictor]) -> None:
    _, found = present
    found.set_volume(volume(6))
    flat = Prompts(boxes=(Box((20, 24, 3), (66, 70, 3)),))
    result = found.predict(flat, axis="all", propagate="memory")
    assert result.axes == ("i", "j", "k")


def test_a_trained_semantic_decoder_names_what_memory_follows(
    five_categories: Categories,
) -> None:
    torch.manual_seed(0)
    package = shifted(predictor(SMALL), 4.0)
    found = built(package, five_categories, semantic_is_trained=True)
    found.set_volume(volume())
    result = found.predict(FLAT, propagate="memory")
    assert len(result.slices) == DEPTH
    assert all(report.agreement is not None for report in result.slices)
    plain = built(package, five_categories)
    plain.set_volume(volume())
    followed = plain.predict(FLAT, propagate="memory")
    assert followed.category is None
    # the mask is memory's own, with semantics or without
    assert result.labels.shape == followed.labels.shape


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"decoder": "semantic"}, "Expected a checkpoint with a trained semantic decoder"),
        ({"propagate": "always"}, "propagate to be true, false, memory or none, got 'always'"),
    ],
)
def test_other_requests_are_refused(absent: Predictor, how: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        absent.predict(FLAT, **{"propagate": "memory", **how})


def test_the_semantic_decoder_cannot_be_followed_by_memory(five_categories: Categories) -> None:
    found = built(predictor(SMALL), five_categories, semantic_is_trained=True)
    found.set_volume(volume())
    with pytest.raises(PromptError, match="Expected the decoder binary for propagate memory"):
        found.predict(FLAT, propagate="memory", decoder="semantic")


def test_a_host_without_memory_is_refused_before_anything_is_encoded(
    tiny_host: Host, five_categories: Categories
) -> None:
    found = Predictor(SegSam(tiny_host, five_categories))
    found.set_volume(volume())
    with pytest.raises(
        PromptError,
        match=r"memory of slices \(sam2_tiny, .*, medsam2\) .* got one on tiny; use propagate "
        "true. Weights of these hosts do not come with this product",
    ):
        found.predict(FLAT, propagate="memory")
    assert found.embeddings.state.misses == 0


def test_decoders_on_a_coarser_grid_are_refused(five_categories: Categories) -> None:
    torch.manual_seed(0)
    model = build_variant("segsam", Sam2(SMALL), five_categories, grid=4).eval()
    found = Predictor(model)
    found.set_volume(volume())
    with pytest.raises(PromptError, match="host's own grid of 8 for propagate memory, got 4"):
        found.predict(FLAT, propagate="memory")
    assert found.predict(FLAT, propagate=True).labels.shape == (128, 100, DEPTH)


def test_a_mask_in_model_pixels_equals_the_packages_resizing(
    present: tuple[Any, Predictor],
) -> None:
    _, found = present
    found.set_volume(Volume.from_array(np.zeros((200, 200, 3), dtype=np.int16)))
    view = found.slices(2).view
    mask: NDArray[np.bool_] = np.random.default_rng(0).random((20, 20)) > 0.5
    mask = mask.repeat(10, 0).repeat(10, 1)
    given: Tensor = torch.from_numpy(mask)[None, None].float()
    wanted = nn.functional.interpolate(
        given, size=(128, 128), align_corners=False, mode="bilinear", antialias=True
    )
    assert torch.equal(model_mask(view, mask), wanted[0, 0] >= 0.5)


def test_the_smallest_mask_keeps_a_pixel(present: tuple[Any, Predictor]) -> None:
    _, found = present
    found.set_volume(Volume.from_array(np.zeros((1000, 700, 3), dtype=np.int16)))
    view = found.slices(2).view
    mask = np.zeros((view.height, view.width), dtype=np.bool_)
    assert not model_mask(view, mask).any()
    mask[333, 444] = True
    assert model_mask(view, mask).sum() >= 1
    assert model_mask(view, mask).shape == (128, 128)

"""SAM 2's memory against the package's video predictor, on random weights and a short stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segsam.model import ImageFeatures, PromptTensors
from segsam.model.hosts import Sam2
from segsam.model.hosts.sam2_memory import SliceTracker, TrackedMask, remember
from segsam.model.official import fit_host

from .sam2_package import SMALL, predictor, video_state

FRAMES = 20
"""More than the fifteen pointers that memory holds."""
SEED = 2


def images(count: int = FRAMES) -> Tensor:
    """A disc that moves and fades into noise, (n, 3, 128, 128)."""
    rows, columns = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, 3, 128, 128, generator=generator)
    discs = [(rows - 60) ** 2 + (columns - 40 - 2 * n) ** 2 < 500 for n in range(count)]
    return torch.stack(discs)[:, None] * 2.0 + 0.3 * noise


def disc(index: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    return (rows - 60) ** 2 + (columns - 40 - 2 * index) ** 2 < 400


@pytest.fixture(scope="module", params=[4.0, -4.0, None], ids=["present", "absent", "by chance"])
def pair(request: pytest.FixtureRequest) -> tuple[Any, Sam2]:
    """The predictor and the host with the same weights; the score of presence is shifted."""
    model = predictor(SMALL)
    bias = model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias
    if request.param is not None:
        nn.init.constant_(bias, request.param)
    host = Sam2(SMALL)
    fit_host(host, model.state_dict(), "a.pt")
    return model, host.eval()  # type: ignore[return-value]


def published(model: Any, masked: Sequence[int], *, start: int, reverse: bool) -> dict[int, Any]:
    """Outputs of the predictor by frame, from known masks on `masked`."""
    state = video_state(model, images())
    for index in masked:
        model.add_new_mask(state, index, 1, disc(index))
    list(model.propagate_in_video(state, start_frame_idx=start, reverse=reverse))
    found: dict[int, Any] = state["output_dict_per_obj"][0]["non_cond_frame_outputs"]
    return found


def features(host: Sam2, index: int) -> ImageFeatures:
    embedding, detail = host.encode(images()[index : index + 1])
    return ImageFeatures(embedding, detail=detail)


@torch.inference_mode()
def tracked(
    host: Sam2, masked: Sequence[int], indices: range
) -> tuple[dict[int, TrackedMask], SliceTracker]:
    seeds = [remember(host, index, features(host, index), disc(index)) for index in masked]
    tracker = SliceTracker(host, FRAMES, seeds, backwards=indices.step < 0)
    return {index: tracker.track(index, features(host, index)) for index in indices}, tracker


def assert_equal(found: dict[int, TrackedMask], wanted: dict[int, Any]) -> None:
    assert found
    for index, mask in found.items():
        other = wanted[index]
        torch.testing.assert_close(mask.logits, other["pred_masks"], atol=2e-4, rtol=1e-4)
        assert mask.present is bool(other["object_score_logits"] > 0)
        assert mask.present is bool(mask.logits.max() > -1024)


@pytest.mark.filterwarnings("ignore")
def test_from_one_slice_to_both_ends(pair: tuple[Any, Sam2]) -> None:
    model, host = pair
    forwards, tracker = tracked(host, [SEED], range(SEED + 1, FRAMES))
    wanted = published(model, [SEED], start=SEED, reverse=False)
    assert_equal(forwards, wanted)
    last = tracker._last[-1]
    torch.testing.assert_close(last.pointer, wanted[FRAMES - 1]["obj_ptr"], atol=2e-4, rtol=1e-4)
    memory = wanted[FRAMES - 1]["maskmem_features"]
    torch.testing.assert_close(last.features, memory, atol=1e-2, rtol=1e-2)
    assert len(tracker._last) == 15
    backwards, _ = tracked(host, [SEED], range(SEED - 1, -1, -1))
    assert_equal(backwards, published(model, [SEED], start=SEED, reverse=True))


@pytest.mark.filterwarnings("ignore")
def test_between_two_prompted_slices(pair: tuple[Any, Sam2]) -> None:
    model, host = pair
    masked = [1, 9]
    near, _ = tracked(host, masked, range(2, 6))
    assert_equal(near, published(model, masked, start=1, reverse=False))
    far, _ = tracked(host, masked, range(8, 5, -1))
    assert_equal(far, published(model, masked, start=9, reverse=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [1, 2])
def test_points_on_a_slice_that_memory_reaches(pair: tuple[Any, Sam2], count: int) -> None:
    model, host = pair
    points = torch.tensor([[[50.0, 60], [9, 9]]])[:, :count]
    labels = torch.tensor([[1, 0]])[:, :count]
    state = video_state(model, images())
    model.add_new_mask(state, SEED, 1, disc(SEED))
    model.propagate_in_video_preflight(state)
    wanted, _ = model._run_single_frame_inference(
        inference_state=state,
        output_dict=state["output_dict_per_obj"][0],
        frame_idx=SEED + 1,
        batch_size=1,
        is_init_cond_frame=False,
        point_inputs={"point_coords": points, "point_labels": labels},
        mask_inputs=None,
        reverse=False,
        run_mem_encoder=True,
    )
    with torch.inference_mode():
        seed = remember(host, SEED, features(host, SEED), disc(SEED))
        tracker = SliceTracker(host, FRAMES, [seed], backwards=False)
        found = tracker.track(SEED + 1, features(host, SEED + 1), PromptTensors(points, labels))
    if count == 1:  # of two points, the package may draw another mask: `Sam2.decode_masks`
        torch.testing.assert_close(found.logits, wanted["pred_masks"], atol=2e-4, rtol=1e-4)
    assert found.present is bool(wanted["object_score_logits"] > 0)
    torch.testing.assert_close(tracker._last[-1].pointer, wanted["obj_ptr"], atol=2e-4, rtol=1e-4)


def test_memory_does_not_grow_with_the_volume() -> None:
    torch.manual_seed(0)
    host = Sam2(SMALL).eval()
    with torch.inference_mode():
        seed = remember(host, 0, features(host, 0), disc(0))  # type: ignore[arg-type]
        tracker = SliceTracker(host, 500, [seed], backwards=False)  # type: ignore[arg-type]
        given = features(host, 1)  # type: ignore[arg-type]
        for index in range(1, 40):
            tracker.track(index, given)
    assert [each.index for each in tracker._last] == list(range(25, 40))
    assert len(tracker._remembered(40)) == 7
    assert len(tracker._pointers_at(40)) == 16

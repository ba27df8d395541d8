"""Search by the dense head: boxes where its maps are, on every slice, in every storage order."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from segsam.categories import Categories
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.model import SegSam, build_variant
from segsam.prediction import naming
from segsam.prediction.labels import Region, fuse_axes
from segsam.prediction.predictor import Predictor
from segsam.proposals import dense
from segsam.proposals.automatic import Search, segment_automatically
from segsam.proposals.dense import DenseMaps

from ..conftest import TinyHost
from .test_proposals import calls_all

SPLEEN = 1


def blob() -> NDArray[np.bool_]:
    mask = np.zeros((32, 28, 6), np.bool_)
    mask[8:20, 6:18, 1:5] = True
    return mask


@pytest.fixture(scope="module")
def volume() -> Volume:
    voxels = np.random.default_rng(0).integers(0, 40, (32, 28, 6)).astype(np.int16)
    voxels[blob()] += 200
    return Volume.from_array(voxels, np.diag([1.0, 1.0, 4.0, 1.0]), name="blob")


@pytest.fixture(scope="module")
def model(volume: Volume) -> SegSam:
    """A tiny model whose dense head was fitted to the blob of the volume, as a spleen, with the
    slices beside each one.
    """
    rows = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    names = ("liver", "spleen", "heart", "nerve", "polyp")
    categories = Categories.load()
    items = tuple(categories.items[categories.index(name)] for name in names)
    torch.manual_seed(3)
    made = build_variant(
        "segsam", TinyHost(), Categories(items, rows, "made up"), head="maskcls", dense_head=True
    ).eval()
    made = made.with_card(replace(made.card, semantic_is_trained=True))
    predictor = Predictor(made)
    predictor.set_volume(volume)
    slices = predictor.slices(2)
    embeddings = torch.cat([slices.features(index).embedding for index in range(6)]).clone()
    beside = torch.zeros(6, 2, *embeddings.shape[1:])
    for index in range(6):
        for side, other in enumerate(slices.view.beside(index)):
            beside[index, side] = embeddings[other]
    planes = [slices.view.turned(blob()[:, :, index]) for index in range(6)]
    targets = torch.zeros(6, 5, 16, 16)
    for index, plane in enumerate(planes):
        square = torch.zeros(1, 1, 32, 32)
        square[0, 0, : plane.shape[0], : plane.shape[1]] = torch.from_numpy(plane.copy()).float()
        targets[index, SPLEEN] = F.adaptive_avg_pool2d(square, 16)[0, 0]
    head = made.dense_head
    assert head is not None
    optimiser = torch.optim.Adam(head.parameters(), lr=5e-3)
    for _ in range(60):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(head(embeddings, beside), targets).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return made


def maps_of(model: SegSam, volume: Volume, axis: int = 2) -> DenseMaps:
    predictor = Predictor(model)
    predictor.set_volume(volume)
    maps = DenseMaps(model, predictor.slices(axis), range(5))
    for index in maps.indices:
        maps.read(index)
    return maps


def drawn_by(maps: DenseMaps) -> Region:
    """The first object of the maps."""
    return maps.region(next(maps.objects()))


def test_a_part_of_an_object_is_drawn_as_in_the_whole(model: SegSam, volume: Volume) -> None:
    maps = maps_of(model, volume)
    box = slice(9, 15), slice(5, 12), slice(2, 4)
    part, whole = maps.region(next(maps.objects()), box), drawn_by(maps)
    assert np.array_equal(part.mask()[box], whole.mask()[box])
    assert part.voxels == int(whole.mask()[box].sum()) > 0
    assert np.isin(part.values, whole.values).all()


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_each_slice_of_the_object_has_its_box(model: SegSam, volume: Volume) -> None:
    maps = maps_of(model, volume)
    (found,) = maps.objects()
    assert found.category == SPLEEN
    assert found.probability > 0.5
    assert [box.min_ijk[2] for box in found.boxes] == [1, 2, 3, 4]
    for box in found.boxes:
        assert np.abs(np.subtract(box.min_ijk[:2], (8, 6))).max() <= 2
        assert np.abs(np.subtract(box.max_ijk[:2], (19, 17))).max() <= 2
    assert iou(maps.region(found).mask(), blob()) > 0.7


def test_a_slice_is_read_with_those_beside_it(
    model: SegSam, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the object, what is said of a slice changes with those beside it."""
    with_sides = maps_of(model, volume)
    monkeypatch.setattr(SliceView, "beside", lambda *_: ())
    alone = maps_of(model, volume)
    assert with_sides.presence(0)[SPLEEN] != alone.presence(0)[SPLEEN]


def test_every_storage_order_gives_the_same(model: SegSam, volume: Volume) -> None:
    wanted = drawn_by(maps_of(model, volume)).mask()
    for order in itertools.permutations(range(3)):
        for flips in ((1, 1, 1), (-1, 1, -1)):
            turn = np.zeros((4, 4))
            turn[3, 3] = 1
            voxels = volume.voxels.transpose(order)[:: flips[0], :: flips[1], :: flips[2]]
            for axis, source in enumerate(order):
                turn[source, axis] = flips[axis]
                turn[source, 3] += 0 if flips[axis] > 0 else voxels.shape[axis] - 1
            other = Volume.from_array(voxels, volume.affine_ras @ turn, name="blob")
            found = drawn_by(maps_of(model, other, order.index(2))).mask()
            back = found[:: flips[0], :: flips[1], :: flips[2]].transpose(np.argsort(order))
            assert np.array_equal(back, wanted), (order, flips)


def test_maps_between_slices_that_were_read_are_interpolated(
    model: SegSam, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "MOST_READ", 4)
    maps = maps_of(model, volume)
    assert len(maps.indices) == 4
    (found,) = maps.objects()
    assert {2, 3} <= {box.min_ijk[2] for box in found.boxes}


def test_a_category_is_present_where_its_map_is(model: SegSam, volume: Volume) -> None:
    maps = maps_of(model, volume)
    assert maps.presence(3)[SPLEEN] > 0.5
    assert maps.presence(0)[SPLEEN] < 0.5
    assert maps.presence(3)[0] < 0.5


def test_a_category_that_no_image_of_the_memory_shows_is_not_present(
    model: SegSam, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But what its map shows is boxed all the same: the prompted decoders name it, or do not."""
    monkeypatch.setattr(dense, "near_categories", lambda *_: np.zeros(5, np.bool_))
    maps = maps_of(model, volume)
    assert maps.presence(3)[SPLEEN] == 0
    assert [one.category for one in maps.objects()] == [SPLEEN]


def test_small_parts_and_lines_have_no_box() -> None:
    inside = np.zeros((4, 8, 8), np.bool_)
    inside[:, 1:4, 1:4] = True
    inside[0, 6, 6] = True
    kept = dense._large_parts(inside)
    assert kept.sum() == inside.sum() - 1
    assert not kept[0, 6, 6]
    assert not dense._large_parts(np.zeros((2, 4, 4), np.bool_)).any()


def test_the_answer_is_the_mean_of_both_masks(
    model: SegSam, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the category's name by the prompted decoders, as any object."""
    monkeypatch.setattr(naming, "AGREEING_FROM", 0.0)
    calls_all(model, SPLEEN)
    predictor = Predictor(model)
    predictor.set_volume(volume)
    found = segment_automatically(predictor, Search(min_certainty=0.0))
    (one,) = found.objects
    assert one.name == "spleen"
    assert found.searched_slices == tuple(range(6))
    seen = drawn_by(maps_of(model, volume))
    assert [each.index for each in one.result.slices] == [1, 2, 3, 4]
    assert one.presence[3] > 0.5
    halves = fuse_axes([seen, seen]).mask()
    assert iou(halves, blob()) > 0.7
    calls_all(model, 0)
    other = segment_automatically(predictor, Search(min_certainty=0.0, categories=("spleen",)))
    assert other.objects == ()
    assert "would be named liver" in other.not_found[0].in_words

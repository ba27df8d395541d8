"""Labels and images told apart: of every kind, against a count by hand, and on real files."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from segsam.errors import LabelError
from segsam.imaging.label_files import Labels
from segsam.imaging.label_regions import agreement, check_regions

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
CODES = {
    "TotalSegmentator": np.arange(1, 118),
    "FreeSurfer": np.r_[2:65:3, 251:256, 1001:1036, 2001:2036, 11101:11176, 12101:12176, 14175],
    "a parcellation": np.arange(1, 1001),
    "an atlas with codes of nine digits": 614_454_000 + np.arange(150),
    "FDI codes of teeth": np.r_[11:19, 21:29, 31:39, 41:49],
}


def parcels(codes: NDArray[np.int64], side: int = 40) -> NDArray[np.uint32]:
    """Regions around random seeds, each of one code, in a ball of background."""
    rng = np.random.default_rng(7)
    seeds = np.zeros((side,) * 3, np.int64)
    places = rng.choice(seeds.size, len(codes), replace=False)
    seeds.flat[places] = codes
    _, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    voxels = seeds[tuple(nearest)].astype(np.uint32)
    grid = np.indices(voxels.shape) - side / 2
    voxels[(grid**2).sum(0) > (0.6 * side) ** 2] = 0
    return voxels


def scan(lowest: int, highest: int, noise: float) -> NDArray[np.int64]:
    """A smooth body with noise, whole numbers between two values."""
    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.normal(size=(40, 40, 20)), 4)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    voxels = lowest + smooth * (highest - lowest) + rng.normal(0, noise, smooth.shape)
    return np.clip(np.round(voxels), lowest, highest).astype(np.int64)


def labels(*maps: NDArray[np.generic]) -> Labels:
    return Labels(tuple(each.astype(np.uint32) for each in maps), {})


@pytest.mark.parametrize("codes", CODES.values(), ids=CODES)
def test_labels_of_many_structures_are_labels(codes: NDArray[np.int64]) -> None:
    voxels = parcels(codes)
    assert len(np.unique(voxels)) > 30
    check_regions(labels(voxels))


@pytest.mark.parametrize(
    "voxels",
    [
        scan(0, 2000, 12),
        scan(0, 255, 4),
        scan(0, 60, 2),
        np.where(scan(0, 9, 0) < 5, 24, scan(0, 2000, 12)),
    ],
    ids=["CT from 0", "8 bits", "60 values", "a constant background that is not 0"],
)
def test_images_are_refused(voxels: NDArray[np.int64]) -> None:
    with pytest.raises(
        LabelError, match=r"got an image: its \d+ values change from voxel to voxel"
    ):
        check_regions(labels(voxels))


def test_few_values_are_always_a_label() -> None:
    noise = np.random.default_rng(0).integers(0, 17, (9, 9, 9))
    check_regions(labels(noise))
    with pytest.raises(LabelError, match="its 17 values"):
        check_regions(labels(np.random.default_rng(0).integers(0, 18, (9, 9, 9))))


def test_many_small_structures_that_lie_apart_are_a_label() -> None:
    voxels = np.zeros((40, 40, 4), np.int64)
    voxels[::2, ::2, ::2] = np.arange(1, 801).reshape(20, 20, 2)
    check_regions(labels(voxels))


def test_agreement_is_what_a_count_by_hand_gives() -> None:
    rng = np.random.default_rng(1)
    maps = [np.repeat(rng.integers(0, 40, (6, 5, 4)), 2, axis=0).astype(np.uint32) for _ in "ab"]
    maps[1] *= np.uint32(3000)  # beyond 16 bits
    values = np.unique(maps)[1:].astype(np.uint32)
    sides: dict[int, list[bool]] = {int(value): [] for value in values}
    for each in maps:
        for place in np.ndindex(each.shape):
            for axis in range(3):
                for step in (-1, 1):
                    other = list(place)
                    other[axis] += step
                    if 0 <= other[axis] < each.shape[axis] and each[place] and each[tuple(other)]:
                        sides[int(each[place])].append(bool(each[place] == each[tuple(other)]))
    shares = [np.mean(equal) if equal else 1.0 for equal in sides.values()]
    assert agreement(maps, values) == pytest.approx(float(np.median(shares)))


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not beside this checkout")
@pytest.mark.parametrize(
    "name", ["acdc_cardiac", "btcv_ct", "chaos_mr_t2", "hippocampus", "openkbp_hn_ct", "sts_pet"]
)
def test_real_labels_pass_and_their_images_do_not(name: str) -> None:
    image, label = (
        next(iter(sorted((DATA / name / part).glob("*")))) for part in ("images", "labels")
    )
    check_regions(labels(np.asarray(nibabel.load(label).dataobj)))
    voxels = np.round(np.asarray(nibabel.load(image).dataobj)).astype(np.int64)
    with pytest.raises(LabelError, match="got an image"):
        check_regions(labels(voxels - min(int(voxels.min()), 0)))

"""Properties of the geometry, on random oblique grids (matrix G1-G4 of the reliability tests)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.geometry import SHEAR_TOLERANCE, shear_of, swap_lps_ras
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume

SHAPE = (5, 6, 7)
LPS = np.array([-1.0, -1.0, 1.0])


def unit(numbers: list[float]) -> NDArray[np.float64]:
    return np.array(numbers) / np.linalg.norm(numbers)


@st.composite
def rotations(draw: st.DrawFn) -> NDArray[np.float64]:
    """Any proper rotation, from a unit quaternion."""
    parts = st.floats(-1, 1, allow_subnormal=False)
    numbers = draw(st.lists(parts, min_size=4, max_size=4).filter(lambda q: np.dot(q, q) > 0.01))
    w, x, y, z = unit(numbers)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@st.composite
def affines(draw: st.DrawFn) -> NDArray[np.float64]:
    """Any rotation or reflection, spacings 0.3 to 6 mm, origins as on scanners."""
    affine = np.eye(4)
    spacing = draw(st.lists(st.floats(0.3, 6), min_size=3, max_size=3))
    mirror = draw(st.sampled_from([1, -1]))
    affine[:3, :3] = draw(rotations()) * np.array(spacing) * [1, 1, mirror]
    affine[:3, 3] = draw(st.lists(st.floats(-120, 120), min_size=3, max_size=3))
    return affine


def volume_of(affine: NDArray[Any], shape: tuple[int, ...] = SHAPE) -> Volume:
    values = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint8)
    return Volume.from_array(values, affine)


@settings(max_examples=200, deadline=None)
@given(affines(), st.lists(st.floats(-20, 600), min_size=3, max_size=3))
def test_ijk_ras_lps_ras_ijk(affine: NDArray[Any], point: list[float]) -> None:
    volume = volume_of(affine)
    ras = volume.to_ras([point])
    lps = ras * LPS
    direct = swap_lps_ras(affine) @ [*point, 1]
    np.testing.assert_allclose(lps[0], direct[:3], atol=1e-9)
    np.testing.assert_allclose(volume.to_ijk(lps * LPS)[0], point, atol=1e-6)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(affine=affines())
def test_saved_and_read_back(ending: str, affine: NDArray[Any]) -> None:
    volume = volume_of(affine)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{ending}"
        volume.save(path)
        again = Volume.load(path)
        assert np.array_equal(again.voxels, volume.voxels)
        np.testing.assert_allclose(again.affine_ras, affine, atol=1e-5)
        for world in read_by_others(path):
            assert np.abs(world - volume.to_ras(corners())).max() <= 0.01


def corners() -> NDArray[Any]:
    return np.array(list(np.ndindex(2, 2, 2))) * (np.array(SHAPE) - 1)


def read_by_others(path: Path) -> list[NDArray[Any]]:
    """Corners (8, 3) in RAS according to SimpleITK, nibabel and pynrrd."""
    image = sitk.ReadImage(str(path))
    points = [image.TransformIndexToPhysicalPoint(corner.tolist()) for corner in corners()]
    worlds = [np.array(points) * LPS]
    if path.name.endswith(".nii.gz"):
        loaded = nib.load(path)
        for form in (loaded.affine, loaded.header.get_qform()):
            worlds.append(nib.affines.apply_affine(form, corners()))
    if path.name.endswith(".nrrd"):
        header = nrrd.read_header(str(path))
        worlds.append((corners() @ header["space directions"] + header["space origin"]) * LPS)
    return worlds


@settings(max_examples=200, deadline=None)
@given(affines(), st.floats(-0.01, 0.01), st.sampled_from([(0, 1), (0, 2), (1, 2), (2, 0)]))
def test_shear_is_refused_above_the_limit_and_exact_below(
    affine: NDArray[Any], amount: float, axes: tuple[int, int]
) -> None:
    skewed = affine.copy()
    moved, along = axes
    direction = affine[:3, along] / np.linalg.norm(affine[:3, along])
    skewed[:3, moved] += amount * direction * np.linalg.norm(affine[:3, moved])
    if shear_of(skewed) > SHEAR_TOLERANCE:
        with pytest.raises(VolumeError, match=r"sheared: .* at most 0\.001 is accepted"):
            volume_of(skewed)
    else:
        assert np.array_equal(volume_of(skewed).affine_ras, skewed)


@settings(max_examples=100, deadline=None)
@given(affines(), st.permutations([0, 1, 2]), st.lists(st.booleans(), min_size=3, max_size=3))
def test_oblique_pictures_do_not_depend_on_the_storage_order(
    affine: NDArray[Any], axes: list[int], flips: list[bool]
) -> None:
    volume = volume_of(affine)
    new_to_old = np.zeros((4, 4))
    new_to_old[3, 3] = 1
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        new_to_old[old, new] = -1 if flip else 1
        new_to_old[old, 3] = SHAPE[old] - 1 if flip else 0
    permuted = np.flip(volume.voxels.transpose(axes), [n for n in range(3) if flips[n]])
    stored = Volume.from_array(permuted, affine @ new_to_old)
    for new, old in enumerate(axes):
        view, same = SliceView.of(volume, old, 32), SliceView.of(stored, new, 32)
        index = SHAPE[old] - 2 if flips[new] else 1
        assert np.array_equal(
            same.image(stored, Intensity.for_volume(stored), index),
            view.image(volume, Intensity.for_volume(volume), 1),
        )


@settings(max_examples=100, deadline=None)
@given(affines(), st.sampled_from(["RAS", "LPS", "SAR", "PIL", "IRP"]))
def test_reorientation_is_undone_by_reorientation(affine: NDArray[Any], codes: str) -> None:
    volume = volume_of(affine)
    reoriented = volume.reoriented(codes)
    index = np.rint(reoriented.to_ijk(volume.to_ras([[1, 2, 3]]))[0]).astype(int)
    assert reoriented.voxels[tuple(index)] == volume.voxels[1, 2, 3]
    again = reoriented.reoriented("RAS")
    expected = volume.reoriented("RAS")
    assert np.array_equal(again.voxels, expected.voxels)
    np.testing.assert_allclose(again.affine_ras, expected.affine_ras, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.floats(0.3, 6), st.floats(0.3, 6), st.floats(0.3, 6)),
    st.integers(0, 2),
)
def test_points_stay_inside_the_picture(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], axis: int
) -> None:
    volume = volume_of(np.diag([*spacing, 1.0]), shape)
    view = SliceView.of(volume, axis, 64)
    height_px, width_px = view.size_px
    assert max(view.size_px) == 64
    assert min(view.size_px) >= 1
    points = view.points_px([[0, 0, 0], np.array(shape) - 1])
    assert (points >= 0).all()
    assert (points < [width_px, height_px]).all()

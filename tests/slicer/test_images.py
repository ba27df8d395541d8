"""Volumes as files: read back with another library, where there is one."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
from SEGSAMLib.Errors import CancelledError, ClientError
from SEGSAMLib.Values.Geometry import VolumeGrid
from SEGSAMLib.Values.ImageFiles import ImagePayload, digest, nrrd_file

AFFINE = np.array([[0.1, -1.2, 0.3, 10], [0.9, 0.2, 0, -20.5], [0, 0.1, -3.0, 400], [0, 0, 0, 1]])
GRID = VolumeGrid.of((6, 5, 4), AFFINE)


def nothing() -> None:
    """Never stop."""


def voxels(dtype: str = "int16") -> np.ndarray:
    return np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(dtype)


def parts(file: io.BytesIO) -> tuple[dict[str, str], bytes]:
    head, data = file.read().split(b"\n\n", 1)
    lines = head.decode("ascii").splitlines()
    assert lines[0] == "NRRD0004"
    return dict(line.split(": ", 1) for line in lines[1:]), data


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "float64", "int32", ">i2"])
def test_voxels_and_geometry(dtype: str, *, small: bool) -> None:
    array = voxels(dtype)
    with nrrd_file(array, GRID, nothing, small=small) as file:
        head, data = parts(file)  # type: ignore[arg-type]
    assert head["sizes"] == "6 5 4"
    assert head["encoding"] == ("gzip" if small else "raw")
    raw = gzip.decompress(data) if small else data
    order = ">" if head["endian"] == "big" else "<"
    read = np.frombuffer(raw, array.dtype.newbyteorder(order)).reshape(4, 5, 6)
    assert np.array_equal(read, array)
    columns = [
        [float(value) for value in vector.strip("()").split(",")]
        for vector in head["space directions"].split()
    ]
    assert np.array_equal(np.array(columns).T, np.diag([-1, -1, 1]) @ AFFINE[:3, :3])


def test_a_view_that_is_not_in_one_piece() -> None:
    array = voxels()[:, ::-1, ::2]
    grid = VolumeGrid.of((3, 5, 4), AFFINE)
    with nrrd_file(array, grid, nothing, small=False) as file:
        _, data = parts(file)  # type: ignore[arg-type]
    assert data == np.ascontiguousarray(array).tobytes()


def test_colour() -> None:
    array = np.zeros((4, 5, 6, 3), np.uint8)
    with nrrd_file(array, GRID, nothing, small=False) as file:
        head, _ = parts(file)  # type: ignore[arg-type]
    assert head["sizes"] == "3 6 5 4"
    assert head["space directions"].startswith("none (")


@pytest.mark.parametrize("array", [voxels("complex64"), voxels("bool"), np.zeros((3, 3), "int16")])
def test_what_is_no_volume(array: np.ndarray) -> None:
    with pytest.raises(ClientError, match="cannot be sent"):
        nrrd_file(array, GRID, nothing, small=False)


def test_the_digest_is_of_voxels_and_geometry() -> None:
    other = VolumeGrid.of((6, 5, 4), np.eye(4))
    changed = voxels()
    changed[1, 2, 3] += 1
    found = [
        digest(ImagePayload(array, grid, "any"), nothing)
        for array, grid in ((voxels(), GRID), (voxels(), other), (changed, GRID))
    ]
    assert len(set(found)) == 3
    assert digest(ImagePayload(voxels(), GRID, "other key"), nothing) == found[0]


def test_it_can_be_stopped() -> None:
    def stop() -> None:
        raise CancelledError("Cancelled.")

    with pytest.raises(CancelledError):
        nrrd_file(voxels(), GRID, stop, small=True)

"""Contents of images: matrix B6. The right mask or an error, never a mask of something else."""

from __future__ import annotations

import json
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from segsam.remote.masks import decode_mask

from ..conftest import LPS_MM, SHAPE, ball, picture

pytestmark = pytest.mark.usefixtures("no_file_left")

BOX = {"prompts": {"boxes": [{"min_ijk": [15, 14, 4], "max_ijk": [45, 38, 4]}]}, "result": "region"}


def ask(server: Any, voxels: NDArray[Any]) -> Any:
    """Return the reply to a box in an image with these voxels, uploaded with the request."""
    image = nibabel.Nifti1Image(voxels, LPS_MM, dtype=voxels.dtype)
    image.header.set_data_dtype(voxels.dtype)
    files = {"file": ("x.nii", image.to_bytes())}
    return server.infer(params=json.dumps(BOX), files=files)


@pytest.fixture(scope="module")
def usual(server: Any) -> Any:
    """Mask of the ball in the usual image."""
    return mask_of(ask(server, picture()))


def mask_of(answer: Any) -> NDArray[np.uint8]:
    """Return the mask of a reply, (i, j, k)."""
    assert answer.status_code == 200, answer.text
    return decode_mask(answer.json()["mask"], SHAPE)


def dice(one: NDArray[Any], other: NDArray[Any]) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def test_the_usual_image(usual: NDArray[np.uint8]) -> None:
    only = np.zeros(SHAPE, np.uint8)
    only[:, :, 4] = ball()[:, :, 4]
    assert dice(usual, only) > 0.8


@pytest.mark.parametrize("kind", ["int8", "uint8", "uint16", "int32", "uint64", "float64"])
def test_voxels_of_every_type(server: Any, usual: NDArray[np.uint8], kind: str) -> None:
    scaled = picture() // 3 if kind == "int8" else picture()
    assert dice(mask_of(ask(server, scaled.astype(kind))), usual) > 0.95


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_voxel_that_is_not_finite(server: Any, value: float) -> None:
    voxels = picture().astype(np.float32)
    voxels[3, 4, 5] = value
    answer = ask(server, voxels)
    assert (answer.status_code, answer.json()["code"]) == (422, "volume")
    assert "1 of" in answer.json()["detail"] or "NaN" in answer.json()["detail"]


def test_voxels_near_the_largest_number(server: Any, usual: NDArray[np.uint8]) -> None:
    huge = picture().astype(np.float64) / 300 * 1e308
    answer = ask(server, huge)
    if answer.status_code == 200:
        assert dice(mask_of(answer), usual) > 0.95
    else:
        assert (answer.status_code, answer.json()["code"]) == (422, "volume")


@pytest.mark.parametrize("values", [(0.0, -0.0), (7.0, 7.0)], ids=["both zeros", "one value"])
def test_an_image_without_contrast(server: Any, values: tuple[float, float]) -> None:
    voxels = np.full(SHAPE, values[0], np.float32)
    voxels[::2] = values[1]
    answer = ask(server, voxels)
    assert answer.status_code == 200
    assert answer.json()["label_names"] == {"object": 1}


def test_complex_and_colour_voxels(server: Any) -> None:
    answer = ask(server, picture().astype(np.complex64))
    assert (answer.status_code, answer.json()["code"]) == (422, "volume")
    colours = np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    for name in "RGB":
        colours[name] = np.clip(picture(), 0, 255)
    assert dice(mask_of(ask(server, colours)), mask_of(ask(server, picture()))) > 0.9

"""Files that unpack to far more than a scan, at every door of a real server."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from ..warm_python import WarmPython
from .conftest import Server, started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

SIDE = 768
"""450 MB of 8-bit voxels, in a file of half a megabyte."""
GOAL_MB = 100
POINT = json.dumps({"prompts": {"points": [{"ijk": [30, 26, 4]}]}, "result": "slice"})


def bomb(value: int, side: int = SIDE) -> bytes:
    """Return a NIfTI file whose voxels are all `value`."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((side,) * 3)
    header["sform_code"], header["pixdim"][1:4], header["vox_offset"] = 1, 1, 352
    header["srow_x"], header["srow_y"], header["srow_z"] = np.eye(4)[:3]
    coder = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = bytes([value]) * 2**24
    packed = coder.compress(b"") + coder.flush(zlib.Z_FULL_FLUSH)
    repeated = coder.compress(piece) + coder.flush(zlib.Z_FULL_FLUSH)
    count, rest = divmod(side**3, 2**24)
    end = coder.compress(bytes([value]) * rest) + coder.flush()
    head = gzip.compress(bytes(header.binaryblock) + bytes(4))
    return head + packed + repeated * count + end[:-8]


def metaimage_bomb() -> bytes:
    """Return a MetaImage whose voxels are all 1."""
    head = f"NDims = 3\nDimSize = {SIDE} {SIDE} {SIDE}\nElementType = MET_UCHAR\n"
    coder = zlib.compressobj(9)
    piece = bytes([1]) * SIDE**2
    packed = b"".join(coder.compress(piece) for _ in range(SIDE)) + coder.flush()
    return f"{head}CompressedData = True\nElementDataFile = LOCAL\n".encode() + packed


def peak_mb(server: Server) -> float:
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


@pytest.fixture(scope="module")
def large(
    tmp_path_factory: pytest.TempPathFactory, warm_monailabel: WarmPython
) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("bombs")
    conf = ["--conf", "checkpoint", "litemedsam", "--conf", "warm", "off"]
    with started(base, *conf, python=warm_monailabel, SEGSAM_MAX_VOXELS=str(2**31)) as running:
        (running.studies / "one.nii.gz").write_bytes(bomb(1))
        (running.studies / "zero.nii.gz").write_bytes(bomb(0))
        (running.studies / "empty.nii.gz").write_bytes(bomb(0, 1024))
        # Images with slices of the same size, and enough of them for the sample of grey values.
        noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 24)).astype(np.uint8)
        for name, voxels in (("noise", noise), ("blank", np.zeros_like(noise))):
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), running.studies / f"{name}.nii.gz")
            assert running.infer({"image": name}, params=POINT).status_code == 200
        yield running


def doors(server: Server) -> dict[str, Any]:
    """Return a function for each way in, with the status that it must end in."""
    one, zero, mha = bomb(1), bomb(0), metaimage_bomb()

    def session(name: str, content: bytes, params: str = POINT) -> int:
        opened = server.ask("PUT", "/session/", files={"files": (name, content)})
        if opened.status_code != 200:
            return int(opened.status_code)
        query = {"session_id": opened.json()["session_id"]}
        return int(server.infer(query, params=params).status_code)

    def put(path: str, name: str) -> int:
        return int(server.ask("PUT", path, files={name: ("x.nii.gz", one)}).status_code)

    def upload_to_infer() -> int:
        return int(server.infer(params=POINT, files={"file": ("x.nii.gz", one)}).status_code)

    def stored(image: str) -> int:
        return int(server.infer({"image": image}, params=POINT).status_code)

    def volume(image: str, extension: str) -> int:
        one_slice = {"foreground": [[30, 26, 4]], "result_extension": extension, "propagate": False}
        params = json.dumps(one_slice)
        return int(server.infer({"image": image}, params=params).status_code)

    return {
        "image": (lambda: put("/datastore/image?image=new", "file"), 413),
        "session": (lambda: session("x.nii.gz", one), 413),
        "session of a MetaImage": (lambda: session("x.mha", mha), 413),
        "session of zeros": (lambda: session("x.nii.gz", zero), 200),
        "infer with a file": (upload_to_infer, 413),
        "infer of a stored image": (lambda: stored("one"), 413),
        "infer of stored zeros": (lambda: stored("zero"), 200),
        "infer of a gigabyte of zeros": (lambda: stored("empty"), 413),
        "volume of zeros": (lambda: volume("zero", ".nii.gz"), 200),
        "volume of zeros as NRRD": (lambda: volume("zero", ".nrrd"), 200),
        "another session of zeros": (lambda: session("x.nii.gz", zero), 200),
        "label": (lambda: put("/datastore/label?image=zero", "label"), 200),
    }


def test_no_door_lets_a_bomb_in(large: Server, record_property: Any) -> None:
    for name, (door, expected) in doors(large).items():
        before = peak_mb(large)
        assert (name, door()) == (name, expected)
        grown = peak_mb(large) - before
        record_property(f"MB of the server: {name}", grown)
        assert grown < GOAL_MB, name

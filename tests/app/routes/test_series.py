"""A DICOM series in the studies folder of a real server: through every route of an image."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from ...dicom_writing import affine_ras, values, write_series, write_stills

BOX = {"boxes": [{"min_ijk": [3, 3, 2], "max_ijk": [11, 10, 2]}]}


def stock(k: int) -> str:
    """Return a click on slice k as MONAI Label's module sends it."""
    click = {"label": "ball", "foreground": [[7, 7, k]], "background": []}
    return json.dumps({**click, "result_extension": ".nii.gz"})


@pytest.fixture
def image(server: Any) -> Iterator[str]:
    """Id of a series that is put into the studies folder of the running server."""
    folders = [server.studies / name for name in ("0 patient", "us")]
    write_series(folders[0], names="{:04d}")
    write_stills(folders[1])
    yield next(i for i in listed(server) if i.startswith("0_patient-"))
    for folder in folders:
        shutil.rmtree(folder)


def listed(server: Any) -> dict[str, Any]:
    return dict(server.get("/datastore/?output=all").json()["objects"])


def mask_of(reply: Any, folder: Path, ending: str) -> Any:
    """Write the file in a reply of several parts, and open it."""
    boundary = reply.headers["content-type"].partition("boundary=")[2]
    part = next(p for p in reply.content.split(f"--{boundary}".encode()) if b"filename=" in p)
    path = folder / f"mask{ending}"
    path.write_bytes(part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"))
    return nibabel.load(path)


def test_its_notes_are_there_before_it_is_opened(server: Any) -> None:
    folder = server.studies / "white"
    write_series(folder, PhotometricInterpretation="MONOCHROME1")
    try:
        white = next(i for i in listed(server) if i.startswith("white-"))
        for _ in range(2):
            (note,) = server.get(f"/datastore/image/info?image={white}").json()["notes"]
            assert "white as its lowest value" in note
    finally:
        shutil.rmtree(folder)


def test_every_route_opens_it(server: Any, image: str, tmp_path: Path) -> None:
    assert [i for i in listed(server) if i.startswith(("0_patient", "us"))] == [image]
    stats = server.get("/datastore/").json()
    assert "3 stills without positions" in stats["left_out"]["us/US0.dcm"]

    downloaded = server.get(f"/datastore/image?image={image}")
    (tmp_path / "image.nii.gz").write_bytes(downloaded.content)
    file = nibabel.load(tmp_path / "image.nii.gz")
    np.testing.assert_array_equal(np.asarray(file.dataobj), values())
    np.testing.assert_allclose(file.affine, affine_ras(), atol=1e-5)
    digest = hashlib.sha256(downloaded.content).hexdigest()
    assert server.ask("HEAD", f"/datastore/image?image={image}&check_sum={digest}").ok
    assert server.get(f"/datastore/image/info?image={image}").json()["slices"] == 6

    reply = server.infer({"image": image}, params=stock(2))
    assert reply.ok, reply.text
    mask = mask_of(reply, tmp_path, ".nii.gz")
    assert mask.shape == values().shape
    np.testing.assert_allclose(mask.affine, affine_ras(), atol=1e-5)
    assert server.infer({"image": image}, params=json.dumps({"prompts": BOX})).ok
    assert server.ask("POST", f"/prefetch?image={image}&slice=2").status_code == 202

    sample = server.ask("POST", "/activelearning/first", json={}).json()
    assert sample["id"] == image
    label = tmp_path / "label.nii.gz"
    nibabel.save(mask, label)
    with label.open("rb") as content:
        saved = server.ask(
            "PUT", f"/datastore/label?image={image}&tag=final", files={"label": content}
        )
    assert saved.ok, saved.text
    assert server.get(f"/datastore/label?label={image}&tag=final").content == label.read_bytes()
    after = server.ask("POST", "/activelearning/first", json={}).json()
    assert after.get("id") != image
    pairs = server.get("/datastore/?output=train").json()
    assert f"{image}.nii.gz" in json.dumps(pairs)


def test_a_session_takes_files_without_endings_and_drops_litter(
    server: Any, tmp_path: Path
) -> None:
    paths = [*write_series(tmp_path / "s", names="{:03d}"), tmp_path / "s" / "._000"]
    paths[-1].write_bytes(b"\0\5\x16\7" + bytes(300))
    one = write_series(tmp_path / "one", 1, names="IM1")
    for chosen, depth in ((paths, 6), (one, 1)):
        files = [("files", (path.name, path.read_bytes())) for path in chosen]
        opened = server.ask("PUT", "/session/", files=files)
        assert opened.ok, opened.text
        query = {"session_id": opened.json()["session_id"]}
        reply = server.infer(query, params=stock(0))
        assert reply.ok, reply.text
        assert mask_of(reply, tmp_path, ".nii.gz").shape == (16, 14, depth)
        server.ask("DELETE", f"/session/{query['session_id']}")

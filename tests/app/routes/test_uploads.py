"""Uploads of images and labels: checked ids, plain names, nothing left after an error."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("no_file_left")


@pytest.fixture(scope="module")
def image(server: Any) -> bytes:
    return bytes((server.studies / "straight.nii.gz").read_bytes())


@pytest.fixture(scope="module")
def label(server: Any, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    drawn = nibabel.load(server.studies / "straight.nii.gz")
    voxels = (np.asarray(drawn.dataobj) > 160).astype(np.uint8)
    path = tmp_path_factory.mktemp("label") / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, drawn.affine), path)
    return path.read_bytes()


def put_image(server: Any, content: bytes, name: str = "x.nii.gz", **query: str) -> Any:
    return server.ask("PUT", "/datastore/image", params=query, files={"file": (name, content)})


def put_label(server: Any, content: bytes, image: str, **more: Any) -> Any:
    files = {"label": ("/home/doe/x.nii.gz", content)}
    return server.ask("PUT", "/datastore/label", params={"image": image}, files=files, **more)


def test_of_two_fields_none_is_dropped_in_silence(server: Any, label: bytes) -> None:
    twice = [("label", ("a.nii.gz", label)), ("label", ("b.nii.gz", label))]
    ask = partial(server.ask, "PUT", "/datastore/label", params={"image": "straight"})
    cases = {
        "expected 'label' once, got it 2 times": ask(files=twice),
        "expected 'params' once, got it 2 times": ask(
            files=twice[:1], data=[("params", "{}"), ("params", "{}")]
        ),
        "expected 'image' once, got it 2 times": server.ask(
            "PUT",
            "/datastore/label",
            params=[("image", "straight"), ("image", "oblique")],
            files=twice[:1],
        ),
        "params holds 'user' twice; expected each key once": ask(
            files=twice[:1], data={"params": '{"user": "a", "user": "b"}'}
        ),
    }
    for sentence, reply in cases.items():
        assert (reply.status_code, reply.json()["detail"]) == (400, sentence)
    found = server.get("/datastore/label/versions", params={"label": "straight"}).json()
    assert found["versions"] == []


def test_an_image_without_an_id_has_its_file_name(server: Any, image: bytes) -> None:
    assert put_image(server, image, "C:\\ct\\named.nii.gz").json() == {"image": "named"}
    assert server.get("/datastore/image", params={"image": "named"}).content == image


@pytest.mark.parametrize("name", [".nii.gz", "a b;c.nii.gz", "x" * 200 + ".nii.gz"])
def test_a_file_name_that_is_no_id(server: Any, image: bytes, name: str) -> None:
    assert put_image(server, image, name).status_code == 400


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f\x8b\x08 not gzip", bytes(400)])
def test_a_file_that_is_no_image_is_not_stored(server: Any, content: bytes) -> None:
    reply = put_image(server, content, image="nothing")
    assert (reply.status_code, reply.json()["code"]) == (422, "volume")
    assert server.get("/datastore/image", params={"image": "nothing"}).status_code == 404
    assert not list(server.studies.glob("nothing*"))


def test_an_image_is_written_once(server: Any, image: bytes) -> None:
    assert put_image(server, image, image="once").status_code == 200
    other = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)).to_bytes()
    assert put_image(server, other, "x.nii", image="once").status_code == 409
    assert server.get("/datastore/image", params={"image": "once"}).content == image


def test_a_save_on_an_outdated_version_is_refused(server: Any, image: bytes, label: bytes) -> None:
    assert put_image(server, image, image="shared").status_code == 200
    first = put_label(server, label, "shared")
    assert (first.status_code, first.headers["etag"]) == (200, '"1"')
    assert first.json()["version"] == 1
    second = put_label(server, label, "shared", headers={"If-Match": first.headers["etag"]})
    assert second.json()["version"] == 2
    late = put_label(server, label, "shared", headers={"If-Match": '"1"'})
    assert late.status_code == 409
    assert put_label(server, label, "shared", headers={"If-Match": "x"}).status_code == 400


def test_what_a_client_notes_about_an_image_changes_no_mask(server: Any, image: bytes) -> None:
    """The modality, by which images are shown and objects named, is that of the file."""
    assert put_image(server, image, image="noted").status_code == 200
    box = {"min_ijk": [17, 16, 4], "max_ijk": [43, 36, 4]}
    params = json.dumps({"prompts": {"boxes": [box]}, "result": "region"})

    def answer() -> dict[str, Any]:
        reply = server.infer({"image": "noted"}, params=params)
        assert reply.status_code == 200
        return {key: reply.json()[key] for key in ("mask", "label_names", "notes")}

    before = answer()
    noted = {"info": json.dumps({"modality": "CT", "Modality": "PT", "window": "lung"})}
    query = {"image": "noted"}
    assert server.ask("PUT", "/datastore/image/info", params=query, data=noted).status_code == 200
    assert answer() == before


def test_a_checksum_can_be_asked_for(server: Any, image: bytes) -> None:
    def head(check_sum: str) -> int:
        query = {"image": "straight", "check_sum": check_sum}
        return int(server.ask("HEAD", "/datastore/image", params=query).status_code)

    right = hashlib.sha256(image).hexdigest()
    assert [head(right), head(f"SHA256:{right}"), head("0" * 64), head("MD5:1")] == [
        200,
        200,
        404,
        400,
    ]


@pytest.mark.parametrize("params", ["{", "[1]", '{"a": NaN}', "[" * 100_000])
def test_the_params_of_a_label_must_be_json(server: Any, label: bytes, params: str) -> None:
    reply = put_label(server, label, "straight", data={"params": params})
    assert reply.status_code == 400


def test_a_label_of_an_unknown_image(server: Any, label: bytes) -> None:
    assert put_label(server, label, "nowhere").status_code == 404


@pytest.mark.parametrize("content", [b"", b"text", bytes(1000)])
def test_an_invalid_label(server: Any, content: bytes) -> None:
    before = {path: path.read_bytes() for path in Path(server.studies).rglob("*.nii.gz")}
    assert put_label(server, content, "straight").status_code == 422
    assert {path: path.read_bytes() for path in Path(server.studies).rglob("*.nii.gz")} == before

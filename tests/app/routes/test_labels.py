"""Labels and their versions over HTTP, from MONAI Label's own client and from plain requests."""

from __future__ import annotations

import hashlib
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from segsam.imaging.volume import Volume

from ..conftest import LPS_MM, ball, picture
from ..stored import write

UNCLOSED = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""MONAI Label's client leaves its sockets and files to the garbage collector."""

pytestmark = [UNCLOSED, pytest.mark.usefixtures("no_file_left")]

NAMES = {"label_info": [{"name": "ball", "idx": 1}], "client_id": "anna"}


@pytest.fixture
def image(server: Any, request: pytest.FixtureRequest) -> str:
    """Id of an image of this test's own, written into the study folder without the server."""
    name = request.node.name.replace("[", "-").rstrip("]").replace(".", "_")
    image = nibabel.Nifti1Image(picture(), LPS_MM)
    image.set_sform(LPS_MM, code=1)
    nibabel.save(image, server.studies / f"{name}.nii.gz")
    return str(name)


def put(
    server: Any,
    query: dict[str, str],
    voxels: NDArray[Any],
    folder: Path,
    *,
    params: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> requests.Response:
    """Send `PUT /datastore/label`."""
    path = write(folder / "sent.nii.gz", voxels, LPS_MM)
    with path.open("rb") as stream:
        return requests.put(
            f"{server.url}/datastore/label",
            params=query,
            files={"label": ("sent.nii.gz", stream)},
            data={"params": json.dumps(NAMES if params is None else params)},
            headers=headers,
            timeout=60,
        )


def versions(server: Any, image: str, tag: str = "final") -> dict[str, Any]:
    reply = requests.get(
        f"{server.url}/datastore/label/versions", params={"label": image, "tag": tag}, timeout=60
    )
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def refused(reply: requests.Response) -> tuple[int, str, str]:
    body = reply.json()
    assert set(body) == {"detail", "code"}
    return reply.status_code, body["code"], body["detail"]


def test_the_stock_client_saves_and_reads_back(server: Any, image: str, tmp_path: Path) -> None:
    client = server.client(tmp_path)
    for ending in (".nii.gz", ".nrrd", ".seg.nrrd"):
        path = tmp_path / f"drawn{ending}"
        Volume.from_array(ball(), LPS_MM).save(path)
        assert client.save_label(image, str(path), params=NAMES)["label"] == image
        name = client.download_label(image, "final")
        assert Path(name).read_bytes() == path.read_bytes()
    found = versions(server, image)
    assert found["current"] == 3
    assert [version["parent"] for version in found["versions"]] == [0, 1, 2]
    assert {version["user"] for version in found["versions"]} == {"test"}
    assert found["versions"][0]["names"] == {"1": "ball"}
    info = requests.get(
        f"{server.url}/datastore/label/info", params={"label": image, "tag": "final"}, timeout=60
    ).json()
    assert (info["version"], info["label_info"]) == (3, NAMES["label_info"])


def test_l4_two_annotators_one_label(server: Any, image: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    query = {"image": image}
    assert put(server, query, ball(), tmp_path).headers["ETag"] == '"1"'
    began = requests.get(
        f"{server.url}/datastore/label", params={"label": image, "tag": "final"}, timeout=60
    ).headers["ETag"]

    def save(folder: Path) -> requests.Response:
        return put(server, query, ball(), folder, headers={"If-Match": began})

    with ThreadPoolExecutor(2) as pool:
        replies = sorted(pool.map(save, folders), key=lambda reply: reply.status_code)
    assert replies[0].status_code == 200
    assert (replies[0].json()["version"], replies[0].json()["parent"]) == (2, 1)
    status, code, sentence = refused(replies[1])
    assert (status, code) == (409, "conflict")
    assert "began from version 1, it is at version 2" in sentence
    assert replies[1].headers["ETag"] == '"2"'
    assert replies[1].headers["X-Kept-Version"] == "3"
    found = versions(server, image)
    assert found["current"] == 2
    assert [version["kind"] for version in found["versions"]] == ["saved", "saved", "conflict"]


def test_any_label_or_none_can_be_the_condition(server: Any, image: str, tmp_path: Path) -> None:
    """RFC 9110: `If-Match: *` wants a label to be there, `If-None-Match: *` wants none."""
    query = {"image": image}

    def save(**headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return put(server, query, ball(), tmp_path, headers=named)

    assert refused(save(If_Match="*"))[:2] == (409, "conflict")
    assert save(If_None_Match="*").headers["ETag"] == '"2"'
    assert "began from no label, it is at version 2" in refused(save(If_None_Match="*"))[2]
    assert save(If_Match="*").headers["ETag"] == '"4"'
    assert save(If_None_Match='"4"').status_code == 400
    assert save(If_None_Match="*", If_Match="*").status_code == 400
    kinds = [version["kind"] for version in versions(server, image)["versions"]]
    assert kinds == ["conflict", "saved", "conflict", "saved"]


def test_expected_version_among_the_params(server: Any, image: str, tmp_path: Path) -> None:
    query = {"image": image}
    assert put(server, query, ball(), tmp_path, params={"expected_version": 0}).status_code == 200
    again = put(server, query, ball(), tmp_path, params={"expected_version": 0})
    assert refused(again)[0] == 409


def test_a_version_can_be_fetched_and_restored(server: Any, image: str, tmp_path: Path) -> None:
    query = {"image": image}
    put(server, query, ball(), tmp_path)
    put(server, query, np.zeros_like(ball()), tmp_path)
    one = {"label": image, "tag": "final", "version": "1"}
    fetched = requests.get(f"{server.url}/datastore/label/version", params=one, timeout=60)
    (tmp_path / "fetched.nii.gz").write_bytes(fetched.content)
    np.testing.assert_array_equal(Volume.load(tmp_path / "fetched.nii.gz").voxels, ball())
    url = f"{server.url}/datastore/label/restore"
    stale = requests.post(url, params=one, headers={"If-Match": '"1"'}, timeout=60)
    assert refused(stale)[:2] == (409, "conflict")
    restored = requests.post(url, params=one, headers={"If-Match": '"2"'}, timeout=60)
    assert restored.json()["version"] == 3
    assert restored.json()["restored_from"] == 1
    current = requests.get(
        f"{server.url}/datastore/label", params={"label": image, "tag": "final"}, timeout=60
    )
    assert current.content == fetched.content
    assert refused(requests.post(url, params={**one, "version": "9"}, timeout=60))[0] == 404
    assert refused(requests.post(url, params={**one, "version": "x"}, timeout=60))[0] == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"image": "none"}, 404),
        ({"image": "../x"}, 400),
        ({"image": "straight", "tag": "../../x"}, 400),
        ({"image": "straight", "tag": "/etc/x"}, 400),
        ({"image": "straight", "tag": "a%2e%2e"}, 400),
    ],
    ids=str,
)
def test_ids_that_name_nothing(
    server: Any, tmp_path: Path, query: dict[str, str], status: int
) -> None:
    assert refused(put(server, query, ball(), tmp_path))[0] == status


def test_labels_that_do_not_fit(server: Any, image: str, tmp_path: Path) -> None:
    query = {"image": image}
    put(server, query, ball(), tmp_path)
    ramp = np.arange(ball().size).reshape(ball().shape) % 554
    for voxels, words in (
        (ball()[:, :, :7], "has 64x56x7 voxels and its image 64x56x8"),
        (ball() * 9, "holds 9, but names were sent only for"),
        (ball().astype(np.float32) / 2, "whole numbers"),
        (ramp.astype(np.uint16), "an image: its 553 values change"),
    ):
        status, code, sentence = refused(put(server, query, voxels, tmp_path))
        assert (status, code) == (422, "volume")
        assert words in sentence
    status, code, _ = refused(put(server, query, np.zeros((99, 99, 99), np.uint8), tmp_path))
    assert (status, code) == (413, "too_large")
    for name in ("x.exe", "x.txt", "x.nii.gz"):
        files = {"label": (name, b"this is no label")}
        url = f"{server.url}/datastore/label"
        assert refused(requests.put(url, params=query, files=files, timeout=60))[0] == 422
    assert versions(server, image)["current"] == 1
    assert len(versions(server, image)["versions"]) == 1


@pytest.mark.parametrize(
    ("params", "headers"),
    [
        ("[1]", {}),
        ("{", {}),
        ('{"label_info": "liver"}', {}),
        ('{"label_info": [{"idx": 1}]}', {}),
        ('{"label_names": [1]}', {}),
        ('{"label_names": {"a": -1}}', {}),
        ('{"label_names": {"a": 1, "b": 1}}', {}),
        ('{"label_names": {"a": 1, "b": 0}}', {}),
        ('{"label_names": {"a\\u0000": 1}}', {}),
        ('{"label_info": [{"name": "\\u202ea", "idx": 1}]}', {}),
        ('{"params": {"label_info": "liver"}}', {}),
        ('{"expected_version": "two"}', {}),
        ("{}", {"If-Match": "yesterday"}),
    ],
    ids=str,
)
def test_the_params_of_a_label(server: Any, params: str, headers: dict[str, str]) -> None:
    path = write(Path(server.studies).parent / "fits.nii.gz", ball(), LPS_MM)
    with path.open("rb") as stream:
        reply = requests.put(
            f"{server.url}/datastore/label",
            params={"image": "straight", "tag": "odd"},
            files={"label": stream},
            data={"params": params},
            headers=headers,
            timeout=60,
        )
    assert refused(reply)[:2] == (400, "request")


def test_an_image_is_never_overwritten(server: Any, image: str, tmp_path: Path) -> None:
    url = f"{server.url}/datastore/image"
    kept = server.studies / f"{image}.nii.gz"
    content = kept.read_bytes()
    other = write(tmp_path / "other.nii.gz", ball(), LPS_MM).read_bytes()
    for sent, status in ((content, 200), (other, 409)):
        files = {"file": ("x.nii.gz", sent)}
        reply = requests.put(url, params={"image": image}, files=files, timeout=60)
        assert reply.status_code == status, reply.text
    assert kept.read_bytes() == content


def test_f3_a_full_disk(server: Any, image: str, tmp_path: Path) -> None:
    folder = server.studies / "labels" / "small"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root on Linux")
    query = {"image": image, "tag": "small"}
    try:
        assert put(server, query, ball(), tmp_path).status_code == 200
        (folder / "stuffing").write_bytes(b"x" * 4096)
        noise = np.random.default_rng(1).integers(0, 2, ball().shape).astype(np.uint8)
        replies = [put(server, query, noise, tmp_path) for _ in range(12)]
        full = next(reply for reply in replies if reply.status_code != 200)
        status, code, sentence = refused(full)
        assert (status, code) == (507, "output")
        assert "No space left on device; nothing was changed" in sentence
        good = sum(reply.status_code == 200 for reply in replies)
        assert versions(server, image, "small")["current"] == 1 + good
        (folder / "stuffing").unlink()
        fetched = requests.get(
            f"{server.url}/datastore/label", params={"label": image, "tag": "small"}, timeout=60
        )
        (tmp_path / "back.nii.gz").write_bytes(fetched.content)
        assert Volume.load(tmp_path / "back.nii.gz").shape_ijk == ball().shape
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_l3_eight_annotators_save_at_once(server: Any, image: str, tmp_path: Path) -> None:
    def save(number: int) -> int:
        folder = tmp_path / str(number)
        folder.mkdir()
        reply = put(server, {"image": image}, ball(), folder, params={"client_id": str(number)})
        return int(reply.json()["version"])

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(save, range(16))) == list(range(1, 17))
    users = {version["user"] for version in versions(server, image)["versions"]}
    assert users == {str(number) for number in range(16)}


class TestALabelPutThereByHand:
    """Its ETag identifies its content from the first reading on, so that no other is lost."""

    def by_hand(self, server: Any, image: str, value: int) -> Path:
        folder = server.studies / "labels" / "final"
        folder.mkdir(parents=True, exist_ok=True)
        return write(folder / f"{image}.nii", ball() * value, LPS_MM)

    def test_a_rewrite_after_it_was_read(self, server: Any, image: str, tmp_path: Path) -> None:
        file = self.by_hand(server, image, 7)
        query = {"label": image, "tag": "final"}
        read = server.get("/datastore/label", params=query)
        assert (read.headers["ETag"], read.content) == ('"1"', file.read_bytes())
        rewritten = self.by_hand(server, image, 9).read_bytes()
        for expected in ('"1"', '"0"'):
            headers = {"If-Match": expected}
            reply = put(server, {"image": image}, ball(), tmp_path, params={}, headers=headers)
            assert refused(reply)[:2] == (409, "conflict")
            assert reply.headers["ETag"] == '"2"'
        again = server.get("/datastore/label", params=query)
        assert (again.headers["ETag"], again.content) == ('"2"', rewritten)
        kinds = [version["kind"] for version in versions(server, image)["versions"]]
        assert kinds == ["found", "found", "conflict", "conflict"]
        first = server.get("/datastore/label/version", params={**query, "version": 1})
        assert first.content == read.content
        headers = {"If-Match": f'"sha256-{hashlib.sha256(again.content).hexdigest()}"'}
        reply = put(server, {"image": image}, ball(), tmp_path, params={}, headers=headers)
        assert reply.headers["ETag"] == '"5"', "its content is that of version 2"

    def test_an_image_is_named_and_not_served(self, server: Any, image: str) -> None:
        file = server.studies / "labels" / "final" / f"{image}.nii.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, picture(), LPS_MM)
        assert server.get(f"/datastore/label?label={image}&tag=final").status_code == 404
        why = server.get("/segsam/health").json()["damaged"][f"labels/final/{image}.nii.gz"]
        assert "got an image" in why
        assert file.is_file()
        file.unlink()
        server.get("/info/")
        assert f"labels/final/{image}.nii.gz" not in server.get("/segsam/health").json()["damaged"]


@pytest.mark.parametrize(
    "number",
    ["9" * 4000, "9" * 9000, "0", "-1", "-" + "9" * 4000, "2147483648"],
    ids=["4000 digits", "9000 digits", "0", "-1", "minus 4000 digits", "more than 32 bits"],
)
def test_numbers_that_no_version_has(server: Any, image: str, tmp_path: Path, number: str) -> None:
    put(server, {"image": image}, ball(), tmp_path)
    before = server.get("/segsam/health").json()["damaged"]
    query = {"label": image, "tag": "final", "version": number}
    replies = [
        server.get("/datastore/label/version", params=query),
        server.ask("POST", "/datastore/label/restore", params=query),
    ]
    for reply in replies:
        status, _, sentence = refused(reply)
        assert status in (404, 400)
        assert len(sentence) < 200
    assert server.get("/segsam/health").json()["damaged"] == before


def test_names_are_those_of_the_version(server: Any, image: str, tmp_path: Path) -> None:
    put(server, {"image": image}, ball(), tmp_path)
    query = {"label": image, "tag": "final"}
    before = server.get("/datastore/label/info", params=query).json()

    def tell(info: dict[str, Any] | None) -> requests.Response:
        data = {} if info is None else {"info": json.dumps(info)}
        return server.ask("PUT", "/datastore/label/info", params=query, data=data)

    for names in (
        {"label_info": [{"name": "rest", "idx": 1}]},
        {"label_names": {"rest": 1}},
        {"label_names": {"ball": 1}, "label_info": [{"name": "rest", "idx": 1}]},
        {"params": {"label_names": {"rest": 1}}},
        {"info": [{"Label_Info": [{"name": "rest", "idx": 1}]}]},
    ):
        status, code, sentence = refused(tell(names))
        assert (status, code) == (422, "volume")
        assert "expected the names of the label's version, 1 'ball', got 'rest'" in sentence
    assert refused(tell(None))[:2] == (400, "request")
    assert server.get("/datastore/label/info", params=query).json() == before
    again = put(server, {"image": image}, ball(), tmp_path, params={**NAMES, "params": names})
    status, _, sentence = refused(again)
    assert (status, "in params.info[0].Label_Info" in sentence) == (422, True)
    for key in ("names", "version", "sha256", "ts", "kind", "name"):
        status, code, sentence = refused(tell({key: 1}))
        assert (status, code) == (400, "request")
        assert f"the key '{key}', which the server writes" in sentence
    assert tell({"level": "easy", **NAMES}).status_code == 200
    after = server.get("/datastore/label/info", params=query).json()
    assert after == before | {"level": "easy"}
    bad = server.ask("PUT", "/datastore/image/info", params={"image": image})
    assert refused(bad)[:2] == (400, "request")


def test_an_image_that_is_gone_takes_no_label(server: Any, image: str, tmp_path: Path) -> None:
    assert put(server, {"image": image}, ball(), tmp_path).status_code == 200
    (server.studies / f"{image}.nii.gz").unlink()
    assert refused(put(server, {"image": image}, ball(), tmp_path))[:2] == (404, "not_found")

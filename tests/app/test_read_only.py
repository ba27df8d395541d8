"""Studies that this user may only read: served as they are; and what no reply of a server names.

If the tests run as root, for whom nothing is read-only, the server runs without that privilege.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests

from segsam_app.storage.store import Store

from ..dicom_writing import affine_ras as dicom_affine_ras
from ..dicom_writing import write_series
from .conftest import (
    LPS_MM,
    ROOT,
    Server,
    ball,
    environment,
    free_port,
    oblique_affine,
    picture,
    soon,
)
from .conftest import _wait_until_up as wait_until_up
from .conftest import write_images as write_good_and_bad_images
from .permissions import CAN_BE_HELD, UNPRIVILEGED
from .test_app import UNCLOSED

BOX = {"prompts": {"boxes": [{"min_ijk": [15, 14, 4], "max_ijk": [45, 38, 4]}]}, "axis": "k"}
SWAPPED = "left and right may be swapped"
BAD = ("hole", "huge", "locked", "movie", "sheared", "text")
"""Images of the study folder that no route can open."""

pytestmark = [
    pytest.mark.slow,
    UNCLOSED,
    pytest.mark.skipif(not CAN_BE_HELD, reason="needs permissions that hold, or setpriv"),
]


def write_studies(folder: Path) -> None:
    """Write a folder with a label that anna saved, one image without orientation, a DICOM series,
    and bad ones.
    """
    write_good_and_bad_images(folder)
    nowhere = nibabel.Nifti1Image(picture(), None)
    nowhere.header.set_zooms((1.5, 1.5, 4))
    nowhere.set_sform(None, code=0)
    nowhere.set_qform(None, code=0)
    nibabel.save(nowhere, folder / "nowhere.nii.gz")
    shutil.copy(folder / "straight.nii.gz", folder / "locked.nii.gz")
    write_series(folder / "ct")
    store = Store(str(folder), on_image=lambda _: None)
    label = nibabel.Nifti1Image(ball(), oblique_affine())
    label.set_sform(oblique_affine(), code=1)
    nibabel.save(label, folder.parent / "label.nii.gz")
    info = {"label_info": [{"name": "ball", "idx": 1}], "user": "anna"}
    store.save("oblique", folder.parent / "label.nii.gz", "final", info)
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)
    (folder / "locked.nii.gz").chmod(0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base, port = tmp_path_factory.mktemp("read-only"), free_port()
    names = ("studies", "tmp", "sessions")
    server = Server(
        f"http://127.0.0.1:{port}", *(base / name for name in names), log=base / "server.log"
    )
    for folder in (*(base / name for name in names), base / "app", base / "home"):
        folder.mkdir()
    shutil.copy(ROOT / "monailabel_app" / "main.py", base / "app")
    write_studies(server.studies)
    command = [*UNPRIVILEGED, sys.executable, "-m", "monailabel.main", "start_server"]
    command += ["--host", "127.0.0.1"]
    command += ["--app", str(base / "app"), "--studies", str(server.studies), "--port", str(port)]
    command += ["--conf", "checkpoint", "litemedsam", "--conf", "warm", "off"]
    env = {**environment(server), "HOME": str(base / "home")}
    env["SEGSAM_VERSIONS_FOLDER"] = str(base / "app" / "versions")
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=base / "home", env=env, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_until_up(process, server)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)
    assert "Traceback" not in server.log.read_text()
    for path in (server.studies, *server.studies.rglob("*")):
        path.chmod(0o755)  # so that pytest can remove it


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    found = (path for path in folder.rglob("*"))
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


class TestStudiesThatCanOnlyBeRead:
    def test_images_and_labels_are_served(self, served: Server) -> None:
        assert served.get("/datastore/image?image=straight").status_code == 200
        label = served.get("/datastore/label?label=oblique&tag=final")
        assert label.status_code == 200
        assert label.headers["etag"] == '"1"'
        versions = served.get("/datastore/label/versions?label=oblique").json()
        assert (versions["current"], versions["versions"][0]["user"]) == (1, "anna")
        assert served.get("/info/").json()["datastore"]["read_only"] is True

    def test_an_image_is_segmented(self, served: Server) -> None:
        params = json.dumps({**BOX, "result": "slice"})
        reply = served.infer({"image": "straight"}, params=params)
        assert reply.status_code == 200, reply.text

    def test_a_dicom_series_is_served_and_segmented(self, served: Server) -> None:
        image = served.get(f"/datastore/image?image={series_of(served)}")
        assert image.status_code == 200, image.text
        written = nibabel.Nifti1Image.from_bytes(gzip.decompress(image.content))
        assert np.array_equal(written.affine, dicom_affine_ras())
        point = {"points": [{"ijk": [size // 2 for size in written.shape]}]}
        params = json.dumps({"prompts": point, "axis": "k", "result": "slice"})
        assert served.infer({"image": series_of(served)}, params=params).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path", "files"),
        [
            ("PUT", "/datastore/label?image=straight&tag=final", "label"),
            ("PUT", "/datastore/image?image=new", "file"),
            ("POST", "/datastore/label/restore?label=oblique&version=1", ""),
            ("PUT", "/datastore/image/info?image=straight", "info"),
            ("PATCH", "/memory/rib", "json"),
            ("DELETE", "/memory/rib", ""),
        ],
    )
    def test_nothing_can_be_saved(self, served: Server, method: str, path: str, files: str) -> None:
        before = files_of(served.studies)
        label = nibabel.Nifti1Image(ball(), LPS_MM).to_bytes()
        more: dict[str, Any] = {"files": {files: ("x.nii", label)}} if files else {}
        if files == "info":
            more = {"data": {"info": '{"a": 1}'}}
        if files == "json":
            more = {"json": {"name": "costa"}}
        reply = served.ask(method, path, **more)
        assert (reply.status_code, reply.json()["code"]) == (507, "output"), reply.text
        assert reply.json()["detail"].startswith("The study folder can only be read")
        assert files_of(served.studies) == before

    def test_unsaved_work_is_kept_nevertheless(self, served: Server) -> None:
        before = files_of(served.studies)
        more: dict[str, Any] = {"headers": {"X-Draft-Key": "a" * 32}}
        path = f"/segsam/draft/{'0' * 64}"
        assert served.ask("PUT", path, json={"format": 1}, **more).status_code == 204
        assert served.get(path, **more).json() == {"format": 1}
        assert served.ask("DELETE", path, **more).status_code == 204
        assert files_of(served.studies) == before

    def test_a_batch_that_could_save_nothing_does_not_start(self, served: Server) -> None:
        for model in ("segsam", "segsam_auto"):
            reply = served.ask("POST", f"/batch/infer/{model}", json={})
            assert (reply.status_code, reply.json()["code"]) == (507, "output"), reply.text
            assert reply.json()["detail"].startswith("The study folder can only be read")
        assert served.get("/batch/infer").status_code == 404


def series_of(served: Server) -> str:
    """Return the id of the DICOM series."""
    listed = served.get("/datastore/?output=all").json()["objects"]
    return next(name for name in listed if name.startswith("ct-"))


class TestNextSample:
    @pytest.mark.parametrize("strategy", ["random", "first", "agreement", "diversity", "mix"])
    def test_what_no_route_can_open_is_passed_over(self, served: Server, strategy: str) -> None:
        reply = served.ask("POST", f"/activelearning/{strategy}", json={})
        assert reply.status_code == 200, reply.text
        assert reply.json()["id"] in ("straight", "nowhere", series_of(served))
        assert reply.json()["why"]

    def test_it_is_reported(self, served: Server) -> None:
        for seed in range(40):
            served.ask("POST", "/activelearning/random", json={"seed": seed})
        refused = served.ask("POST", "/activelearning/first", json={}).json()["refused"]
        assert refused["count"] == len(refused["images"]) == len(BAD)
        assert tuple(refused["images"]) == BAD
        assert "4D" in refused["images"]["movie"]
        assert served.get("/segsam/health").json()["refused"] == refused

    def test_without_any_that_can_be_opened_it_says_so(self, tmp_path: Path) -> None:
        from segsam_app.choosing.next_image import next_image
        from segsam_app.choosing.overviews import Overviews
        from segsam_app.choosing.refused import RefusedImages
        from segsam_app.choosing.strategies import SelectionStrategy
        from segsam_app.config import AppConfig
        from segsam_app.inference.engine import Engine

        (tmp_path / "text.nii.gz").write_bytes(b"this is not an image")
        store, refused = Store(str(tmp_path), on_image=lambda _: None), RefusedImages()
        engine = Engine(AppConfig(device="cpu"))
        overviews = Overviews(engine, None)
        first = SelectionStrategy("first", overviews, lambda: None, refused.current)
        assert next_image(first, {}, store, engine, refused) == {}
        assert refused.report()["refused"]["count"] == 1
        image = nibabel.Nifti1Image(np.zeros((8, 8, 2), np.int16), np.eye(4))
        nibabel.save(image, tmp_path / "text.nii.gz")
        assert next_image(first, {}, store, engine, refused)["id"] == "text", "it was mended"
        assert refused.report() == {}


class TestNotesReachEveryReply:
    """What an image's header leaves open is said wherever the image is used."""

    @pytest.mark.parametrize(
        "params", [{**BOX, "result": "slice"}, {**BOX, "result": "region"}, BOX], ids=str
    )
    def test_our_dialect(self, served: Server, params: dict[str, Any]) -> None:
        query = {"image": "nowhere", "output": "json"}
        notes = served.infer(query, params=json.dumps(params)).json()["notes"]
        assert SWAPPED in notes[0]

    def test_the_stock_dialect_in_parts(self, served: Server, tmp_path: Path) -> None:
        params = {"foreground": [[30, 26, 4]], "background": []}
        client = served.client(tmp_path)
        _, reply = client.infer("segsam", "nowhere", params)
        assert SWAPPED in reply["notes"][0]

    def test_a_file_alone(self, served: Server) -> None:
        reply = served.infer({"image": "nowhere", "output": "image"}, params=json.dumps(BOX))
        assert SWAPPED in json.loads(reply.headers["x-notes"])[0]

    def test_the_information_about_an_image(self, served: Server) -> None:
        info = served.get("/datastore/image/info?image=nowhere").json()
        assert SWAPPED in info["notes"][0]
        assert served.get("/datastore/image/info?image=straight").json()["notes"] == []
        unreadable = served.get("/datastore/image/info?image=text").json()
        assert "notes" not in unreadable

    def test_a_session(self, served: Server) -> None:
        with (served.studies / "nowhere.nii.gz").open("rb") as stream:
            opened = served.ask("PUT", "/session/", files={"files": ("x.nii.gz", stream)}).json()
        assert SWAPPED in opened["session_info"]["notes"][0]
        session = opened["session_id"]
        assert SWAPPED in served.get(f"/session/{session}").json()["notes"][0]
        reply = served.infer({"session_id": session, "output": "json"}, params=json.dumps(BOX))
        assert SWAPPED in reply.json()["notes"][0]
        served.ask("DELETE", f"/session/{session}")

    def test_the_next_sample(self, served: Server) -> None:
        found = {}
        for seed in range(40):
            sample = served.ask("POST", "/activelearning/random", json={"seed": seed}).json()
            found[sample["id"]] = sample["notes"]
        assert SWAPPED in found["nowhere"][0]
        assert found["straight"] == []


ODD = {
    "image": ("", "straight", "hole", "locked", "text", "nobody", "../x"),
    "label": ("oblique", "straight"),
    "tag": ("final", "x"),
    "id": ("straight",),
    "model": ("segsam", "segsam_auto", "nobody"),
    "strategy": ("first", "x"),
    "method": ("overview", "x"),
    "session_id": ("x",),
    "version": ("1", "9", "x"),
    "output": ("all", "train", "json", "x"),
}
"""Values of the parameters of all routes, right and wrong."""


def asked(server: Server) -> Iterator[tuple[str, requests.Response]]:
    """Yield the replies to all routes, with every parameter in each of its values."""
    paths = server.get("/openapi.json").json()["paths"]
    more = {"/datastore/": {"get": {}}, "/datastore/image/info": {"get": {}}}
    for path, methods in (paths | more).items():
        for method in methods:
            if (method, path) == ("post", "/train/{model}"):
                continue
            for index in range(max(map(len, ODD.values()))):
                values = {name: given[index % len(given)] for name, given in ODD.items()}
                url = path
                for name, value in values.items():
                    url = url.replace(f"{{{name}}}", value or "x")
                query = {name: values[name] for name in values if f"{{{name}}}" not in path}
                for body in ({}, {"json": {}}, {"data": {"params": "{"}}):
                    reply = server.ask(method.upper(), url, params=query, **body)
                    yield f"{method} {url} {query}", reply


class TestNoReplyNamesAPath:
    def test_of_all_routes(self, served: Server) -> None:
        base = served.studies.parent
        secrets = [str(base), str(ROOT), str(Path(sys.prefix)), str(Path.home()), "/home/"]
        count = 0
        for what, reply in asked(served):
            text = f"{reply.headers}{reply.text}"
            assert not [one for one in secrets if one in text], f"{what}: {text[:2000]}"
            assert reply.status_code != 500, what
            count += 1
        assert count > 200

    def test_the_tasks_do_not_either(self, served: Server) -> None:
        base = str(served.studies.parent)
        served.ask("POST", "/scoring/overview", json={})  # a batch inference does not start here

        def log() -> str:
            text = served.get("/scoring/").text
            return text if "litemedsam" in text else ""

        text = soon(log, seconds=60)
        assert "a folder of the server" in text
        assert base not in text
        assert str(ROOT) not in text

"""Sessions by HTTP, as the stock client and ours use them."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any

import pytest

from ...dicom_writing import stored_values, write_file, write_series
from ..conftest import nothing_new

pytestmark = pytest.mark.usefixtures("no_file_left")


def opened(server: Any, **query: Any) -> str:
    content = (server.studies / "straight.nii.gz").read_bytes()
    files = {"files": ("/home/doe/John Doe.nii.gz", content)}
    reply = server.ask("PUT", "/session/", params=query, files=files)
    assert reply.status_code == 200
    assert "doe" not in reply.text.lower()
    assert str(server.sessions) not in reply.text
    return str(reply.json()["session_id"])


def test_its_image_can_be_fetched(server: Any) -> None:
    session = opened(server)
    image = server.get(f"/session/{session}", params={"image": "true"})
    assert image.content == (server.studies / "straight.nii.gz").read_bytes()
    assert server.ask("DELETE", f"/session/{session}").status_code == 200
    assert server.get(f"/session/{session}").status_code == 404


def test_an_expired_session_is_gone(server: Any) -> None:
    session = opened(server, expiry=1)
    time.sleep(1.5)
    reply = server.get(f"/session/{session}")
    assert (reply.status_code, reply.json()["code"]) == (410, "gone")
    assert server.infer({"session_id": session}).status_code == 410
    assert not list(server.sessions.glob(f"*/{session}"))


def test_a_client_can_report_that_it_is_alive(server: Any) -> None:
    session = opened(server)
    reply = server.ask("PUT", f"/session/{session}/alive")
    assert reply.json() == {"session_id": session, "alive_seconds": 60}
    server.ask("DELETE", f"/session/{session}")
    assert server.ask("PUT", f"/session/{session}/alive").status_code == 404


def test_an_archive_is_not_unpacked(server: Any, tmp_path: Path) -> None:
    with nothing_new(server.studies.parent, but_folders=True):
        for query in ({"uncompress": "true"}, {}):
            files = {"files": ("x.tar", b"../../escape" + bytes(1024))}
            reply = server.ask("PUT", "/session/", params=query, files=files)
            assert reply.status_code == (400 if query else 422)


def test_a_header_of_a_huge_image_is_refused(server: Any) -> None:
    content = (server.studies / "huge.nii").read_bytes()
    reply = server.ask("PUT", "/session/", files={"files": ("x.nii", content)})
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("name", "words"), [("hole", "NaN"), ("short", "bytes of voxels"), ("movie", "4")]
)
@pytest.mark.parametrize("door", ["/session/", "/datastore/image"])
def test_what_no_inference_takes_is_not_kept(server: Any, door: str, name: str, words: str) -> None:
    whole = server.studies / ("straight.nii.gz" if name == "short" else f"{name}.nii.gz")
    content, ending = whole.read_bytes(), ".nii.gz"
    if name == "short":
        content, ending = gzip.decompress(content)[:-1000], ".nii"
    with nothing_new(server.studies.parent, but_folders=True):
        form = {"files" if "session" in door else "file": (f"x{ending}", content)}
        reply = server.ask("PUT", door, params={"image": "bad"}, files=form)
    assert (reply.status_code, reply.json()["code"]) == (422, "volume")
    assert words in reply.json()["detail"]


def test_a_refusal_names_the_files_as_they_were_sent(server: Any, tmp_path: Path) -> None:
    write_series(tmp_path, 3)
    nowhere = {"ImageOrientationPatient": None, "ImagePositionPatient": None}
    write_file(tmp_path / "zz.dcm", stored_values()[0], **nowhere)
    sent = [("files", (file.name, file.read_bytes())) for file in sorted(tmp_path.iterdir())]
    reply = server.ask("PUT", "/session/", files=sent)
    assert reply.status_code == 422
    assert "upload: zz.dcm has no position" in reply.json()["detail"]


def test_a_session_beyond_the_limit_is_refused(tight: Any) -> None:
    sessions = [opened(tight) for _ in range(2)]
    content = (tight.studies / "straight.nii.gz").read_bytes()
    reply = tight.ask("PUT", "/session/", files={"files": ("x.nii.gz", content)})
    assert (reply.status_code, reply.json()["code"]) == (503, "busy")
    assert int(reply.headers["retry-after"]) > 0
    for session in sessions:
        tight.ask("DELETE", f"/session/{session}")
    tight.ask("DELETE", f"/session/{opened(tight)}")

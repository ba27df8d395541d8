"""Prompts over HTTP to a real server, in the stock dialect and in ours."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import requests
import SimpleITK as sitk
from monailabel.client.client import MONAILabelClientException
from numpy.typing import NDArray

from segsam.remote.masks import decode_mask

SHAPE = (64, 56, 8)
BOX_3D = {"min_ijk": [17, 16, 1], "max_ijk": [43, 36, 7]}
BOX_2D = {"min_ijk": [17, 16, 4], "max_ijk": [43, 36, 4]}
STOCK_ROI = [43, 17, 36, 16, 1, 7]
"""Box as the module sends it for an image whose first two axes run against RAS."""

UNCLOSED = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""MONAI Label's client leaves its sockets and files to the garbage collector."""

pytestmark = [UNCLOSED, pytest.mark.usefixtures("no_file_left")]


def truth() -> NDArray[np.bool_]:
    i, j, k = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return ((i - 30) / 13) ** 2 + ((j - 26) / 10) ** 2 + ((k - 4) / 3.4) ** 2 < 1


def dice(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    both = np.count_nonzero((found != 0) & (wanted != 0))
    return 2 * both / (np.count_nonzero(found) + np.count_nonzero(wanted))


def ask(server: Any, image: str = "straight", **params: Any) -> dict[str, Any]:
    reply = server.infer({"image": image}, params=json.dumps(params))
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    return dict(reply.json())


def same_grid(reply: Path, sent: Path) -> None:
    """Check that ITK reads the same grid."""
    one, other = sitk.ReadImage(str(reply)), sitk.ReadImage(str(sent))
    assert one.GetSize() == other.GetSize()
    for part in ("GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(one, part)(), getattr(other, part)(), atol=1e-4)


class TestTheStockModule:
    """Requests of `MONAILabelClient`, as the unchanged 3D Slicer module sends them."""

    @pytest.mark.parametrize("name", ["straight", "oblique"])
    def test_a_session_a_box_and_points(self, server: Any, tmp_path: Path, name: str) -> None:
        client = server.client(tmp_path)
        sent = server.studies / f"{name}.nii.gz"
        session = client.create_session(str(sent))["session_id"]
        params = {
            "label": "ball",
            "foreground": [[30, 26, 4]],
            "background": [[5, 5, 4]],
            "roi": STOCK_ROI,
            "axis": "auto",
            "propagate": False,
            "result_extension": ".nrrd",
            "result_dtype": "uint8",
        }
        file, reply = client.infer("segsam", "anything", params, session_id=session)

        same_grid(Path(file), sent)
        labels, header = nrrd.read(file)
        assert header["encoding"] == "gzip"
        assert labels.dtype == np.uint8
        assert set(np.unique(labels)) == {0, 1}
        assert dice(labels, truth()) > 0.8
        assert reply["label_names"] == {"ball": 1}
        assert reply["category"] is None
        assert any("no trained semantic" in note for note in reply["notes"])
        client.remove_session(session)

    def test_an_image_of_the_study_folder_as_nifti(self, server: Any, tmp_path: Path) -> None:
        params = {"label": "ball", "roi": STOCK_ROI, "result_extension": ".nii.gz"}
        file, _ = server.client(tmp_path).infer("segsam", "oblique", params)
        answered, sent = nibabel.load(file), nibabel.load(server.studies / "oblique.nii.gz")
        np.testing.assert_allclose(answered.affine, sent.affine, atol=1e-4)
        assert dice(np.asarray(answered.dataobj), truth()) > 0.8

    def test_an_uploaded_file(self, server: Any, tmp_path: Path) -> None:
        sent = server.studies / "oblique.nii.gz"
        params = {"label": "ball", "roi": STOCK_ROI}
        file, _ = server.client(tmp_path).infer("segsam", "", params, file=str(sent))
        same_grid(Path(file), sent)

    def test_points_are_filtered_by_slice(self, server: Any, tmp_path: Path) -> None:
        params = {"label": "ball", "foreground": [[30, 26, 0], [30, 26, 4]], "slice": 0}
        file, reply = server.client(tmp_path).infer("segsam", "straight", params)
        assert reply["slices"] == [{"axis": "k", "index": 0}]
        assert not nrrd.read(file)[0][:, :, 1:].any()

    def test_a_lone_point_gets_a_note(self, server: Any, tmp_path: Path) -> None:
        params = {"label": "ball", "foreground": [[30, 26, 4]], "background": []}
        file, reply = server.client(tmp_path).infer("segsam", "straight", params)
        assert nrrd.read(file)[0].shape == SHAPE
        assert any("without a box" in note for note in reply["notes"])

    def test_params_cannot_choose_the_image(self, server: Any, tmp_path: Path) -> None:
        params = {"roi": STOCK_ROI, "image": str(server.studies / "text.nii.gz"), "model": "x"}
        with pytest.raises(MONAILabelClientException, match=r"400.*to be an id, not a path"):
            server.client(tmp_path).infer("segsam", "straight", params)

    def test_the_forms_of_the_reply(self, server: Any) -> None:
        params = json.dumps({"roi": STOCK_ROI})
        query = {"image": "straight", "output": "json"}
        assert server.infer(query, params=params).json()["label_names"] == {"object": 1}
        image = server.infer({**query, "output": "image"}, params=params)
        assert image.content.startswith(b"NRRD")


class TestOurDialect:
    def test_a_slice_equals_the_volumes_slice(self, server: Any, tmp_path: Path) -> None:
        asked = {"prompts": {"boxes": [BOX_2D]}}
        one = ask(server, **asked, result="slice", request_id="r-7")
        file, _ = server.client(tmp_path).infer("segsam", "straight", {**asked})
        labels, _ = nrrd.read(file)
        plane = decode_mask(one["mask"], SHAPE)
        np.testing.assert_array_equal(plane, labels)
        assert one["request_id"] == "r-7"
        assert one["slices"] == [{"axis": "k", "index": 4}]
        assert dice(plane[:, :, 4], truth()[:, :, 4]) > 0.8

    def test_a_region_equals_the_volume(self, server: Any, tmp_path: Path) -> None:
        asked = {"prompts": {"boxes": [BOX_3D]}}
        region = ask(server, image="oblique", **asked, result="region")
        file, _ = server.client(tmp_path).infer("segsam", "oblique", {**asked})
        labels, _ = nrrd.read(file)
        np.testing.assert_array_equal(decode_mask(region["mask"], SHAPE), labels)
        assert dice(labels, truth()) > 0.8

    def test_the_reply_without_a_semantic_decoder(self, server: Any) -> None:
        reply = ask(server, prompts={"boxes": [BOX_2D]}, result="slice")
        assert reply["category"] is None
        assert reply["confidence"] is None
        assert reply["agreement"] is None
        assert reply["present"] == {}
        assert any("no trained semantic" in note for note in reply["notes"])
        assert {"read", "model", "encode", "decode", "total"} <= set(reply["latencies"])

    def test_a_second_prompt_encodes_nothing(self, server: Any) -> None:
        point = {"ijk": [30, 26, 4], "positive": True}
        ask(server, prompts={"boxes": [BOX_2D]}, result="slice")
        again = ask(server, prompts={"boxes": [BOX_2D], "points": [point]}, result="slice")
        assert again["encoded_slices"] == 0

    def test_a_box_that_reaches_outside_is_clipped_with_a_note(self, server: Any) -> None:
        box = {"min_ijk": [17, 16, 4], "max_ijk": [90, 36, 4]}
        reply = ask(server, prompts={"boxes": [box]}, result="slice")
        assert any("clipped" in note for note in reply["notes"])

    def test_a_window_changes_what_the_model_sees(self, server: Any) -> None:
        prompts = {"boxes": [BOX_2D]}
        ask(server, prompts=prompts, result="slice")
        other = ask(server, prompts=prompts, result="slice", window=[0, 400])
        assert other["encoded_slices"] == 1


class TestNames:
    """Requests to a second model on the same server, whose checkpoint can name objects."""

    def asked(self, server: Any, **params: Any) -> dict[str, Any]:
        prompts = {"boxes": [BOX_2D]}
        text = json.dumps({"prompts": prompts, "result": "slice", **params})
        reply = server.infer({"image": "straight"}, params=text, model="standin")
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def test_our_reply_has_category_confidence_and_presence(self, server: Any) -> None:
        reply = self.asked(server)
        assert reply["category"] == "liver"
        assert reply["label_names"] == {"liver": 1}
        assert 0.3 <= reply["confidence"] <= 1
        assert next(iter(reply["suggestions"].items())) == ("liver", reply["confidence"])
        assert 0 <= reply["agreement"] <= 1
        for present in reply["present"].values():
            assert set(present) <= {"spleen"}
            assert list(present.values()) == sorted(present.values(), reverse=True)
        assert not any("semantic decoder" in note for note in reply["notes"])

    def test_a_category_is_honoured(self, server: Any) -> None:
        wanted = self.asked(server, category="spleen", decoder="semantic")
        assert wanted["category"] in ("spleen", None)  # None: nothing of it was found
        refused = server.infer(
            {"image": "straight"},
            params=json.dumps({"prompts": {"boxes": [BOX_2D]}, "category": "livr"}),
            model="standin",
        )
        assert (refused.status_code, refused.json()["code"]) == (400, "category")
        assert "liver" in refused.json()["detail"]

    def test_the_stock_reply_has_them_too(self, server: Any, tmp_path: Path) -> None:
        params = {"label": "gallbladder", "roi": [43, 17, 36, 16, 4, 4]}
        client = server.client(tmp_path)
        _, reply = client.infer("standin", "straight", params)
        assert reply["label_names"] == {"gallbladder": 1}
        assert reply["category"] == "liver"
        assert next(iter(reply["suggestions"])) == "liver"
        assert any(
            note.startswith("The model takes this for liver (")
            and note.endswith("; your segment is gallbladder.")
            for note in reply["notes"]
        )

    def test_a_segment_carries_the_categorys_name_and_code(
        self, server: Any, tmp_path: Path
    ) -> None:
        params = {"roi": [43, 17, 36, 16, 4, 4], "result_extension": ".seg.nrrd"}
        file, reply = server.client(tmp_path).infer("standin", "straight", params)
        header = nrrd.read_header(file)
        assert header["Segment0_Name"] == reply["category"] == "liver"
        assert "SCT" in header["Segment0_Tags"]

    def test_a_lone_point_gets_no_note(self, server: Any) -> None:
        point = {"ijk": [30, 26, 4], "positive": True}
        reply = self.asked(server, prompts={"points": [point]})
        assert not any("without a box" in note for note in reply["notes"])

    def test_embeddings_serve_both_models(self, server: Any) -> None:
        ask(server, prompts={"boxes": [BOX_2D]}, result="slice")
        assert self.asked(server)["encoded_slices"] == 0


def test_clicks_at_the_same_time_do_not_mix(server: Any) -> None:
    images = ["straight", "oblique"] * 3
    boxes = [{**BOX_2D, "min_ijk": [17 + n, 16, 4]} for n in range(6)]

    def click(n: int) -> Any:
        return ask(server, images[n], prompts={"boxes": [boxes[n]]}, result="slice")["mask"]

    alone = [click(n) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(click, range(6))) == alone


def test_a_job_ends_when_its_client_disconnects(server: Any) -> None:
    params = {"prompts": {"boxes": [BOX_3D]}, "axis": "all", "window": [1, 399]}
    url = f"{server.url}/infer/segsam?image=straight"
    before = server.log.read_text().count('"status": 499')
    with pytest.raises(requests.Timeout):
        requests.post(url, files={"params": (None, json.dumps(params))}, timeout=(5, 0.3))
    deadline = time.monotonic() + 120
    while server.log.read_text().count('"status": 499') == before:
        assert time.monotonic() < deadline, "the job went on without a client"
        time.sleep(0.1)


def encoded_ahead(server: Any) -> float:
    """Return the number of prefetched slices."""
    lines = server.get("/metrics").text.splitlines()
    return next(
        float(line.split()[1]) for line in lines if line.startswith("segsam_embeddings_ahead")
    )


def test_an_opened_image_is_prefetched(server: Any, tmp_path: Path) -> None:
    tries = (newly_opened(server, tmp_path / f"new{shift}.nii.gz", shift) for shift in (3, 5, 7))
    assert 0 in tries  # the counted slice may be of another test's image, opened before


def newly_opened(server: Any, path: Path, shift: int) -> int:
    """Return the number of slices that a prompt has to encode on an image opened a while ago."""
    before = encoded_ahead(server)
    straight = nibabel.load(server.studies / "straight.nii.gz")
    voxels = np.roll(np.asarray(straight.dataobj), shift, axis=0)
    nibabel.save(nibabel.Nifti1Image(voxels, straight.affine), path)
    client = server.client(path.parent)
    session = client.create_session(str(path))["session_id"]

    deadline = time.monotonic() + 240  # prefetching has the lowest priority
    while encoded_ahead(server) == before:
        assert time.monotonic() < deadline, "the image was never prefetched"
        time.sleep(0.1)
    reply = requests.post(
        f"{server.url}/infer/segsam",
        params={"session_id": session},
        files={"params": (None, json.dumps({"prompts": {"boxes": [BOX_2D]}, "result": "slice"}))},
        timeout=60,
    ).json()
    client.remove_session(session)
    return int(reply["encoded_slices"])

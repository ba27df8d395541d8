"""The three requests of the viewer OHIF 3.10, as its bundle in MONAI Label 0.8.5 sends them:
points, class prompts and automatic segmentation; and what it reads of the answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.config import settings
from monailabel.utils.others.class_utils import get_class_of_subclass_from_file
from numpy.typing import NDArray

from segsam.imaging.volume import Volume
from segsam.model.packaged import shipped_path
from segsam_app.errors import RequestError
from segsam_app.inference import positions
from segsam_app.routes import infer
from segsam_app.web.error_handlers import HANDLED, error_response

MAIN = Path(__file__).resolve().parents[3] / "monailabel_app" / "main.py"
ADDED = {
    "result_extension": ".nrrd",
    "result_dtype": "uint8",
    "result_compress": False,
    "restore_label_idx": False,
}
"""What OHIF adds to each request."""
QUICK = {"slices": "2", "least": "0.2", "grid": 4}
"""Options: those of the panel's dialog come as text."""

needs_weights = pytest.mark.skipif(
    shipped_path() is None, reason="the trained checkpoint is not in this checkout"
)


class Viewer:
    """The routes of the real app, with the shipped checkpoint, over slices of the sample CT with
    both kidneys and the liver.
    """

    def __init__(self, app: Any, client: TestClient) -> None:
        self.app, self.client = app, client

    def labels(self, model: str) -> list[str]:
        """The list that the panel reads at connecting."""
        return list(self.app.info()["models"][model]["labels"])

    def post(self, model: str, **params: Any) -> Any:
        """Send a request as the page does: multipart, with one field."""
        return self.client.post(
            f"/infer/{model}",
            params={"image": "ct", "output": "image"},
            files={"params": (None, json.dumps({**params, **ADDED}))},
            headers={"accept": "application/json,multipart/form-data"},
        )


@pytest.fixture(scope="module")
def viewer(sample_ct: Volume, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    base = tmp_path_factory.mktemp("viewer")
    studies = base / "studies"
    studies.mkdir()
    part = Volume.from_array(sample_ct.voxels[:, :101, 90:94], sample_ct.affine_ras, name="ct")
    part.save(studies / "ct.nii.gz")
    made = get_class_of_subclass_from_file("main", str(MAIN), "MONAILabelApp")
    conf = {"device": "cpu", "warm": "off", "versions_folder": str(base / "versions")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MONAI_LABEL_DATASTORE_AUTO_RELOAD", False)
        patch.setattr(settings, "MONAI_LABEL_SESSION_PATH", str(base / "sessions"))
        app = made(app_dir=str(MAIN.parent), studies=str(studies), conf=conf)
        patch.setattr(infer, "app_instance", lambda: app)
        http = FastAPI()
        http.include_router(infer.router)
        for kind in HANDLED:
            http.add_exception_handler(kind, error_response)
        with TestClient(http) as client:
            yield Viewer(app, client)


def as_ohif_reads(content: bytes, folder: Path) -> NDArray[np.uint8]:
    """Voxels of an answer: one byte each, raw, because its gzip reader wants an even number."""
    file = folder / "answer.nrrd"
    file.write_bytes(content)
    header = nrrd.read_header(str(file))
    assert (header["encoding"], header["type"]) in (("raw", "uint8"), ("raw", "unsigned char"))
    voxels, _ = nrrd.read(str(file))
    assert content.endswith(voxels.tobytes(order="F"))
    return np.asarray(voxels)


def voxels_by_name(voxels: NDArray[np.uint8], listed: list[str]) -> Mapping[str, int]:
    """What OHIF would paint: value n is the n-th label, from 1."""
    values, counts = np.unique(voxels[voxels > 0], return_counts=True)
    return {listed[value - 1]: int(count) for value, count in zip(values, counts, strict=True)}


@needs_weights
class TestTheThreeRequests:
    def test_class_prompts_out_of_order(self, viewer: Viewer, tmp_path: Path) -> None:
        listed = viewer.labels("segsam_auto")
        chosen = ("liver", "right kidney")
        asked = [listed.index(name) + 1 for name in chosen]
        assert asked[0] > asked[1] > 0
        reply = viewer.post("segsam_auto", label_prompt=asked, **QUICK)
        assert reply.status_code == 200, reply.text
        painted = voxels_by_name(as_ohif_reads(reply.content, tmp_path), listed)
        assert set(painted) == set(chosen)

        params = json.dumps({"categories": chosen, **QUICK})
        plain = viewer.client.post(
            "/infer/segsam_auto?image=ct&output=json", data={"params": params}
        ).json()
        assert set(plain["label_names"].values()) == {1, 2}
        assert painted == {name: each["voxels"] for name, each in plain["certainties"].items()}

        answer = json.loads(reply.headers["x-answer"])
        assert answer["label_names"] == {name: listed.index(name) + 1 for name in painted}
        assert answer["certainties"].keys() == painted.keys()
        assert isinstance(json.loads(reply.headers["x-notes"]), list)

    def test_automatic_segmentation(self, viewer: Viewer, tmp_path: Path) -> None:
        reply = viewer.post("segsam_auto", **QUICK)
        listed = viewer.labels("segsam_auto")
        painted = voxels_by_name(as_ohif_reads(reply.content, tmp_path), listed)
        names = json.loads(reply.headers["x-answer"])["label_names"]
        assert {"liver", "right kidney"} <= set(painted) == set(names)
        assert all(listed[value - 1] == name for name, value in names.items())

    def test_names(self, viewer: Viewer, tmp_path: Path) -> None:
        """OHIF sends none yet; its options and answers would be these."""
        reply = viewer.post("segsam", find=["Liver", "retinal vessel", "prostate"], **QUICK)
        assert reply.status_code == 200, reply.text
        listed = viewer.labels("segsam")
        painted = voxels_by_name(as_ohif_reads(reply.content, tmp_path), listed)
        assert set(painted) == {"liver"}
        said = json.loads(reply.headers["x-notes"])
        assert any(note.startswith("Not found: prostate, because") for note in said)
        assert "does not name it in CT images" in " ".join(said)
        wrong = viewer.post("segsam", find=["livre"])
        assert (wrong.status_code, wrong.json()["code"]) == (400, "category")
        assert "no category 'livre'; the nearest are 'liver'" in wrong.json()["detail"]
        assert viewer.post("segsam", find=[]).status_code == 400

    def test_points(self, viewer: Viewer, tmp_path: Path) -> None:
        reply = viewer.post("segsam", foreground=[[30, 50, 2]], background=[[60, 5, 2]])
        assert reply.status_code == 200, reply.text
        voxels = as_ohif_reads(reply.content, tmp_path)
        answer = json.loads(reply.headers["x-answer"])
        ((name, value),) = answer["label_names"].items()
        assert set(np.unique(voxels)) == {0, value}
        assert viewer.labels("segsam")[value - 1] == name == (answer["category"] or "object")
        assert voxels[30, 50, 2] == value
        assert 0 <= (answer["confidence"] or 0) <= 1

    def test_a_box_for_a_segment_of_the_annotators_own(
        self, viewer: Viewer, tmp_path: Path
    ) -> None:
        reply = viewer.post("segsam", roi=[12, 60, 20, 80, 2, 2], label="my lesion")
        values = set(np.unique(as_ohif_reads(reply.content, tmp_path)))
        assert json.loads(reply.headers["x-answer"])["label_names"] == {"my lesion": 1}
        assert values == {0, 1}, "the first label of the list is any object"

    @pytest.mark.parametrize(
        ("label_prompt", "words"),
        [
            ([0], "positions from 1 to 76 in the model's labels, got 0"),
            ([3, 77], "got 77"),
            ([-1], "got -1"),
            ([], "at least one label in label_prompt, got none"),
            ([True], "numbers as label_prompt"),
            (["liver"], "label_prompt"),
            ("liver", "label_prompt"),
        ],
        ids=str,
    )
    def test_a_wrong_class_prompt_is_refused(
        self, viewer: Viewer, label_prompt: object, words: str
    ) -> None:
        reply = viewer.post("segsam_auto", label_prompt=label_prompt)
        assert (reply.status_code, reply.json()["code"]) == (400, "request")
        assert words in reply.json()["detail"]

    def test_no_points_are_refused_in_a_sentence(self, viewer: Viewer) -> None:
        """The panel leaves `foreground` out if no segment was chosen."""
        reply = viewer.post("segsam", background=[])
        assert (reply.status_code, reply.json()["code"]) == (400, "prompt")
        assert "at least one point or box" in reply.json()["detail"]


class TestPositions:
    LISTED = ("object", "liver", "spleen")

    def test_values_become_positions(self) -> None:
        labels = np.array([[[0, 1, 2, 1]]], np.uint8)
        found, names = positions.at_positions(labels, {"spleen": 1, "liver": 2}, self.LISTED)
        assert names == {"spleen": 3, "liver": 2}
        assert found.dtype == np.uint8
        assert found.tolist() == [[[0, 3, 2, 3]]]

    def test_nothing_found_stays_empty(self) -> None:
        found, names = positions.at_positions(np.zeros((2, 2, 2), np.uint8), {}, self.LISTED)
        assert (found.any(), names) == (False, {})

    def test_a_name_that_is_not_listed_is_never_given_another_ones_value(self) -> None:
        with pytest.raises(RequestError, match="categories that it lists, got heart"):
            positions.at_positions(np.ones((1, 1, 1), np.uint8), {"heart": 1}, self.LISTED)
        assert positions.position_of("heart", self.LISTED, otherwise="object") == 1
        assert positions.position_of("heart", ("ball", "rest"), otherwise="object") == 3

    def test_a_position_fits_into_a_byte(self) -> None:
        listed = [f"number {n}" for n in range(1, 301)]
        one = np.ones((1, 1, 1), np.uint8)
        assert positions.at_positions(one, {"number 255": 1}, listed)[0].item() == 255
        with pytest.raises(RequestError, match="up to 255; this label is number 256"):
            positions.at_positions(one, {"number 256": 1}, listed)
        with pytest.raises(RequestError, match="up to 255"):
            positions.position_of("number 300", listed, otherwise="object")

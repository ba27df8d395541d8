"""Names by example through the app: taught, listed, changed, removed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import nibabel
import nrrd
import numpy as np
import pytest
from fastapi import FastAPI
from monailabel.config import settings
from monailabel.utils.others.class_utils import get_class_of_subclass_from_file

import segsam.model.checkpoint as checkpoint_module
from segsam.model import load_pretrained, save_checkpoint
from segsam.prediction import naming
from segsam.prediction.labels import Region
from segsam.prediction.taught import matching
from segsam.remote.masks import encode_mask
from segsam_app.inference.learning import NameLearner
from segsam_app.inference.learning_on import StartLearner
from segsam_app.routes import memory as routes
from segsam_app.web.error_handlers import HANDLED, error_response

from ...lib.conftest import TinyHost
from ...lib.made_memory import with_distances
from ..conftest import Server, soon
from ..finding import sure_checkpoint
from ..stored import write
from ..tuning import scene

MAIN = Path(__file__).resolve().parents[3] / "monailabel_app" / "main.py"
AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])


def box(i: int, j: int) -> dict[str, Any]:
    corner = {"min_ijk": [i, j, 3], "max_ijk": [i + 9, j + 8, 3]}
    return {"prompts": {"boxes": [corner]}, "axis": "k"}


RIB, SPLEEN = box(6, 20), box(18, 6)


class House:
    """App in this process, to which every object is unlike all livers; and its routes of names."""

    def __init__(self, app: Any, studies: Path) -> None:
        self.app, self.studies = app, studies
        self.http = FastAPI()
        self.http.include_router(routes.router)
        for kind in HANDLED:
            self.http.add_exception_handler(kind, error_response)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def answered() -> httpx.Response:
            transport = httpx.ASGITransport(self.http, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path, **more)

        return asyncio.run(answered())

    def teach(self, name: str, params: dict[str, Any] = RIB, **more: Any) -> httpx.Response:
        return self.ask("PUT", f"/memory/{name}", json={"image": "case0", **params, **more})

    def names(self) -> dict[str, list[str]]:
        listed = self.ask("GET", "/memory").json()["names"]
        return {one["name"]: [each["case"] for each in one["examples"]] for one in listed}

    def infer(self, params: dict[str, Any], image: str = "case4") -> dict[str, Any]:
        request = {"model": "segsam", "image": image, "result": "region", **params}
        return dict(self.app.infer(request)["params"])

    def save(self, *names: str) -> None:
        """Save a label of case0 with some of its structures, and wait until it is learnt from."""
        labels = np.zeros(scene(0)[0].shape, np.uint8)
        for value, name in enumerate(names, start=1):
            labels[scene(0)[1][name]] = value
        file = write(self.studies.parent / "label.nii.gz", labels, AFFINE)
        info = {"label_names": {name: n for n, name in enumerate(names, start=1)}, "user": "anna"}
        self.app.datastore().save("case0", file, "final", info)
        self.app.on_save_label("case0", "case0")
        assert soon(lambda: self.app.learner.pending == 0, seconds=300)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Any:
    base = tmp_path_factory.mktemp("house")
    studies = base / "studies"
    studies.mkdir()
    for case in (0, 4):  # alike, but for their noise
        nibabel.save(nibabel.Nifti1Image(scene(case)[0], AFFINE), studies / f"case{case}.nii.gz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
        patch.setattr(settings, "MONAI_LABEL_DATASTORE_AUTO_RELOAD", False)
        patch.setattr(settings, "MONAI_LABEL_SESSION_PATH", str(base / "sessions"))
        patch.setattr(naming, "AGREEING_FROM", 0.0)
        patch.setattr(matching, "POSITION_WEIGHT", 0.0)  # decoders drawn at random draw anywhere
        model = with_distances(load_pretrained(sure_checkpoint(base)), {0: 0.7, 1: 0.9})
        path = save_checkpoint(model, base / "remembers.safetensors", model.card)
        conf = {"checkpoint": str(path), "device": "cpu", "warm": "off"}
        conf["versions_folder"] = str(base / "versions")
        found = get_class_of_subclass_from_file("main", str(MAIN), "MONAILabelApp")
        made = House(found(str(MAIN.parent), str(studies), conf), studies)
        patch.setattr(routes, "app_instance", lambda: made.app)
        yield made


@pytest.fixture(autouse=True)
def nothing_taught(request: pytest.FixtureRequest) -> None:
    if "house" in request.fixturenames:
        store = request.getfixturevalue("house").app.datastore().taught
        for name in store.names():
            store.remove(name.id)


def test_what_was_named_once_is_named_in_the_next_case(house: House) -> None:
    taught = house.teach("left rib", colour=[9, 8, 7], code=["113197003", "Rib"], user="anna")
    assert taught.status_code == 200, taught.text
    assert taught.json()["examples"][0]["usable"] is True
    reply = house.infer(RIB)
    assert (reply["category"], reply["name_source"]) == ("left rib", "taught")
    source = reply["taught"]["left rib"]
    assert (source["case"], source["annotator"], source["axis"], source["slice"]) == (
        *("case0", "anna"),
        *("k", 3),
    )
    assert "Named left rib as anna named it in case0, slice k 3." in reply["notes"]
    assert next(iter(reply["suggestions"])) == "left rib"


def test_an_object_that_is_completed_gets_a_taught_name(house: House) -> None:
    house.teach("left rib", user="anna")
    mask = scene(4)[1]["rib"].copy()
    mask[..., [2, 4]] = False
    confirmed = [{"axis": "k", "index": 3, "mask": encode_mask(Region.of_mask(mask))}]
    reply = house.infer({"confirmed": confirmed})
    assert (reply["category"], reply["name_source"]) == ("left rib", "taught")
    assert reply["taught"]["left rib"]["case"] == "case0"


def test_a_saved_label_teaches_what_the_checkpoint_does_not_have(house: House) -> None:
    house.save("liver", "rib")
    assert set(house.names()) == {"rib"}
    assert set(house.names()["rib"]) == {"case0"}
    assert house.infer(RIB)["category"] == "rib"
    house.teach("spare rib", SPLEEN)
    house.save("liver")
    assert set(house.names()) == {"spare rib"}, "the newer label has no rib"


def test_segments_that_overlap_are_learnt_one_by_one(house: House) -> None:
    rib, spleen = (scene(0)[1][name] for name in ("rib", "spleen"))
    header = {
        "space": "right-anterior-superior",
        "space directions": np.vstack([np.full(3, np.nan), AFFINE[:3, :3]]),
        "space origin": [0, 0, 0],
        **{"Segment0_Name": "rib", "Segment0_Layer": "0", "Segment0_LabelValue": "1"},
        **{"Segment1_Name": "flank", "Segment1_Layer": "1", "Segment1_LabelValue": "1"},
    }
    file = house.studies.parent / "layers.seg.nrrd"
    nrrd.write(str(file), np.stack([rib, rib | spleen]).astype(np.uint8), header)
    house.app.datastore().save("case0", file, "final", {})
    house.app.on_save_label("case0", "case0")
    assert soon(lambda: house.app.learner.pending == 0, seconds=300)
    assert set(house.names()) == {"rib", "flank"}


def test_a_label_that_was_not_learnt_from_in_time_is_at_the_next_start(house: House) -> None:
    house.save("rib")
    store, before = house.app.datastore(), house.app.learner
    before.stop()  # as the end of the server does, in the moment of the next save
    labels = np.zeros(scene(0)[0].shape, np.uint8)
    labels[scene(0)[1]["rib"]] = 1
    file = write(house.studies.parent / "label.nii.gz", labels, AFFINE)
    store.save("case0", file, "final", {"label_names": {"costa": 1}})
    house.app.on_save_label("case0", "case0")
    assert soon(lambda: before.pending == 0)
    assert store.taught.waiting() == ["case0"]
    assert set(house.names()) == {"rib"}
    house.app.learner = NameLearner(house.app.engine)
    house.app.learner.resume(store)
    assert soon(lambda: house.app.learner.pending == 0, seconds=300)
    assert (set(house.names()), store.taught.waiting()) == ({"costa"}, [])


def test_after_the_names_the_server_learns_on_and_continues_at_the_next_start(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    ends = house.app.learner

    def end(learner: StartLearner, names: list[str]) -> int:
        asked.append(names)
        if len(asked) == 1:
            ends.stop()
        learner._wait()
        return 0

    monkeypatch.setattr(StartLearner, "learn", end)
    house.save("rib")
    assert house.app.datastore().taught.waiting() == ["case0"], "it ended while it learnt on"
    assert set(house.names()) == {"rib"}, "the name was learnt before"
    house.app.learner = NameLearner(house.app.engine)
    house.app.learner.resume(house.app.datastore())
    assert soon(lambda: house.app.learner.pending == 0, seconds=300)
    assert (asked, house.app.datastore().taught.waiting()) == ([["rib"], ["rib"]], [])
    (name,) = house.ask("GET", "/memory").json()["names"]
    assert name["learnt"] is None


def test_renamed_and_removed(house: House) -> None:
    house.teach("rib")
    for code in (["", ""], ["1\n", "x"], ["68455001", "Ilio\\psoas"]):
        refused = house.ask("PATCH", "/memory/RIB", json={"code": code})
        assert refused.status_code == 400
        assert refused.json()["detail"].startswith("Expected code as a value and a meaning, each")
    changed = house.ask("PATCH", "/memory/RIB", json={"name": "costa", "colour": [1, 2, 3]})
    assert (changed.json()["name"], changed.json()["colour"]) == ("costa", [1, 2, 3])
    assert house.infer(RIB)["category"] == "costa"
    assert house.ask("DELETE", "/memory/costa?case=case0&axis=k&slice=2").status_code == 404
    misspelt = house.ask("DELETE", "/memory/costa?image=case0")
    assert (misspelt.status_code, set(house.names())) == (400, {"costa"})
    assert "expected one of case, axis, slice, got 'image'" in misspelt.json()["detail"]
    removed = house.ask("DELETE", f"/memory/{changed.json()['id']}?case=case0&axis=k&slice=3")
    assert removed.json() == {"removed": 1}
    assert house.names() == {}
    assert house.infer(RIB)["category"] is None


@pytest.mark.parametrize("name", ["object", "Segment_1", "background"])
def test_what_unnamed_segments_are_called_is_no_name(house: House, name: str) -> None:
    reply = house.teach(name)
    assert reply.status_code == 400
    assert "which unnamed segments have" in reply.json()["detail"]


def test_two_names_for_one_object_are_listed_and_said(house: House) -> None:
    house.teach("rib", user="anna")
    house.teach("costa", user="ben")
    (conflict,) = house.ask("GET", "/memory").json()["conflicts"]
    by = {"rib": "anna", "costa": "ben"}
    annotators = [one["annotator"] for one in conflict["examples"]]
    assert dict(zip(conflict["names"], annotators, strict=True)) == by
    reply = house.infer(RIB)
    assert reply["category"] is None
    assert "it was taught under several names" in " ".join(reply["notes"])


@pytest.mark.parametrize(
    ("params", "status", "words"),
    [
        ({"image": None}, 400, "expected one of image and session_id"),
        ({"session_id": "x"}, 400, "expected one of image and session_id"),
        ({"image": "nobody"}, 404, "there is no image 'nobody'"),
        ({"prompts": {}}, 400, "at least one point or box"),
        ({"color": [1, 2, 3]}, 400, "The nearest is colour"),
        ({"colour": [1, 2, 256]}, 400, "colour"),
        ({"code": ["1"]}, 400, "code"),
        ({"code": ["1\\2", "rib"]}, 400, "code"),
    ],
    ids=str,
)
def test_an_invalid_request_teaches_nothing(
    house: House, params: dict[str, Any], status: int, words: str
) -> None:
    reply = house.teach("rib", **params)
    assert (reply.status_code, reply.json()["code"] != "bug") == (status, True), reply.text
    assert words in reply.json()["detail"]
    assert house.names() == {}


def test_the_server_lists_them_and_says_what_is_not_there(server: Server) -> None:
    """The shared server's checkpoint has no memory of examples."""
    listed = server.get("/memory").json()
    assert listed == {"names": [], "conflicts": [], "learning": 0}
    body = {"image": "straight", "prompts": {"points": [{"ijk": [30, 26, 4]}]}}
    taught = server.ask("PUT", "/memory/ball", json=body)
    assert (taught.status_code, taught.json()["code"]) == (501, "not_possible")
    for method in ("PATCH", "DELETE"):
        reply = server.ask(method, "/memory/ball", json={})
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found"), method

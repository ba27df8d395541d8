"""The parts of `make learn` that need no server: what is confirmed, compared and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from segsam.errors import SegSamError
from segsam.imaging.volume import Volume
from segsam.prediction.labels import Region
from segsam.remote.client import Reply
from segsam.remote.masks import decode_mask, encode_mask
from segsam_app.loop import learn, next_case, outlining
from segsam_app.loop.outlining import Findings, Outlining, unknown

from ...lib.bright_objects import scene


class Answering:
    """In place of a client: it returns what is confirmed, and half of the object between."""

    def __init__(self, truth: np.ndarray[Any, Any], known: str = "liver") -> None:
        self.half = truth & (np.arange(truth.shape[1]) < 12)[:, None]
        self.truth, self.known = truth, known
        self.taught: list[str] = []
        self.asked: list[Mapping[str, Any]] = []

    def info(self) -> dict[str, Any]:
        model = {"checkpoint": {"categories": [self.known]}, "completes": True}
        return {"models": {"segsam": model}}

    def teach_name(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        self.taught.append(name)
        return {}

    def infer(self, session: str, params: Mapping[str, Any]) -> Reply:
        self.asked.append(params)
        found = self.half & (np.arange(20) < 9 if "prompts" in params else True)
        for each in params.get("confirmed", ()):
            plane = decode_mask(each["mask"], found.shape)
            found[..., each["index"]] = plane[..., each["index"]]
        if params.get("previous"):
            found |= self.truth & (np.arange(20) == 8)
        named = {"category": "tube" if self.taught else None}
        reply = {
            **named,
            "mask": encode_mask(Region.of_mask(found)),
            "encoded_slices": 0,
            "state": "s",
        }
        return Reply({**reply, "next_slice": {"axis": "k", "index": 15}}, None, "", 1.0)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Findings:
    monkeypatch.setattr(outlining, "CONTOURS", "segsam.no_such_module")
    truth = scene()[1]
    client: Any = Answering(truth)
    findings = Outlining(client, "s", truth, 2, console=Console(quiet=True), name="tube").run()
    assert [len(each.get("confirmed", ())) for each in client.asked] == [0, 3, 4, 0]
    assert client.asked[2]["previous"] == "s"
    return findings


def test_slices_that_were_never_confirmed_are_compared(found: Findings) -> None:
    assert found.confirmed == [6, 9, 13, 15]
    assert found.dice.keys() == {"followed", "completed", "corrected"}
    assert 0 < found.dice["followed"] < found.dice["completed"] < found.dice["corrected"]
    assert found.failures == []


def test_what_does_not_gain_is_a_failure(found: Findings) -> None:
    found.dice["filled"] = 99.0
    found.dice["corrected"] = 1.0
    found.notes.append("a confirmed slice came back changed")
    assert len(found.failures) == 3
    assert "did not gain on the object filled (99.0 %)" in found.failures[0]


def test_the_contact_sheet(found: Findings, tmp_path: Path) -> None:
    volume, truth = scene()
    assert learn.write_sheet(tmp_path / "sheet.png", volume, truth, found, 2).stat().st_size > 9999


def test_known_organs_are_refused() -> None:
    client: Any = Answering(scene()[1], "hip left")
    with pytest.raises(SegSamError, match="that the model does not know, got hip_left"):
        unknown("hip_left", client)
    ended = CliRunner().invoke(learn.app, ["--sheet", "sheet.pdf"])
    assert ended.exit_code == 2


class Learning(Answering):
    """In place of a client that learns from a saved label: it then returns the whole object."""

    def __init__(self, truth: np.ndarray[Any, Any]) -> None:
        super().__init__(truth)
        self.saved: list[tuple[str, Mapping[str, int]]] = []
        self.asks = 0

    def save_label(self, image: str, file: Path, names: Mapping[str, int]) -> dict[str, Any]:
        assert np.array_equal(Volume.load(file).voxels > 0, scene()[1])
        self.saved.append((image, names))
        return {}

    def memory(self, method: str, name: str = "", **options: Any) -> dict[str, Any]:
        self.asks += 1
        learnt = {"gain": {"before": 0.5, "after": 0.7}} if self.asks > 1 else None
        return {"names": [{"name": "tube", "learnt": learnt}], "learning": 0}

    def infer_image(self, image: str, params: Mapping[str, Any]) -> Reply:
        assert image == next_case.NEXT
        found = (self.truth if "label" in params else self.half).copy()
        (each,) = params.get("confirmed", [None]) if "confirmed" in params else [None]
        start = {"used": True} if "label" in params else None
        assert each is None or each["index"] == 10
        category = "tube" if self.saved else None
        mask = encode_mask(Region.of_mask(found))
        return Reply({"mask": mask, "start": start, "category": category}, None, "", 1.0)


def test_the_next_case_starts_from_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(next_case, "_POLL_SECONDS", 0.0)
    (tmp_path / "studies").mkdir()
    volume, truth = scene()
    masks = next_case.write_cases(tmp_path / "studies", volume, truth, truth)
    second = Volume.load(tmp_path / "studies" / "next.nii.gz")
    assert np.array_equal(second.affine_ras, volume.affine_ras)
    (axis,) = [one for one in range(3) if abs(volume.affine_ras[0, one]) > 0]
    assert np.array_equal(np.flip(second.voxels, axis), volume.voxels)
    assert np.array_equal(np.flip(masks[next_case.NEXT], axis), truth)
    client: Any = Learning(masks[next_case.NEXT])
    case = next_case.NextCase(client, masks, 2, name="tube", console=Console(quiet=True))
    found = case.run(tmp_path, 60)
    assert client.saved == [("first", {"tube": 1})]
    assert (found.category, found.carried) == ("tube", 100.0)
    assert 0 < found.alone < found.carried
    assert found.failures("tube") == []
    found.start, found.category = {"used": False}, None
    assert len(found.failures("tube")) == 2
    found.start, found.carried = {"used": True}, found.alone
    assert "did not gain on none" in found.failures("tube")[1]

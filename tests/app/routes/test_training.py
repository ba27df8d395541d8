"""Training over HTTP, on a real server with a token: refused, stopped, done, rolled back.

Matrix B10 and F5: an invalid request is refused before a process starts, and a training that is
killed leaves the version before.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import pytest

from ...warm_python import WarmPython
from ..annotators import FULL, amount, annotating, p95_ms
from ..conftest import LPS_MM, ROOT, TOKEN, Server, ball, oblique_affine, started

TRAIN = "/train/segsam"
TINY = {"max_epochs": 1, "minutes": 1, "slices": 6, "copies": 0, "train_batch_size": 2}
AT_WORK = (2, 5) if not FULL else (4, 30)
"""Number of annotators during a training, and of the prompts of each."""
END_SECONDS = amount(550, 7200)
BOX = {"prompts": {"boxes": [{"min_ijk": [15, 14, 4], "max_ijk": [45, 38, 4]}]}, "result": "slice"}


@pytest.fixture(scope="module")
def learning(
    tmp_path_factory: pytest.TempPathFactory, standin: Path, warm_monailabel: WarmPython
) -> Iterator[Server]:
    """Server whose model is the stand-in, with limits that a test can reach."""
    conf = ["--conf", "checkpoint", str(standin), "--conf", "warm", "off"]
    more = {"SEGSAM_TOKEN": TOKEN, "SEGSAM_MAX_EPOCHS": "50", "SEGSAM_MAX_BATCH": "8"}
    base = tmp_path_factory.mktemp("learning")
    with started(base, *conf, python=warm_monailabel, **more) as running:
        yield running


def post(server: Server, path: str, params: Any) -> tuple[int, Any]:
    reply = server.ask("POST", path, json=params)
    return reply.status_code, reply.json()


def save_ball(server: Server, image: str, names: list[str]) -> None:
    """Save the ball as 3D Slicer does, with the `names` of all segments; it is the last one."""
    affine = oblique_affine() if image == "oblique" else LPS_MM
    file = server.temporary / f"{image}_label.nii.gz"
    label = nibabel.Nifti1Image((ball() * len(names)).astype(np.uint8), affine)
    label.set_sform(affine, code=1)
    nibabel.save(label, file)
    info = [{"name": name, "idx": place + 1} for place, name in enumerate(names)]
    with file.open("rb") as stream:
        reply = server.ask(
            "PUT",
            f"/datastore/label?image={image}&tag=final",
            data={"params": json.dumps({"label_info": info})},
            files={"label": (file.name, stream, "application/octet-stream")},
        )
    file.unlink()
    assert reply.status_code == 200, reply.text


def wait_for_end(server: Server) -> dict[str, Any]:
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        body = server.get("/train/").json()
        if body["status"] not in ("SUBMITTED", "RUNNING"):
            return dict(body)
        time.sleep(0.5)
    pytest.fail("the training did not end")


class TestBeforeAnyLabel:
    def test_there_is_nothing_to_learn(self, learning: Server) -> None:
        status, body = post(learning, TRAIN, {})
        assert (status, body["code"]) == (422, "no_labels")
        assert body["detail"].startswith("there is no label with the tag final")

    @pytest.mark.parametrize(
        "params",
        [
            {"max_epochs": 0},
            {"max_epochs": 10**9},
            {"max_epochs": 51},
            {"max_epochs": 1.5},
            {"val_split": 2.0},
            {"val_split": -1},
            {"train_batch_size": 0},
            {"train_batch_size": 9},
            {"learning_rate": 0},
            {"name": ".."},
            {"name": "/etc/passwd"},
            {"name": "http://x/y"},
            {"pretrained": "http://x/model.pt"},
            {"minutes": 0},
            {"minutes": "a/b"},
            {"replay_share": 2},
            {"keep": -0.1},
            {"slices": 1},
            {"tolerance": "much"},
            {"dataset_path": "/x"},
            ["x"],
        ],
        ids=str,
    )
    def test_b10_an_invalid_request_is_refused(self, learning: Server, params: Any) -> None:
        status, body = post(learning, TRAIN, params)
        assert (status, body["code"]) == (400, "request"), body

    def test_a_mistyped_setting_is_told_with_the_nearest_of_all(self, learning: Server) -> None:
        _, body = post(learning, TRAIN, {"minute": 2})
        assert re.search(r"learning_rate, .*slices, .*The nearest is minutes\.$", body["detail"])
        _, body = post(learning, "/versions/segsam/use", {"version": "2"})
        assert body["detail"] == "Expected a version as four digits, such as 0002, got '2'."

    def test_nothing_was_started(self, learning: Server) -> None:
        assert post(learning, "/train/nobody", {})[0] == 404
        assert learning.get("/train/").status_code == 404
        assert learning.get("/train/?check_if_running=true").status_code == 404

    def test_versions_before_any_training(self, learning: Server) -> None:
        body = learning.get("/versions/segsam").json()
        assert (body["model"], body["current"]) == ("segsam", "0000")
        (first,) = body["versions"]
        assert first["categories"] == ["liver", "spleen"]
        assert set(first) >= {"id", "created", "parent", "promoted", "why", "cases", "metrics"}

    @pytest.mark.parametrize(
        ("path", "params", "status"),
        [
            ("/versions/segsam/use", {"version": "0004"}, 404),
            ("/versions/segsam/use", {"version": "../0000"}, 400),
            ("/versions/segsam/use", {"version": 0}, 400),
            ("/versions/segsam/use", {}, 400),
            ("/versions/segsam/use", {"version": "0000", "force": True}, 400),
            ("/versions/segsam/use", ["0000"], 400),
            ("/versions/nobody/use", {"version": "0000"}, 404),
        ],
        ids=str,
    )
    def test_an_invalid_version_is_refused(
        self, learning: Server, path: str, params: Any, status: int
    ) -> None:
        found, body = post(learning, path, params)
        assert found == status
        assert set(body) == {"detail", "code"}


@pytest.mark.slow
class TestATraining:
    """Steps of one training, in this order, on one server."""

    def test_stopped_it_changes_nothing(self, learning: Server) -> None:
        save_ball(learning, "straight", ["tissue", "liver"])
        save_ball(learning, "oblique", ["liver"])
        status, body = post(learning, TRAIN, {**TINY, "max_epochs": 50})
        assert status == 200
        assert body["status"] in ("SUBMITTED", "RUNNING")
        assert post(learning, TRAIN, TINY)[0] == 429, "one at a time"
        deadline = time.monotonic() + END_SECONDS
        while "progress" not in learning.get("/train/").json() and time.monotonic() < deadline:
            time.sleep(0.3)
        body = learning.get("/train/?check_if_running=true").json()
        assert body["status"] == "RUNNING"
        assert json.dumps(learning.get("/info/").json()["train_stats"], allow_nan=False)
        stopped = learning.ask("DELETE", "/train/").json()
        assert stopped["status"] == "STOPPED"
        assert learning.get("/train/?check_if_running=true").status_code == 404
        assert learning.get("/versions/segsam").json()["current"] == "0000"
        assert learning.infer({"image": "straight"}, params=json.dumps(BOX)).ok

    def test_killed_its_status_says_by_what(self, learning: Server) -> None:
        assert post(learning, TRAIN, {**TINY, "max_epochs": 50})[0] == 200
        deadline = time.monotonic() + END_SECONDS
        while "progress" not in learning.get("/train/").json() and time.monotonic() < deadline:
            time.sleep(0.3)
        process = psutil.Process(learning.get("/train/").json()["progress"]["pid"])
        process.kill()
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        body = learning.get("/train/").json()  # the first who asks is told
        assert body["status"] == "ERROR"
        assert "training was ended by signal 9 (SIGKILL): perhaps memory ran out" in body["why"]
        stats = learning.get("/info/").json()["train_stats"]["segsam"]
        assert (stats["status"], stats["why"]) == ("error", body["why"])
        assert body["why"].endswith("start it again") or "checkpoint" in body["why"]

    def test_done_it_is_used_by_the_next_click(
        self, learning: Server, record_property: Callable[[str, float], None]
    ) -> None:
        before = learning.infer({"image": "straight"}, params=json.dumps(BOX)).json()
        annotators, prompts = AT_WORK
        with annotating(learning, "oblique", annotators, prompts=amount(1, prompts)) as quiet:
            quiet.all()
        longer = {"max_epochs": amount(1, 50), "minutes": 3, "tolerance": 100, "name": "second"}
        with annotating(learning, "oblique", annotators, prompts=prompts) as heard:
            status, _ = post(learning, TRAIN, {**TINY, **longer})
            assert status == 200
            body = wait_for_end(learning)
        assert body["status"] == "DONE", body
        assert heard.seconds
        assert heard.wrong == [], "l9: who annotates meanwhile is answered"
        if FULL:
            alone, beside = p95_ms(quiet.seconds), p95_ms(heard.seconds)
            record_property(f"L9 prompt of {annotators}, p95 ms", alone)
            record_property(f"L9 prompt of {annotators} beside a training, p95 ms", beside)
            record_property(f"L9 factor, of {len(heard.seconds)} prompts", beside / alone)
        assert (body["version"], body["promoted"]) == ("0001", True)
        assert set(body["metrics"]) == {"before", "after"}
        assert body["progress"]["status"] == "done"
        versions = learning.get("/versions/segsam").json()
        assert versions["current"] == "0001"
        assert versions["versions"][1]["cases"] == 2
        assert any("no case was held out" in note for note in versions["versions"][1]["notes"])
        facts = learning.get("/info/").json()
        assert facts["models"]["segsam"]["checkpoint"]["name"].endswith("labels of this site")
        assert facts["train_stats"]["segsam"]["total_time"]
        after = learning.infer({"image": "straight"}, params=json.dumps(BOX)).json()
        assert after["encoded_slices"] == 0, "the encoder's work is still of use"
        assert after["predicted_iou"] != before["predicted_iou"]

    def test_rolled_back_all_is_as_it_was(self, learning: Server) -> None:
        image = {"image": "straight"}
        after = learning.infer(image, params=json.dumps(BOX)).json()
        status, body = post(learning, "/versions/segsam/use", {"version": "0000"})
        assert (status, body["current"]) == (200, "0000")
        assert learning.get("/versions/segsam").json() == body
        before = learning.infer(image, params=json.dumps(BOX)).json()
        assert before["predicted_iou"] != after["predicted_iou"]
        assert post(learning, "/versions/segsam/use", {"version": "0001"})[0] == 200
        again = learning.infer(image, params=json.dumps(BOX)).json()
        assert again["predicted_iou"] == after["predicted_iou"]

    def test_f6_a_version_that_is_damaged_is_passed_over(self, learning: Server) -> None:
        (folder,) = (learning.studies.parent / "versions").iterdir()
        weights = folder / "0001" / "model.safetensors"
        weights.chmod(0o644)
        weights.write_bytes(weights.read_bytes()[:-1000])
        body = learning.get("/versions/segsam").json()
        assert body["current"] == "0000"
        assert body["damaged"] == [
            {"id": "0001", "why": "its weights are not those that were written"}
        ]
        assert learning.infer({"image": "straight"}, params=json.dumps(BOX)).ok
        status, body = post(learning, "/versions/segsam/use", {"version": "0001"})
        assert (status, body["code"]) == (503, "checkpoint")


@pytest.mark.slow
def test_on_the_command_line_it_ends_with_a_sentence(
    tmp_path: Path, standin: Path, warm_monailabel: WarmPython
) -> None:
    """Check MONAI Label's own command, without a server and without a label."""
    command = ["-m", "monailabel.interfaces.utils.app", "-m", "train"]
    command += ["-a", str(ROOT / "monailabel_app"), "-s", str(tmp_path / "studies")]
    run = warm_monailabel.run(
        [*command, "-r", json.dumps({"model": "segsam", **TINY})],
        cwd=tmp_path,
        env={
            **os.environ,
            "SEGSAM_CHECKPOINT": str(standin),
            "SEGSAM_VERSIONS_FOLDER": str(tmp_path / "versions"),
        },
    )
    assert run.returncode == 1
    assert run.stderr.strip().splitlines()[-1].startswith("there is no label with the tag final")
    assert "Traceback" not in run.stderr

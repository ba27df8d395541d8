"""The demo's parts, on real files and real sockets; the whole of it is a step of `.ci/run`."""

from __future__ import annotations

import base64
import io
import json
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console

from segsam.datasets.sample import fetch_sample
from segsam.demo import run_demo
from segsam.demo.asking import Asking, Case
from segsam.demo.baseline import litemedsam_masks, windowed
from segsam.demo.checking import GeometryCheck, check_geometry, dice, read_labels
from segsam.demo.naming import Named, expected_name
from segsam.demo.prompting import (
    Organ,
    centre_of,
    organs_in,
    ours,
    section_box,
    stock,
    tight_box,
    widest_slice,
    with_negative,
)
from segsam.demo.report import Answer, DemoReport, OrganScore, tell
from segsam.demo.sheet import colours_for, write_sheet
from segsam.demo.timing import Timings
from segsam.errors import OutputError, SampleError
from segsam.imaging.volume import Volume
from segsam.model.checkpoint import find_card
from segsam.prompting.prompts import Box
from segsam.remote.client import Client, Reply, decode_mask
from segsam.remote.server import Server, ServerError, find_app, free_port

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ball(shape: tuple[int, int, int], centre: tuple[int, int, int], radius: float) -> np.ndarray:
    grid = np.indices(shape) - np.array(centre).reshape(3, 1, 1, 1)
    return (grid**2).sum(axis=0) <= radius**2


@pytest.fixture
def organ() -> Organ:
    mask = ball((20, 24, 10), (8, 12, 4), 3)
    return Organ("kidney_left", 3, mask, tight_box(mask))


@pytest.fixture(scope="module")
def case() -> Case:
    try:
        return Case.of(fetch_sample())
    except SampleError as error:
        pytest.skip(f"no sample here: {error}")


class TestPrompting:
    def test_the_box_is_tight(self, organ: Organ) -> None:
        assert organ.box == Box((5, 9, 1), (11, 15, 7))

    def test_a_section_is_flat(self, organ: Organ) -> None:
        assert section_box(organ, 2, 4) == Box((5, 9, 4), (11, 15, 4))
        assert section_box(organ, 2, 1) is None, "one voxel makes no 2D box"
        assert section_box(organ, 2, 9) is None, "the organ is not there"

    def test_the_widest_slice_and_its_centre(self, organ: Organ) -> None:
        assert widest_slice(organ, 2) == 4
        assert centre_of(organ, 2, 4) == (8, 12, 4)

    def test_a_missing_organ_is_named(self) -> None:
        labels = np.zeros((4, 4, 4), np.uint8)
        with pytest.raises(SampleError, match="hold no spleen"):
            organs_in(labels, {"liver": 1, "spleen": 2}, ["spleen"])
        with pytest.raises(SampleError, match="hold no heart"):
            organs_in(labels, {}, ["heart"])

    def test_our_dialect(self, organ: Organ) -> None:
        payload = ours(with_negative(organ.box, (8, 12, 4)), "volume")
        assert payload == {
            "prompts": {
                "points": [{"ijk": [8, 12, 4], "positive": False}],
                "boxes": [{"min_ijk": [5, 9, 1], "max_ijk": [11, 15, 7]}],
            },
            "axis": "auto",
            "propagate": False,
            "result": "volume",
        }

    def test_the_stock_box_runs_in_world_order(self, organ: Organ) -> None:
        assert stock(organ, np.eye(4), ".nrrd")["roi"] == [5, 11, 9, 15, 1, 7]
        assert stock(organ, LPS, ".nrrd")["roi"] == [11, 5, 15, 9, 1, 7]

    def test_the_stock_dialect_is_what_the_module_sends(self, organ: Organ) -> None:
        payload = stock(organ, LPS, ".nii.gz")
        assert payload["foreground"] == [[8, 12, 4]]
        assert payload["background"] == []
        assert payload["label"] == "kidney_left"
        assert payload["result_extension"] == ".nii.gz"
        json.dumps(payload)


class TestChecking:
    @pytest.fixture
    def image(self, tmp_path: Path) -> Path:
        affine = np.array([[-1.0, 0, 0, 7], [0, 2, 0, -5], [0, 0, 3, 1], [0, 0, 0, 1]])
        path = tmp_path / "image.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros((5, 6, 7), np.int16), affine), path)
        return path

    @pytest.mark.parametrize("name", ["labels.nrrd", "labels.nii.gz"])
    def test_the_same_grid_passes(self, image: Path, name: str) -> None:
        volume = Volume.load(image)
        volume.like(np.ones((5, 6, 7), np.uint8)).save(image.parent / name)
        checks = check_geometry(image.parent / name, image)
        assert all(check.ok for check in checks), checks
        assert {check.reader for check in checks} >= {"SimpleITK"}
        assert len(checks) == (2 if name.endswith(".nii.gz") else 1)

    def test_a_moved_grid_fails(self, image: Path) -> None:
        affine = Volume.load(image).affine_ras.copy()
        affine[0, 3] += 1
        moved = image.parent / "moved.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros((5, 6, 7), np.uint8), affine), moved)
        checks = check_geometry(moved, image)
        assert [check.ok for check in checks] == [False, False]
        assert "within 1 mm" in checks[0].found

    def test_another_shape_fails(self, image: Path) -> None:
        other = image.parent / "other.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros((6, 5, 7), np.uint8), np.eye(4)), other)
        check = check_geometry(other, image)[0]
        assert not check.ok
        assert check.found == "shape (6, 5, 7), the image has (5, 6, 7)"

    def test_labels_come_in_index_order(self, image: Path) -> None:
        labels = np.zeros((5, 6, 7), np.uint8)
        labels[4, 2, 1] = 9
        Volume.load(image).like(labels).save(image.parent / "l.nrrd")
        np.testing.assert_array_equal(read_labels(image.parent / "l.nrrd"), labels)

    def test_dice(self) -> None:
        one = np.array([1, 1, 0, 0])
        assert dice(one, np.array([1, 0, 1, 0])) == 0.5
        assert dice(one, one) == 1
        assert dice(one, 1 - one) == 0
        assert dice(0 * one, 0 * one) == 1


class TestBaseline:
    def test_the_window_is_40_400(self) -> None:
        voxels = np.array([[[-1000, -160, 40, 240, 3000]]], np.int16)
        np.testing.assert_array_equal(windowed(voxels), [[[0, 0, 127, 255, 255]]])

    def test_one_organ_of_the_sample(self, case: Case) -> None:
        whole = case.organ("gallbladder")
        index = widest_slice(whole, 2)
        box = section_box(whole, 2, index)
        assert box is not None
        thin = Organ(whole.name, whole.value, whole.mask, box)
        told: list[tuple[int, int]] = []
        masks = litemedsam_masks(
            case.volume, [thin], axis=2, progress=lambda done, total, _: told.append((done, total))
        )
        mask = masks["gallbladder"]
        assert told == [(0, 1), (1, 1)]
        assert np.flatnonzero(mask.any(axis=(0, 1))).tolist() == [index]
        assert dice(mask[:, :, index], whole.mask[:, :, index]) > 0.85


class Answers(BaseHTTPRequestHandler):
    """A server of scripted answers: (status, content type, body) by path."""

    script: ClassVar[dict[str, tuple[int, str, bytes]]] = {}
    seen: ClassVar[list[tuple[str, bytes]]] = []

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((f"{self.command} {self.path}", body))
        status, kind, content = self.script[self.path.split("?")[0]]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the names http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the test's output."""


@pytest.fixture
def scripted() -> Iterator[tuple[Client, type[Answers]]]:
    Answers.script, Answers.seen = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        client = Client(f"http://127.0.0.1:{server.server_port}")
        yield client, Answers
        client.close()
        server.shutdown()
        thread.join()


class TestClient:
    def test_a_session(self, scripted: tuple[Client, type[Answers]], tmp_path: Path) -> None:
        client, answers = scripted
        answers.script = {
            "/session/": (200, "application/json", b'{"session_id": "abc"}'),
            "/session/abc": (200, "application/json", b"{}"),
        }
        (tmp_path / "image.nrrd").write_bytes(b"voxels")
        assert client.open_session(tmp_path / "image.nrrd") == "abc"
        client.close_session("abc")
        (put, body), (delete, _) = answers.seen
        assert put == "PUT /session/"
        assert b'name="files"; filename="image.nrrd"' in body
        assert str(tmp_path).encode() not in body, "folders are nobody's business"
        assert delete == "DELETE /session/abc"

    def test_a_json_reply(self, scripted: tuple[Client, type[Answers]]) -> None:
        client, answers = scripted
        reply = b'{"latencies": {"model": 0.25}, "notes": []}'
        answers.script = {"/infer/segsam": (200, "application/json", reply)}
        answer = client.infer("abc", {"prompts": {}})
        assert answer.file is None
        assert answer.model_seconds == 0.25
        assert answer.seconds > 0
        path, body = answers.seen[0]
        assert path == "POST /infer/segsam?image=&session_id=abc"
        assert body == b"params=%7B%22prompts%22%3A+%7B%7D%7D"

    def test_a_multipart_reply(self, scripted: tuple[Client, type[Answers]]) -> None:
        client, answers = scripted
        content = b"\r\nbinary\n\r--voxels\x00\xff\r\n"
        body = (
            b'--b\r\nContent-Disposition: form-data; name="params"\r\n'
            b'Content-Type: application/json\r\n\r\n{"notes": ["n"]}\r\n--b\r\n'
            b'Content-Disposition: form-data; name="image"; filename="../../evil.nii.gz"\r\n\r\n'
            + content
            + b"\r\n--b--\r\n"
        )
        answers.script = {"/infer/segsam": (200, "multipart/form-data; boundary=b", body)}
        answer = client.infer("abc", {})
        assert answer.params == {"notes": ["n"]}
        assert answer.file == content
        assert answer.file_name == "evil.nii.gz"

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b'{"detail": "the box is reversed", "code": "prompt"}', "the box is reversed"),
            (b"Internal Server Error", "Internal Server Error"),
        ],
    )
    def test_an_error_is_told_in_the_servers_words(
        self, scripted: tuple[Client, type[Answers]], content: bytes, sentence: str
    ) -> None:
        client, answers = scripted
        answers.script = {"/infer/segsam": (400, "application/json", content)}
        with pytest.raises(ServerError, match=f"POST /infer/segsam was answered 400: {sentence}"):
            client.infer("abc", {})

    def test_nobody_there(self) -> None:
        with pytest.raises(ServerError, match="No answer to GET /info/"):
            Client(f"http://127.0.0.1:{free_port()}").info()

    def test_a_packed_mask(self) -> None:
        bits = np.random.default_rng(0).integers(0, 2, (2, 3, 5)).astype(bool)
        packed = base64.b64encode(zlib.compress(np.packbits(bits).tobytes())).decode()
        mask = {"min_ijk": [1, 0, 2], "max_ijk": [2, 2, 6], "data": packed}
        whole = decode_mask(mask, (4, 4, 8))
        np.testing.assert_array_equal(whole[1:3, 0:3, 2:7], bits)
        assert whole.sum() == bits.sum()
        assert not decode_mask(None, (4, 4, 8)).any()


class TestServer:
    def test_the_app_of_this_checkout(self) -> None:
        assert (find_app() / "main.py").is_file()

    def test_an_app_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ServerError, match="There is no MONAI Label app at"):
            find_app(tmp_path)

    def test_what_is_started(self, tmp_path: Path) -> None:
        server = Server(tmp_path / "app", tmp_path / "work", tmp_path / "server.log")
        assert "--conf" not in server.command()
        also = Server(tmp_path, tmp_path, tmp_path / "log", also=("litemedsam", "sam"))
        assert " ".join(also.command()).count("--conf also litemedsam,sam") == 1

    def test_a_server_that_ends_while_starting(self, tmp_path: Path) -> None:
        # Python looks for modules where it is started first: a broken installation.
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "uvicorn.py").write_text("raise SystemExit('no server today')\n")
        server = Server(find_app(), tmp_path / "work", tmp_path / "server.log")
        with server, pytest.raises(ServerError, match=r"ended while starting.*no server today"):
            server.wait()
        assert not server.running

    @pytest.mark.slow
    def test_a_real_one_answers_a_2d_box_and_is_stopped(self, case: Case, tmp_path: Path) -> None:
        said = io.StringIO()
        with Server(find_app(), tmp_path / "work", tmp_path / "server.log") as server:
            server.wait()
            with Client(server.address) as client:
                asking = Asking(client, case, Console(file=said), tmp_path)
                asking.box_on_a_slice()
        assert not server.running
        assert [check.ok for check in asking.served.geometry] == [True]
        assert "2D box, kidney right, slice k = 79" in said.getvalue()
        trained = find_card() is not None
        assert bool(asking.served.trained) == trained
        assert any("semantic decoder" in note for note in asking.served.notes) != trained


class TestNaming:
    def test_what_a_reply_says(self) -> None:
        others = {"79": {"liver": 0.97, "aorta": 0.9, "stomach": 0.8, "spleen": 0.6}}
        params = {"category": "right kidney", "confidence": 0.934, "present": others}
        reply = Reply(params, None, "", 0.1)
        assert Named.of(reply, 79).in_words == "right kidney (93%)"
        assert Named.of(reply, 79).also == "liver 97%, aorta 90%, stomach 80%"
        assert Named.of(reply).also == ""
        nothing = Reply({"category": None, "confidence": None, "present": {}}, None, "", 0.1)
        assert Named.of(nothing, 3).in_words == "not named"

    def test_what_an_organ_should_be_called(self) -> None:
        assert expected_name("kidney_right", ("liver", "right kidney")) == "right kidney"
        assert expected_name("vertebrae_L3", ("liver", "right kidney")) is None


class TestSheet:
    def test_a_panel_for_each_organ(self, organ: Organ, tmp_path: Path) -> None:
        volume = Volume.from_array(np.zeros(organ.mask.shape, np.int16), np.diag([2.0, 2, 5, 1]))
        labels = organ.mask.astype(np.uint8) * organ.value
        path = tmp_path / "sheet.png"
        write_sheet(path, volume, labels, organs=[organ], titles={organ.name: "kidney"})
        picture = Volume.load(path).voxels
        assert picture.ndim == 4
        red, green, blue = colours_for([organ])[organ.value]
        painted = np.array([red, green, blue]) * 0.45
        distance = np.abs(picture.reshape(-1, 3) - painted).max(axis=1)
        assert (distance <= 3).sum() > 100, "the mask is painted in the organ's colour"

    def test_colours_differ(self, organ: Organ) -> None:
        organs = [Organ(str(n), n, organ.mask, organ.box) for n in range(1, 10)]
        assert len(set(colours_for(organs).values())) == 9


class TestReport:
    @pytest.fixture
    def report(self, tmp_path: Path) -> DemoReport:
        return DemoReport(
            out=tmp_path,
            scores=(
                OrganScore(
                    *("liver", 43, 41692, 0.93, 0.95, 0.92, 0.91, 30.0),
                    named=Named("liver", 0.98, {"spleen": 0.9}),
                    expected="liver",
                ),
                OrganScore(
                    *("kidney_left", 33, 5090, 0.70, 0.85, 0.72, 0.81, 2.0),
                    named=Named("spleen", 0.6),
                    expected="left kidney",
                ),
                OrganScore("vertebrae_L3", 15, 2446, 0.5, 0.6, 0.51, 0.51, 1.0),
            ),
            answers=(Answer("2D box", "313 pixels"),),
            geometry=(GeometryCheck("liver.nrrd", "SimpleITK", ok=True, found="right"),),
            timings=Timings(first_ms=1000, second_ms=100, overhead_ms=80),
            seconds={"total": 100.0},
            notes=("No category",),
        )

    def told(self, report: DemoReport) -> str:
        console = Console(file=io.StringIO(), width=140)
        tell(report, console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    def test_numbers_stand_beside_their_goals(self, report: DemoReport) -> None:
        text = self.told(report)
        assert "pseudo-labels" in text
        assert "PASS second prompt on the same slice: 100 ms, 10.0%" in text
        assert "MISS HTTP for one slice: 80.0 ms" in text
        assert "note: No category" in text
        rows = [line for line in text.splitlines() if "0.920" in line or "0.720" in line]
        assert ["PASS" in row for row in rows] == [True, False]

    def test_names_stand_beside_the_dice(self, report: DemoReport) -> None:
        text = self.told(report)
        row = next(line for line in text.splitlines() if "0.930" in line)
        assert "liver (98%)" in row
        assert "spleen 90%" in row
        assert "1 of 3 organs named as the sample names them" in text
        assert "not among the trained categories: vertebrae L3" in text
        assert "not named" in text

    def test_an_untrained_checkpoint_names_nothing(self, report: DemoReport) -> None:
        scores = tuple(replace(score, named=Named(), expected=None) for score in report.scores)
        untrained = replace(report, scores=scores)
        assert "no organ of the sample is among the categories" in self.told(untrained)
        assert untrained.to_json()["named_right"] == 0

    def test_wrong_geometry_is_no_demo(self, report: DemoReport) -> None:
        wrong = GeometryCheck("liver.nrrd", "SimpleITK", ok=False, found="shape (1, 2, 3)")
        broken = DemoReport(**{**vars(report), "geometry": (*report.geometry, wrong)})
        assert report.ok
        assert not broken.ok
        assert "WRONG VOXELS liver.nrrd (SimpleITK): shape (1, 2, 3)" in self.told(broken)

    def test_json_is_plain(self, report: DemoReport) -> None:
        value = json.loads(json.dumps(report.to_json(), allow_nan=False))
        assert value["means"]["dice"] == pytest.approx(0.71)
        assert value["means"]["followed_dice"] == pytest.approx(0.8)
        assert value["scores"][0]["named"]["category"] == "liver"
        assert (value["scores"][0]["named_right"], value["named_right"]) == (True, 1)
        assert value["dice_ok"] is False
        assert value["timings"]["second_share"] == pytest.approx(0.1)
        assert value["ok"] is True


def test_the_out_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        run_demo(tmp_path / "file" / "out", Console(file=io.StringIO()))

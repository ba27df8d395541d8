"""Parts of the demo, on real files and a real server; `.ci/run` runs the whole."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console

from segsam.datasets.sample import Sample, fetch_sample
from segsam.demo import run_demo
from segsam.demo.checking import GeometryCheck, check_geometry, dice, read_labels
from segsam.demo.naming import ObjectName, expected_name
from segsam.demo.prompting import (
    Organ,
    centre_of,
    organs_in,
    section_box,
    stock_params,
    tight_box,
    widest_slice,
)
from segsam.demo.report import Answer, ClickTimes, DemoReport, OrganScore, show_report
from segsam.demo.session import Case, DemoSession
from segsam.demo.sheet import colours_for, write_sheet
from segsam.errors import OutputError, SampleError
from segsam.imaging.volume import Volume
from segsam.model.checkpoint import find_card
from segsam.prompting.prompts import Box
from segsam.remote.client import Client, Reply
from segsam.remote.server import Server, find_app

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
        return Case.load(fetch_sample())
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

    def test_the_stock_box_runs_in_world_order(self, organ: Organ) -> None:
        assert stock_params(organ, np.eye(4), ".nrrd")["roi"] == [5, 11, 9, 15, 1, 7]
        assert stock_params(organ, LPS, ".nrrd")["roi"] == [11, 5, 15, 9, 1, 7]

    def test_the_stock_dialect_is_what_the_module_sends(self, organ: Organ) -> None:
        payload = stock_params(organ, LPS, ".nii.gz")
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


@pytest.mark.slow
def test_a_real_server_answers_a_2d_box_and_is_stopped(case: Case, tmp_path: Path) -> None:
    printed = io.StringIO()
    with Server(find_app(), tmp_path / "work", tmp_path / "server.log") as server:
        server.wait()
        with Client(server.address) as client:
            session = DemoSession(client, case, Console(file=printed), tmp_path)
            session.box_on_a_slice()
    assert not server.running
    assert [check.ok for check in session.served.geometry] == [True]
    assert "2D box, kidney right, slice k = 79" in printed.getvalue()
    trained = find_card() is not None
    assert bool(session.served.trained) == trained
    assert any("semantic decoder" in note for note in session.served.notes) != trained


class TestNaming:
    def test_the_name_in_a_reply(self) -> None:
        others = {"79": {"liver": 0.97, "aorta": 0.9, "stomach": 0.8, "spleen": 0.6}}
        params = {"category": "right kidney", "confidence": 0.934, "present": others}
        reply = Reply(params, None, "", 0.1)
        assert ObjectName.from_reply(reply, 79).text == "right kidney (93%)"
        assert ObjectName.from_reply(reply, 79).also_present == "liver 97%, aorta 90%, stomach 80%"
        assert ObjectName.from_reply(reply).also_present == ""
        nothing = Reply({"category": None, "confidence": None, "present": {}}, None, "", 0.1)
        assert ObjectName.from_reply(nothing, 3).text == "not named"
        nearest = {"suggestions": {"right kidney": 0.31, "liver": 0.1}}
        unlike = Reply({**nothing.params, **nearest}, None, "", 0.1)
        assert ObjectName.from_reply(unlike, 3).text == "not named, most like right kidney (31%)"

    def test_the_expected_name_of_an_organ(self) -> None:
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
                    *("liver", 43, 41692, 0.93, 0.95, 30.0),
                    named=ObjectName("liver", 0.98, {"spleen": 0.9}),
                    expected="liver",
                ),
                OrganScore(
                    *("kidney_left", 33, 5090, 0.70, 0.85, 2.0),
                    named=ObjectName("spleen", 0.6),
                    expected="left kidney",
                ),
                OrganScore("vertebrae_L3", 15, 2446, 0.5, 0.6, 1.0),
            ),
            answers=(Answer("2D box", "313 pixels"),),
            geometry=(GeometryCheck("liver.nrrd", "SimpleITK", ok=True, found="right"),),
            clicks=ClickTimes(first_ms=1000, second_ms=100, overhead_ms=80),
            seconds={"total": 100.0},
            notes=("No category",),
        )

    def shown(self, report: DemoReport) -> str:
        console = Console(file=io.StringIO(), width=140)
        show_report(report, console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    def test_the_table_shows_each_dice_and_the_mean(self, report: DemoReport) -> None:
        text = self.shown(report)
        assert "pseudo-labels" in text
        assert "PASS geometry: 1 of 1 readings" in text
        assert "note: No category" in text
        rows = [line for line in text.splitlines() if "0.930" in line or "mean" in line]
        assert "0.950" in rows[0]
        assert "0.710" in rows[1]
        assert "0.800" in rows[1]

    def test_the_table_shows_the_names(self, report: DemoReport) -> None:
        text = self.shown(report)
        row = next(line for line in text.splitlines() if "0.930" in line)
        assert "liver (98%)" in row
        assert "spleen 90%" in row
        assert "1 of 3 organs named as the sample names them" in text
        assert "not among the trained categories: vertebrae L3" in text
        assert "not named" in text

    def test_an_untrained_checkpoint_names_nothing(self, report: DemoReport) -> None:
        scores = tuple(replace(score, named=ObjectName(), expected=None) for score in report.scores)
        untrained = replace(report, scores=scores)
        assert "no organ of the sample is among the categories" in self.shown(untrained)
        assert untrained.to_json()["named_right"] == 0

    def test_wrong_geometry_fails_the_demo(self, report: DemoReport) -> None:
        wrong = GeometryCheck("liver.nrrd", "SimpleITK", ok=False, found="shape (1, 2, 3)")
        broken = DemoReport(**{**vars(report), "geometry": (*report.geometry, wrong)})
        assert report.ok
        assert not broken.ok
        assert "WRONG VOXELS liver.nrrd (SimpleITK): shape (1, 2, 3)" in self.shown(broken)

    def test_json_is_plain(self, report: DemoReport) -> None:
        value = json.loads(json.dumps(report.to_json(), allow_nan=False))
        assert value["means"]["dice"] == pytest.approx(0.71)
        assert value["means"]["followed_dice"] == pytest.approx(0.8)
        assert value["scores"][0]["named"]["category"] == "liver"
        assert (value["scores"][0]["named_right"], value["named_right"]) == (True, 1)
        assert value["timings"]["second_share"] == pytest.approx(0.1)
        assert value["ok"] is True


def test_the_out_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        run_demo(tmp_path / "file" / "out", Console(file=io.StringIO()))


def test_no_file_of_somebody_is_replaced(tmp_path: Path) -> None:
    def stopped() -> Sample:
        raise SampleError("no sample")

    for name in ("labels.nii.gz", "served"):
        out = tmp_path / f"out of {name}"
        out.mkdir()
        (out / name).touch()
        with pytest.raises(OutputError, match=f"with {name}. Nothing in it was changed"):
            run_demo(out, Console(file=io.StringIO()), fetch=stopped)
        assert [path.name for path in out.iterdir()] == [name]
    (tmp_path / "learn.png").touch()
    for _ in range(2):  # then it is a demo's own folder
        with pytest.raises(SampleError):
            run_demo(tmp_path, Console(file=io.StringIO()), fetch=stopped)
        (tmp_path / "labels.nii.gz").touch()

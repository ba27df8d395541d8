"""`segsam batch`: arguments, output, files and exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from typer.testing import CliRunner, Result

from segsam.batch import evaluating, segmenting
from segsam.categories import Categories
from segsam.cli.batch import app
from segsam.errors import BatchError, OutputError
from segsam.imaging.folder_images import images_in
from segsam.imaging.label_files import read_labels
from segsam.imaging.volume import Volume
from segsam.model import Card, SegSam
from segsam.prediction.embeddings import EmbeddingCache
from segsam.prediction.predictor import Predictor
from segsam.prediction.taught.examples import TaughtName
from segsam.prediction.taught.files import write_change

from ...dicom_writing import write_series, write_stills
from ..conftest import TinyHost

PROMPTS = {"boxes": [{"min_ijk": [3, 4, 1], "max_ijk": [15, 14, 3]}]}


def batch(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, five_categories: Categories) -> None:
    torch.manual_seed(0)
    model = SegSam(TinyHost(), five_categories).eval()

    def predictor(*_: Any, **__: Any) -> Predictor:
        return Predictor(model, embeddings=EmbeddingCache())

    monkeypatch.setattr(segmenting.Predictor, "from_pretrained", predictor)
    monkeypatch.setattr(evaluating, "load_pretrained", lambda checkpoint: model)
    monkeypatch.setattr("segsam.model.load_pretrained", lambda checkpoint: model)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two images, one with prompts."""
    folder = tmp_path / "archive"
    folder.mkdir()
    voxels = np.random.default_rng(0).integers(0, 200, (20, 18, 5)).astype(np.int16)
    for case in ("a", "b"):
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / f"{case}.nii")
    (folder / "a.prompts.json").write_text(json.dumps(PROMPTS))
    return folder


def test_images_without_prompts_are_left_out(archive: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    done = batch("segment", archive, "-o", tmp_path / "out", "--format", ".nrrd", "--json", result)
    assert done.exit_code == 3, done.output
    assert "1 of 2 images have no prompts: left out." in done.output
    assert "Left out: b: no prompts" in done.output
    assert "1 of 1 cases done, 0 of them before" in done.output
    assert (tmp_path / "out" / "labels" / "a.nrrd").is_file()
    assert json.loads(result.read_text()) == json.loads((tmp_path / "out/summary.json").read_text())
    assert json.loads(result.read_text())["failed"] == {}
    assert json.loads(result.read_text())["left_out"] == {"b": "no prompts"}


def test_images_of_one_name_have_results_of_their_own(archive: Path, tmp_path: Path) -> None:
    (archive / "b.nii").unlink()
    voxels = np.random.default_rng(1).integers(0, 200, (20, 18, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), archive / "a.nii.gz")
    for _ in range(2):  # the second run finds the results of the first
        done = batch("segment", archive, "-o", tmp_path / "out")
        assert done.exit_code == 0, done.output
        assert "Several images are called a: the results of a.nii, a.nii.gz have" in done.output
    assert "2 of 2 cases done, 2 of them before" in done.output
    names = sorted(path.name for path in (tmp_path / "out" / "labels").iterdir())
    assert names == ["a.nii.gz.nii.gz", "a.nii.nii.gz"]
    assert len(json.loads((tmp_path / "out" / "summary.json").read_text())["notes"]) == 1


def test_the_exit_status_says_that_files_were_left_out(archive: Path, tmp_path: Path) -> None:
    (archive / "b.nii").unlink()
    for name in (".DS_Store", "._a.nii", "readme.txt", "a.seg.nrrd"):
        (archive / name).touch()
    done = batch("segment", archive, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "Left out: readme.txt: not an image" in done.output
    write_stills(archive / "us", 2)
    done = batch("segment", archive, "-o", tmp_path / "out")
    assert done.exit_code == 3, done.output
    named = json.loads((tmp_path / "out" / "summary.json").read_text())["left_out"]
    assert sorted(named) == ["a.seg.nrrd", "readme.txt", "us/US0.dcm", "us/US1.dcm"]
    assert "US1.dcm: its series holds 2 stills without positions in the patient" in done.output


def test_links_are_named_and_not_followed(archive: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("b.nii", "a.prompts.json"):
        (other / name).write_bytes((archive / name).read_bytes())
    (archive / "b.nii").unlink()
    (archive / "linked").symlink_to(other, target_is_directory=True)
    (archive / "gone.nii").symlink_to(tmp_path / "nothing.nii")
    done = batch("segment", archive, "-o", tmp_path / "out")
    assert done.exit_code == 3, done.output
    assert "Left out: linked: a link to a folder, which is not followed" in done.output
    assert "Left out: gone.nii: a link to a file that does not exist" in done.output
    named = json.loads((tmp_path / "out" / "summary.json").read_text())["left_out"]
    assert sorted(named) == ["gone.nii", "linked"]


@pytest.mark.parametrize("ending", [".nii.gz", ".seg.nrrd"])
def test_the_record_counts_what_the_file_holds(archive: Path, tmp_path: Path, ending: str) -> None:
    boxes = ([[3, 4, 1], [15, 14, 3]], [[3, 4, 1], [12, 14, 3]])
    objects = [
        {"name": name, "prompts": {"boxes": [{"min_ijk": low, "max_ijk": high}]}}
        for name, (low, high) in zip(("肝臓", "Leberläsion"), boxes, strict=True)
    ]
    (archive / "a.prompts.json").write_text(json.dumps({"objects": objects}))
    out = tmp_path / "out"
    done = batch("segment", archive, "-o", out, "--format", ending)
    assert done.exit_code == 3, done.output
    (record,) = [
        found
        for path in out.rglob("*.json")
        if path.name != "summary.json"
        and "objects" in (found := json.loads(path.read_text()).get("result", {}))
    ]
    image = Volume.load(archive / "a.nii")
    read = read_labels(out / "labels" / f"a{ending}", image)
    labels, noted = read.as_one_map(), 0
    for one in record["objects"]:
        assert one["voxels"] == np.count_nonzero(labels == one["value"])
        noted += sum("The object overlaps others" in note for note in one["notes"])
    assert noted == 1
    if ending == ".seg.nrrd":
        assert read.names == {1: "肝臓", 2: "Leberläsion"}


@pytest.mark.parametrize(
    ("folder", "more", "name"),
    [
        ("out", ["--json", "archive/a.prompts.json"], "a.prompts.json"),
        ("out", ["--json", "out/summary.json"], "summary.json"),
        ("archive", ["--auto", "--format", ".nii"], "c.nii"),
    ],
)
def test_no_input_is_replaced(
    archive: Path, tmp_path: Path, folder: str, more: list[str], name: str
) -> None:
    (archive / "labels").mkdir()
    for case in ("c.nii", "labels/c.nii"):
        (archive / case).write_bytes((archive / "b.nii").read_bytes())
    (tmp_path / "out").mkdir()
    before = {path: path.read_bytes() for path in archive.rglob("*.*")}
    words = [tmp_path / word if "/" in word else word for word in more]
    done = batch("segment", archive, "-o", tmp_path / folder, *words)
    with pytest.raises(OutputError, match=f"in a file of its own, but .*{name} is read"):
        raise done.exception or AssertionError(done.output)
    assert {path: path.read_bytes() for path in archive.rglob("*.*")} == before


def test_no_file_of_the_batch_is_replaced(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "records").mkdir(parents=True)
    for name in ("order.json", "records/b.json", "own.json"):
        done = batch("segment", archive, "-o", tmp_path / "out", "--json", tmp_path / "out" / name)
        with pytest.raises(OutputError, match="keeps files of its own, got"):
            raise done.exception or AssertionError(done.output)
    assert list((tmp_path / "out").rglob("*.*")) == []


def test_failed_cases_are_printed_and_give_exit_code_1(archive: Path, tmp_path: Path) -> None:
    (archive / "b.prompts.json").write_text("{")
    for _ in range(2):
        done = batch("segment", archive, "-o", tmp_path / "out")
        assert done.exit_code == 1
        assert "failed: b: The prompts b.prompts.json cannot be read" in done.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["cases"], summary["done"], summary["done_before"]) == (2, 1, 1)
    assert summary["failed"]["b"]["code"] == "prompt"


def test_what_was_not_found_is_printed_and_in_the_summary(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, five_categories: Categories
) -> None:
    card = Card(semantic_is_trained=True)
    model = SegSam(TinyHost(), five_categories, semantics=True, card=card).eval()
    monkeypatch.setattr(segmenting.Predictor, "from_pretrained", lambda *_, **__: Predictor(model))
    taught = TaughtName("0123456789ab", "left psoas")
    write_change(tmp_path / ".memory", taught, "taught", user="", now="")
    words = ("--auto", "--category", "Left Psoas", "--taught", tmp_path)
    done = batch("segment", archive, "-o", tmp_path / "out", *words)
    assert done.exit_code == 0, done.output
    assert "b: Not found: left psoas (Left Psoas), because the model has no memory" in done.output
    (missing,) = json.loads((tmp_path / "out" / "summary.json").read_text())["not_found"]["b"]
    assert (missing["name"], missing["probability"]) == ("left psoas", None)


@pytest.mark.parametrize(
    ("words", "kind", "sentence"),
    [
        (["--prompts", "{archive}"], BatchError, "has a file of prompts; --auto needs none"),
        (["--format", ".png"], OutputError, r"Expected the labels as .*, got '\.png'"),
        (["--window", "a,b"], OutputError, "a preset's name or low,high, got 'a,b'"),
        (["--workers", "-1"], BatchError, "not negative"),
    ],
)
def test_invalid_options_are_refused_before_the_work(
    archive: Path, tmp_path: Path, words: list[str], kind: type[Exception], sentence: str
) -> None:
    options = [word.format(archive=archive) for word in words]
    done = batch("segment", archive, "-o", tmp_path / "out", *options)
    assert isinstance(done.exception, kind)
    with pytest.raises(kind, match=sentence):
        raise done.exception
    assert not (tmp_path / "out").exists()


def test_data_sets_are_evaluated_with_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    label = np.zeros((40, 36, 2), dtype=np.uint8)
    label[6:24, 6:24] = 1
    for part, voxels in (("images", label * 100), ("labels", label)):
        (folder / part).mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / part / "one.nii.gz")
    facts = {"name": "set", "modality": "CT", "labels": {"1": "liver"}}
    (folder / "dataset.json").write_text(json.dumps(facts))
    words = ("evaluate", folder, "--prompt", "box", "--decoder", "binary", "-o", tmp_path / "out")
    for before in (0, 1):
        done = batch(*words)
        assert done.exit_code == 0, done.output
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        assert summary["done_before"] == before
        assert summary["report"]["datasets"]["set"]["objects"] == 2


def test_a_slice_cut_in_its_header_is_named(archive: Path, tmp_path: Path) -> None:
    """Without the slice at its end, the others are an even series: nothing else tells."""
    shutil.rmtree(archive)
    *_, last = sorted(write_series(archive / "ct", 6), key=_height)
    last.write_bytes(last.read_bytes()[:400])
    boxes = {"boxes": [{"min_ijk": [2, 2, 1], "max_ijk": [9, 9, 3]}]}
    (archive / "ct.prompts.json").write_text(json.dumps(boxes))
    for each in images_in(archive / "ct")[0]:
        (archive / "ct" / f"{each.stem}.prompts.json").write_text(json.dumps(boxes))
    done = batch("segment", archive, "-o", tmp_path / "out")
    assert done.exit_code == 3, done.output
    assert f"Left out: ct/{last.name}: damaged or incomplete DICOM" in done.output
    assert "1 of 1 cases done" in done.output


def _height(path: Path) -> float:
    return float(pydicom.dcmread(path).ImagePositionPatient[2])

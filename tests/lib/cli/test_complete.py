"""Command `segsam complete`, on a model of two weights."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsam.cli.app import main
from segsam.imaging.volume import Volume
from segsam.prediction.completion import teaching
from segsam.prediction.completion.carried import CarriedState, Gain
from segsam.prediction.predictor import Predictor
from segsam.prediction.taught.carried_files import FILE, write_carried
from segsam.prediction.taught.examples import TaughtName
from segsam.prediction.taught.files import write_change

from ..bright_objects import CONFIRMED, SHAPE, scene, threshold_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an image, and three slices of its object with the value 7, beside others."""
    monkeypatch.setattr(
        Predictor, "from_pretrained", classmethod(lambda *_, **__: Predictor(threshold_model()))
    )
    for name, steps in (("FOLD", 5), ("FINAL", 8)):
        monkeypatch.setattr(teaching, f"{name}_STEPS", steps)
    volume, tube = scene()
    labels = np.zeros(SHAPE, np.uint8)
    labels[..., CONFIRMED] = 7 * tube[..., CONFIRMED]
    volume.save(tmp_path / "image.nii.gz")
    volume.like(labels).save(tmp_path / "one.nii.gz")
    labels[:4, :4, 7] = 2
    volume.like(labels).save(tmp_path / "several.nii.gz")
    Volume.from_array(labels[:-1], volume.affine_ras).save(tmp_path / "elsewhere.nii.gz")
    Volume.from_array(labels[..., :1]).save(tmp_path / "flat.nii.gz")
    return tmp_path


@pytest.fixture
def complete(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run the command in the folder; return its exit code and all that it printed, in one line."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["segsam", "complete", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        code: Any = ended.value.code or 0
        return code, " ".join((printed.out + printed.err).split())

    return run


def test_a_volume_is_no_png(complete: Callable[..., tuple[int, str]], folder: Path) -> None:
    """It is refused before any work: the labels are not even read."""
    code, printed = complete("image.nii.gz", "--from", "none.nii.gz", "-o", "x.png")
    assert code == 2
    assert "A PNG holds one slice; this volume has" in printed


def test_writes_labels_picture_and_json(
    folder: Path, complete: Callable[..., tuple[int, str]]
) -> None:
    code, printed = complete(
        *("image.nii.gz", "--from", "several.nii.gz", "--value", "7", "--empty", "18"),
        *("-o", "out.nii.gz", "--picture", "out.png", "--json", "out.json"),
    )
    assert code == 0, printed
    found, (volume, tube) = Volume.load(folder / "out.nii.gz"), scene()
    assert found.geometry_equals(volume)
    assert np.array_equal(found.voxels[..., CONFIRMED] > 0, tube[..., CONFIRMED])
    assert 2 * ((found.voxels > 0) & tube).sum() / ((found.voxels > 0).sum() + tube.sum()) > 0.95
    assert (folder / "out.png").stat().st_size > 1000
    value = json.loads((folder / "out.json").read_text())
    assert (value["value"], value["from"], value["confirmed"]) == (
        7,
        "several.nii.gz",
        [5, 9, 13, 18],
    )
    assert "of which confirmed: 5, 9, 13, 18" in printed
    assert re.search(r"adapted: on slices left out of learning, Dice \d+% without", printed)
    assert re.search(r"least certain slice: k = \d+", printed)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["several.nii.gz"], "value of one object in several.nii.gz, which holds 2, 7."),
        (["one.nii.gz", "--value", "9"], "slices with the label value 9, got none"),
        (["one.nii.gz", "--axis", "x"], "Expected an axis auto, i, j or k, got 'x'"),
        (["one.nii.gz", "--empty", "9"], "slices without the object as empty, got 9, on which"),
        (["one.nii.gz", "--empty", "20"], "Expected confirmed slices 0 to 19 across k, got 20"),
        (["elsewhere.nii.gz"], "elsewhere.nii.gz: "),
        (["missing.nii.gz"], "missing.nii.gz"),
    ],
)
def test_refusals(
    folder: Path, complete: Callable[..., tuple[int, str]], words: list[str], sentence: str
) -> None:
    code, printed = complete("image.nii.gz", "-o", "out.nii.gz", "--from", *words)
    assert code == 2
    assert sentence in printed
    assert not (folder / "out.nii.gz").exists()


def test_a_picture_and_a_result_in_place_of_its_source_are_refused(
    complete: Callable[..., tuple[int, str]],
) -> None:
    code, printed = complete("flat.nii.gz", "--from", "flat.nii.gz", "--value", "7", "-o", "o.nii")
    assert code == 2
    assert "got a picture" in printed or "value 7, got none" in printed
    code, printed = complete("image.nii.gz", "--from", "one.nii.gz", "-o", "one.nii.gz")
    assert code == 2
    assert "file of its own, but one.nii.gz is read" in printed


def test_it_starts_from_what_a_studies_folder_has_learnt(
    folder: Path, complete: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = threshold_model()
    made = classmethod(lambda *_, **__: Predictor(model))
    monkeypatch.setattr(Predictor, "from_pretrained", made)
    weights = dict(model.host.mask_decoder.state_dict())
    learnt = {**weights, "level": weights["level"] + 0.0002}
    parent = Predictor(model).encoder.weights_id
    place = folder / ".memory" / "0123456789ab"
    write_change(place.parent, TaughtName(place.name, "left tube"), "taught", user="", now="")
    state = CarriedState(parent, learnt, "tube", ("case7",), Gain(0.9, 1.0))
    write_carried(place, state, weights)
    words = ("image.nii.gz", "--from", "one.nii.gz", "-o", "out.nii.gz", "--name", "Left Tube")
    code, printed = complete(*words, "--memory", ".", "--json", "out.json")
    assert code == 0, printed
    start = json.loads((folder / "out.json").read_text())["start"]
    assert (start["name"], start["cases"]) == ("left tube", ["case7"])
    assert "as 'left tube' in case7" in printed
    write_carried(place, replace(state, parent="another"), weights)
    code, printed = complete(*words, "--memory", ".")
    assert code, printed
    assert "to be of this checkpoint, got that of another" in printed
    (place / FILE).write_bytes(b"torn")
    code, printed = complete(*words, "--memory", ".")
    assert code == 0
    assert "What was learnt about left tube cannot be used" in printed
    assert "Expected --memory STUDIES with --name" in complete(*words)[1]
    assert "Expected a studies folder" in complete(*words, "--memory", "nowhere")[1]
    code, printed = complete(*words[:-1], "lft tub", "--memory", ".")
    assert code
    assert "got 'lft tub'; the nearest are left tube" in printed
    (place / FILE).unlink()
    code, printed = complete(*words, "--memory", ".")
    assert code == 0
    assert "nothing is carried yet about left tube" in printed

"""`segsam study completion`: what simulated annotators confirm, and what the page shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from segsam.errors import StudyError
from segsam.evaluation.cases import select
from segsam.prediction.completion import teaching
from segsam.prediction.predictor import Predictor
from segsam.research.study.completion import contours, measuring
from segsam.research.study.completion.annotator import Annotator
from segsam.research.study.completion.carrying import (
    CarriedObject,
    carried_table,
    measure_carried,
    slices_until_good,
)
from segsam.research.study.completion.contours import PACKAGE, filled_between
from segsam.research.study.completion.curves import completion_table, lines_of
from segsam.research.study.completion.measuring import CompletedObject, mean_dice, measure

from ..bright_objects import scene, threshold_model


@pytest.fixture
def tube() -> np.ndarray:
    return scene()[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of the bright tube, and of an object on too few slices to complete."""
    volume, tube = scene()
    labels = tube.astype(np.uint8)
    labels[25:28, 25:28, 4:7] = 2
    root = tmp_path / "tubes"
    for name, values in (("images", volume.voxels), ("labels", labels)):
        (root / name).mkdir(parents=True)
        nib.save(nib.Nifti1Image(values, volume.affine_ras), root / name / "one.nii.gz")
    facts = {"name": "tubes", "modality": "MR", "dimension": 3}
    record = {**facts, "labels": {"1": "tube", "2": "crumb"}}
    (root / "dataset.json").write_text(json.dumps(record))
    return root


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(threshold_model())


class TestAnnotator:
    def test_it_begins_in_the_middle_and_confirms_the_truth(self, tube: np.ndarray) -> None:
        annotator = Annotator(tube, 2)
        assert tube[..., annotator.first].any()
        assert abs(annotator.first - annotator.shown.mean()) <= 1
        confirmed = annotator.confirmed([annotator.first, 0])
        assert np.array_equal(confirmed.planes[2, annotator.first], tube[..., annotator.first])
        assert not confirmed.planes[2, 0].any()

    def test_confirmed_slices_do_not_count(self, tube: np.ndarray) -> None:
        annotator = Annotator(tube, 2)
        wrong = tube.copy()
        wrong[..., annotator.first] = False
        assert annotator.dice_of_others(wrong, [annotator.first]) == 1.0
        assert annotator.dice_of_others(wrong, [0]) < 1.0
        assert annotator.dice_of_others(np.zeros_like(tube), [0]) == 0.0


class TestContours:
    def test_every_gap_is_filled_and_nothing_beyond(self, tube: np.ndarray) -> None:
        truth = np.moveaxis(tube, 2, 1)
        annotator = Annotator(truth, 1)
        first, last = int(annotator.shown[0]), int(annotator.shown[-1])
        # Of these, ITK alone fills nothing after the two that lie side by side.
        filled = filled_between(annotator.only([first, first + 1, last - 2]), 1)
        assert Annotator(filled, 1).shown.tolist() == list(range(first, last - 1))
        assert annotator.dice_of_others(filled, [last - 1, last]) > 0.85

    def test_without_the_package(self, tube: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contours, "sys", SimpleNamespace(executable="/bin/false"))
        with pytest.raises(StudyError, match="it crashed"):
            filled_between(tube, 2)
        ends_with_three = subprocess.CompletedProcess([], 3, b"", b"")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: ends_with_three)
        with pytest.raises(StudyError, match=PACKAGE):
            filled_between(tube, 2)


class TestMeasuring:
    @pytest.fixture(autouse=True)
    def short_courses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("FOLD", "FINAL", "FURTHER", "SINGLE"):
            monkeypatch.setattr(teaching, f"{name}_STEPS", 4)
        # A process takes seconds, and has a test of its own.
        monkeypatch.setattr(measuring, "filled_between", lambda planes, _: planes)

    def test_each_answer_has_one_slice_more(
        self, predictor: Predictor, folder: Path, tmp_path: Path
    ) -> None:
        # The crumb shows itself on three slices, and is left out.
        (found,) = run(predictor, folder, tmp_path / "out", confirmations=3)
        assert found.name == "tube"
        first, second, third = (answer.confirmed for answer in found.answers)
        assert second[:1] == first
        assert third[:2] == second
        assert len(set(third)) == 3
        assert found.answers[2].dice["ours"] > 90
        assert set(found.answers[0].dice) == {"ours", "unadapted", "filled"}

    def test_what_is_stored_is_not_measured_again(
        self,
        predictor: Predictor,
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        found = run(predictor, folder, tmp_path / "out")
        monkeypatch.delattr(Predictor, "complete")
        assert run(predictor, folder, tmp_path / "out") == found

    def test_no_such_object(self, predictor: Predictor, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(StudyError, match="named lobe, got none"):
            run(predictor, folder, tmp_path / "out", "lobe")


class TestCarried:
    """From the model and from what the cases before have taught."""

    @pytest.fixture
    def folder(self, folder: Path) -> Path:
        for name in ("images", "labels"):
            first = folder / name / "one.nii.gz"
            (folder / name / "two.nii.gz").write_bytes(first.read_bytes())
        return folder

    def test_the_first_and_second_case(
        self,
        predictor: Predictor,
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("FOLD", "FINAL", "FURTHER", "SINGLE"):
            monkeypatch.setattr(teaching, f"{name}_STEPS", 4)

        def measured_again(*names: str) -> list[CarriedObject]:
            return measure_carried(
                predictor,
                select([folder]),
                tmp_path / "out",
                names=names,
                confirmations=2,
                report=lambda _: None,
            )

        first, second = measured_again()
        assert (set(first.dice), first.learnt_from) == ({"model"}, ())
        assert (set(second.dice), second.learnt_from) == ({"model", "carried"}, (first.case,))
        assert second.gain[1] > second.gain[0]
        assert len(second.is_used) == len(second.within["carried"]) == 2
        monkeypatch.delattr(Predictor, "complete")
        assert measured_again("tube") == [first, second]
        with pytest.raises(StudyError, match="named lobe, got none"):
            measured_again("lobe")
        table = carried_table([first, second], checkpoint="one")
        assert [row[0] for row in table.rows] == ["tubes: tube, case 1", "tubes: tube, case 2"]
        assert table.rows[0][1].endswith(" / —)")
        assert table.rows[0][3] == "— / — (— / —)", "two slices were confirmed"

    def test_slices_until_90(self) -> None:
        assert slices_until_good([50.0, 91.0, 89.0]) == "2"
        assert slices_until_good([50.0, 89.0]) == "> 2"


def run(
    predictor: Predictor, folder: Path, out: Path, *names: str, confirmations: int = 1
) -> list[CompletedObject]:
    return measure(
        predictor,
        select([folder]),
        out,
        names=names,
        confirmations=confirmations,
        report=lambda _: None,
    )


def measured(name: str, modality: str, *ours: float) -> CompletedObject:
    answers = [
        {"confirmed": (at,), "dice": {"ours": value, "unadapted": 50.0, "filled": 60.0},
         "is_adapted": True, "seconds": 2.0}
        for at, value in enumerate(ours)
    ]  # fmt: skip
    return CompletedObject.model_validate(
        {"dataset": "d", "case": "c", "name": name, "modality": modality, "weights_id": "w",
         "slices": 20, "answers": tuple(answers)}
    )  # fmt: skip


class TestThePage:
    objects = (measured("hip", "CT", 40, 70, 80), measured("lobe", "MR", 60, 80, 90))

    def test_rows(self) -> None:
        table = completion_table(self.objects, checkpoint="one")
        assert table.headings == ("", "slices", "1 confirmed", "2 confirmed", "3 confirmed")
        assert table.rows[0] == (
            "d/c: hip", "20", "40.0 / 50.0 / 60.0", "70.0 / 50.0 / 60.0", "80.0 / 50.0 / 60.0",
        )  # fmt: skip
        assert [row[0] for row in table.rows] == ["d/c: hip", "all of CT", "d/c: lobe", "all of MR"]
        assert "1 of 2 objects" in table.notes[1]  # the hip: 40 against 50

    def test_curves_end_with_the_shortest(self) -> None:
        shorter = measured("rib", "CT", 90)
        (title, lines), _ = lines_of([*self.objects, shorter])
        assert title == "CT: 2 objects"
        assert [line.means for line in lines] == [(65.0,), (50.0,), (60.0,)]
        assert mean_dice([self.objects[0], shorter], "ours", 2) is None

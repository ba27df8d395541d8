"""Evaluation case by case gives the result of one evaluation of all cases."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from segsam.batch import evaluating
from segsam.batch.case_worker import Workers
from segsam.batch.evaluating import EvaluateTask, combine, evaluation_items
from segsam.batch.run import run_batch
from segsam.categories import Categories
from segsam.evaluation.cases import select
from segsam.evaluation.run import Options, evaluate
from segsam.evaluation.summary import report
from segsam.model import Host, SegSam, build_variant


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three volumes with a liver and a spleen, the labels of the last of another shape."""
    folder = tmp_path / "volumes"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number, case in enumerate(["one", "two", "wrong"]):
        label = np.zeros((40, 36, 4), dtype=np.uint8)
        label[6 + number : 22, 6:24, 1:3] = 1
        label[26:38, 20:34, 1:4] = 2
        noise = np.random.default_rng(number).normal(0, 5, label.shape)
        image = (np.array([20.0, 220.0, 120.0])[label] + noise).astype(np.int16)
        shown = label[..., :3] if case == "wrong" else label
        for part, voxels in (("images", image), ("labels", shown)):
            spacing = np.diag([1.0, 1.0, 5.0, 1.0])
            nibabel.save(nibabel.Nifti1Image(voxels, spacing), folder / part / f"{case}.nii.gz")
    facts = {"name": "volumes", "modality": "CT", "labels": {"1": "liver", "2": "spleen"}}
    (folder / "dataset.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def model(tiny_host: Host, five_categories: Categories, monkeypatch: pytest.MonkeyPatch) -> SegSam:
    torch.manual_seed(1)
    built = build_variant("segsam", tiny_host, five_categories, head="maskcls").eval()
    built = built.with_card(replace(built.card, semantic_is_trained=True))
    monkeypatch.setattr(evaluating, "load_pretrained", lambda checkpoint: built)
    return built


def test_case_by_case_equals_one_evaluation(dataset: Path, tmp_path: Path, model: SegSam) -> None:
    options = Options("box")
    selections = select([dataset])
    out, task = tmp_path / "out", EvaluateTask(options)
    outcome = run_batch(
        task, evaluation_items(selections), out, workers=Workers(), progress=lambda *what: None
    )
    assert [record.case for record in outcome.failed] == ["volumes/wrong"]
    records = {record.case: record for record in outcome.records}
    found = combine(model, selections, options, records)
    (dataset / "images" / "wrong.nii.gz").unlink()
    expected = evaluate(model, select([dataset]), options)
    assert report(found) == report(expected)
    assert len(found.objects) == len(expected.objects) > 0
    for one, other in zip(found.objects, expected.objects, strict=True):
        assert one.class_logits is not None
        assert other.class_logits is not None
        assert np.array_equal(one.class_logits, other.class_logits)
        assert one.class_logits.dtype == other.class_logits.dtype
    again = run_batch(
        task, evaluation_items(selections), out, workers=Workers(), progress=lambda *what: None
    )
    assert again.done_before == 2, "of the third one the image has gone"


def test_a_data_set_writes_in_the_batch_alone(dataset: Path, tmp_path: Path, model: SegSam) -> None:
    """A name of a data set is no path, whoever wrote it."""
    for number, name in enumerate(("../../victim", "/tmp/x", "CT/abdomen", "..", "", "a" * 300)):
        facts = json.loads((dataset / "dataset.json").read_text())
        (dataset / "dataset.json").write_text(json.dumps(facts | {"name": name}))
        selections = select([dataset], limit=1)
        items = evaluation_items(selections)
        before = set(tmp_path.rglob("*"))
        out = tmp_path / "outer" / f"out{number}"
        outcome = run_batch(
            EvaluateTask(Options("box")), items, out, workers=Workers(), progress=lambda *what: None
        )
        assert outcome.failed == ()
        assert all(
            path.is_relative_to(out) for path in set(tmp_path.rglob("*")) - before - {out.parent}
        )
        records = {record.case: record for record in outcome.records}
        assert combine(model, selections, Options("box"), records).objects

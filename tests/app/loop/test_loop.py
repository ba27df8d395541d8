"""The parts of `make loop` that need no server: what is prompted, what the annotator saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from segsam.errors import TrainingError
from segsam_app.loop.__main__ import app
from segsam_app.loop.references import (
    KINDS,
    SLICES,
    VOLUMES,
    Reference,
    references_from_dataset,
)
from segsam_app.loop.session import Findings

from ..stored import voxels_of, write
from ..tuning import scene


def write_dataset(folder: Path, cases: int) -> Path:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for case in range(cases):
        voxels, masks = scene(case)
        write(folder / "images" / f"c{case}.nii.gz", voxels)
        labels = np.zeros(voxels.shape, np.uint8)
        for value, name in enumerate(("liver", "spleen"), start=1):
            labels[masks[name]] = value
        write(folder / "labels" / f"c{case}.nii.gz", labels)
    record = {"name": "blocks", "modality": "CT", "labels": {"1": "liver", "2": "spleen"}}
    (folder / "dataset.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def references(tmp_path: Path) -> list[Reference]:
    return references_from_dataset(write_dataset(tmp_path / "data", 10))


def test_eight_volumes_of_a_data_set(references: list[Reference]) -> None:
    assert len(references) == VOLUMES
    assert len({one.name for one in references}) == VOLUMES
    assert {one.axis for one in references} == {2}


def test_fewer_are_refused(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", 3)
    with pytest.raises(TrainingError, match="needs 8 volumes with labels; data has 3"):
        references_from_dataset(folder)
    ended = CliRunner().invoke(app, ["--data", str(folder)])
    assert ended.exit_code == 2
    assert "The loop ended early" in ended.output


def test_a_box_and_a_point_for_each_object(references: list[Reference]) -> None:
    one = references[0]
    prompted = list(one.slice_prompts())
    assert {each.value for each in prompted} == {1, 2}
    assert len(prompted) <= 2 * len(KINDS) * SLICES
    assert [each.kind for each in prompted] == list(KINDS) * (len(prompted) // 2)
    for each in prompted:
        plane = one.object_on(each.value, each.index)
        for point in each.prompts.points:
            assert point.ijk[2] == each.index
            assert plane[point.ijk[:2]]
        for box in each.prompts.boxes:
            assert (box.min_ijk[2], box.max_ijk[2]) == (each.index, each.index)
            inside = np.argwhere(plane)
            assert (inside.min(axis=0) > box.min_ijk[:2]).all(), "boxes are not tight"
            assert (inside.max(axis=0) < box.max_ijk[:2]).all()


def test_the_annotators_labels_go_by_name(references: list[Reference], tmp_path: Path) -> None:
    one, found = references[0], []
    for order in (0, 1):
        file, names = one.save_labels(tmp_path, order)
        voxels = voxels_of(file)
        found.append(names)
        for value, name in one.names.items():
            assert np.array_equal(voxels == names[name], one.labels == value)
    assert found == [{"liver": 1, "spleen": 2}, {"spleen": 1, "liver": 2}]


def both(percent: float) -> dict[str, dict[str, float]]:
    return {kind: {"a": percent} for kind in KINDS}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, None),
        ({"after": both(49.0)}, "did not rise"),
        ({"rolled_back": both(50.01)}, "not those from before"),
        ({"version": {"promoted": False, "why": "it is worse"}}, "not promoted: it is worse"),
    ],
)
def test_what_counts_as_failure(more: dict[str, Any], words: str | None) -> None:
    good = {"before": both(50.0), "after": both(60.0), "rolled_back": both(50.0)}
    failures = Findings(**{**good, "version": {"promoted": True}, **more}).failures
    assert [words in one for one in failures] == [True] if words else not failures

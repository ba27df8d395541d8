from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nrrd
import numpy as np
import pytest

from segsam.errors import OutputError
from segsam.imaging.volume import Segment, Volume
from segsam.prediction.labels import Region
from segsam.prediction.result import Result, SliceReport
from segsam.prompting.prompts import Box


def result(*, filled: bool = True, reports: tuple[SliceReport, ...] = ()) -> Result:
    labels = np.zeros((6, 7, 8), np.uint8)
    if filled:
        labels[1:3, 2:6, 4:5] = 1
    volume = Volume.from_array(np.zeros((6, 7, 8), np.int16), np.diag([2.0, 2, 5, 1]), name="ct")
    return Result(
        region=Region.of_mask(labels > 0),
        volume=volume,
        axes=("k",),
        slices=reports,
        notes=("a note",),
        seconds={"encode": 1.0, "decode": 0.1, "total": 1.2},
        encoded=1,
    )


def test_size_and_box() -> None:
    found = result()
    assert found.voxels == 8
    assert found.millilitres == pytest.approx(8 * 20 / 1000)
    assert found.bounding_box == Box((1, 2, 4), (2, 5, 4))
    assert found.size_in_words == "8 voxels, 0.2 ml"


def test_nothing_found() -> None:
    found = result(filled=False)
    assert found.voxels == 0
    assert found.bounding_box is None
    assert found.predicted_iou is None
    assert found.agreement is None
    json.dumps(found.to_json(), allow_nan=False)


def test_slices_are_averaged() -> None:
    found = result(
        reports=(
            SliceReport(3, 2, predicted_iou=0.5, agreement=0.8, present={"liver": 0.9}),
            SliceReport(4, 2, predicted_iou=0.7, agreement=None),
        )
    )
    assert found.predicted_iou == pytest.approx(0.6)
    assert found.agreement == pytest.approx(0.8)
    assert found.present == {3: {"liver": 0.9}}


def test_other_present_categories_exclude_the_object_itself() -> None:
    reports = (
        SliceReport(3, 2, predicted_iou=0.5, present={"liver": 0.9, "spleen": 0.8}),
        SliceReport(4, 2, predicted_iou=0.5, present={"liver": 0.9}),
    )
    unnamed = result(reports=reports)
    assert list(unnamed.neighbours.items()) == [("liver", 0.9), ("spleen", 0.8)]
    found = replace(unnamed, category="liver")
    assert found.present == {3: {"spleen": 0.8}}
    assert found.neighbours == {"spleen": 0.8}
    assert [entry["present"] for entry in found.to_json()["slices"]] == [{"spleen": 0.8}, {}]


def test_json_holds_everything_but_the_voxels() -> None:
    found = result(reports=(SliceReport(4, 2, predicted_iou=0.7, propagated=True),))
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["shape_ijk"] == [6, 7, 8]
    assert record["bounding_box"] == {"min_ijk": [1, 2, 4], "max_ijk": [2, 5, 4]}
    assert record["slices"][0]["axis"] == "k"
    assert record["slices"][0]["propagated"] is True
    assert record["category"] is None
    assert record["notes"] == ["a note"]


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
def test_saves_the_labels_with_the_volumes_geometry(tmp_path: Path, ending: str) -> None:
    found = result()
    found.save(tmp_path / f"out{ending}")
    back = Volume.load(tmp_path / f"out{ending}")
    assert np.array_equal(back.voxels, found.labels)
    assert back.geometry_equals(found.volume)


def test_a_segment_is_named(tmp_path: Path) -> None:
    replace(result(), category="liver").save(tmp_path / "out.seg.nrrd")
    header = nrrd.read_header(str(tmp_path / "out.seg.nrrd"))
    assert header["Segment0_Name"] == "liver"
    known = Segment("liver", (221, 130, 101), ("10200004", "Liver"))
    replace(result(), category="liver", segment=known).save(tmp_path / "known.seg.nrrd")
    header = nrrd.read_header(str(tmp_path / "known.seg.nrrd"))
    assert header["Segment0_Name"] == "liver"
    assert "SCT^10200004^Liver" in header["Segment0_Tags"]


def test_an_unknown_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ending in \.nii\.gz"):
        result().save(tmp_path / "out.xyz")
    assert not list(tmp_path.iterdir())

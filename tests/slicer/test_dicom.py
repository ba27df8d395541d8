"""DICOM segmentations with coded categories, written by the converter that Slicer uses (dcmqi)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dicom
import numpy as np
import pytest
from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Parameters import Parameters
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Values.Masks import Region
from SEGSAMLib.Values.Replies import InferReply
from SEGSAMLib.Values.SlicePredictions import NO_PREDICTIONS
from volumes import apply, put

import slicer


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    folder = tmp_path_factory.mktemp("series")
    return folder, dicom.write_series(folder)


@pytest.fixture
def logic(
    libraries: Any, scene: Any, series: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> Logic:
    """The series in the scene, and the plug-in where Slicer's is found."""
    monkeypatch.setitem(
        sys.modules, "DICOMSegmentationPlugin", dicom.plugin(series[0], libraries.terminologies)
    )
    found = Logic(scene)
    found.nodes.select(dicom.load_series(libraries.volumes, *series))
    return found


def segmented(logic: Logic, category: str, low: tuple[int, int, int]) -> None:
    """A new segment with an answer of the model in it."""
    logic.nodes.add_segment()
    logic.prompts.add_point(logic.nodes.grid.ras(low)[0])
    asked = logic.request(Parameters())["request_id"]
    region = Region(low, np.ones((6, 5, 2), dtype=bool))
    apply(logic, InferReply(asked, region, category, 0.9, (2,), predictions=NO_PREDICTIONS))


def exported(logic: Logic, folder: Path) -> tuple[str, ...]:
    """Export, with the subject hierarchy item that Slicer's application makes for each node."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(logic.nodes.scene)
    if not hierarchy.GetItemByDataNode(logic.nodes.segmentation):
        hierarchy.CreateItem(hierarchy.GetSceneItemID(), logic.nodes.segmentation)
    return logic.files.export_dicom_seg(str(folder))


def test_codes_colours_and_voxels(logic: Logic, tmp_path: Path) -> None:
    segmented(logic, "liver", (3, 4, 1))
    segmented(logic, "right kidney", (20, 10, 2))
    logic.nodes.add_segment("by hand")
    put(logic, logic.nodes.segment_id, Region((30, 20, 0), np.ones((2, 2, 2), dtype=bool)))
    made = exported(logic, tmp_path)
    assert [Path(path).name for path in made] == ["segmentation.dcm"]
    data, voxels = dicom.read(Path(made[0]))
    liver, kidney, by_hand = data.SegmentSequence
    assert [item.SegmentLabel for item in data.SegmentSequence] == [
        "liver",
        "right kidney",
        "by hand",
    ]
    code = liver.SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodingSchemeDesignator, code.CodeValue) == ("SCT", "10200004")
    code = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodeValue, code.CodeMeaning) == ("64033007", "Kidney")
    (side,) = code.SegmentedPropertyTypeModifierCodeSequence
    assert (side.CodeValue, side.CodeMeaning) == ("24028007", "Right")
    assert by_hand.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    assert [item.SegmentAlgorithmType for item in data.SegmentSequence] == [
        "SEMIAUTOMATIC",
        "SEMIAUTOMATIC",
        "MANUAL",
    ]
    assert liver.SegmentAlgorithmName == "SEG-SAM"
    assert {name: int(mask.sum()) for name, mask in voxels.items()} == {
        "liver": 60,
        "right kidney": 60,
        "by hand": 8,
    }
    assert np.argwhere(voxels["liver"])[:, :2].min(axis=0).tolist() == [3, 4]


def test_it_refers_to_the_images_it_is_of(
    logic: Logic, series: tuple[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    segmented(logic, "liver", (3, 4, 1))
    data, _ = dicom.read(Path(exported(logic, tmp_path)[0]))
    (of_series,) = data.ReferencedSeriesSequence
    known = {item.ReferencedSOPInstanceUID for item in of_series.ReferencedInstanceSequence}
    assert known <= set(series[1])
    assert known


def test_a_category_without_a_code_is_exported_too(logic: Logic, tmp_path: Path) -> None:
    segmented(logic, "liver segment", (3, 4, 1))
    data, _ = dicom.read(Path(exported(logic, tmp_path)[0]))
    assert data.SegmentSequence[0].SegmentLabel == "liver segment"
    assert data.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"


def test_a_volume_that_is_not_from_dicom(logic: Logic, tmp_path: Path) -> None:
    segmented(logic, "liver", (3, 4, 1))
    logic.nodes.volume.SetAttribute("DICOM.instanceUIDs", None)
    with pytest.raises(NodeError, match="loaded from DICOM; this one was not"):
        exported(logic, tmp_path)


def test_what_the_exporter_says_is_shown(
    logic: Logic, libraries: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    segmented(logic, "liver", (3, 4, 1))
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setitem(
        sys.modules, "DICOMSegmentationPlugin", dicom.plugin(empty, libraries.terminologies)
    )
    with pytest.raises(NodeError, match="Slicer could not export the segmentation: "):
        exported(logic, tmp_path)

"""A CT series in DICOM files, and Slicer's plug-in for DICOM segmentations without its application.

The plug-in (`DICOMSegmentationPlugin`, of Slicer or its extension QuantitativeReporting) needs
Slicer's DICOM database and dialogs, so it is stood in for. What is asked of a segmentation is the
same: its volume by reference, `DICOM.instanceUIDs` of that, each segment's terminology by Slicer's
own logic, its colour, and its tags for who drew it. So is what writes the file: dcmqi's
`itkimage2segimage`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import vtk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

import slicer

CONVERTER = Path(sys.executable).parent / "itkimage2segimage"
SHAPE_IJK = (40, 32, 6)
SPACING_MM = (1.2, 1.2, 4.0)


def write_series(folder: Path) -> tuple[str, ...]:
    """An axial CT of nothing, from feet to head; the instances' UIDs in that order."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    uids = []
    for number in range(SHAPE_IJK[2]):
        uid = generate_uid()
        head = FileMetaDataset()
        head.MediaStorageSOPClassUID, head.MediaStorageSOPInstanceUID = CTImageStorage, uid
        head.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(None, {}, file_meta=head, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, uid
        data.StudyInstanceUID, data.SeriesInstanceUID = study, series
        data.FrameOfReferenceUID = frame
        data.Modality, data.PatientID, data.PatientName = "CT", "phantom", "Phantom"
        data.PatientBirthDate = data.PatientSex = data.AccessionNumber = data.StudyID = ""
        data.StudyDate, data.StudyTime, data.SeriesNumber = "20260101", "120000", 3
        data.ReferringPhysicianName = data.PositionReferenceIndicator = ""
        data.InstanceNumber = number + 1
        data.ImagePositionPatient = [-20.0, -15.0, 10.0 + SPACING_MM[2] * number]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.PixelSpacing = list(SPACING_MM[:2])
        data.SliceThickness = SPACING_MM[2]
        data.Columns, data.Rows = SHAPE_IJK[:2]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.RescaleIntercept, data.RescaleSlope = 0, 1
        data.PixelData = np.zeros((data.Rows, data.Columns), np.int16).tobytes()
        data.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
        uids.append(str(uid))
    return tuple(uids)


def load_series(volumes: Any, folder: Path, uids: tuple[str, ...]) -> Any:
    """Load a series as Slicer's DICOM module does."""
    node = volumes.AddArchetypeVolume(str(folder / "000.dcm"), "phantom")
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    return node


def plugin(series: Path, terminologies: Any) -> types.ModuleType:
    """The module `DICOMSegmentationPlugin` for a database that holds one series."""
    module = types.ModuleType("DICOMSegmentationPlugin")

    class DICOMSegmentationPluginClass:
        def examineForExport(self, item: int) -> list[Any]:
            return [types.SimpleNamespace(item=item, directory="")]

        def export(self, exportables: list[Any]) -> str:
            hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
            for each in exportables:
                node = hierarchy.GetItemDataNode(each.item)
                problem = _convert(node, series, Path(each.directory), terminologies)
                if problem:
                    return problem
            return ""

    module.DICOMSegmentationPluginClass = DICOMSegmentationPluginClass  # type: ignore[attr-defined]
    return module


def read(path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """A DICOM segmentation, and per segment its bool (i, j, k) in the series' slices."""
    data = pydicom.dcmread(path)
    frames = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    labels = {item.SegmentNumber: item.SegmentLabel for item in data.SegmentSequence}
    found = {name: np.zeros(SHAPE_IJK, dtype=bool) for name in labels.values()}
    for frame, about in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):
        name = labels[about.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        z = float(about.PlanePositionSequence[0].ImagePositionPatient[2])
        found[name][:, :, round((z - 10.0) / SPACING_MM[2])] = frame.T > 0
    return data, found


def _convert(node: Any, series: Path, folder: Path, terminologies: Any) -> str:
    segmentation = node.GetSegmentation()
    with tempfile.TemporaryDirectory() as temporary:
        files, attributes = [], []
        for number, segment_id in enumerate(segmentation.GetSegmentIDs()):
            path = Path(temporary) / f"{number}.nrrd"
            _save_label_map(node, segment_id, path)
            files.append(str(path))
            attributes.append([_attributes(segmentation.GetSegment(segment_id), terminologies)])
        about = {
            "ContentCreatorName": "Slicer",
            "SeriesNumber": "103",
            "SeriesDescription": node.GetName(),
            "InstanceNumber": "1",
            "ClinicalTrialSeriesID": "1",
            "ClinicalTrialTimePointID": "1",
            "segmentAttributes": attributes,
        }
        text = Path(temporary) / "about.json"
        text.write_text(json.dumps(about))
        images = Path(temporary) / "images"
        shutil.copytree(series, images)
        command = [str(CONVERTER), "--inputDICOMDirectory", str(images)]
        command += ["--inputImageList", ",".join(files), "--inputMetadata", str(text)]
        command += ["--outputDICOM", str(folder / "segmentation.dcm")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stderr


def _save_label_map(node: Any, segment_id: str, path: Path) -> None:
    ids = vtk.vtkStringArray()
    ids.InsertNextValue(segment_id)
    merged = slicer.vtkOrientedImageData()
    node.GenerateMergedLabelmapForAllSegments(merged, 0, None, ids)
    label = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.CreateLabelmapVolumeFromOrientedImageData(merged, label)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    assert storage.WriteData(label)
    slicer.mrmlScene.RemoveNode(label)


def _attributes(segment: Any, terminologies: Any) -> dict[str, Any]:
    entry = slicer.vtkSlicerTerminologyEntry()
    text = _tag(segment, segment.GetTerminologyEntryTagName())
    terminologies.DeserializeTerminologyEntry(text, entry)
    kind = _tag(segment, "DICOM.SegmentAlgorithmType") or "MANUAL"
    found: dict[str, Any] = {
        "labelID": 1,
        "SegmentLabel": segment.GetName(),
        "SegmentDescription": entry.GetCategoryObject().GetCodeMeaning(),
        "SegmentAlgorithmType": kind,
        "recommendedDisplayRGBValue": [round(255 * part) for part in segment.GetColor()],
    }
    if kind != "MANUAL":
        found["SegmentAlgorithmName"] = _tag(segment, "DICOM.SegmentAlgorithmName")
    for name, code in (
        ("SegmentedPropertyCategoryCodeSequence", entry.GetCategoryObject()),
        ("SegmentedPropertyTypeCodeSequence", entry.GetTypeObject()),
        ("SegmentedPropertyTypeModifierCodeSequence", entry.GetTypeModifierObject()),
    ):
        if code is not None and code.GetCodeValue():
            found[name] = {
                "CodeValue": code.GetCodeValue(),
                "CodingSchemeDesignator": code.GetCodingSchemeDesignator(),
                "CodeMeaning": code.GetCodeMeaning(),
            }
    return found


def _tag(segment: Any, name: str) -> str:
    value = vtk.mutable("")
    return str(value) if segment.GetTag(name, value) else ""

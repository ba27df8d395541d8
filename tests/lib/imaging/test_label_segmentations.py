"""DICOM segmentations as labels, written by highdicom: places, names, layers, refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from segsam.errors import LabelError, VolumeError
from segsam.imaging.folder_images import labels_in
from segsam.imaging.label_files import read_label_names, read_labels
from segsam.imaging.volume import Volume

SHAPE = (7, 6, 5)
STRAIGHT = ((1.0, 0, 0), (0, 1.0, 0))
TURNED = (
    (0.9063077870, 0.4226182617, 0.0),
    (-0.4041563885, 0.8667165550, -0.2923717047),
)
SEGMENTS = {2: "liver", 5: "lesion of liver"}


def ct_slices(axes: tuple[tuple[float, ...], ...] = STRAIGHT) -> list[FileDataset]:
    """A CT series with all that a segmentation copies from it, values = k * 100 + j * 10 + i."""
    row, column = (np.array(axis) for axis in axes)
    frame, series, study = generate_uid(), generate_uid(), generate_uid()
    made = []
    for k in range(SHAPE[2]):
        j, i = np.mgrid[: SHAPE[1], : SHAPE[0]]
        pixels = (k * 100 + j * 10 + i).astype(np.int16)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        one.is_little_endian, one.is_implicit_VR = True, False
        place = np.array([-20.0, -35.0, 410.0]) + k * 2.5 * np.cross(row, column)
        facts = {
            "SOPClassUID": CTImageStorage, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "SeriesInstanceUID": series, "StudyInstanceUID": study, "FrameOfReferenceUID": frame,
            "PatientID": "P", "PatientName": "Test^Case", "PatientBirthDate": "19700101",
            "PatientSex": "O", "StudyDate": "20260102", "StudyTime": "101112", "StudyID": "1",
            "AccessionNumber": "", "ReferringPhysicianName": "", "Modality": "CT",
            "Manufacturer": "Nobody", "SeriesNumber": 3, "InstanceNumber": k + 1,
            "ImagePositionPatient": [float(f"{x:.9g}") for x in place],
            "ImageOrientationPatient": [float(f"{x:.9g}") for x in (*row, *column)],
            "PixelSpacing": [0.8, 0.75], "SliceThickness": 2.5, "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2", "Rows": SHAPE[1], "Columns": SHAPE[0],
            "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1,
            "PixelData": pixels.tobytes(),
        }  # fmt: skip
        for key, value in facts.items():
            setattr(one, key, value)
        made.append(one)
    return made


def segmentation(
    slices: list[FileDataset],
    masks: Mapping[int, NDArray[np.bool_]],
    path: Path,
    kind: SegmentationTypeValues = SegmentationTypeValues.BINARY,
    change: Callable[[pydicom.Dataset], None] = lambda made: None,
) -> Path:
    """Write masks (i, j, k) as segments 1, 2, ..., which are then numbered as in `masks`."""
    descriptions = [
        SegmentDescription(
            segment_number=number,
            segment_label=SEGMENTS[value],
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type=SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, value in enumerate(masks, start=1)
    ]
    stacked = np.stack([mask.T for mask in masks.values()], axis=-1)
    made = hd.seg.Segmentation(
        source_images=slices,
        pixel_array=stacked.astype(np.float32 if kind.value == "FRACTIONAL" else np.uint8),
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Nobody",
        manufacturer_model_name="None",
        software_versions="1",
        device_serial_number="0",
        omit_empty_frames=True,
    )
    numbers = dict(enumerate(masks, start=1))
    for item in made.SegmentSequence:
        item.SegmentNumber = numbers[item.SegmentNumber]
    for own in made.PerFrameFunctionalGroupsSequence:
        identified = own.SegmentIdentificationSequence[0]
        identified.ReferencedSegmentNumber = numbers[identified.ReferencedSegmentNumber]
    change(made)
    made.save_as(path)
    return path


def image_of(slices: list[FileDataset], folder: Path) -> Volume:
    folder.mkdir()
    for number, one in enumerate(slices):
        one.save_as(folder / f"{number}.dcm", write_like_original=False)
    return Volume.load(folder)


def apart() -> dict[int, NDArray[np.bool_]]:
    """Two segments that do not overlap, with planes 0, 2 and 4 used by the first."""
    liver, lesion = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    liver[1:4, 2:5, [0, 2, 4]] = True
    lesion[5, 1, 3] = True
    return {2: liver, 5: lesion}


def overlapping() -> dict[int, NDArray[np.bool_]]:
    masks = apart()
    masks[5][2:6, 3:6, 2] = True
    return masks


@pytest.mark.parametrize("axes", [STRAIGHT, TURNED], ids=["straight", "oblique"])
class TestPlaces:
    def test_values_are_numbers_of_segments(self, tmp_path: Path, axes: Any) -> None:
        slices = ct_slices(axes)
        image = image_of(slices, tmp_path / "ct")
        path = segmentation(slices, apart(), tmp_path / "seg.dcm")
        read = read_labels(path, image)
        expected = apart()[2] * 2 + apart()[5] * 5
        np.testing.assert_array_equal(read.as_one_map(), expected)
        assert read.names == read_label_names(path) == SEGMENTS

    def test_it_lies_on_an_image_in_another_voxel_order(self, tmp_path: Path, axes: Any) -> None:
        slices = ct_slices(axes)
        image = image_of(slices, tmp_path / "ct")
        path = segmentation(slices, apart(), tmp_path / "seg.dcm")
        for codes_of_axes in ("RAS", "SPL", "IRP"):
            other = image.reoriented(codes_of_axes)
            read = read_labels(path, other)
            labels = image.like(apart()[2] * 2 + apart()[5] * 5)
            expected = labels.reoriented(codes_of_axes)
            np.testing.assert_array_equal(read.as_one_map(), expected.voxels)

    @pytest.mark.parametrize("declared", [None, 5.0, 99.0])
    def test_planes_left_out_of_slices_with_a_gap(
        self, tmp_path: Path, axes: Any, declared: float | None
    ) -> None:
        """An outline on every second slice, where slices of 2 mm lie 2.5 mm apart, as in MR. Some
        programs declare the distance of the planes that they write.
        """

        def declare(made: pydicom.Dataset) -> None:
            shared = made.SharedFunctionalGroupsSequence[0]
            if declared is not None:
                shared.PixelMeasuresSequence[0].SpacingBetweenSlices = declared

        slices = ct_slices(axes)
        for each in slices:
            each.SliceThickness = 2.0
        image = image_of(slices, tmp_path / "ct")
        mask = np.zeros(image.shape_ijk, np.bool_)
        mask[1:4, 1:3, ::2] = True
        path = segmentation(slices, {2: mask}, tmp_path / "seg.dcm", change=declare)
        np.testing.assert_array_equal(read_labels(path, image).as_one_map() > 0, mask)

    def test_overlapping_segments_are_layers(self, tmp_path: Path, axes: Any) -> None:
        slices = ct_slices(axes)
        image = image_of(slices, tmp_path / "ct")
        path = segmentation(slices, overlapping(), tmp_path / "seg.dcm")
        read = read_labels(path, image)
        assert len(read.maps) == 2
        np.testing.assert_array_equal(read.maps[0] == 2, overlapping()[2])
        np.testing.assert_array_equal(read.maps[1] == 5, overlapping()[5])
        shared = np.sum(overlapping()[2] & overlapping()[5])
        with pytest.raises(LabelError, match=f"overlap in {shared} voxels"):
            read.as_one_map()


class TestKinds:
    def test_one_plane(self, tmp_path: Path) -> None:
        slices = ct_slices()
        image = image_of(slices, tmp_path / "ct")
        mask = np.zeros(SHAPE, bool)
        mask[2:5, 1:3, 3] = True
        path = segmentation(slices, {2: mask}, tmp_path / "seg")
        np.testing.assert_array_equal(read_labels(path, image).as_one_map(), mask * 2)

    def test_fractions_that_are_all_or_nothing(self, tmp_path: Path) -> None:
        slices = ct_slices()
        image = image_of(slices, tmp_path / "ct")
        kind = SegmentationTypeValues.FRACTIONAL
        path = segmentation(slices, apart(), tmp_path / "seg.dcm", kind)
        expected = apart()[2] * 2 + apart()[5] * 5
        np.testing.assert_array_equal(read_labels(path, image).as_one_map(), expected)

        def halve(made: pydicom.Dataset) -> None:
            made.PixelData = bytes(byte // 2 for byte in made.PixelData)

        path = segmentation(slices, apart(), tmp_path / "half.dcm", kind, halve)
        with pytest.raises(VolumeError, match="expected a binary segmentation, got one of fract"):
            read_labels(path, image)

    def test_a_label_map(self, tmp_path: Path) -> None:
        slices = ct_slices()
        image = image_of(slices, tmp_path / "ct")
        labels = (apart()[2] * 2 + apart()[5] * 5).astype(np.uint8)

        def as_label_map(made: pydicom.Dataset) -> None:
            """One frame for each plane, as PS3.3 A.90 has it."""
            uid = "1.2.840.10008.5.1.4.1.1.66.7"
            made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = uid
            made.SegmentationType = "LABELMAP"
            places = {
                tuple(own.PlanePositionSequence[0].ImagePositionPatient): own
                for own in made.PerFrameFunctionalGroupsSequence
            }
            ordered = [own for _, own in sorted(places.items(), key=lambda pair: pair[0][2])]
            for own in ordered:
                del own.SegmentIdentificationSequence
            made.PerFrameFunctionalGroupsSequence = ordered
            made.NumberOfFrames = len(ordered)
            made.BitsAllocated = made.BitsStored = 8
            made.HighBit = 7
            used = [k for k in range(SHAPE[2]) if labels[:, :, k].any()]
            made.PixelData = b"".join(labels[:, :, k].T.tobytes() for k in used)

        path = segmentation(slices, apart(), tmp_path / "seg.dcm", change=as_label_map)
        read = read_labels(path, image)
        np.testing.assert_array_equal(read.as_one_map(), labels)
        assert read.names == SEGMENTS

    def test_a_segment_without_a_label_is_named_by_its_code(self, tmp_path: Path) -> None:
        def unnamed(made: pydicom.Dataset) -> None:
            made.SegmentSequence[0].SegmentLabel = ""

        path = segmentation(ct_slices(), apart(), tmp_path / "seg.dcm", change=unnamed)
        assert read_label_names(path)[2] == "Liver"

    def test_a_segment_without_a_label_or_code_is_called_by_its_number(
        self, tmp_path: Path
    ) -> None:
        def unnamed(made: pydicom.Dataset) -> None:
            made.SegmentSequence[0].SegmentLabel = " "
            made.SegmentSequence[0].SegmentedPropertyTypeCodeSequence = None

        path = segmentation(ct_slices(), apart(), tmp_path / "seg.dcm", change=unnamed)
        assert read_label_names(path)[2] == "Segment_2"


def test_in_a_folder_of_labels(tmp_path: Path) -> None:
    slices = ct_slices()
    image_of(slices, tmp_path / "ct")
    folder = tmp_path / "labels"
    folder.mkdir()
    segmentation(slices, apart(), folder / "a.dcm")
    slices[0].save_as(folder / "b.dcm", write_like_original=False)
    found, left_out = labels_in(folder)
    assert [stem for stem, _ in found] == ["a"]
    assert [one.path for one in left_out] == ["b.dcm"]


class TestRefusals:
    def test_another_place(self, tmp_path: Path) -> None:
        image = image_of(ct_slices(TURNED), tmp_path / "ct")
        path = segmentation(ct_slices(), apart(), tmp_path / "seg.dcm")
        with pytest.raises(LabelError, match=r"label|image"):
            read_labels(path, image)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda made: delattr(made, "SegmentSequence"), "expected segments with different num"),
            (lambda made: setattr(made, "NumberOfFrames", 3), "expected the place of each of 3"),
            (
                lambda made: delattr(
                    made.PerFrameFunctionalGroupsSequence[0], "PlanePositionSequence"
                ),
                "frames with a segment and a position each",
            ),
            (
                lambda made: setattr(
                    made.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0],
                    "ImagePositionPatient",
                    made.PerFrameFunctionalGroupsSequence[0]
                    .PlanePositionSequence[0]
                    .ImagePositionPatient,
                ),
                "expected one frame for each segment and plane",
            ),
            (
                lambda made: setattr(
                    made.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0],
                    "ImagePositionPatient",
                    [0.0, 0.0, 411.0],
                ),
                "beside them",
            ),
            (
                lambda made: setattr(
                    made.PerFrameFunctionalGroupsSequence[1].SegmentIdentificationSequence[0],
                    "ReferencedSegmentNumber",
                    7,
                ),
                "frame 2 belongs to segment 7, which the file does not describe",
            ),
            (
                lambda made: setattr(
                    made.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0],
                    "ReferencedSegmentNumber",
                    0,
                ),
                "frame 1 belongs to segment 0, which the file does not describe",
            ),
            (lambda made: setattr(made, "PixelData", b"\0\0"), "bytes"),
        ],
        ids=[
            "segments",
            "frames",
            "position",
            "twice",
            "beside",
            "undescribed",
            "nothing",
            "pixels",
        ],
    )
    def test_damage(self, tmp_path: Path, change: Callable[[Any], None], words: str) -> None:
        slices = ct_slices()
        image = image_of(slices, tmp_path / "ct")
        path = segmentation(slices, apart(), tmp_path / "seg.dcm", change=change)
        with pytest.raises(VolumeError, match=words):
            read_labels(path, image)

    def test_an_image_is_no_segmentation(self, tmp_path: Path) -> None:
        image = image_of(ct_slices(), tmp_path / "ct")
        assert read_label_names(tmp_path / "ct" / "0.dcm") == {}
        assert read_labels(tmp_path / "ct" / "0.dcm", image).names == {}

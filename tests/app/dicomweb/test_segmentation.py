"""A label as a DICOM segmentation: frames, codes, and what cannot be one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset

from segsam.errors import VolumeError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.label_files import Labels
from segsam.imaging.volume import Volume
from segsam_app.dicomweb.codes import segment_codes
from segsam_app.dicomweb.headers import SeriesSlices, read_headers, save_headers
from segsam_app.dicomweb.segmentation import SegmentationFacts, build_segmentation, uids_of

from .pacs import Geometry, Study, turned

SHAPE = (7, 6, 4)
FACTS = SegmentationFacts("key", 2, "SEG-SAM final, version 2")


def slices_of(folder: Path, files: list[FileDataset]) -> SeriesSlices:
    """As the store gets them: files, an image made of them, their headers."""
    source, headers = folder / "source", folder / "headers"
    source.mkdir()
    headers.mkdir()
    for number, file in enumerate(files):
        file.save_as(source / f"{number:03d}.dcm", write_like_original=False)
    volume = Volume.load(source)
    save_headers(source, headers)
    return SeriesSlices.match(read_headers(headers), RawGrid(volume.shape_ijk, volume.affine_ras))


def series(geometry: Geometry | None = None, **facts: object) -> list[FileDataset]:
    voxels = np.zeros(SHAPE, np.int16)
    return Study().slices(voxels, geometry or Geometry(), **facts)


def label() -> NDArray[np.uint8]:
    made = np.zeros(SHAPE, np.uint8)
    made[1:4, 2:5, 1] = 3
    made[5, 1, 3] = 9
    return made


def labels() -> Labels:
    return Labels((label(),), {})


@pytest.mark.parametrize("geometry", [Geometry(), turned()], ids=["straight", "oblique"])
@pytest.mark.parametrize("turn", [1, -1], ids=["as sent", "the other way round"])
def test_every_voxel_is_on_its_slice(tmp_path: Path, geometry: Geometry, turn: int) -> None:
    slices = slices_of(tmp_path, series(geometry)[::turn])
    made = build_segmentation(labels(), {3: "liver"}, slices, FACTS)
    bits = np.unpackbits(np.frombuffer(made.PixelData, np.uint8), bitorder="little")
    frames = bits[: made.NumberOfFrames * 42].reshape(-1, SHAPE[1], SHAPE[0])
    found = np.zeros(SHAPE, np.uint8)
    for frame, groups in zip(frames, made.PerFrameFunctionalGroupsSequence, strict=True):
        place = groups.PlanePositionSequence[0].ImagePositionPatient
        apart = [np.abs(np.subtract(geometry.position(n), place)).max() for n in range(4)]
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[:, :, int(np.argmin(apart))] += frame.T * np.uint8({1: 3, 2: 9}[number])
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        wanted = next(h for h in slices.headers if list(h.ImagePositionPatient) == list(place))
        assert source.ReferencedSOPInstanceUID == wanted.SOPInstanceUID
    np.testing.assert_array_equal(found, label())
    spacing = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(spacing.SpacingBetweenSlices) == pytest.approx(2.5)


def test_a_value_without_a_name_is_called_by_its_value(tmp_path: Path) -> None:
    made = build_segmentation(labels(), {3: "liver"}, slices_of(tmp_path, series()), FACTS)
    assert [each.SegmentLabel for each in made.SegmentSequence] == ["liver", "segment 9"]


@pytest.mark.parametrize(
    ("charset", "patient"),
    [
        (None, "Doe^Jane"),
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "山田^太郎"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    ],
)
def test_names_of_every_script(tmp_path: Path, charset: object, patient: str) -> None:
    facts = {"PatientName": patient} | ({"SpecificCharacterSet": charset} if charset else {})
    names = {3: "Niere links größer 脾臓", 9: "Ω Опухоль"}
    made = build_segmentation(labels(), names, slices_of(tmp_path, series(**facts)), FACTS)
    made.save_as(tmp_path / "made.dcm", write_like_original=False)
    read = dcmread(tmp_path / "made.dcm")
    assert [each.SegmentLabel for each in read.SegmentSequence] == list(names.values())
    assert read.PatientName == patient


def test_overlapping_segments_have_frames_of_their_own(tmp_path: Path) -> None:
    organ, lesion = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    organ[1:5, 1:5, 1:3] = 1
    lesion[3:6, 2:4, 2] = 2
    geometry = turned()
    slices = slices_of(tmp_path, series(geometry)[::-1])
    both = Labels((organ, lesion), {})
    made = build_segmentation(both, {1: "liver", 2: "tumour"}, slices, FACTS)
    bits = np.unpackbits(np.frombuffer(made.PixelData, np.uint8), bitorder="little")
    frames = bits[: made.NumberOfFrames * 42].reshape(-1, SHAPE[1], SHAPE[0])
    found = {1: np.zeros(SHAPE, np.uint8), 2: np.zeros(SHAPE, np.uint8)}
    for frame, groups in zip(frames, made.PerFrameFunctionalGroupsSequence, strict=True):
        place = groups.PlanePositionSequence[0].ImagePositionPatient
        apart = [np.abs(np.subtract(geometry.position(n), place)).max() for n in range(4)]
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[number][:, :, int(np.argmin(apart))] = frame.T
    np.testing.assert_array_equal(found[1], organ)
    np.testing.assert_array_equal(found[2], lesion // 2)
    assert [each.SegmentLabel for each in made.SegmentSequence] == ["liver", "tumour"]


def test_the_same_key_gives_the_same_ids(tmp_path: Path) -> None:
    made = build_segmentation(labels(), {}, slices_of(tmp_path, series()), FACTS)
    assert (made.SeriesInstanceUID, made.SOPInstanceUID) == uids_of("key")
    assert not set(uids_of("key")) & set(uids_of("another"))
    assert all(len(uid) <= 64 for uid in uids_of("key"))


def test_headers_with_little_in_them(tmp_path: Path) -> None:
    bare = dict.fromkeys(("AccessionNumber", "StudyID", "PatientSex", "ReferringPhysicianName"))
    made = build_segmentation(labels(), {}, slices_of(tmp_path, series(**bare)), FACTS)
    assert made.AccessionNumber in (None, "")


class TestRefusals:
    def test_an_empty_label(self, tmp_path: Path) -> None:
        slices = slices_of(tmp_path, series())
        with pytest.raises(VolumeError, match="the label is empty"):
            build_segmentation(Labels((np.zeros(SHAPE, np.uint8),), {}), {}, slices, FACTS)

    def test_a_series_without_a_frame_of_reference(self, tmp_path: Path) -> None:
        slices = slices_of(tmp_path, series(FrameOfReferenceUID=None))
        with pytest.raises(VolumeError, match="headers of the series are not sufficient"):
            build_segmentation(labels(), {}, slices, FACTS)

    def test_other_slices(self, tmp_path: Path) -> None:
        headers = slices_of(tmp_path, series()).headers
        affine = np.diag([-0.75, -0.8, 2.5, 1.0])
        with pytest.raises(VolumeError, match="4 slices of 7x6 pixels, and its image here 5"):
            SeriesSlices.match(headers, RawGrid((7, 6, 5), affine))
        with pytest.raises(VolumeError, match="mm away from those"):
            SeriesSlices.match(headers, RawGrid(SHAPE, affine))
        for header in headers:
            del header.ImagePositionPatient
        with pytest.raises(VolumeError, match="does not state where"):
            SeriesSlices.match(headers, RawGrid(SHAPE, affine))
        with pytest.raises(VolumeError, match="are missing"):
            read_headers(tmp_path / "nothing")


class TestCodes:
    def code(self, item: Dataset) -> tuple[str, str, str]:
        return item.CodingSchemeDesignator, item.CodeValue, item.CodeMeaning

    def test_a_name_of_the_vocabulary(self) -> None:
        codes = segment_codes("Kidney_Right")
        assert self.code(codes.category) == ("SCT", "123037004", "Anatomical Structure")
        assert self.code(codes.type) == ("SCT", "64033007", "Kidney")
        side = codes.type.SegmentedPropertyTypeModifierCodeSequence[0]
        assert self.code(side) == ("SCT", "24028007", "Right")

    def test_the_region_of_a_lesion(self) -> None:
        codes = segment_codes("kidney tumour")
        assert codes.region is not None
        assert self.code(codes.region) == ("SCT", "64033007", "Kidney")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("my word", "MY_WORD"),
            ("My  lesion, number two", "MY_LESI_"),
            ("Läsion", "L_SION_"),
            ("病変", ""),
            ("optic cup", "OPTIC_CUP"),
        ],
    )
    def test_unknown_names_get_a_private_code(self, name: str, value: str) -> None:
        codes = segment_codes(name)
        scheme, code, meaning = self.code(codes.type)
        assert scheme == "99SEGSAM"
        assert code.startswith(value)
        assert 1 <= len(code) <= 16
        assert code.isascii()
        assert meaning == " ".join(name.split())
        assert self.code(codes.category) == ("SCT", "85756007", "Tissue")

    def test_two_names_have_two_values(self) -> None:
        names = ["a b", "a_b", "A b", "a-b", "a" * 40, "a" * 41, "ä b", "ö b"]
        values = {self.code(segment_codes(name).type)[1] for name in names}
        assert len(values) >= len(names) - 2, "case and underscores do not matter"

    def test_a_name_with_what_dicom_cannot_hold(self) -> None:
        assert segment_codes("a\\b\x00c" + "d" * 90).type.CodeMeaning == "a b c" + "d" * 59

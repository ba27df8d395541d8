"""The table of file kinds, and the images of a folder by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsam.errors import VolumeError
from segsam.imaging.folder_images import FoundImage, images_in, labels_in
from segsam.imaging.image_files import (
    FILE_KINDS,
    IMAGE_ENDINGS,
    LABEL_ENDINGS,
    LABEL_VOLUME_ENDINGS,
    LeftOut,
    image_kind,
    is_litter,
    kind_of,
    label_kind,
    stem_of,
)
from segsam.imaging.volume import Volume

from ...dicom_writing import stored_values, values, write_file, write_series, write_stills

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"
LITTER = (
    *("._ct.nii.gz", ".DS_Store", ".hidden.nii", "Thumbs.db", "THUMBS.DB", "desktop.ini"),
    *("DICOMDIR", "__MACOSX", "@eaDir", "Icon\r"),
)


class TestTheTable:
    @pytest.mark.parametrize("ending", IMAGE_ENDINGS)
    def test_endings_count_in_any_case(self, ending: str) -> None:
        for spelled in (ending, ending.upper(), ending.title()):
            kind = image_kind(f"Ct.1{spelled}")
            assert kind is not None
            assert (kind.ending, stem_of(f"Ct.1{spelled}", kind)) == (ending, "Ct.1")

    @pytest.mark.parametrize("name", LITTER)
    def test_litter_is_neither_image_nor_label(self, name: str) -> None:
        assert is_litter(name)
        assert image_kind(name) is None
        assert label_kind(name) is None

    @pytest.mark.parametrize(
        "name", ["a.seg.nrrd", "A.SEG.NRRD", "a.label.nii.gz", "a.Label.nrrd", "a.label.png"]
    )
    def test_labels_beside_images_are_no_images(self, name: str) -> None:
        assert image_kind(name) is None
        assert label_kind(name) is not None

    @pytest.mark.parametrize("name", ["a.JPG", "a.jpeg", "a.svs", "a.xml", "a", "nii.gz"])
    def test_what_cannot_hold_labels(self, name: str) -> None:
        assert label_kind(name) is None

    def test_the_longest_ending_counts(self) -> None:
        endings = {name: kind_of(name) for name in ("a.nii.gz", "a.seg.nrrd", "a.nrrd", "a.gz")}
        assert [kind and kind.ending for kind in endings.values()] == [
            *(".nii.gz", ".seg.nrrd", ".nrrd", None)
        ]
        assert len({kind.ending for kind in FILE_KINDS}) == len(FILE_KINDS)
        assert set(LABEL_VOLUME_ENDINGS) < set(LABEL_ENDINGS)


class TestImagesOfAFolder:
    def test_every_file_is_an_image_or_named_or_litter(self, tmp_path: Path) -> None:
        names = ["a.NII.GZ", "b.mha", "c.mhd", "c.raw", "d.raw", "e.svs", "f.seg.nrrd", "g.txt"]
        for name in (*names, "h", "i.dcm", *LITTER[:-2]):
            (tmp_path / name).write_bytes(b"something else than an image" * 9)
        found, left_out = images_in(tmp_path)
        assert [image.stem for image in found] == ["a", "b", "c"]
        reasons = {one.path: one for one in left_out}
        assert sorted(reasons) == ["d.raw", "e.svs", "f.seg.nrrd", "g.txt", "h", "i.dcm"]
        assert {name for name, one in reasons.items() if not one.may_be_image} == {
            *("f.seg.nrrd", "g.txt")
        }
        assert reasons["i.dcm"].reason == "not a DICOM file"
        assert reasons["e.svs"].reason.startswith("not DICOM, and its name does not end in .nii.gz")

    def test_a_folder_with_one_series_is_the_image(self, tmp_path: Path) -> None:
        files = write_series(tmp_path, names="{:03d}")  # no ending: DICOM by content
        (tmp_path / "._000").write_bytes(b"\0\5\x16\7" + bytes(200))
        (tmp_path / "Thumbs.db").write_bytes(b"x")
        (tmp_path / "readme.txt").write_text("x")
        found, left_out = images_in(tmp_path)
        names = tuple(sorted(path.name for path in files))
        assert found == [FoundImage("", tmp_path, names)]
        assert left_out == [LeftOut("readme.txt", "not an image", may_be_image=False)]
        np.testing.assert_array_equal(Volume.load(found[0].path).voxels, values())

    def test_loose_slices_of_several_series_beside_an_image(self, tmp_path: Path) -> None:
        write_series(tmp_path, names="A{:03d}.dcm", seed=1)
        write_series(tmp_path, 4, names="B{:03d}.IMA", seed=2, SeriesInstanceUID="1.2.3.5")
        (tmp_path / "c.nii").write_bytes(b"")
        found, left_out = images_in(tmp_path)
        assert [(image.stem, len(image.names)) for image in found] == [
            *(("A000", 6), ("B000.IMA", 4), ("c", 0))
        ]
        assert left_out == []
        np.testing.assert_array_equal(Volume.load(found[0].path).voxels, values(1))
        np.testing.assert_array_equal(Volume.load(found[1].path).voxels, values(2, 4))

    def test_what_forms_no_volume_says_what_it_is(self, tmp_path: Path) -> None:
        write_stills(tmp_path / "stills")
        views = tmp_path / "views"
        write_series(views, 2)
        turned = [0, 1, 0, 0, 0, -1]
        place = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": turned}
        write_file(views / "scout.dcm", stored_values()[0], **place)
        cine = write_file(tmp_path / "cine" / "a.dcm", stored_values(), NumberOfFrames=6)
        mosaic = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
        write_file(tmp_path / "mosaic" / "a.dcm", stored_values()[0], ImageType=mosaic)
        said = {
            "mosaic": "expected one slice, got a mosaic: the slices of a volume as tiles of ",
            "stills": "its series holds 3 stills without positions in the patient (US0.dcm, ",
            "views": "its series holds 3 files in several views or sizes (IM000.dcm, ",
            "cine": "its 6 frames have no positions in the patient, so they form no volume; ",
        }
        for folder, sentence in said.items():
            found, left_out = images_in(tmp_path / folder)
            assert found == []
            assert {one.path for one in left_out} == {
                path.name for path in (tmp_path / folder).iterdir()
            }
            assert all(one.reason.startswith(sentence) for one in left_out), left_out
        assert Volume.load(cine, frame=2).shape_ijk == (16, 14, 1)

    def test_a_scout_and_a_dose_sheet_are_no_slices(self, tmp_path: Path) -> None:
        """A series as many scanners send it: its slices, a scout, a picture without a position."""
        folder = tmp_path / "ct"
        write_series(folder)
        turned = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1], "ImagePositionPatient": [0, 0, 9]}
        write_file(folder / "AA_scout.dcm", stored_values()[0], **turned)
        nowhere = {"ImageOrientationPatient": None, "ImagePositionPatient": None}
        write_file(folder / "dose.dcm", stored_values()[0][:5], **nowhere)
        (found,), left_out = images_in(folder)
        assert len(found.names) == 6
        assert {one.path for one in left_out} == {"AA_scout.dcm", "dose.dcm"}
        assert "beside the 6 slices of its series" in left_out[0].reason
        for path in (folder, found.path):
            volume = Volume.load(path)
            np.testing.assert_array_equal(volume.voxels, values())
            (note,) = volume.notes
            assert "2 other file(s)" in note
        assert Volume.load(folder / "AA_scout.dcm").shape_ijk[2] == 1

    def test_what_may_be_a_slice_is_not_left_out(self, tmp_path: Path) -> None:
        nowhere = {"ImageOrientationPatient": None, "ImagePositionPatient": None}
        write_series(tmp_path)
        write_file(tmp_path / "last.dcm", stored_values()[0], **nowhere)
        found, left_out = images_in(tmp_path)
        assert (len(found), len(left_out)) == (0, 7)
        with pytest.raises(VolumeError, match=r"last\.dcm has no position"):
            Volume.load(tmp_path)

    def test_dicom_without_an_image_is_named(self, tmp_path: Path) -> None:
        report = {"PixelData": None, "Rows": None, "Columns": None, "Modality": "SR"}
        write_file(tmp_path / "report.dcm", stored_values()[0], **report)
        mask = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "Modality": "SEG"}
        write_file(tmp_path / "mask.dcm", stored_values()[0], **mask)
        found, left_out = images_in(tmp_path)
        assert found == []
        assert [str(one) for one in left_out] == [
            "mask.dcm: a DICOM segmentation, not an image",
            "report.dcm: DICOM (SR) without an image",
        ]

    def test_the_shared_cases(self) -> None:
        if not CASES.is_dir():
            pytest.skip("the shared cases are not here")
        for name in ("ct_plain", "ct_mono1", "ct_variable_intercept", "ts_deflated"):
            found, left_out = images_in(CASES / name)
            assert [(one.stem, len(one.names)) for one in found] == [("", 24)], name
            assert left_out == []
        assert len(images_in(CASES / "enh_one_frame")[0]) == 1
        found, left_out = images_in(CASES / "us_stills_series")
        assert (len(found), len(left_out)) == (0, 4)


def test_labels_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.NII.GZ", "b.seg.nrrd", "c.jpg", "d.dcm", "e.txt", "f.svs", ".DS_Store"):
        (tmp_path / name).touch()
    found, left_out = labels_in(tmp_path)
    assert [(stem, path.name) for stem, path in found] == [("a", "a.NII.GZ"), ("b", "b.seg.nrrd")]
    assert [str(one) for one in left_out] == [
        "c.jpg: JPEG changes values, so it cannot hold labels",
        "d.dcm: DICOM images cannot hold labels, only segmentations",
        "e.txt: not a label",
        "f.svs: not a label",
    ]

"""Data sets in a folder: labels by geometry, segments by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import MappingProxyType

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segsam.categories import Categories
from segsam.datasets.convert import to_med2d
from segsam.datasets.folder import (
    Dataset,
    class_numbers,
    load_case,
    open_dataset,
    unused_files,
)
from segsam.datasets.labelled_slices import cut_volume, slices_of
from segsam.datasets.shards import PreparedSlice, Shards, write_shards
from segsam.errors import CategoryError, LabelError, TrainingError
from segsam.evaluation.cases import known_classes, open_case
from segsam.imaging.volume import Segment, Volume

from ...dicom_writing import affine_ras, values, write_series, write_stills

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases"
AFFINE = np.array([[1.0, 0, 0, -20], [0, 1, 0, 30], [0, 0, 1, 5], [0, 0, 0, 1]])
NAMES = {1: "anterior hippocampus", 2: "posterior hippocampus"}


def labels() -> NDArray[np.uint8]:
    """Two blocks without any symmetry."""
    made = np.zeros((20, 24, 16), np.uint8)
    made[2:9, 3:11, 2:9] = 1
    made[8:14, 12:21, 4:13] = 2
    return made


def dataset(folder: Path, label: nib.Nifti1Image | None = None) -> Dataset:
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    voxels = labels().astype(np.int16) * 70 + 20
    nib.save(nib.Nifti1Image(voxels, AFFINE), folder / "images" / "c1.nii.gz")
    if label is not None:
        nib.save(label, folder / "labels" / "c1.nii.gz")
    record = {"name": "made", "labels": {str(value): name for value, name in NAMES.items()}}
    (folder / "dataset.json").write_text(json.dumps(record))
    return open_dataset(folder)


def flipped() -> nib.Nifti1Image:
    return nib.Nifti1Image(labels(), AFFINE).as_reoriented([[1, -1], [0, 1], [2, -1]])


def moved() -> nib.Nifti1Image:
    affine = AFFINE.copy()
    affine[:3, 3] += 40
    return nib.Nifti1Image(labels(), affine)


class TestPlace:
    def test_another_voxel_order_is_brought_onto_the_image(self, tmp_path: Path) -> None:
        same = dataset(tmp_path / "same", nib.Nifti1Image(labels(), AFFINE))
        other = dataset(tmp_path / "other", flipped())
        volume, found = load_case(other, "c1")
        assert volume.shape_ijk == found.shape
        np.testing.assert_array_equal(found, labels())
        for one, two in zip(
            slices_of(same, "c1", input_size=32),
            slices_of(other, "c1", input_size=32),
            strict=True,
        ):
            np.testing.assert_array_equal(one.labels, two.labels)
        opened = open_case(other, "c1", input_size=32, categories=Categories.load())
        np.testing.assert_array_equal(opened.labels, labels())
        counts = [to_med2d([each], tmp_path / f"{each.folder.name}_out") for each in (same, other)]
        assert counts[0].masks == counts[1].masks > 0
        for path in sorted((tmp_path / "same_out").rglob("*.png")):
            twin = tmp_path / "other_out" / path.relative_to(tmp_path / "same_out")
            assert path.read_bytes() == twin.read_bytes()

    def test_elsewhere_is_refused_with_both_geometries(self, tmp_path: Path) -> None:
        made = dataset(tmp_path, moved())
        words = r"made, c1: the label does not lie .*R 20, A 70, S 45 mm; .*R -20, A 30, S 5 mm"
        for read in (
            lambda: load_case(made, "c1"),
            lambda: open_case(made, "c1", input_size=32, categories=Categories.load()),
            lambda: to_med2d([made], tmp_path / "out"),
            lambda: list(slices_of(made, "c1", input_size=32)),
        ):
            with pytest.raises(LabelError, match=words):
                read()

    def test_the_shared_cases(self) -> None:
        if not CASES.is_dir():
            pytest.skip("the shared cases are not here")
        stored = open_dataset(CASES / "ds_label_stored_flipped")
        image, found = load_case(stored, "hippocampus_001")
        file = nib.load(stored.folder / "labels" / "hippocampus_001.nii.gz")
        np.testing.assert_array_equal(found, np.asarray(file.dataobj)[::-1])
        assert image.shape_ijk == found.shape
        with pytest.raises(LabelError, match="does not lie on its image"):
            load_case(open_dataset(CASES / "ds_label_moved"), "hippocampus_001")


class TestFiles:
    """Images and labels by the table of file kinds; what belongs to no case is named."""

    @pytest.mark.parametrize(
        ("image", "label"),
        [
            *((".NII.GZ", ".nii"), (".NII", ".NII.GZ"), (".mha", ".MHA"), (".NRRD", ".mha")),
            (".nrrd", ".seg.nrrd"),
        ],
    )
    def test_kinds_and_capitals(self, tmp_path: Path, image: str, label: str) -> None:
        made = dataset(tmp_path, nib.Nifti1Image(labels(), AFFINE))
        volume, expected = load_case(made, "c1")
        for part, ending, voxels in (("images", image, volume.voxels), ("labels", label, expected)):
            (tmp_path / part / "c1.nii.gz").unlink()
            lower = tmp_path / part / f"c1{ending.lower()}"
            Volume.from_array(voxels, AFFINE).save(lower)
            lower.rename(tmp_path / part / f"c1{ending}")
        again = open_dataset(tmp_path)
        assert (again.cases, again.unused) == (("c1",), ())
        found, read = load_case(again, "c1")
        np.testing.assert_array_equal(found.voxels, volume.voxels)
        np.testing.assert_array_equal(read, expected)

    def test_pictures_in_capitals(self, tmp_path: Path) -> None:
        made = dataset(tmp_path)
        (tmp_path / "images" / "c1.nii.gz").unlink()
        grey = Image.fromarray(np.full((9, 8), 120, np.uint8))
        grey.save(tmp_path / "images" / "p.JPG", format="JPEG")
        Image.fromarray(np.ones((9, 8), np.uint8)).save(tmp_path / "labels" / "p.PNG")
        assert open_dataset(tmp_path).cases == ("p",)
        volume, read = load_case(made, "p")
        assert volume.shape_ijk == read.shape == (8, 9, 1)
        assert read.all()

    def test_a_dicom_series_is_an_image(self, tmp_path: Path) -> None:
        dataset(tmp_path)
        write_series(tmp_path / "images" / "ct")
        write_series(tmp_path / "images", names="loose{:03d}", seed=3, SeriesInstanceUID="1.2.5")
        label = (values() > -500).astype(np.uint8)
        for name in ("ct", "loose000"):
            Volume.from_array(label, affine_ras()).save(tmp_path / "labels" / f"{name}.nii.gz")
        made = open_dataset(tmp_path)
        assert made.cases == ("c1", "ct", "loose000")
        for name, seed in (("ct", 0), ("loose000", 3)):
            volume, read = load_case(made, name)
            np.testing.assert_array_equal(volume.voxels, values(seed))
            np.testing.assert_array_equal(read, label)
        assert volume.modality == "CT"

    def test_what_is_no_case_is_named_and_litter_is_not(self, tmp_path: Path) -> None:
        made = dataset(tmp_path, nib.Nifti1Image(labels(), AFFINE))
        write_stills(tmp_path / "images" / "us", 2)
        for name in (
            *("images/.DS_Store", "images/._c1.nii.gz", "labels/Thumbs.db", "labels/._c1.nii.gz"),
            *("images/README", "images/x.svs", "labels/c1.nrrd", "labels/c2.nii", "labels/c1.jpg"),
        ):
            (tmp_path / name).touch()
        made = open_dataset(tmp_path)
        assert made.cases == ("c1",)
        unused = {one.path: one.reason for one in made.unused}
        assert sorted(unused) == [
            *("images/README", "images/us", "images/x.svs"),
            *("labels/c1.jpg", "labels/c1.nrrd", "labels/c2.nii"),
        ]
        assert unused["labels/c1.nrrd"] == "c1.nii.gz is used for this case"
        assert unused["labels/c2.nii"] == "there is no image of this case"
        assert unused["images/us"].startswith("its series holds 2 stills")
        load_case(made, "c1")
        assert to_med2d([made], tmp_path / "out").left_out == tuple(unused_files([made]))

    def test_links_to_nothing_are_named(self, tmp_path: Path) -> None:
        dataset(tmp_path, nib.Nifti1Image(labels(), AFFINE))
        write_series(tmp_path / "images" / "ct")
        for name in ("images/c2.nii.gz", "labels/c2.nii.gz", "images/ct/IM999.dcm", "labels/._x"):
            (tmp_path / name).symlink_to(tmp_path / "nowhere")
        made = open_dataset(tmp_path)
        assert made.cases == ("c1", "ct")
        sentence = "a link to a file that does not exist"
        assert {one.path: one.reason for one in made.unused} == {
            "images/c2.nii.gz": sentence,
            "images/ct/IM999.dcm": sentence,
            "labels/c2.nii.gz": sentence,
        }

    def test_links_to_files_and_series_are_followed(self, tmp_path: Path) -> None:
        dataset(tmp_path / "real", nib.Nifti1Image(labels(), AFFINE))
        write_series(tmp_path / "real" / "series")
        made = tmp_path / "made"
        shutil.copytree(
            tmp_path / "real", made, ignore=shutil.ignore_patterns("*.nii.gz", "series")
        )
        (made / "images" / "c1.nii.gz").symlink_to(tmp_path / "real" / "images" / "c1.nii.gz")
        (made / "images" / "ct").symlink_to(tmp_path / "real" / "series")
        (made / "labels" / "c1.nii.gz").symlink_to(tmp_path / "real" / "labels" / "c1.nii.gz")
        opened = open_dataset(made)
        assert (opened.cases, opened.unused) == (("c1", "ct"), ())

    def test_two_images_of_one_case_are_refused(self, tmp_path: Path) -> None:
        dataset(tmp_path)
        (tmp_path / "images" / "c1.NRRD").touch()
        with pytest.raises(TrainingError, match=r"case name c1: c1\.NRRD and c1\.nii\.gz; rename"):
            open_dataset(tmp_path)

    def test_without_any_image_the_sentence_names_a_file(self, tmp_path: Path) -> None:
        dataset(tmp_path)
        (tmp_path / "images" / "c1.nii.gz").rename(tmp_path / "images" / "c1.svs")
        with pytest.raises(TrainingError, match=r"no images in .*Left out: images/c1\.svs: not"):
            open_dataset(tmp_path)


class TestNames:
    def save(self, made: Dataset, segments: dict[int, Segment]) -> None:
        path = made.folder / "labels" / "c1.seg.nrrd"
        Volume.from_array(labels(), AFFINE).save(path, segments=segments)

    def test_those_in_the_file_win(self, tmp_path: Path) -> None:
        made = dataset(tmp_path)
        self.save(made, {1: Segment("posterior_hippocampus"), 2: Segment("Anterior hippocampus")})
        found = load_case(made, "c1")[1]
        np.testing.assert_array_equal(found, np.array([0, 2, 1], np.uint8)[labels()])

    def test_names_that_name_nothing_leave_the_values(self, tmp_path: Path) -> None:
        made = dataset(tmp_path)
        self.save(made, {1: Segment("Segment_1"), 2: Segment("Segment_2")})
        np.testing.assert_array_equal(load_case(made, "c1")[1], labels())

    def test_others_are_refused(self, tmp_path: Path) -> None:
        made = dataset(tmp_path)
        self.save(made, {1: Segment("anterior hippocampus"), 2: Segment("spleen")})
        with pytest.raises(TrainingError, match="c1 name a segment 'spleen'; expected a name of"):
            load_case(made, "c1")


def shown(voxels: NDArray[np.uint8], k: int) -> NDArray[np.uint8]:
    """A slice as radiologists see it: the patient's right on the left, anterior on top."""
    return voxels[::-1, ::-1, k].T


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"labels": {"1": "liver", "1": "spleen"}}', "the key '1' comes twice"),
        ('{"labels": {"1": null}}', "it is damaged, or its content has another form"),
    ],
)
def test_names_that_would_be_exchanged_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    made = dataset(tmp_path)
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(TrainingError, match=f"labels by number in .*, but {reason}"):
        open_dataset(made.folder)


def test_overlapping_maps_make_instances_that_survive_shards(tmp_path: Path) -> None:
    one, other = (labels() == 1).astype(np.uint8), np.zeros_like(labels())
    other[4:18, 5:20, 2:9] = 2
    volume = Volume.from_array(labels().astype(np.int16), AFFINE)
    cut = list(cut_volume(volume, (one, other), "made/c1", input_size=0, axes="k"))
    assert [each.name for each in cut] == [f"made/c1/k{index}" for index in range(2, 9)]
    for number, each in enumerate(cut, start=2):
        assert each.prompted == (1, 2)
        by_value = {found.value: found.mask for found in each.objects}
        np.testing.assert_array_equal(by_value[1], shown(one, number) == 1)
        np.testing.assert_array_equal(by_value[2], shown(other, number) == 2)
        assert (by_value[1] & by_value[2]).any()
    made = dataset(tmp_path / "set")
    write_shards(tmp_path / "shards", (made,), [PreparedSlice(cut[0], "made", "train")])
    (back,) = list(Shards(tmp_path / "shards"))
    for first, second in zip(back.slice.objects, cut[0].objects, strict=True):
        np.testing.assert_array_equal(first.mask, second.mask)


class TestMasksWithoutName:
    LABELS = MappingProxyType({1: "vertebra L5", 2: "upper vertebra", 3: "object 3", 4: ""})

    def test_they_have_no_class_and_no_name_to_learn(self) -> None:
        made = Dataset(Path("made"), "made", "MR", "CC0", self.LABELS, ())
        categories = Categories.load()
        level = categories.index("vertebra L5") + 1
        assert class_numbers(made, categories) == {1: level, 2: 0, 3: 0, 4: 0}
        assert known_classes(made, categories) == {1: level, 2: 0, 3: 0, 4: 0}
        assert made.names == {1: "vertebra L5"}
        assert made.masks_without_name == {2: "upper vertebra", 3: "object 3", 4: ""}
        assert made.to_record()["labels"]["2"] == "upper vertebra", "what it says is kept"

    def test_other_names_that_are_not_known_are_still_refused(self) -> None:
        made = Dataset(Path("made"), "made", "MR", "CC0", {1: "lower vertebrum"}, ())
        with pytest.raises(CategoryError, match="A label of made: There is no category"):
            class_numbers(made, Categories.load())
        assert known_classes(made, Categories.load()) == {1: 0}

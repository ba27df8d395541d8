"""Both layouts, and the way from one to the other and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from segsam.cli.app import app
from segsam.datasets.convert import EMPTY, HIDDEN, OTHER_SIZE, SMALL, to_datasets, to_med2d
from segsam.datasets.folder import Dataset, load_case, open_dataset
from segsam.datasets.labelled_slices import label_planes, large_objects, native_view, slices_of
from segsam.datasets.med2d import CLASSES, LIST, PictureName, open_med2d
from segsam.datasets.sources import open_sources, source_slices
from segsam.datasets.splits import Split, patient_of
from segsam.errors import OutputError, PromptError, TrainingError
from segsam.imaging.intensity import Intensity
from segsam.training.config import TrainConfig
from segsam.training.samples import cut_case

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def volume_set(folder: Path, spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Dataset:
    """One volume of two organs, and a speck of a third that is always too small."""
    labels = np.zeros((24, 20, 16), np.uint8)
    labels[4:12, 3:9, 5:11] = 1
    labels[14:20, 8:17, 2:9] = 2
    voxels = np.random.default_rng(0).integers(0, 40, labels.shape).astype(np.int16)
    voxels += labels.astype(np.int16) * 70
    affine = np.diag([*spacing_mm, 1.0])
    for subfolder, array in (("images", voxels), ("labels", labels)):
        (folder / subfolder).mkdir(parents=True)
        nib.save(nib.Nifti1Image(array, affine), folder / subfolder / "p1.nii.gz")
    record = {"name": "made", "modality": "MR", "licence": "CC0", "labels": {"1": "a", "2": "b"}}
    (folder / "dataset.json").write_text(json.dumps(record))
    return open_dataset(folder)


def png(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def med2d(folder: Path, *, dataset: str = "AMOS") -> Path:
    """Two pictures: overlapping instances, a merged label, and a mask of another size."""
    stem = f"ct_00--{dataset}--amos_0004--z_00"
    first, second = f"images/{stem}75.png", f"images/{stem}76.png"
    small, large = np.zeros((40, 60), np.uint8), np.zeros((40, 60), np.uint8)
    small[10:16, 10:16], large[5:30, 5:40] = 255, 1
    for path in (first, second):
        png(folder / path, np.full((40, 60, 3), (10, 20, 200), np.uint8))
    masks = {
        "0000_000": large,
        "0000_001": small,
        "0001_000": small,
        "0002_000": large,
        "0001_001": np.ones((7, 7), np.uint8),
    }
    for tail, pixels in masks.items():
        png(folder / f"masks/{stem}75--{tail}.png", pixels)
    listed = {first: [f"masks/{stem}75--{tail}.png" for tail in masks], second: []}
    (folder / LIST).write_text(json.dumps(listed))
    classes = {dataset: {"liver": 0, "spleen": 1, "union_liver_spleen": 2}}
    (folder / CLASSES).write_text(json.dumps(classes))
    return folder


def test_the_fields_of_a_name() -> None:
    name = PictureName.parse("images/mr_t1--BraTS--case--7--x_0040.png")
    assert (name.dataset, name.case, name.place) == ("BraTS", "case--7", "x_0040")
    assert name.modality == "MR"
    assert name.stem == "mr_t1--BraTS--case--7--x_0040"
    assert PictureName.parse("fundus_photography--a--b--0001.png").modality == "fundus"
    with pytest.raises(TrainingError, match=r"got 'amos_0004_75\.png'"):
        PictureName.parse("images/amos_0004_75.png")


def test_masks_may_overlap_and_have_several_instances(tmp_path: Path) -> None:
    (one,) = open_med2d(med2d(tmp_path))
    assert (one.name, one.modality, one.cases) == ("AMOS", "CT", ("amos_0004",))
    assert one.labels == {1: "liver", 2: "spleen"}
    assert one.left_out == {"merged label": 1}
    (found,) = one.slices("amos_0004", input_size=0)
    assert found.name == "AMOS/amos_0004/ct_00/z_0075"
    assert [instance.value for instance in found.objects] == [1, 1, 2]
    assert [int(instance.mask.sum()) for instance in found.objects] == [875, 36, 36]
    assert found.prompted == (1, 2)
    assert found.picture[0, 0].tolist() == [200, 20, 10], "red, green, blue"
    assert found.labels[20, 20] == 1
    (sized,) = one.slices("amos_0004", input_size=120)
    assert sized.picture.shape == (80, 120, 3)
    assert int(sized.objects[0].mask.sum()) == 4 * 875


def test_data_sets_that_are_wrong_are_left_out(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no data set that can be used"):
        open_med2d(med2d(tmp_path, dataset="ichallenge_adam_task2"))


def test_maps_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=f"Expected {LIST}"):
        open_med2d(tmp_path)
    folder = med2d(tmp_path)
    (folder / CLASSES).write_text(json.dumps({"AMOS": {"liver": 0}}))
    with pytest.raises(TrainingError, match="does not name the class of"):
        open_med2d(folder)
    (folder / CLASSES).write_text(json.dumps({"other": {"liver": 0}}))
    with pytest.raises(TrainingError, match="Expected the classes of AMOS"):
        open_med2d(folder)
    (folder / LIST).write_text("[]")
    with pytest.raises(TrainingError, match="Expected a map"):
        open_med2d(folder)
    folder = med2d(tmp_path)
    next((folder / "masks").iterdir()).write_bytes(b"no picture")
    (one,) = open_med2d(folder)
    with pytest.raises(TrainingError, match="the file is not a picture"):
        list(one.slices("amos_0004", input_size=0))


def test_overlapping_masks_become_one_map_with_the_smaller_on_top(tmp_path: Path) -> None:
    report = to_datasets(open_med2d(med2d(tmp_path / "in")), tmp_path / "out")
    assert (report.images, report.overlapping) == (1, 1)
    dropped = {EMPTY: 1, OTHER_SIZE: 1, "merged label": 1}
    assert {reason: report.dropped.get(reason, 0) for reason in dropped} == dropped
    assert report.masks + report.dropped.get(HIDDEN, 0) == 3
    dataset = open_dataset(tmp_path / "out" / "AMOS")
    assert dataset.cases == ("amos_0004--ct_00--z_0075",)
    assert patient_of(dataset.cases[0]) == "amos_0004"
    (one,) = slices_of(dataset, dataset.cases[0], input_size=0)
    assert int((one.labels == 2).sum()) == 36
    assert int((one.labels > 0).sum()) == 875


def test_a_volume_is_cut_along_three_axes_and_comes_back(tmp_path: Path) -> None:
    dataset = volume_set(tmp_path / "in")
    report = to_med2d([dataset], tmp_path / "med2d")
    assert report.images == (8 + 6) + (6 + 9 - 1) + 9
    to_datasets(open_med2d(tmp_path / "med2d"), tmp_path / "back")
    assert_same(dataset, open_dataset(tmp_path / "back" / "made"))


def assert_same(dataset: Dataset, back: Dataset) -> None:
    """Every slice that holds an object is there, with its labels and its picture."""
    facts = (dataset.name, dataset.modality, dataset.licence)
    assert (back.name, back.modality, back.licence) == facts
    assert back.labels == dataset.labels
    expected = set()
    for case in dataset.cases:
        volume, labels = load_case(dataset, case)
        intensity = Intensity.for_volume(volume)
        flat = [axis for axis in range(3) if volume.shape_ijk[axis] == 1]
        for axis in flat or range(3):
            view = native_view(volume, axis)
            for index, plane in label_planes(view, labels):
                large = large_objects(plane)
                found = [one for one in back.cases if one.endswith(f"{'xyz'[axis]}_{index:04d}")]
                found = [one for one in found if one.startswith(f"{case}--")]
                assert bool(found) is bool(large)
                if found:
                    expected.update(found)
                    (one,) = slices_of(back, found[0], input_size=0)
                    large_labels = np.where(np.isin(plane, large), plane, 0)
                    assert np.array_equal(one.labels, large_labels)
                    written = load_case(back, found[0])[0].voxels
                    shown = view.image(volume, intensity, index)
                    pixels = np.squeeze(written).swapaxes(0, 1)
                    assert np.array_equal(pixels, shown if pixels.ndim == 3 else shown[..., 0])
    assert expected == set(back.cases)


def test_pixels_are_square_and_none_is_lost(tmp_path: Path) -> None:
    dataset = volume_set(tmp_path / "in", (0.5, 0.5, 1.3))
    volume, labels = load_case(dataset, "p1")
    assert native_view(volume, 2).size_px == (20, 24)
    assert native_view(volume, 0).size_px == (42, 20)
    assert dict(label_planes(native_view(volume, 2), labels)).keys() == set(range(2, 11))
    names = {one.name for one in slices_of(dataset, "p1", input_size=32, axes="all")}
    assert {"made/p1/i4", "made/p1/j8", "made/p1/k10"} <= names
    (automatic, *_) = slices_of(dataset, "p1", input_size=32)
    assert automatic.name == "made/p1/2"
    with pytest.raises(PromptError, match="Expected axes auto, all, i, j, k, got 'x'"):
        next(slices_of(dataset, "p1", input_size=32, axes="x"))  # type: ignore[arg-type]


def test_small_objects_are_dropped_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    dataset = volume_set(folder)
    labels = np.zeros((40, 40, 3), np.uint8)
    labels[:20, :20, 1], labels[39, 39, 1] = 1, 2
    for subfolder in ("images", "labels"):
        nib.save(nib.Nifti1Image(labels, np.eye(4)), folder / subfolder / "p1.nii.gz")
    report = to_med2d([dataset], tmp_path / "out", axes="k")
    assert (report.images, report.masks) == (1, 1)
    assert report.dropped == {SMALL: 1, EMPTY: 2}


def test_a_stopped_conversion_goes_on_and_keeps_what_is_there(tmp_path: Path) -> None:
    dataset = volume_set(tmp_path / "in")
    whole = to_med2d([dataset], tmp_path / "out", axes="k")
    paths = sorted((tmp_path / "out" / "images").iterdir())
    times = {path: path.stat().st_mtime_ns for path in paths}
    paths[0].unlink()
    (tmp_path / "out" / LIST).unlink()
    assert to_med2d([dataset], tmp_path / "out", axes="k") == whole
    assert all(path.stat().st_mtime_ns == times[path] for path in paths[1:])
    assert paths[0].is_file()
    assert len(json.loads((tmp_path / "out" / LIST).read_text())) == whole.images


def test_a_stopped_conversion_does_not_go_on_with_other_labels(tmp_path: Path) -> None:
    """A mix-up that was mended in between is never under the names of before."""
    dataset = volume_set(tmp_path / "in")
    to_med2d([dataset], tmp_path / "out", axes="k")
    next((tmp_path / "out" / "images").iterdir()).unlink()
    (tmp_path / "out" / LIST).unlink()
    file = tmp_path / "in" / "labels" / f"{dataset.cases[0]}.nii.gz"
    before = nib.load(file)
    swapped = np.array([0, 2, 1], np.uint8)[np.asarray(before.dataobj).astype(int)]
    nib.save(nib.Nifti1Image(swapped, before.affine), file)
    with pytest.raises(OutputError, match="its labels were changed since the conversion began"):
        to_med2d([dataset], tmp_path / "out", axes="k")
    assert not (tmp_path / "out" / LIST).exists()


def test_two_values_of_one_name_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    found = volume_set(tmp_path / "one")
    same = replace(found, labels=dict.fromkeys((1, 2), "liver"))
    with pytest.raises(TrainingError, match="name for each label value, got 'liver' for 1 and 2"):
        to_med2d([same], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_jpeg_label_is_named(tmp_path: Path) -> None:
    found = volume_set(tmp_path / "one")
    for path in (tmp_path / "one" / "labels").iterdir():
        case = next(case for case in found.cases if path.name.startswith(case))
        path.rename(path.with_name(f"{case}.jpg"))
    with pytest.raises(TrainingError, match=r"\.jpg in one/labels is a JPEG, which changes values"):
        to_med2d([open_dataset(tmp_path / "one")], tmp_path / "out")


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    dataset = volume_set(tmp_path / "in")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years")
    with pytest.raises(OutputError, match="other holds something else"):
        to_med2d([dataset], other)
    to_med2d([dataset], tmp_path / "out", axes="k")
    with pytest.raises(OutputError, match="out holds something else"):
        to_med2d([dataset], tmp_path / "out", axes="j")
    with pytest.raises(OutputError, match=r"Expected a folder, but thesis\.txt is a file"):
        to_med2d([dataset], other / "thesis.txt")
    with pytest.raises(TrainingError, match="'made' twice"):
        to_med2d([dataset, dataset], tmp_path / "twice")


def test_either_layout_is_a_source(tmp_path: Path) -> None:
    volume_set(tmp_path / "in")
    med2d(tmp_path / "med2d")
    (one,), (other,) = open_sources(tmp_path / "in"), open_sources(tmp_path / "med2d")
    assert len(list(source_slices(one, "p1", input_size=32, limit=3))) == 3
    assert len(list(source_slices(other, "amos_0004", input_size=32))) == 1
    config = TrainConfig(datasets=(str(tmp_path / "med2d"),), out=str(tmp_path / "run"))
    (found,) = cut_case(config, other, "amos_0004", part="train", input_size=32)
    assert [instance.value for instance in found.objects] == [1, 1, 2]


def test_the_commands(tmp_path: Path) -> None:
    volume_set(tmp_path / "in")
    runner = CliRunner()
    target, report = tmp_path / "out", tmp_path / "report.json"
    call = ["convert", str(tmp_path / "in"), str(target), "--to", "med2d", "--axes", "k"]
    done = runner.invoke(app, [*call, "--json", str(report)])
    assert done.exit_code == 0, done.output
    assert "9 pictures with" in done.output
    assert json.loads(report.read_text())["images"] == 9
    back = ["convert", str(target), str(tmp_path / "back"), "--to", "dataset"]
    assert runner.invoke(app, back).exit_code == 0
    split = tmp_path / "split.json"
    call = ["split", str(tmp_path / "back" / "made"), str(target), "-o", str(split)]
    wrong = runner.invoke(app, [*call, "--test", "1"])
    assert isinstance(wrong.exception, TrainingError)
    done = runner.invoke(app, call)
    assert isinstance(done.exception, TrainingError), "two data sets of one name"
    done = runner.invoke(app, ["split", str(tmp_path / "back" / "made"), "-o", str(split)])
    assert done.exit_code == 0, done.output
    assert Split.load(split).by_frame == ("made",)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside this checkout")
@pytest.mark.parametrize("name", ["hippocampus", "jsrt_xray"])
def test_real_files_come_back(name: str, tmp_path: Path) -> None:
    whole = open_dataset(DATA / name)
    few = Dataset(
        whole.folder, whole.name, whole.modality, whole.licence, whole.labels, whole.cases[:1]
    )
    to_med2d([few], tmp_path / "med2d")
    to_datasets(open_med2d(tmp_path / "med2d"), tmp_path / "back")
    assert_same(few, open_dataset(tmp_path / "back" / name))

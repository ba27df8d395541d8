"""Labelled cases of the trainer: labels by geometry, names by segment, hand-placed files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
from numpy.typing import NDArray

from segsam.datasets.shards import Shards
from segsam.errors import LabelError
from segsam.imaging.volume import Segment, Volume
from segsam.types import no_progress
from segsam_app.storage.store import FINAL, Store
from segsam_app.training.cases import LabelledCase, labelled_cases, usable_cases
from segsam_app.training.settings import TrainSettings
from segsam_app.training.slice_cutting import CutSlices, SliceCutter

from ..stored import AFFINE, write
from ..tuning import SHAPE, make_store, scene

NAMES = {1: "posterior hippocampus", 2: "anterior hippocampus"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "studies", 2)


def voxels() -> NDArray[np.uint8]:
    masks = scene(0)[1]
    return (masks["liver"] + 2 * masks["spleen"]).astype(np.uint8)


def placed_by_hand(store: Store, image: str, ending: str) -> Path:
    path = Path(store.get_image_uri(image)).parent / "labels" / FINAL / f"{image}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_segmentation(path: Path, names: dict[int, str]) -> Path:
    segments = {value: Segment(name) for value, name in names.items()}
    Volume.from_array(voxels(), AFFINE).save(path, segments=segments)
    return path


def cut(
    cases: list[LabelledCase], folder: Path, *, finds: bool = False
) -> tuple[CutSlices, Shards]:
    settings = TrainSettings(slices=100, copies=0)
    cutter = SliceCutter(cases, {case.image: "train" for case in cases}, (), settings, finds=finds)
    result = cutter.write(folder, 32, no_progress)
    return result, Shards(folder)


class TestPlace:
    def test_stored_in_another_order_trains_like_the_same_order(
        self, store: Store, tmp_path: Path
    ) -> None:
        image = nibabel.Nifti1Image(voxels(), AFFINE)
        write(placed_by_hand(store, "case0", ".nii.gz"), voxels())
        other = image.as_reoriented([[1, -1], [0, 1], [2, -1]])
        path = placed_by_hand(store, "case1", ".nii.gz")
        write(path, np.asarray(other.dataobj), other.affine)
        first = Path(store.get_image_uri("case0"))
        Path(store.get_image_uri("case1")).write_bytes(first.read_bytes())
        store.refresh()
        cases = labelled_cases(store)
        np.testing.assert_array_equal(cases[1].load()[1].as_one_map(), voxels())
        result, slices = cut(cases, tmp_path / "shards")
        assert result.used == ("case0", "case1")
        found = {one.slice.name.split("/", 1)[1]: one.slice for one in slices}
        for name in [each for each in found if each.startswith("case0/")]:
            twin = found[name.replace("case0", "case1")]
            np.testing.assert_array_equal(found[name].labels, twin.labels)
            np.testing.assert_array_equal(found[name].picture, twin.picture)

    def test_only_slices_that_lie_as_those_searched_have_pictures_beside_them(
        self, store: Store, tmp_path: Path
    ) -> None:
        write(placed_by_hand(store, "case0", ".nii.gz"), voxels())
        store.refresh()
        _, slices = cut(labelled_cases(store)[:1], tmp_path / "shards", finds=True)
        beside = {one.slice.name.rpartition("/")[2]: one.slice.beside for one in slices}
        assert {name[0] for name, pictures in beside.items() if pictures} == {"k"}
        own = {one.slice.name.rpartition("/")[2]: one.slice.picture for one in slices}
        first, second = beside["k2"]
        assert np.array_equal(first, own["k1"])
        assert np.array_equal(second, own["k3"])

    def test_elsewhere_is_left_out_alone_and_named(self, store: Store, tmp_path: Path) -> None:
        moved = AFFINE.copy()
        moved[:3, 3] += 40
        write(placed_by_hand(store, "case0", ".nii.gz"), voxels(), moved)
        write(placed_by_hand(store, "case1", ".nii.gz"), voxels())
        store.refresh()
        cases = labelled_cases(store)
        with pytest.raises(LabelError, match="does not lie on its image"):
            cases[0].load()
        result, _ = cut(cases, tmp_path / "shards")
        assert result.used == ("case1",)
        (note,) = result.notes
        assert note.startswith("case0 was left out: the label does not lie on its image")
        assert "the label: 32x32x6 voxels" in note
        assert "the image: 32x32x6 voxels" in note


class TestUsable:
    def case(self, image: str, names: dict[int, str], problem: str = "") -> LabelledCase:
        return LabelledCase(image, Path("i"), Path("l"), names, image, problem)

    def test_a_case_with_too_many_structures_leaves_the_others(self) -> None:
        many = dict.fromkeys(range(1, 300), "")
        cases = [self.case("a", many), self.case("b", {1: "liver"}), self.case("c", {}, "no file")]
        usable, left_out = usable_cases(cases)
        assert [case.image for case in usable] == ["b"]
        assert [one.image for one in left_out] == ["a", "c"]
        assert left_out[0].reason == (
            "its label holds 299 structures, and a training has room for 255, of which the other "
            "cases take 1"
        )
        assert left_out[1].reason == "no file"

    def test_structures_of_many_cases_count_once(self) -> None:
        names = {value: f"structure {value}" for value in range(1, 118)}
        shifted = {value + 900: name.upper() for value, name in names.items()}
        cases = [self.case("a", names), self.case("b", shifted)]
        assert usable_cases(cases) == (cases, [])


class TestNames:
    def test_a_segmentation_put_there_by_hand_names_itself(self, store: Store) -> None:
        write_segmentation(placed_by_hand(store, "case0", ".seg.nrrd"), NAMES)
        store.refresh()
        (case,) = labelled_cases(store)
        assert case.names == NAMES

    def test_labels_of_convenience_are_masks_without_a_name(
        self, store: Store, tmp_path: Path
    ) -> None:
        named = {1: "upper vertebra", 2: NAMES[2]}
        write_segmentation(placed_by_hand(store, "case0", ".seg.nrrd"), named)
        store.refresh()
        (case,) = labelled_cases(store)
        assert case.names == {1: "", 2: NAMES[2]}
        result, slices = cut([case], tmp_path / "shards")
        assert result.used == ("case0",)
        (dataset,) = slices.datasets
        assert sorted(dataset.labels.values()) == ["", NAMES[2]]
        assert {value for one in slices for value in one.slice.prompted} == {1, 2}

    def test_an_earlier_record_with_swapped_names_does_not_count(self, store: Store) -> None:
        path = write_segmentation(placed_by_hand(store, "case0", ".seg.nrrd"), NAMES)

        class Stock:
            """Data store as MONAI Label has it, with names that were given by position."""

            def get_label_info(self, *_: Any) -> dict[str, Any]:
                return {"names": {"1": NAMES[2], "2": NAMES[1]}}

            def get_label_uri(self, *_: Any) -> str:
                return str(path)

            def get_image_uri(self, image: str) -> str:
                return str(store.get_image_uri(image))

        assert LabelledCase.find(Stock(), "case0").names == NAMES

    def test_saved_by_position_and_named_by_the_file(self, store: Store, tmp_path: Path) -> None:
        """A list in the order of the segments counts on, where their values have gaps."""
        path = tmp_path / "a.seg.nrrd"
        segments = {4: Segment(NAMES[1]), 2: Segment(NAMES[2])}
        Volume.from_array(voxels() * 2, AFFINE).save(path, segments=segments)
        listed = [{"name": NAMES[1], "idx": 1}, {"name": NAMES[2], "idx": 2}]
        swapped = write_segmentation(tmp_path / "b.seg.nrrd", {1: NAMES[2], 2: NAMES[1]})
        with pytest.raises(LabelError, match="expected the same names in the same order"):
            store.save("case0", swapped, FINAL, {"label_info": listed})
        store.save("case0", path, FINAL, {"label_info": listed})
        (case,) = labelled_cases(store)
        assert case.names == {4: NAMES[1], 2: NAMES[2]}


def test_overlapping_segments_are_trained_whole(store: Store, tmp_path: Path) -> None:
    organ, lesion = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    organ[4:24, 4:24, 1:5] = 1
    lesion[10:28, 10:20, 1:5] = 1
    header = {
        "space": "left-posterior-superior",
        "space directions": np.vstack([np.full(3, np.nan), np.diag([1.5, 1.5, 4])]),
        "space origin": [-7, 9, 30],
        **{"Segment0_Name": "lesion", "Segment0_Layer": "1", "Segment0_LabelValue": "1"},
        **{"Segment1_Name": "organ", "Segment1_Layer": "0", "Segment1_LabelValue": "1"},
    }
    nrrd.write(str(tmp_path / "a.seg.nrrd"), np.stack([organ, lesion]), header)
    store.save("case0", tmp_path / "a.seg.nrrd", FINAL, {})
    (case,) = labelled_cases(store)
    assert case.names == {1: "lesion", 2: "organ"}
    _, slices = cut([case], tmp_path / "shards")
    names = slices.datasets[0].labels
    axial = [one.slice for one in slices if "/k" in one.slice.name]
    assert len(axial) == 4
    for each in axial:
        areas = {names[found.value]: int(found.mask.sum()) for found in each.objects}
        assert areas == {"organ": 400, "lesion": 180}

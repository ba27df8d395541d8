"""Labels in the store: on their image in any voxel order, named by the file itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
from numpy.typing import NDArray

from segsam.errors import LabelError, VolumeError
from segsam.imaging.volume import Segment, Volume
from segsam_app.storage import label_names
from segsam_app.storage.store import Store

from ..stored import AFFINE, SHAPE, make_studies, write

CASE = Path(__file__).resolve().parents[4] / "shared" / "cases" / "seg_nrrd_names"
POSTERIOR, ANTERIOR = "posterior hippocampus", "anterior hippocampus"
BY_POSITION = {"label_info": [{"name": ANTERIOR, "idx": 1}, {"name": POSTERIOR, "idx": 2}]}
IN_ORDER = {"label_info": [{"name": POSTERIOR, "idx": 1}, {"name": ANTERIOR, "idx": 2}]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(make_studies(tmp_path / "studies", 2)), on_image=lambda _: None)


def two() -> NDArray[np.uint8]:
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[1:3, 2:6, 1:3], voxels[4:7, 3:8, 1:] = 1, 2
    return voxels


def segmentation(path: Path, names: dict[int, str]) -> Path:
    segments = {value: Segment(name) for value, name in names.items()}
    Volume.from_array(two(), AFFINE).save(path, segments=segments)
    return path


class TestPlace:
    def test_another_voxel_order_is_saved_as_it_is(self, store: Store, tmp_path: Path) -> None:
        image = nibabel.Nifti1Image(two(), AFFINE).as_reoriented([[2, -1], [0, 1], [1, -1]])
        path = write(tmp_path / "a.nii.gz", np.asarray(image.dataobj), image.affine)
        version = store.save("case0", path, "final", {})
        assert Path(store.get_label_uri("case0", "final")).read_bytes() == path.read_bytes()
        assert version.size == path.stat().st_size

    def test_what_rounding_left_is_saved_as_whole_numbers(
        self, store: Store, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "a.nii.gz", two() * np.float32(0.9999999), AFFINE)
        store.save("case0", path, "final", {})
        saved = nibabel.load(store.get_label_uri("case0", "final"))
        assert np.asanyarray(saved.dataobj).dtype == np.uint8
        np.testing.assert_array_equal(np.asanyarray(saved.dataobj), two())

    def test_elsewhere_is_refused_with_both_geometries(self, store: Store, tmp_path: Path) -> None:
        moved = AFFINE.copy()
        moved[:3, 3] += 40
        path = write(tmp_path / "a.nii.gz", two(), moved)
        words = "the label: 8x9x4 voxels .* R 47, A 31, S 70 mm; the image: 8x9x4 .* R 7, A -9, S 3"
        with pytest.raises(LabelError, match=words):
            store.save("case0", path, "final", {})


class TestNames:
    @pytest.mark.parametrize(
        "info",
        [
            {},
            IN_ORDER,
            {"label_names": {POSTERIOR: 1, ANTERIOR: 2}},
            {"label_names": {"Posterior_Hippocampus": 1}},
            {"label_names": {"Segment_1": 1, "Segment_2": 2}},
        ],
    )
    def test_those_in_the_file_win(
        self, store: Store, tmp_path: Path, info: dict[str, Any]
    ) -> None:
        path = segmentation(tmp_path / "a.seg.nrrd", {1: POSTERIOR, 2: ANTERIOR})
        version = store.save("case0", path, "final", info)
        assert version.names == {"1": POSTERIOR, "2": ANTERIOR}
        assert store.get_label_info("case0", "final")["names"] == version.names
        assert "names_note" not in version.info

    def test_the_list_of_a_client_is_in_the_order_of_the_segments(
        self, store: Store, tmp_path: Path
    ) -> None:
        """Values of a segmentation have gaps once a segment was deleted; `idx` counts on."""
        path = tmp_path / "a.seg.nrrd"
        segments = {value: Segment(name) for value, name in ((4, POSTERIOR), (2, ANTERIOR))}
        Volume.from_array(two() * 2, AFFINE).save(path, segments=segments)
        version = store.save("case0", path, "final", IN_ORDER)
        assert version.names == {"4": POSTERIOR, "2": ANTERIOR}

    @pytest.mark.parametrize(
        ("info", "words"),
        [
            (
                {"label_names": {ANTERIOR: 1, POSTERIOR: 2}},
                "names its value 1 'posterior hippocampus', but it was sent as 'anterior hippo",
            ),
            (
                {"label_info": [{"name": ANTERIOR, "idx": 1}, {"name": "spleen", "idx": 2}]},
                "label_info lists 'spleen', but the segments in the file are named 'posterior",
            ),
            (
                BY_POSITION,
                "itself names its values 1 'posterior hippocampus', 2 'anterior hippocampus', but "
                "label_info lists 'anterior hippocampus', 'posterior hippocampus'; expected the sa",
            ),
        ],
    )
    def test_a_contradiction_is_refused(
        self, store: Store, tmp_path: Path, info: dict[str, Any], words: str
    ) -> None:
        path = segmentation(tmp_path / "a.seg.nrrd", {1: POSTERIOR, 2: ANTERIOR})
        with pytest.raises(LabelError, match=words):
            store.save("case0", path, "final", info)
        assert store.get_label_uri("case0", "final") == ""

    def test_the_request_names_what_the_file_does_not(self, store: Store, tmp_path: Path) -> None:
        path = segmentation(tmp_path / "a.seg.nrrd", {1: "Segment_1", 2: ANTERIOR})
        version = store.save("case0", path, "final", {"label_names": {POSTERIOR: 1}})
        assert version.names == {"1": POSTERIOR, "2": ANTERIOR}
        path = segmentation(tmp_path / "b.seg.nrrd", {1: "Segment_1", 2: "Segment_2"})
        version = store.save("case0", path, "final", BY_POSITION)
        assert version.names == {"1": ANTERIOR, "2": POSTERIOR}

    @pytest.mark.parametrize("ending", [".seg.nrrd", ".nii.gz"])
    def test_a_value_that_is_not_drawn_may_have_a_name(
        self, store: Store, tmp_path: Path, ending: str
    ) -> None:
        """One rule for all formats: a list of structures may be longer than what is drawn."""
        names = {POSTERIOR: 1, ANTERIOR: 2, "amygdala": 3}
        path = tmp_path / f"a{ending}"
        segments = {1: Segment(POSTERIOR), 2: Segment(ANTERIOR)} if "seg" in ending else None
        Volume.from_array(two(), AFFINE).save(path, segments=segments)
        version = store.save("case0", path, "final", {"label_names": names})
        assert version.names == {str(value): name for name, value in names.items()}

    @pytest.mark.parametrize(
        ("names", "words"),
        [
            ({"amygdala": 3}, "names its value 3 'thalamus', but it was sent as 'amygdala'"),
            ({POSTERIOR: 9}, "names its value 1 .*, but that name was sent for the value 9"),
            ({"thalamus": 9}, "names its value 3 'thalamus', but that name was sent for the val"),
        ],
    )
    def test_a_segment_that_is_not_drawn_keeps_its_name(
        self, store: Store, tmp_path: Path, names: dict[str, int], words: str
    ) -> None:
        named = {1: POSTERIOR, 2: ANTERIOR, 3: "thalamus"}
        path = segmentation(tmp_path / "a.seg.nrrd", named)
        with pytest.raises(LabelError, match=words):
            store.save("case0", path, "final", {"label_names": names})
        version = store.save("case0", path, "final", {"label_names": {"thalamus": 3}})
        assert version.names == {str(value): name for value, name in named.items()}

    @pytest.mark.parametrize("blank", ["", " ", "\u200b"])
    def test_a_segment_without_a_name_is_called_as_3d_slicer_shows_it(
        self, store: Store, tmp_path: Path, blank: str
    ) -> None:
        path = segmentation(tmp_path / "a.seg.nrrd", {1: POSTERIOR, 2: blank})
        version = store.save("case0", path, "final", {})
        assert version.names == {"1": POSTERIOR, "2": "Segment_2"}
        said = "the file's name of the value 2 has no name; it is called 'Segment_2'"
        assert version.info == {"names_note": said}
        version = store.save("case0", path, "final", {"label_names": {ANTERIOR: 2}})
        assert (version.names, version.info.get("names_note")) == (
            {"1": POSTERIOR, "2": ANTERIOR},
            None,
        )
        path = segmentation(tmp_path / "b.seg.nrrd", {1: blank, 2: blank})
        version = store.save("case0", path, "final", {})
        assert version.names == {"1": "Segment_1", "2": "Segment_2"}

    def test_hidden_characters_in_the_name_of_a_file_are_left_out(
        self, store: Store, tmp_path: Path
    ) -> None:
        names = {1: f"{POSTERIOR}\u202e", 2: "y" * 5000}
        path = segmentation(tmp_path / "a.seg.nrrd", names)
        version = store.save("case0", path, "final", {"label_names": {POSTERIOR: 1}})
        assert version.names["1"] == POSTERIOR
        version = store.save("case0", path, "final", {})
        assert version.names == {"1": POSTERIOR, "2": "y" * 200}
        assert version.info["names_note"].startswith(
            "the file's name of the value 1 has the character U+202E; it is called 'posterior "
        )

    def test_a_file_put_there_by_hand_keeps_its_names(self, store: Store, tmp_path: Path) -> None:
        folder = Path(store._datastore_path) / "labels" / "final"
        folder.mkdir(parents=True, exist_ok=True)
        segmentation(folder / "case0.seg.nrrd", {1: POSTERIOR, 2: ANTERIOR})
        store.refresh()
        store.save("case0", write(tmp_path / "a.nii.gz", two()), "final", {})
        found = store.history("case0", "final").all()[0]
        assert (found.kind, found.names) == ("found", {"1": POSTERIOR, "2": ANTERIOR})


def test_two_lists_of_a_request_that_contradict_each_other(store: Store, tmp_path: Path) -> None:
    file = write(tmp_path / "a.nii.gz", two(), AFFINE)
    names = {"label_names": {ANTERIOR: 1, POSTERIOR: 2}}
    with pytest.raises(LabelError, match=r"label_names are 1 .* but label_info lists"):
        store.save("case0", file, "final", {**names, **IN_ORDER})
    others = {"label_info": [{"name": "spleen", "idx": 1}, {"name": "liver", "idx": 2}]}
    with pytest.raises(LabelError, match="label_info lists 'spleen', 'liver'"):
        store.save("case0", file, "final", {**names, **others})
    odd = {"label_info": [{"name": ANTERIOR, "idx": []}, {"name": POSTERIOR, "idx": {}}, 3]}
    store.save("case0", file, "final", {**names, **odd})
    store.save("case0", file, "final", {**names, "label_info": 5})
    store.save("case0", file, "final", {**names, **BY_POSITION})
    segments = [{"name": ANTERIOR, "idx": 2}, {"name": POSTERIOR, "idx": 4}]
    version = store.save("case0", file, "final", {**names, "label_info": segments})
    assert version.names == {"1": ANTERIOR, "2": POSTERIOR}, "3D Slicer counts all segments"


def test_names_in_other_places_may_not_say_otherwise(store: Store, tmp_path: Path) -> None:
    file = segmentation(tmp_path / "a.seg.nrrd", {1: POSTERIOR, 2: ANTERIOR})
    other = {"params": {"label_names": {ANTERIOR: 1, POSTERIOR: 2}}}
    with pytest.raises(LabelError, match=r"for the value 1 in params.label_names; names belong"):
        store.save("case0", file, "final", other)
    same = {"params": {"label_names": {POSTERIOR: 1, ANTERIOR: 2}}}
    assert store.save("case0", file, "final", same).info == same
    with pytest.raises(LabelError, match=r"for the value 1 in params.label_names; names belong"):
        store.update_label_info("case0", "final", other)


def test_an_older_version_that_contradicts_itself_is_restored_without(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers before this one kept names in other places."""
    file = segmentation(tmp_path / "a.seg.nrrd", {1: POSTERIOR, 2: ANTERIOR})
    info = {"params": {"label_names": {ANTERIOR: 1}}, "device": "CT"}
    with monkeypatch.context() as patch:
        patch.setattr(label_names, "_refuse_elsewhere", lambda *_: None)
        first = store.save("case0", file, "final", info)
    assert first.info == info
    restored = store.restore("case0", "final", 1)
    assert restored.names == first.names
    assert restored.info == {
        "device": "CT",
        "names_note": "the version's 'params' named its values otherwise, and was left out when "
        "it was restored",
    }
    assert store.history("case0", "final").all()[0].info == info


def test_the_shared_case(tmp_path: Path) -> None:
    if not CASE.is_dir():
        pytest.skip("the shared cases are not here")
    (tmp_path / "studies").mkdir()
    shutil.copy(CASE / "h1.nii.gz", tmp_path / "studies")
    store = Store(str(tmp_path / "studies"), on_image=lambda _: None)
    with pytest.raises(LabelError, match="names its values 1 'posterior hippocampus'"):
        store.save("h1", CASE / "h1.seg.nrrd", "final", BY_POSITION)
    version = store.save("h1", CASE / "h1.seg.nrrd", "final", {})
    assert version.names == {"1": POSTERIOR, "2": ANTERIOR}
    with pytest.raises(LabelError, match="names its value 1 'posterior hippocampus'"):
        store.save("h1", CASE / "h1.seg.nrrd", "final", {"label_names": {ANTERIOR: 1}})


class TestOverlapping:
    def layers(self, path: Path, **fields: str) -> Path:
        whole = (two() > 0).astype(np.uint8)
        header = {
            "space": "left-posterior-superior",
            "space directions": np.vstack([np.full(3, np.nan), np.diag([1.5, 1.5, 4])]),
            "space origin": [-7, 9, 30],
            **{"Segment0_Name": "organ", "Segment0_Layer": "0", "Segment0_LabelValue": "1"},
            **{"Segment1_Name": "lesion", "Segment1_Layer": "1", "Segment1_LabelValue": "1"},
            **fields,
        }
        nrrd.write(str(path), np.stack([whole, (two() == 2).astype(np.uint8)]), header)
        return path

    def test_segments_are_named_each(self, store: Store, tmp_path: Path) -> None:
        path = self.layers(tmp_path / "a.seg.nrrd")
        assert store.save("case0", path, "final", {}).names == {"1": "organ", "2": "lesion"}

    def test_a_damaged_header_is_a_sentence(self, store: Store, tmp_path: Path) -> None:
        path = self.layers(tmp_path / "a.seg.nrrd", Segment1_Layer="2")
        with pytest.raises(VolumeError, match="got layer 2 and value 1 for segment 1"):
            store.save("case0", path, "final", {})

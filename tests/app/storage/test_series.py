"""DICOM series in the study folder: one image each, opened and labelled like any other."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from monailabel.config import settings

from segsam.errors import VolumeError
from segsam.imaging.volume import Volume
from segsam_app.check_files import check_studies
from segsam_app.errors import ConflictError, NotFoundError, RequestError
from segsam_app.ids import checked_id
from segsam_app.storage.store import Store
from segsam_app.training.cases import labelled_cases

from ...dicom_writing import (
    affine_ras,
    stored_values,
    values,
    write_concatenation,
    write_file,
    write_series,
    write_stills,
)
from ..stored import make_studies, write

Opens = Callable[[], Store]
AGO_NS = 10**12


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Two series of one UID in folders, a loose one, and an image."""
    folder = make_studies(tmp_path / "studies", 1)
    write_series(folder / "patient 7", seed=1)
    write_series(folder / "cd" / "st1" / "se1", seed=2, names="{:05d}")
    write_series(folder, seed=3, names="loose{:02d}.DCM")
    for name in ("._loose00.DCM", "patient 7/.DS_Store", "patient 7/Thumbs.db"):
        (folder / name).write_bytes(b"\0\5\x16\7" + bytes(300))
    settle(folder)
    return folder


def settle(folder: Path) -> None:
    """Make all times older than the step of file systems."""
    for path in [folder, *folder.rglob("*")]:
        old = path.stat().st_mtime_ns - AGO_NS
        os.utime(path, ns=(old, old))


@pytest.fixture
def opens(studies: Path) -> Opens:
    return lambda: Store(str(studies), on_image=lambda _: None)


@pytest.fixture
def store(opens: Opens) -> Store:
    return opens()


def position(path: Path) -> float:
    """Place of a slice along its normal."""
    return float(pydicom.dcmread(path).ImagePositionPatient[2])


def series_ids(store: Store) -> list[str]:
    return sorted(image for image in store.list_images() if not image.startswith("case"))


def id_of(store: Store, start: str) -> str:
    return next(image for image in series_ids(store) if image.startswith(start))


class TestListing:
    def test_one_image_per_series(self, store: Store) -> None:
        found = series_ids(store)
        assert len(store.list_images()) == 4
        assert [image.rpartition("-")[0] for image in found] == ["patient_7", "se1", "series"]
        for image, seed in zip(found, (1, 2, 3), strict=True):
            volume = store.read_image(Path(store.get_image_uri(image)))
            np.testing.assert_array_equal(volume.voxels, values(seed))
            np.testing.assert_allclose(volume.affine_ras, affine_ras())
            assert (volume.modality, volume.slice_axis) == ("CT", 2)
        assert store.status()["total"] == 4
        assert "left_out" not in store.status()

    def test_a_concatenation_is_one_image(self, studies: Path, opens: Opens) -> None:
        write_concatenation(studies / "enhanced", seed=4)
        write_concatenation(studies / "twice", seed=5)
        write_concatenation(studies / "twice", seed=6, uid="1.2.8", name="late{}.dcm")
        store = opens()
        assert "left_out" not in store.status()
        seeds = {"enhanced": [4], "twice": [5, 6]}
        for start, wanted in seeds.items():
            images = [image for image in series_ids(store) if image.startswith(start)]
            read = [store.read_image(Path(store.get_image_uri(image))).voxels for image in images]
            assert len(read) == len(wanted)
            assert all(any(np.array_equal(one, values(seed)) for one in read) for seed in wanted)

    def test_a_series_in_two_folders_is_said(
        self, studies: Path, opens: Opens, store: Store
    ) -> None:
        """The ids are those of the folders; the note is in each image, and in the doctor's list."""
        made = write_series(studies / "a", seed=4, SeriesInstanceUID="1.2.9")
        (studies / "split" / "b").mkdir(parents=True)
        for path in sorted(made, key=position)[1::2]:
            shutil.move(path, studies / "split" / "b" / path.name)
        store = opens()
        for start, other in (("a-", "split/b"), ("b-", "a")):
            notes = store.read_image(Path(store.get_image_uri(id_of(store, start)))).notes
            assert notes == (
                f"The series continues in the folder {other}: 3 more files; put them into one "
                "folder to read them as one image.",
            )
        named = check_studies(studies).listed()
        assert [name for name, why in named.items() if "continues" in why] == ["a", "split/b"]
        for path in (studies / "split" / "b").iterdir():
            shutil.move(path, studies / "a" / path.name)
        store = opens()
        volume = store.read_image(Path(store.get_image_uri(id_of(store, "a-"))))
        assert (volume.shape_ijk, volume.notes) == (values(4).shape, ())
        assert check_studies(studies).listed() == {}

    def test_a_copy_of_a_series_in_another_folder_is_no_rest(
        self, studies: Path, opens: Opens, store: Store
    ) -> None:
        write_series(studies / "a", seed=4, SeriesInstanceUID="1.2.9")
        shutil.copytree(studies / "a", studies / "b")
        store = opens()
        for start in ("a-", "b-", "patient"):
            assert store.read_image(Path(store.get_image_uri(id_of(store, start)))).notes == ()

    def test_ids_are_the_same_after_each_start(self, store: Store, opens: Opens) -> None:
        first = store.list_images()
        (Path(store._datastore_path) / "datastore_v2.json").unlink()
        (Path(store._datastore_path) / "datastore_v2.journal").unlink(missing_ok=True)
        again = opens()
        assert sorted(again.list_images()) == sorted(first)
        assert all(checked_id("image", image) == image for image in again.list_images())
        assert not any((Path(store._datastore_path) / f"{i}.nii.gz").exists() for i in first[1:])

    def test_the_scan_notices_series_that_come_and_go(self, store: Store, studies: Path) -> None:
        before = series_ids(store)
        write_series(studies / "new" / "deep", 3, seed=4)
        image = id_of(store, "deep-")
        assert Volume.load(store.get_image_uri(image)).shape_ijk == (16, 14, 3)
        write_series(studies / "new" / "deep", seed=4)  # the rest of the slices
        np.testing.assert_array_equal(Volume.load(store.get_image_uri(image)).voxels, values(4))
        assert len(list((studies / ".segsam" / "series").rglob("deep-*.nii.gz"))) == 1
        shutil.rmtree(studies / "new")
        assert series_ids(store) == before
        assert store.get_image_uri(image) == ""

    def test_a_file_that_is_still_copied_is_read_again(self, store: Store, studies: Path) -> None:
        path = write_series(studies / "late", 2, seed=5)[0]
        content = path.read_bytes()
        path.write_bytes(content[:160])
        settled = studies / "late"
        os.utime(settled, ns=(AGO_NS, AGO_NS))
        assert "late/IM000.dcm" in store.status()["left_out"]
        path.write_bytes(content)  # the folder's time stays
        os.utime(settled, ns=(AGO_NS, AGO_NS))
        assert Volume.load(store.get_image_uri(id_of(store, "late-"))).shape_ijk == (16, 14, 2)

    def test_nothing_is_read_again_that_has_not_changed(
        self, studies: Path, opens: Opens, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[Path] = []
        from segsam_app.storage import series

        facts = series.read_facts
        monkeypatch.setattr(series, "read_facts", lambda path: (read.append(path), facts(path))[1])
        store = opens()
        store.list_images()
        first = len(read)
        (studies / "labels" / "final" / "x").touch()  # another scan
        store.list_images()
        assert first >= 18
        assert [path for path in read[first:] if path.suffix != ".journal"] == []

    def test_what_forms_no_volume_is_said(self, studies: Path, opens: Opens) -> None:
        write_stills(studies / "us", SeriesInstanceUID="1.2.9")
        views = studies / "scout"
        for number, turned in enumerate(([1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])):
            place = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": turned}
            write_file(views / f"{number}.dcm", stored_values()[0], **place)
        write(studies / "us" / "extra.nii.gz", np.zeros((2, 2, 2), np.uint8))
        (studies / "case0.NRRD").touch()
        store = opens()
        assert len(store.list_images()) == 4
        said = store.status()["left_out"]
        assert "holds 3 stills without positions" in said["us/US1.dcm"]
        assert "holds 2 files in several views" in said["scout/0.dcm"]
        assert said["us/extra.nii.gz"].startswith("images in subfolders are not listed")
        assert said["case0.NRRD"] == "the image case0 is case0.nii.gz; rename one of them"

    def test_a_file_keeps_its_id(self, studies: Path, store: Store, opens: Opens) -> None:
        image = id_of(store, "patient_7-")
        shutil.copy(studies / "case0.nii.gz", studies / f"{image}.nii.gz")
        again = opens()
        assert Path(again.get_image_uri(image)).samefile(studies / f"{image}.nii.gz")
        assert "is that of an image file" in again.status()["left_out"]["patient 7"]

    def test_links_out_of_the_folder_are_not_followed(
        self, studies: Path, tmp_path: Path, opens: Opens
    ) -> None:
        write_series(tmp_path / "elsewhere")
        (studies / "link").symlink_to(tmp_path / "elsewhere")
        (studies / "up").symlink_to(studies)
        assert len(opens().list_images()) == 4


class TestUse:
    def test_clients_get_one_nifti_file(self, store: Store) -> None:
        image = id_of(store, "series-")
        file = nibabel.load(store.get_image_uri(image))
        np.testing.assert_array_equal(np.asarray(file.dataobj), values(3))
        np.testing.assert_allclose(file.affine, affine_ras(), atol=1e-5)
        info = store.get_image_info(image)
        assert (info["series"], info["slices"]) == ("1.2.3.4", 6)

    def test_labels_lie_beside_and_stay(self, store: Store, opens: Opens, tmp_path: Path) -> None:
        image = id_of(store, "se1-")
        label = (values(2) > -500).astype(np.uint8)
        drawn = write(tmp_path / "drawn.nii.gz", label, affine_ras())
        store.save_label(image, str(drawn), "final", {"label_info": [{"name": "a", "idx": 1}]})
        again = opens()
        assert again.get_labeled_images() == [image]
        assert image not in again.get_unlabeled_images()
        uri = again.get_label_uri(image, "final")
        assert Path(uri).name == f"{image}.nii.gz"
        np.testing.assert_array_equal(np.asarray(nibabel.load(uri).dataobj), label)
        pairs = again.datalist()
        assert pairs == [{"image": again.get_image_uri(image), "label": uri}]
        moved = affine_ras()
        moved[:3, 3] += 300
        other = write(tmp_path / "moved.nii.gz", label, moved)
        with pytest.raises(VolumeError, match="does not lie on its image"):
            again.save_label(image, str(other), "final", {})

    def test_an_unreadable_series_says_why_and_stops_nothing(
        self, studies: Path, opens: Opens, tmp_path: Path
    ) -> None:
        write_series(studies / "gap", seed=1)
        store = opens()
        image = id_of(store, "gap-")
        drawn = write(tmp_path / "drawn.nii.gz", np.ones((16, 14, 6), np.uint8), affine_ras())
        for each in (image, id_of(store, "se1-")):
            store.save_label(each, str(drawn), "final", {})
        middle = next(
            path for path in (studies / "gap").iterdir() if b"37.5" in path.read_bytes()[:2000]
        )
        middle.unlink()
        with pytest.raises(VolumeError, match=r"1 slice\(s\) are missing from the series"):
            store.get_image_uri(image)
        assert len(store.datalist()) == 1
        problems = {case.image: case.problem for case in labelled_cases(store)}
        assert "missing from the series" in problems[image], "a training leaves it out by name"

    def test_the_server_removes_and_replaces_no_slices(
        self, store: Store, studies: Path, tmp_path: Path
    ) -> None:
        image = id_of(store, "patient_7-")
        before = {path: path.read_bytes() for path in (studies / "patient 7").iterdir()}
        with pytest.raises(RequestError, match="is a DICOM series: remove its files"):
            store.remove_image(image)
        upload = write(tmp_path / "x.nii.gz", np.ones((4, 4, 2), np.int16))
        with pytest.raises(ConflictError, match="is a DICOM series; choose another id"):
            store.add_image(image, str(upload), {})
        slice_ = tmp_path / "one.dcm"
        shutil.copy(studies / "patient 7" / "IM000.dcm", slice_)
        with pytest.raises(VolumeError, match="or sent as a session"):
            store.add_image("one", str(slice_), {})
        assert {path: path.read_bytes() for path in before} == before
        with pytest.raises(NotFoundError):
            store.get_image_info("none")


class TestPatterns:
    @pytest.mark.parametrize(
        ("patterns", "found"),
        [
            (["*.dcm"], {"patient_7", "se1", "series"}),
            (["*.nii.gz"], {"case0", "B"}),
            (["*.MHA", "*.nii"], {"a", "c"}),
            (["*_t1.nii.gz"], {"B"}),
            (None, {"a", "B_T1", "c", "case0", "patient_7", "se1", "series"}),
        ],
    )
    def test_the_operator_may_choose_among_images(
        self,
        studies: Path,
        patterns: list[str] | None,
        found: set[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("a.mha", "B_T1.NII.GZ", "c.NII", "d.svs", "e.xml", "f.seg.nrrd", "g.json"):
            (studies / name).touch()
        if patterns is not None:
            monkeypatch.setattr(settings, "MONAI_LABEL_DATASTORE_FILE_EXT", patterns)
        if patterns == ["*.nii.gz"]:
            found = {"case0", "B_T1"}
        store = Store(str(studies), on_image=lambda _: None)
        listed = {i.rpartition("-")[0] or i for i in store.list_images()}
        assert listed == found

    def test_an_ending_in_capitals_is_opened(self, studies: Path, opens: Opens) -> None:
        shutil.copy(studies / "case0.nii.gz", studies / "Big.NII.GZ")
        store = opens()
        assert Path(store.get_image_uri("Big")).name == "Big.NII.GZ"
        assert store.read_image(Path(store.get_image_uri("Big"))).shape_ijk == (8, 9, 4)
        model: Any = json.loads((studies / "datastore_v2.json").read_text())
        assert model["objects"]["Big"]["image"]["ext"] == ".NII.GZ"

"""One bit of any record on disk changed: what else there is works on, and the record is named
(C11).
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

import segsam.model.checkpoint as checkpoint_module
from segsam.datasets.splits import Split
from segsam.errors import TrainingError
from segsam.model import load_pretrained
from segsam.proposals.overview import Overview
from segsam_app.check_files import check_studies, check_versions
from segsam_app.choosing.overviews import _read, _write
from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.errors import ConflictError, NotFoundError
from segsam_app.storage.store import Store
from segsam_app.training.progress import ProgressFile, damage_of_progress, read_progress
from segsam_app.versions.folder import VersionFolder

from ..lib.conftest import TinyHost
from .dicomweb.pacs import Study
from .dicomweb.test_store_without_pacs import Client
from .flipping import flip, flipped, flips
from .stored import label, make_studies, voxels_of, write
from .tuning import tiny_checkpoint
from .versions.publisher import publish

FLIPS = 25
NAMES = {"liver": 1, "spleen": 2, "Nebenniere \u00e9": 3}


def opened(folder: Path) -> Store:
    return Store(str(folder), on_image=lambda _: None)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images with labels: two versions, a conflict, a removed one; an index and a journal."""
    base = tmp_path_factory.mktemp("flips")
    folder = make_studies(base / "studies", 4)
    files = {value: write(base / f"{value}.nii.gz", label(value)) for value in (1, 2, 3)}
    store = opened(folder)
    for image in ("case0", "case1"):
        store.save(image, files[1], "final", {"label_names": NAMES, "user": "anna"})
        store.save(image, files[2], "final", {"label_names": NAMES, "user": "anna"})
        store.update_image_info(image, {"score": 0.25})
    with pytest.raises(ConflictError):
        store.save("case0", files[3], "final", {"label_names": NAMES, "expected_version": 1})
    store.save("case2", files[3], "final", {"label_names": NAMES})
    store.remove_label("case2", "final")
    store.refresh()
    store.update_image_info("case3", {"score": 0.75})
    store.update_image_info("case0", {"score": 0.5})
    return folder


@pytest.fixture
def copied(studies: Path, tmp_path: Path) -> Callable[[], Path]:
    """Copies the studies folder, one after the other."""
    made: list[Path] = []

    def copy() -> Path:
        for old in made:
            shutil.rmtree(old)
        made[:] = [tmp_path / "copy"]
        return Path(shutil.copytree(studies, made[0]))

    return copy


LABEL_RECORDS = [
    "labels/final/.versions/case0/0001.json",
    "labels/final/.versions/case0/0002.json",
    "labels/final/.versions/case0/0003.json",
    "labels/final/.versions/case2/0002.json",
]
INDEX = ["datastore_v2.json", "datastore_v2.journal"]


@pytest.mark.parametrize("name", [*LABEL_RECORDS, *INDEX])
def test_records_of_a_studies_folder(copied: Callable[[], Path], name: str) -> None:
    for bit in flips(copied() / name, FLIPS):
        folder = copied()
        flip(folder / name, bit)
        is_last = name.endswith(".journal") and bit // 8 == (folder / name).stat().st_size - 1
        assert is_last or name in check_studies(folder).listed(), bit
        store = opened(folder)
        assert sorted(store.list_images()) == ["case0", "case1", "case2", "case3"]
        assert set(store.get_labeled_images()) == {"case0", "case1"}
        for image in ("case0", "case1"):
            info = store.get_label_info(image, "final")
            assert info["names"] == {str(value): name for name, value in NAMES.items()}, bit
            assert (info["version"], info["user"], info["kind"]) == (2, "anna", "saved")
            assert voxels_of(store.get_label_uri(image, "final")).max() == 2
        assert store.get_image_info("case3").get("score", 0.75) == 0.75
        versions = {
            image: {each.number for each in store.history(image, "final").all()}
            for image in ("case0", "case1", "case2")
        }
        whole: dict[str, set[int]] = {"case0": {1, 2, 3}, "case1": {1, 2}, "case2": {1, 2}}
        for image, numbers in whole.items():
            lost = numbers - versions[image]
            assert not lost or name == f"labels/final/.versions/{image}/{max(lost):04d}.json"
        assert store.restore("case1", "final", 1).number == 3
        assert voxels_of(store.get_label_uri("case1", "final")).max() == 1
        if name in INDEX and not is_last:
            assert len(store.status()["set_aside"]) == 1


def test_a_flip_in_the_index_costs_one_entry(copied: Callable[[], Path]) -> None:
    folder = copied()
    index = folder / "datastore_v2.json"
    at = index.read_bytes().index(b"0.25")
    flip(index, 8 * at)
    store = opened(folder)
    scores = {image: store.get_image_info(image).get("score") for image in ("case0", "case1")}
    assert 0.25 in scores.values() or 0.5 in scores.values()
    assert store.get_image_info("case3")["score"] == 0.75
    assert check_studies(folder).listed() == {}, "the index was made anew"
    aside = store.status()["set_aside"][0]
    assert b"0.25" in (folder / aside).read_bytes()


def test_voxels_of_a_version_are_compared_when_they_are_read(copied: Callable[[], Path]) -> None:
    name = "labels/final/.versions/case1/0001.nii.gz"
    for bit in flips(copied() / name, 6):
        folder = copied()
        flip(folder / name, bit)
        assert list(check_studies(folder).listed()) == [name]
        store = opened(folder)
        history = store.history("case1", "final")
        with pytest.raises(NotFoundError, match="version 1 of the label is damaged"):
            history.voxels_of(history.with_voxels(1))
        with pytest.raises(NotFoundError, match="other versions are not affected"):
            store.restore("case1", "final", 1)
        assert name in store.status()["damaged"]
        assert store.restore("case1", "final", 2).number == 3


def test_a_current_label_that_cannot_be_read_is_named(copied: Callable[[], Path]) -> None:
    folder, name = copied(), "labels/final/case1.nii.gz"
    for bit in flips(folder / name, 6):
        with flipped(folder / name, bit):
            named = check_studies(folder).listed()
            is_of_gzip_only = not named and 24 <= bit < 80  # its time and system: no voxel
            assert is_of_gzip_only or list(named) == [name], bit
    write(folder / name, label(3))  # another program's: the server adopts it
    assert check_studies(folder).listed() == {}


def test_damaged_voxels_are_found_elsewhere(copied: Callable[[], Path]) -> None:
    folder = copied()
    flip(folder / "labels/final/.versions/case1/0002.nii.gz", 300)
    store = opened(folder)
    store.restore("case1", "final", 2)
    assert voxels_of(store.get_label_uri("case1", "final")).max() == 2


def test_a_record_that_comes_good_again_is_found_again(copied: Callable[[], Path]) -> None:
    folder = copied()
    record = folder / "labels/final/.versions/case1/0001.json"
    with flipped(record, 77):
        store = opened(folder)
        assert [each.number for each in store.history("case1", "final").all()] == [2]
        assert list(store.damage.listed()) == ["labels/final/.versions/case1/0001.json"]
    assert [each.number for each in store.history("case1", "final").all()] == [1, 2]
    assert store.damage.listed() == {}


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
    return tiny_checkpoint(tmp_path / "tiny.safetensors")


@pytest.fixture
def versions(tmp_path: Path, checkpoint: Path) -> VersionFolder:
    """Three versions, of which the second is current."""
    made = VersionFolder.open(tmp_path / "versions", str(checkpoint))
    for number in range(3):
        publish(made, checkpoint, promoted=number == 2)
    made.use("0002")
    return made


def again(versions: VersionFolder, checkpoint: Path) -> VersionFolder:
    return VersionFolder.open(versions.folder.parent, str(checkpoint))


@pytest.mark.parametrize("file", ["model.json", "version.json", "SHA256SUMS", "model.safetensors"])
@pytest.mark.parametrize("version", ["0001", "0002"])
def test_files_of_a_version(
    versions: VersionFolder, checkpoint: Path, version: str, file: str
) -> None:
    path = versions.folder / version / file
    for bit in flips(path, 4 if file == "model.safetensors" else FLIPS):
        with flipped(path, bit):
            damaged = again(versions, checkpoint)
            history = damaged.history()
            assert set(history.damaged) == {version}, bit
            assert history.current == damaged.current == ("0002" if version == "0001" else "0000")
            named = check_versions(versions.folder.parent).listed()
            assert f"{versions.folder.name}/{version}" in named
            assert load_pretrained(damaged.checkpoint)
    assert again(versions, checkpoint).history().damaged == {}
    assert versions.use("0003").current == "0003"


def test_a_version_is_compared_with_its_hash_when_it_is_chosen(
    versions: VersionFolder, checkpoint: Path
) -> None:
    versions.history()
    flip(versions.folder / "0001" / "model.safetensors", 99_999)
    with pytest.raises(Exception, match="version 0001 cannot be used: its weights are not those"):
        versions.use("0001")


@pytest.mark.parametrize("file", ["current.json", "current.last.json"])
def test_the_choice_of_the_current_version(
    versions: VersionFolder, checkpoint: Path, file: str
) -> None:
    path = versions.folder / file
    for bit in flips(path, FLIPS):
        with flipped(path, bit):
            damaged = again(versions, checkpoint)
            history = damaged.history()
            assert (history.current, damaged.current, versions.current) == ("0002",) * 3, bit
            assert bool(history.notes) == (file == "current.json")


def test_doctor_names_all_of_a_checkpoint(versions: VersionFolder) -> None:
    """Both the folder of all checkpoints and that of one are understood."""
    run = versions.folder / "run" / "learning"
    run.mkdir(parents=True)
    Split({"train": {"a": ("1", "2")}}, ("b",), 3).save(run / "split.json")
    ProgressFile(versions.folder).phase("learning", "learning")
    folders = {versions.folder.parent: f"{versions.folder.name}/", versions.folder: ""}
    assert [check_versions(folder).listed() for folder in folders] == [{}, {}]
    (run / "split.json").write_text("{")
    for name in ("current.json", "current.last.json", "training.json"):
        flip(versions.folder / name, 8 * 5)
    for folder, place in folders.items():
        named = check_versions(folder).listed()
        assert list(named) == [
            f"{place}current.json",
            f"{place}current.last.json",
            f"{place}run/learning/split.json",
            f"{place}training.json",
        ]
        assert all(why and "\n" not in why for why in named.values())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"version": 7}', b"[" * 9999])
def test_a_damaged_choice_keeps_the_last_one(
    versions: VersionFolder, checkpoint: Path, content: bytes
) -> None:
    (versions.folder / "current.json").write_bytes(content)
    damaged = again(versions, checkpoint)
    assert (damaged.current, versions.current) == ("0002", "0002")
    (note,) = damaged.history().notes
    assert note == (
        "current.json, which names the current version, is damaged or missing; the last choice "
        "0002 is used instead"
    )
    assert "current.json" in damaged.damaged
    assert damaged.use("0001").notes == ()
    (aside,) = versions.folder.glob("current.json.damaged-*")
    assert aside.read_bytes() == content


def test_progress_of_a_training(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path)
    progress.phase("learning", "learning")(3, 9, "step")
    progress.finish("done", "it is done", version="0001")
    file = tmp_path / "training.json"
    whole = read_progress(tmp_path)
    assert whole["version"] == "0001"
    for bit in flips(file, FLIPS):
        with flipped(file, bit):
            assert read_progress(tmp_path) in ({}, whole)
            assert damage_of_progress(tmp_path), bit
    file.write_text(json.dumps({"epoch": "many", "total_epochs": 1}))
    assert read_progress(tmp_path) == {}
    assert "epoch" in damage_of_progress(tmp_path)


def test_overviews(tmp_path: Path) -> None:
    file = tmp_path / "overview.json"
    _write(file, Overview(0.25, np.linspace(0, 1, 7, dtype=np.float32)))
    assert _read(file) is not None
    for bit in flips(file, FLIPS):
        with flipped(file, bit):
            assert _read(file) is None, bit
    for content in ("[]", '{"doubt": 1}', '{"doubt": null, "place": [[1]]}', '{"place": 1e999}'):
        file.write_text(content)
        assert _read(file) is None


def test_splits(tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    Split({"train": {"a": ("1", "2")}, "test": {"a": ("3",)}}, ("b",), 3).save(file)
    for bit in flips(file, 2 * FLIPS):
        with flipped(file, bit), contextlib.suppress(TrainingError):
            assert isinstance(Split.load(file), Split)


@pytest.fixture
def client() -> Client:
    return Client(Study())


@pytest.fixture
def fetched(tmp_path: Path, client: Client) -> Path:
    """Folder of a DICOMweb server with one fetched series, and its label stored there."""
    store = dicom_store(tmp_path / "kept", client)
    store.list_again()
    image = store.get_image_uri(client.series.uid)
    voxels = np.zeros(voxels_of(image).shape, np.uint8)
    voxels[3:7, 2:8, 1:3] = 4
    nibabel.save(nibabel.Nifti1Image(voxels, nibabel.load(image).affine), tmp_path / "l.nii.gz")
    store.save(client.series.uid, tmp_path / "l.nii.gz", "final", {"label_names": {"spleen": 4}})
    store.send_now()
    return tmp_path / "kept"


def dicom_store(folder: Path, client: Client) -> DicomWebStore:
    url = "http://127.0.0.1:9/dicom-web"
    store = DicomWebStore(PacsSettings(url=url, folder=folder), on_image=lambda _: None)
    store._client = client  # type: ignore[assignment]
    return store


@pytest.mark.parametrize("kind", ["series.json", "stored", "headers"])
def test_records_of_a_dicomweb_server(
    fetched: Path, client: Client, tmp_path: Path, kind: str
) -> None:
    uid = client.series.uid
    name = {
        "series.json": ".dicom/series.json",
        "stored": f".dicom/stored/{uid}/0001.json",
        "headers": f".dicom/headers/{uid}/000002.dcm",
    }[kind]
    first = client.stored[0]
    for bit in flips(fetched / name, 8):
        folder = Path(shutil.copytree(fetched, tmp_path / "copy"))
        flip(folder / name, bit)
        named = name if kind != "headers" else f".dicom/headers/{uid}"
        assert named in check_studies(folder).listed(), bit
        store = dicom_store(folder, client)
        client.stored.clear()
        if kind == "headers":
            shutil.rmtree(folder / ".dicom" / "stored")
        store.send_now()
        assert store.uploads.refused == {}
        assert store.uploads.confirmed(uid) == {1: first.SOPInstanceUID}
        for instance in client.stored:
            assert instance.PatientName == first.PatientName
            assert instance.SOPInstanceUID == first.SOPInstanceUID
        assert store.damage.listed() or kind == "stored"
        assert voxels_of(store.get_label_uri(uid, "final")).max() == 4
        asides = list(folder.rglob("*.damaged-*"))
        assert len(asides) == 1
        shutil.rmtree(folder)

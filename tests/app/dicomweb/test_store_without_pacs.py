"""The store of a DICOMweb server with a client that needs no server, so that this runs anywhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest

from segsam.imaging.volume import Volume
from segsam_app.dicomweb.client import _pages
from segsam_app.dicomweb.segmentation import uids_of
from segsam_app.dicomweb.series import Series
from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.storage import disk
from segsam_app.training.cases import LabelledCase

from .pacs import Study, turned

SHAPE = (12, 10, 5)
VOXELS = np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.int16)


class Client:
    """Stands in for `PacsClient`: has one series, and keeps what is stored."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.series = Series(study.series, study.study, "CT", "20260102", "abdomen", SHAPE[2])
        self.stored: list[pydicom.Dataset] = []
        self.facts: dict[str, Any] = {}

    def list_series(self) -> dict[str, Series]:
        return {self.series.uid: self.series}

    def find(self, uid: str) -> Series:
        return self.list_series()[uid]

    def fetch(self, series: Series, folder: Path) -> int:
        slices = self.study.slices(VOXELS, turned(), **self.facts)
        for number, made in enumerate(slices):
            made.save_as(folder / f"{number:06d}.dcm", write_like_original=False)
        return len(slices)

    def store(self, instance: pydicom.Dataset) -> None:
        self.stored.append(instance)


@pytest.fixture
def client() -> Client:
    return Client(Study())


@pytest.fixture
def store(tmp_path: Path, client: Client) -> DicomWebStore:
    settings = PacsSettings(url="http://127.0.0.1:9/dicom-web", folder=tmp_path / "kept")
    store = DicomWebStore(settings, on_image=lambda _: None)
    store._client = client
    return store


def test_a_series_is_listed_fetched_and_its_label_uploaded_once(
    store: DicomWebStore, client: Client, tmp_path: Path
) -> None:
    uid = client.series.uid
    assert store.get_unlabeled_images() == [uid]
    image = nibabel.load(store.get_image_uri(uid))
    np.testing.assert_array_equal(np.asarray(image.dataobj), VOXELS - 1024)
    label = np.zeros(SHAPE, np.uint8)
    label[3:7, 2:8, 1:3] = 4
    nibabel.save(nibabel.Nifti1Image(label, image.affine), tmp_path / "label.nii.gz")
    version = store.save(uid, tmp_path / "label.nii.gz", "final", {"label_names": {"spleen": 4}})
    assert [each.version for each in store.uploads.pending] == [1]
    store.send_now()
    store.send_now()
    (instance,) = client.stored
    assert store.uploads.pending == []
    key = f"{uid} 1 {version.created} {version.sha256}"
    assert store.uploads.confirmed(uid) == {1: instance.SOPInstanceUID} == {1: uids_of(key)[1]}
    (segment,) = instance.SegmentSequence
    assert segment.SegmentLabel == "spleen"
    assert instance.NumberOfFrames == 2
    assert instance.SeriesDescription == "SEG-SAM final, version 1"


class TestWhatNiftiCannotHold:
    """Modality, display, planes and notes of a series survive its way through NIfTI."""

    def volume(self, store: DicomWebStore, client: Client, **facts: Any) -> Volume:
        client.facts = facts
        return store.read_image(Path(store.get_image_uri(client.series.uid)))

    def test_they_are_those_of_the_series(
        self, store: DicomWebStore, client: Client, tmp_path: Path
    ) -> None:
        client.facts = {"PhotometricInterpretation": "MONOCHROME1", "Modality": "CR"}
        series = tmp_path / "series"
        series.mkdir()
        client.fetch(client.series, series)
        read = Volume.load(series)
        assert read.is_shown_inverted
        assert read.notes
        kept = self.volume(store, client, **client.facts)
        for name in ("modality", "is_shown_inverted", "slice_axis", "notes"):
            assert getattr(kept, name) == getattr(read, name), name
        np.testing.assert_array_equal(kept.voxels, read.voxels)
        np.testing.assert_allclose(kept.affine_ras, read.affine_ras, atol=1e-4)
        assert store.get_image_info(client.series.uid)["notes"] == list(read.notes)

    def test_a_training_reads_them_too(
        self, store: DicomWebStore, client: Client, tmp_path: Path
    ) -> None:
        kept = self.volume(store, client, Modality="MR")
        nibabel.save(
            nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), kept.affine_ras), tmp_path / "l.nii.gz"
        )
        store.save(client.series.uid, tmp_path / "l.nii.gz", "final", {"label_names": {"liver": 1}})
        case = LabelledCase.find(store, client.series.uid)
        assert case.load()[0].modality == "MR"

    @pytest.mark.parametrize("damage", [None, b"", b"{", b'{"slice_axis": 7}', b"[]"], ids=str)
    def test_a_damaged_record_costs_the_facts_only(
        self, store: DicomWebStore, client: Client, damage: bytes | None
    ) -> None:
        self.volume(store, client)
        record = store._facts(client.series.uid)
        record.unlink() if damage is None else record.write_bytes(damage)
        assert self.volume(store, client).slice_axis is None


def test_what_a_killed_process_left_does_not_end_the_start(
    store: DicomWebStore, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = (store._dicom / f".{name}.partial" for name in ("file", "folder"))
    file.write_bytes(b"half a list")
    (folder / "series").mkdir(parents=True)
    for path in (file, folder):
        os.utime(path, (time.time() - 2 * disk.ABANDONED_SECONDS,) * 2)
    store.start()
    assert not file.exists()
    assert not folder.exists()


def test_pages_end_with_the_first_that_brings_nothing_new() -> None:
    records: list[dict[str, Any]] = [{"1": {"Value": [str(n)]}} for n in range(7)]
    offsets: list[int] = []

    def search(limit: int, offset: int) -> Iterator[dict[str, Any]]:
        offsets.append(offset)
        return iter(records[max(0, offset - 1) : offset + 3])  # short pages that overlap

    found = [list(page) for page in _pages(search, "1")]
    assert found == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert offsets == [0, 3, 6, 7]

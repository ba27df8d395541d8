"""The store of a DICOMweb server, against a real Orthanc: what it lists, fetches, refuses, keeps
and sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from segsam.errors import VolumeError, VolumeTooLargeError
from segsam_app.dicomweb.client import PacsClient
from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.errors import (
    ConflictError,
    NotFoundError,
    PacsAwayError,
    PacsError,
    PacsSlowError,
    RequestError,
)

from ..conftest import free_port
from .pacs import LOGIN, Geometry, Orthanc, Study, Trouble, orthanc, trouble, turned

SHAPE = (12, 10, 5)
VOXELS = np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.int16)


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def front(pacs: Orthanc) -> Iterator[Trouble]:
    with trouble(pacs) as server:
        yield server


@pytest.fixture(autouse=True)
def no_trouble(request: pytest.FixtureRequest) -> None:
    if "front" in request.fixturenames:
        server = request.getfixturevalue("front")
        server.fault, server.only = None, ""


Opener = Callable[..., DicomWebStore]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    """A store in this test's folder."""

    def open_store(url: str, **settings: Any) -> DicomWebStore:
        facts = {"login": LOGIN, "search": {"Modality": "CT"}, "seconds": 2, **settings}
        return DicomWebStore(
            PacsSettings(url=url, folder=tmp_path / "kept", **facts), on_image=_nobody
        )

    return open_store


def _nobody(path: Path) -> None:
    """Ignore new images."""


def sent(pacs: Orthanc, geometry: Geometry | None = None, **facts: Any) -> Study:
    """A series in the PACS."""
    study = Study()
    pacs.send(study.slices(VOXELS, geometry or Geometry(), **facts))
    return study


def label_file(folder: Path, affine: NDArray[np.float64], value: int = 1, at: int = 1) -> Path:
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[3:7, 2:8, at : at + 2] = value
    voxels[9, 1, 4] = value
    file = folder / f"label{value}{at}.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, affine), file)
    return file


def drawn(store: DicomWebStore, study: Study, folder: Path, **which: int) -> Path:
    """A label that fits the series."""
    return label_file(folder, nibabel.load(store.get_image_uri(study.series)).affine, **which)


class TestListing:
    def test_series_are_listed_by_the_operators_filter(self, pacs: Orthanc, opened: Opener) -> None:
        study, other = sent(pacs), sent(pacs, Modality="MR")
        store = opened(pacs.url)
        assert study.series in store.get_unlabeled_images()
        assert other.series not in store.list_images()
        store.list_again()
        info = store.get_image_info(study.series)
        assert info["StudyInstanceUID"] == study.study
        assert (info["Modality"], info["StudyDate"]) == ("CT", "20260102")
        assert not any("P-1" in str(value) for value in info.values())

    def test_a_series_beside_the_filter_can_be_asked_for(
        self, pacs: Orthanc, opened: Opener
    ) -> None:
        other = sent(pacs, Modality="MR")
        store = opened(pacs.url)
        assert Path(store.get_image_uri(other.series)).is_file()
        assert other.series in store.list_images()

    def test_ids_that_are_no_series(self, pacs: Orthanc, opened: Opener) -> None:
        store = opened(pacs.url)
        with pytest.raises(NotFoundError, match=r"no series '1\.2\.3'"):
            store.get_image_uri("1.2.3")
        for wrong in ("../x", "case", "1.2/3", "1..2", "1" * 65, ""):
            assert store.get_image_uri(wrong) == ""

    def test_a_start_without_the_server_knows_what_was_listed(
        self, pacs: Orthanc, opened: Opener
    ) -> None:
        study = sent(pacs)
        opened(pacs.url).list_again()
        away = opened(f"http://127.0.0.1:{free_port()}/dicom-web")
        assert study.series in away.get_unlabeled_images()

    def test_images_are_the_servers(self, pacs: Orthanc, opened: Opener, tmp_path: Path) -> None:
        store = opened(pacs.url)
        with pytest.raises(RequestError, match="send the series there"):
            store.add_image("1.2", str(tmp_path / "x.nii.gz"), {})
        with pytest.raises(RequestError, match="remove the series there"):
            store.remove_image("1.2")


class TestFetching:
    @pytest.mark.parametrize("geometry", [Geometry(), turned()], ids=["straight", "oblique"])
    def test_voxels_lie_where_the_slices_lie(
        self, pacs: Orthanc, opened: Opener, geometry: Geometry
    ) -> None:
        study = sent(pacs, geometry)
        image = nibabel.load(opened(pacs.url).get_image_uri(study.series))
        np.testing.assert_array_equal(np.asarray(image.dataobj), VOXELS - 1024)
        for corner in np.ndindex(2, 2, 2):
            ijk = np.array(corner) * (np.array(SHAPE) - 1)
            world = (image.affine @ [*ijk, 1])[:3]
            np.testing.assert_allclose(world, geometry.ras(ijk), atol=1e-3)

    def test_a_scout_in_the_series_is_no_slice(
        self, pacs: Orthanc, opened: Opener, tmp_path: Path
    ) -> None:
        study = sent(pacs)
        facts = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1], "ImageType": ["LOCALIZER"]}
        pacs.send([study.slice(99, VOXELS[:, :, 0].T, Geometry(), **facts)])
        store = opened(pacs.url)
        path = Path(store.get_image_uri(study.series))
        assert nibabel.load(path).shape == SHAPE
        assert "1 other file(s)" in store.read_image(path).notes[-1]
        store.save(study.series, drawn(store, study, tmp_path), "final", {})
        store.uploads.send()
        assert store.uploads.confirmed(study.series).keys() == {1}

    def test_a_gap_or_two_slices_at_one_place(self, pacs: Orthanc, opened: Opener) -> None:
        gap, twice = Study(), Study()
        pacs.send([one for one in gap.slices(VOXELS, Geometry()) if one.InstanceNumber != 21])
        pacs.send([*twice.slices(VOXELS, Geometry()), *twice.slices(VOXELS[..., :1], Geometry())])
        store = opened(pacs.url)
        with pytest.raises(VolumeError, match="missing from the series"):
            store.get_image_uri(gap.series)
        with pytest.raises(VolumeError, match="at the same position"):
            store.get_image_uri(twice.series)
        assert not list(store._folder.glob("*.nii.gz"))

    def test_a_series_that_is_too_large_is_not_fetched(
        self, front: Trouble, pacs: Orthanc, opened: Opener
    ) -> None:
        study = sent(pacs)
        front.seen.clear()
        with pytest.raises(VolumeTooLargeError, match="dicomweb_megabytes"):
            opened(front.url, series_bytes=1000).get_image_uri(study.series)
        assert not any(line.endswith(study.series) for line in front.seen)

    @pytest.mark.parametrize(
        ("fault", "error", "words"),
        [
            ("cut", PacsError, "ended the connection"),
            ("short", PacsError, "lists 5 instances of the series and sent 4"),
            ("html", PacsError, "is not what the standard asks for"),
            ("status:500", PacsError, "status 500"),
            ("status:401", PacsError, "refuses this server's user"),
            ("status:503", PacsAwayError, "status 503"),
            ("status:504", PacsSlowError, "status 504"),
            ("silent", PacsSlowError, "did not answer for 2 s"),
            ("lost", PacsAwayError, "cannot be reached"),
        ],
    )
    def test_half_a_series_is_no_image(
        self,
        front: Trouble,
        pacs: Orthanc,
        opened: Opener,
        fault: str,
        error: type[PacsError],
        words: str,
    ) -> None:
        study = sent(pacs)
        store = opened(front.url)
        store.list_again()
        front.fault, front.only = fault, f"series/{study.series}$"
        with pytest.raises(error, match=words) as caught:
            store.get_image_uri(study.series)
        assert type(caught.value) is error
        assert not list(store._folder.glob("*.nii.gz"))
        assert not list(store._dicom.glob(".*partial*"))
        front.fault = None
        assert Path(store.get_image_uri(study.series)).is_file()

    def test_nobody_there(self, opened: Opener) -> None:
        store = opened(f"http://127.0.0.1:{free_port()}/dicom-web")
        with pytest.raises(PacsAwayError, match="cannot be reached"):
            store.get_unlabeled_images()
        with pytest.raises(PacsAwayError, match="cannot be reached"):
            store.get_image_uri("1.2.3")
        assert store.list_images() == []


class TestLabels:
    def test_each_version_is_an_instance(
        self, pacs: Orthanc, opened: Opener, tmp_path: Path
    ) -> None:
        study = sent(pacs, turned())
        store = opened(pacs.url)
        before = set(pacs.found("SEG"))
        for at in (0, 1):
            file = drawn(store, study, tmp_path, at=at)
            store.save(study.series, file, "final", {"label_names": {"spleen": 1}})
        assert [each.version for each in store.uploads.pending] == [1, 2]
        store.uploads.send()
        assert store.uploads.pending == []
        assert store.uploads.confirmed(study.series).keys() == {1, 2}
        assert len(set(pacs.found("SEG")) - before) == 2
        store.send_now()
        assert len(set(pacs.found("SEG")) - before) == 2

    def test_names_and_patients_of_any_script(
        self, pacs: Orthanc, opened: Opener, tmp_path: Path
    ) -> None:
        study = sent(pacs, SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎")
        store = opened(pacs.url)
        before = set(pacs.found("SEG"))
        name = "Niere links größer 脾臓"
        store.save(study.series, drawn(store, study, tmp_path), "final", {"label_names": {name: 1}})
        store.uploads.send()
        (made,) = set(pacs.found("SEG")) - before
        read = pydicom.dcmread(BytesIO(pacs.file(made)))
        assert read.PatientName == "山田^太郎"
        assert [each.SegmentLabel for each in read.SegmentSequence] == [name]

    def test_other_tags_and_conflicts_stay_here(
        self, pacs: Orthanc, opened: Opener, tmp_path: Path
    ) -> None:
        study = sent(pacs)
        store = opened(pacs.url)
        file = drawn(store, study, tmp_path)
        store.save(study.series, file, "original", {})
        assert store.uploads.pending == []
        store.save(study.series, file, "final", {})
        with pytest.raises(ConflictError):
            store.save(study.series, file, "final", {"expected_version": 0})
        store.restore(study.series, "final", 2)
        assert [each.version for each in store.uploads.pending] == [1, 3]

    @pytest.mark.parametrize("fault", ["status:500", "status:503", "silent", "html", "lost"])
    def test_a_label_waits_until_the_server_has_it(
        self, front: Trouble, pacs: Orthanc, opened: Opener, tmp_path: Path, fault: str
    ) -> None:
        study = sent(pacs)
        store = opened(front.url)
        file = drawn(store, study, tmp_path)
        before = set(pacs.found("SEG"))
        front.fault, front.only = fault, "POST"
        version = store.save(study.series, file, "final", {"label_names": {"my word": 1}})
        with pytest.raises(PacsError):
            store.uploads.send()
        assert store.uploads.problem
        assert Path(store.get_label_uri(study.series, "final")).is_file()
        later = opened(front.url)  # as after a restart
        later.uploads.rescan()
        assert [each.version for each in later.uploads.pending] == [version.number]
        front.fault = None
        later.uploads.send()
        assert (later.uploads.pending, later.uploads.problem) == ([], None)
        assert len(set(pacs.found("SEG")) - before) == 1, "sent twice, stored once"

    def test_what_the_server_has_already_counts_as_stored(
        self, front: Trouble, pacs: Orthanc, opened: Opener, tmp_path: Path
    ) -> None:
        study = sent(pacs)
        store = opened(front.url)
        store.save(study.series, drawn(store, study, tmp_path), "final", {})
        front.fault, front.only = "status:409", "POST"
        with pytest.raises(PacsError, match="status 409"):
            store.uploads.send()
        front.fault = "lost"
        with pytest.raises(PacsAwayError):
            store.uploads.send()
        front.fault = "status:409"
        store.uploads.send()
        assert store.uploads.pending == []

    def test_an_empty_label_stays_here_and_says_why(
        self, pacs: Orthanc, opened: Opener, tmp_path: Path
    ) -> None:
        study = sent(pacs)
        store = opened(pacs.url)
        image = nibabel.load(store.get_image_uri(study.series))
        file = tmp_path / "empty.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), image.affine), file)
        store.save(study.series, file, "final", {})
        store.uploads.send()
        assert store.uploads.pending == []
        assert "the label is empty" in next(iter(store.uploads.refused.values()))

    def test_a_label_that_lies_elsewhere_is_refused(
        self, pacs: Orthanc, opened: Opener, tmp_path: Path
    ) -> None:
        study = sent(pacs)
        store = opened(pacs.url)
        affine = nibabel.load(store.get_image_uri(study.series)).affine.copy()
        affine[0, 3] += 3
        with pytest.raises(VolumeError, match="does not lie on its image"):
            store.save(study.series, label_file(tmp_path, affine), "final", {})
        assert store.uploads.pending == []

    def test_a_deleted_image_is_fetched_again(
        self, pacs: Orthanc, opened: Opener, tmp_path: Path
    ) -> None:
        study = sent(pacs)
        store = opened(pacs.url)
        file = drawn(store, study, tmp_path)
        Path(store.get_image_uri(study.series)).unlink()
        store.save(study.series, file, "final", {})
        store.uploads.send()
        assert store.uploads.confirmed(study.series).keys() == {1}

    def test_a_series_that_grew_takes_no_label_of_its_old_grid(
        self, pacs: Orthanc, opened: Opener, tmp_path: Path
    ) -> None:
        study = sent(pacs)
        store = opened(pacs.url)
        store.save(study.series, drawn(store, study, tmp_path), "final", {})
        pacs.send([study.slice(5, VOXELS[:, :, 0].T, Geometry())])
        Path(store.get_image_uri(study.series)).unlink()
        store.uploads.send()
        assert "5 and its image" in (why := next(iter(store.uploads.refused.values()))) or (
            "voxels and its image" in why
        )
        assert Path(store.get_label_uri(study.series, "final")).is_file()


class TestAccess:
    def test_series_that_cannot_be_listed_are_a_problem(
        self, pacs: Orthanc, opened: Opener
    ) -> None:
        store = opened(f"http://127.0.0.1:{free_port()}/dicom-web")
        with pytest.raises(PacsAwayError):
            store.list_again()
        assert store.problem == store.status()["problem"]
        assert "cannot be reached" in store.status()["problem"]
        store._client = opened(pacs.url)._client
        store.list_again()
        assert (store.problem, store.status().get("problem")) == (None, None)

    def test_a_wrong_password(self, pacs: Orthanc, opened: Opener) -> None:
        with pytest.raises(PacsError, match=r"refuses this server's user or token \(401\)"):
            opened(pacs.url, login=("annotator", "wrong")).list_again()

    def test_a_token_goes_along_and_is_written_nowhere(self, front: Trouble) -> None:
        settings = PacsSettings(url=front.url, folder=Path("unused"), token="secret-token")
        assert "secret-token" not in repr(settings)
        assert "password" not in repr(settings.model_copy(update={"token": None, "login": LOGIN}))
        with pytest.raises(PacsError, match="401"):  # Orthanc knows no tokens
            PacsClient(settings).list_series()

"""Studies on a DICOMweb server, the whole way: a real Orthanc, a real MONAI Label server, the
client of the stock 3D Slicer module, and readers of the result that are not ours.
"""

from __future__ import annotations

import gzip
import http.client
import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from ...warm_python import WarmPython
from ..conftest import SHAPE, Server, ball, picture, started
from .pacs import LOGIN, Orthanc, Study, Trouble, missing, orthanc, trouble, turned

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""MONAI Label's client leaves its sockets to the garbage collector."""

BOX = (16, 44, 15, 37, 3, 4)


@dataclass(frozen=True)
class Hospital:
    """A PACS with one oblique series, something in front of it that can fail, and the server."""

    pacs: Orthanc
    front: Trouble
    server: Server
    study: Study
    folder: Path

    @property
    def image(self) -> Path:
        """The fetched series."""
        return next(self.folder.glob(f"*/{self.study.series}.nii.gz"))


@pytest.fixture(scope="module")
def hospital(
    tmp_path_factory: pytest.TempPathFactory, warm_monailabel: WarmPython
) -> Iterator[Hospital]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    base, study = tmp_path_factory.mktemp("hospital"), Study()
    password = base / "password"
    password.write_text(f"{LOGIN[1]}\n")
    with orthanc(base / "orthanc") as pacs, trouble(pacs) as front:
        pacs.send(study.slices((picture() + 924).astype(np.int16), turned()))
        conf = ["--conf", "checkpoint", "litemedsam", "--conf", "warm", "off"]
        env = {
            "MONAI_LABEL_DICOMWEB_USERNAME": LOGIN[0],
            "SEGSAM_DICOMWEB_PASSWORD_FILE": str(password),
            "SEGSAM_DICOMWEB_FOLDER": str(base / "kept"),
            "SEGSAM_DICOMWEB_SECONDS": "3",
            "SEGSAM_DICOMWEB_REFRESH_SECONDS": "1",
        }
        (base / "server").mkdir()
        with started(
            base / "server", *conf, studies=front.url, python=warm_monailabel, **env
        ) as server:
            yield Hospital(pacs, front, server, study, base / "kept")


@pytest.fixture(autouse=True)
def no_trouble(hospital: Hospital) -> None:
    hospital.front.fault, hospital.front.only = None, ""


def until_stored(hospital: Hospital, version: int) -> str:
    """The id of the instance that the PACS has of a version, a moment later."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        labels = hospital.server.get(f"/dicomweb/labels?label={hospital.study.series}").json()
        if str(version) in labels["stored"]:
            return str(labels["stored"][str(version)])
        time.sleep(0.2)
    pytest.fail(f"version {version} was not stored: {labels}")


def segmentation(hospital: Hospital, uid: str) -> pydicom.Dataset:
    """The instance as the PACS hands it out."""
    files = [hospital.pacs.file(instance) for instance in hospital.pacs.found("SEG")]
    read = [pydicom.dcmread(io.BytesIO(file)) for file in files]
    return next(each for each in read if each.SOPInstanceUID == uid)


def world(voxels: NDArray[Any], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the voxels lie, RAS mm, in one order."""
    points = nibabel.affines.apply_affine(affine, np.argwhere(voxels))
    return np.asarray(points[np.lexsort(np.round(points, 2).T)])


def save(hospital: Hospital, label: NDArray[np.uint8], folder: Path, **params: Any) -> Any:
    image = nibabel.load(hospital.image)
    file = folder / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(label, image.affine), file)
    with file.open("rb") as stream:
        return hospital.server.ask(
            "PUT",
            f"/datastore/label?image={hospital.study.series}",
            files={"label": (file.name, stream), "params": (None, json.dumps(params))},
        )


@pytest.fixture(scope="module")
def drawn(hospital: Hospital, tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """Query, fetch, segment and save, by the stock client; the label that was saved."""
    folder = tmp_path_factory.mktemp("client")
    client = hospital.server.client(folder)
    sample = client.next_sample("first", {})
    assert sample["id"] == hospital.study.series
    answer = hospital.server.get(f"/datastore/image?image={sample['id']}")
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    np.testing.assert_array_equal(np.asarray(image.dataobj), picture() - 100)
    params = {"roi": [*BOX], "result_extension": ".nii.gz"}
    file, _ = client.infer("segsam", sample["id"], params)
    mask = (np.asarray(nibabel.load(file).dataobj) > 0).astype(np.uint8)
    assert (mask & ball()).sum() > 0.5 * ball()[:, :, 3:5].sum()
    mask[2:4, 2:4, 1] = 2
    label = folder / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(mask, image.affine), label)
    client.save_label(sample["id"], str(label), params={"label_names": {"spleen": 1, "my word": 2}})
    return mask


class TestTheWholeWay:
    def test_the_label_lies_on_the_slices(
        self, hospital: Hospital, drawn: NDArray[np.uint8]
    ) -> None:
        stored = segmentation(hospital, until_stored(hospital, 1))
        frames = np.unpackbits(np.frombuffer(stored.PixelData, np.uint8), bitorder="little")
        frames = frames[: stored.NumberOfFrames * SHAPE[0] * SHAPE[1]]
        frames = frames.reshape(stored.NumberOfFrames, SHAPE[1], SHAPE[0])
        geometry, found = turned(), np.zeros(SHAPE, np.uint8)
        for frame, groups in zip(frames, stored.PerFrameFunctionalGroupsSequence, strict=True):
            place = groups.PlanePositionSequence[0].ImagePositionPatient
            apart = [np.abs(np.subtract(geometry.position(k), place)).max() for k in range(8)]
            assert min(apart) < 1e-3
            segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            found[:, :, int(np.argmin(apart))] += frame.T * np.uint8(segment)
        np.testing.assert_array_equal(found, drawn)

    def test_it_says_of_whom_of_what_and_of_which_images(
        self, hospital: Hospital, drawn: NDArray[np.uint8]
    ) -> None:
        stored = segmentation(hospital, until_stored(hospital, 1))
        study = hospital.study
        assert (stored.PatientID, stored.StudyInstanceUID) == (study.patient, study.study)
        assert stored.FrameOfReferenceUID == study.frame
        assert stored.ReferencedSeriesSequence[0].SeriesInstanceUID == study.series
        assert len(stored.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == SHAPE[2]
        spleen, word = stored.SegmentSequence
        kind = spleen.SegmentedPropertyTypeCodeSequence[0]
        assert (kind.CodingSchemeDesignator, kind.CodeValue) == ("SCT", "78961009")
        assert (spleen.SegmentLabel, word.SegmentLabel) == ("spleen", "my word")
        kind = word.SegmentedPropertyTypeCodeSequence[0]
        assert (kind.CodingSchemeDesignator, kind.CodeValue) == ("99SEGSAM", "MY_WORD")
        assert stored.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99SEGSAM"

    def test_another_reader_finds_the_same_voxels(
        self, hospital: Hospital, drawn: NDArray[np.uint8], tmp_path: Path
    ) -> None:
        script = Path(sys.executable).parent / "segimage2itkimage"
        if not script.is_file():
            pytest.skip("dcmqi is not installed (pip install dcmqi)")
        file = tmp_path / "seg.dcm"
        segmentation(hospital, until_stored(hospital, 1)).save_as(file, write_like_original=False)
        command = [str(script), "--inputDICOM", str(file), "--outputDirectory", str(tmp_path)]
        subprocess.run([*command, "-t", "nii"], check=True, capture_output=True)
        found = {}
        for made in tmp_path.glob("*.nii.gz"):
            image = nibabel.load(made)
            voxels = np.asarray(image.dataobj)
            found |= {int(v): world(voxels == v, image.affine) for v in np.unique(voxels) if v}
        affine = nibabel.load(hospital.image).affine
        assert found.keys() == {1, 2}
        for value, places in found.items():
            np.testing.assert_allclose(places, world(drawn == value, affine), atol=0.01)

    def test_a_checker_of_the_standard_has_no_objection(
        self, hospital: Hospital, drawn: NDArray[np.uint8], tmp_path: Path
    ) -> None:
        if shutil.which("dciodvfy") is None:
            pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
        file = tmp_path / "seg.dcm"
        segmentation(hospital, until_stored(hospital, 1)).save_as(file, write_like_original=False)
        words = subprocess.run(["dciodvfy", file], check=False, capture_output=True, text=True)
        assert not [line for line in words.stderr.splitlines() if line.startswith("Error")]


class TestWhenThePacsFails:
    def test_a_label_is_saved_and_sent_later(
        self, hospital: Hospital, drawn: NDArray[np.uint8], tmp_path: Path
    ) -> None:
        until_stored(hospital, 1)
        hospital.front.fault, hospital.front.only = "status:503", "POST"
        answer = save(hospital, drawn, tmp_path, label_names={"spleen": 1, "liver": 2})
        assert answer.status_code == 200
        assert answer.json()["dicomweb"]["waiting"] == 1
        refused = hospital.server.ask("POST", "/dicomweb/send")
        assert (refused.status_code, refused.json()["code"]) == (503, "pacs")
        assert "status 503" in refused.json()["detail"]
        health = hospital.server.get("/segsam/health").json()
        assert health["ready"]
        assert "status 503" in health["dicomweb"]["problem"]
        hospital.front.fault = None
        sent = hospital.server.ask("POST", "/dicomweb/send")
        assert sent.json() == {"problem": None, "waiting": [], "refused": []}
        newest = segmentation(hospital, until_stored(hospital, answer.json()["version"]))
        assert [each.SegmentLabel for each in newest.SegmentSequence] == ["spleen", "liver"]

    @pytest.mark.parametrize(
        ("fault", "status", "words"),
        [
            ("status:401", 502, "refuses this server's user or token"),
            ("html", 502, "is not what the standard asks for"),
            ("status:503", 503, "status 503"),
            ("lost", 503, "cannot be reached"),
            ("silent", 504, "did not answer for 3 s"),
        ],
    )
    def test_an_image_that_cannot_be_fetched(
        self, hospital: Hospital, fault: str, status: int, words: str
    ) -> None:
        hospital.front.fault, hospital.front.only = fault, "1.2.3.4.5"
        answer = hospital.server.infer({"image": "1.2.3.4.5"}, params='{"foreground": [[1, 2, 3]]}')
        assert (answer.status_code, answer.json()["code"]) == (status, "pacs")
        assert words in answer.json()["detail"]
        assert ("Retry-After" in answer.headers) == (status == 503)
        assert hospital.server.get("/info/").ok

    def test_what_is_no_series(self, hospital: Hospital) -> None:
        for image, status in (("1.2.3.4", 404), ("case", 404), ("..%2Fx", 400)):
            answer = hospital.server.get(f"/datastore/image?image={image}")
            assert answer.status_code == status, image

    def test_nothing_of_patients_in_the_log(self, hospital: Hospital) -> None:
        log = hospital.server.log.read_text()
        for word in (hospital.study.patient, "Test^Case", hospital.study.series, LOGIN[1]):
            assert word not in log


def raw_status(server: Server, method: str, target: str) -> int:
    """Send a request whose target is not normalised by anything; return the status."""
    connection = http.client.HTTPConnection(server.url.rpartition("/")[2], timeout=30)
    try:
        connection.request(method, target)
        return connection.getresponse().status
    finally:
        connection.close()


class TestTheViewersProxy:
    """What a viewer in a browser asks for, answered by Orthanc; more in `test_proxy.py`."""

    def test_from_the_list_of_studies_to_pixels(self, hospital: Hospital) -> None:
        get = hospital.server.get
        query = {"PatientName": "*Test*", "limit": "101", "includefield": "00081030,00080060"}
        (found,) = get("/proxy/dicom/qido/studies", params=query).json()
        assert found["0020000D"]["Value"] == [hospital.study.study]
        assert get("/proxy/dicom/qido/studies", params={"PatientName": "Nobody"}).json() == []
        path = f"/proxy/dicom/wado/studies/{hospital.study.study}/series/{hospital.study.series}"
        instances = get(f"{path}/metadata").json()
        assert len(instances) == SHAPE[2]
        assert hospital.front.url not in json.dumps(instances)
        first = instances[0]
        uid, number = first["00080018"]["Value"][0], round(first["00200013"]["Value"][0] / 10)
        accept = {"Accept": 'multipart/related; type="application/octet-stream"'}
        frame = get(f"{path}/instances/{uid}/frames/1", headers=accept)
        assert frame.headers["content-type"].startswith("multipart/related")
        pixels = (picture()[:, :, number] + 924).astype("<i2").tobytes(order="F")
        assert pixels in frame.content

    def test_orthancs_administration_is_out_of_reach(self, hospital: Hospital) -> None:
        """MONAI Label's own proxy answered these with 200."""
        hospital.front.seen.clear()
        for way in ("..%2fsystem", "..%2ftools%2flookup", "%2e%2e/system", "wado/..%2f..%2fsystem"):
            assert raw_status(hospital.server, "GET", f"/proxy/dicom/{way}") == 404
            assert raw_status(hospital.server, "POST", f"/proxy/dicom/{way}") == 405
        assert raw_status(hospital.server, "POST", "/proxy/dicom/stow/studies") == 405
        assert [line for line in hospital.front.seen if "/series?" not in line] == []

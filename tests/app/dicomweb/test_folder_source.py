"""DICOM series of a study folder for a viewer: searches, metadata and stored frames."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from segsam_app.dicomweb.folder_source import FolderSource
from segsam_app.dicomweb.resources import read_resource
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.inference.images import id_of_image
from segsam_app.storage.store import Store

from ...dicom_writing import stored_values, write_series

STUDY, SERIES, OTHER = "1.2.3", "1.2.3.4", "1.2.3.5"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two series of one study, and one of another."""
    write_series(tmp_path / "a", PatientID="P-1", PatientName="Doe^Jane", StudyDate="20260102")
    write_series(tmp_path / "b", 3, SeriesInstanceUID=OTHER, Modality="MR", PatientID="P-1")
    write_series(
        tmp_path / "c", 2, StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1", PatientID="P-2"
    )
    return Store(str(tmp_path), on_image=lambda path: None)


def asked(store: Store, path: str, *query: tuple[str, str]) -> bytes:
    source = FolderSource(lambda: store.series)
    answer = source.answer(read_resource(path, query, "*/*"))
    assert answer.status == 200
    return b"".join(answer.chunks)


def found(store: Store, path: str, *query: tuple[str, str]) -> list[dict[str, Any]]:
    """Answer to a search: attributes by keyword."""
    listed = json.loads(asked(store, path, *query))
    return [{each.keyword: each.value for each in pydicom.Dataset.from_json(one)} for one in listed]


def test_searches(store: Store) -> None:
    studies = found(store, "studies", ("limit", "101"), ("includefield", "00081030"))
    assert {one["StudyInstanceUID"] for one in studies} == {STUDY, "1.2.9"}
    first = next(one for one in studies if one["StudyInstanceUID"] == STUDY)
    assert first["NumberOfStudyRelatedInstances"] == 9
    assert list(first["ModalitiesInStudy"]) == ["CT", "MR"]
    series = found(store, f"studies/{STUDY}/series")
    assert {one["SeriesInstanceUID"] for one in series} == {SERIES, OTHER}
    assert len(found(store, f"studies/{STUDY}/series/{OTHER}/instances")) == 3
    (one,) = found(store, "series", ("SeriesInstanceUID", OTHER))
    assert one["StudyInstanceUID"] == STUDY


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (("StudyInstanceUID", STUDY), 1),
        (("00100020", "P-2"), 1),
        (("PatientName", "*jane*"), 1),
        (("PatientName", "*"), 2),
        (("StudyDate", "20260101-20260131"), 1),
        (("StudyDate", "20260103-"), 0),
        (("ModalitiesInStudy", "MR"), 1),
        (("limit", "1"), 1),
        (("offset", "2"), 0),
    ],
)
def test_searches_find_what_matches(store: Store, query: tuple[str, str], count: int) -> None:
    assert len(found(store, "studies", query)) == count


def test_metadata_and_frames_are_those_of_the_files(store: Store) -> None:
    listed = json.loads(asked(store, f"studies/{STUDY}/series/{SERIES}/metadata"))
    headers = [pydicom.Dataset.from_json(one) for one in listed]
    assert len(headers) == 6
    assert not any("PixelData" in one for one in headers)
    for header in headers:
        body = asked(
            store, f"studies/{STUDY}/series/{SERIES}/instances/{header.SOPInstanceUID}/frames/1"
        )
        k = round((header.ImagePositionPatient[2] - 30) / 2.5)
        np.testing.assert_array_equal(frame(body), stored_values()[k].ravel())


def frame(body: bytes) -> Any:
    head, _, rest = body.partition(b"\r\n\r\n")
    assert b"transfer-syntax=1.2.840.10008.1.2.1" in head
    boundary = head.splitlines()[0]
    return np.frombuffer(rest[: rest.rindex(b"\r\n" + boundary)], "<i2")


def test_other_transfer_syntaxes(store: Store, tmp_path: Path) -> None:
    files = sorted((tmp_path / "a").iterdir())
    compressed, big = (pydicom.dcmread(file) for file in files[:2])
    expected = big.pixel_array.ravel()
    compressed.compress(RLELossless)
    compressed.save_as(files[0])
    big.PixelData = expected.astype(">i2").tobytes()
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    big.is_little_endian = False
    big.save_as(files[1])
    prefix = f"studies/{STUDY}/series/{SERIES}/instances"
    packed = asked(store, f"{prefix}/{compressed.SOPInstanceUID}/frames/1")
    assert re.search(rb"transfer-syntax=1\.2\.840\.10008\.1\.2\.5\r", packed)
    np.testing.assert_array_equal(
        frame(asked(store, f"{prefix}/{big.SOPInstanceUID}/frames/1")), expected
    )


@pytest.mark.parametrize(
    "path", ["studies/9.9/metadata", f"studies/{STUDY}/series/9.9/metadata", f"studies/{STUDY}"]
)
def test_what_is_not_there(store: Store, path: str) -> None:
    with pytest.raises(NotFoundError):
        asked(store, path)


def test_a_frame_beyond_the_last(store: Store) -> None:
    header = found(store, f"studies/{STUDY}/series/{SERIES}/instances")[0]
    uid = header["SOPInstanceUID"]
    with pytest.raises(NotFoundError, match="frames from 1 to 1"):
        asked(store, f"studies/{STUDY}/series/{SERIES}/instances/{uid}/frames/2")


def test_an_image_named_by_the_uid_of_its_series(store: Store, tmp_path: Path) -> None:
    image = id_of_image(store, SERIES)
    assert store.series[image].uid == SERIES
    assert id_of_image(store, image) == image
    assert id_of_image(store, "unknown") == "unknown"
    write_series(tmp_path / "copy")
    assert len(store.series) == 4
    with pytest.raises(RequestError, match="several folders"):
        id_of_image(store, SERIES)


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
def test_json_is_utf_8_with_finite_numbers(tmp_path: Path) -> None:
    """Scanners write NaN for what they do not know; a browser reads no such number."""
    facts = {"SliceLocation": "NaN", "SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller"}
    write_series(tmp_path / "a", 2, **facts)
    store = Store(str(tmp_path), on_image=lambda path: None)

    def refuse(text: str) -> float:
        raise AssertionError(text)

    for path in (f"studies/{STUDY}/series/{SERIES}/metadata", "studies"):
        first = json.loads(asked(store, path), parse_constant=refuse)[0]
        assert first["00080005"]["Value"] == ["ISO_IR 192"]
        assert first["00100010"]["Value"] == [{"Alphabetic": "Müller"}]


def test_a_copy_of_a_series_is_listed_once(tmp_path: Path) -> None:
    for folder in ("a", "copy"):
        write_series(tmp_path / folder, 3, SOPInstanceUID=None)
    for number, path in enumerate(sorted((tmp_path / "a").iterdir())):
        for place in (path, tmp_path / "copy" / path.name):
            each = pydicom.dcmread(place)
            each.SOPInstanceUID = f"1.2.7.{number}"
            each.save_as(place)
    store = Store(str(tmp_path), on_image=lambda path: None)
    assert len(found(store, "series")) == 1
    assert len(json.loads(asked(store, f"studies/{STUDY}/series/{SERIES}/metadata"))) == 3

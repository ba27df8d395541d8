"""The DICOM series of a study folder for a viewer in a browser: searches, metadata and frames.

DICOM PS3.18: searches (10.6) for studies, series and instances; metadata and frames (10.4). A
viewer draws from the frames what else it shows, so whole files, bulk data and drawn images are not
offered. Frames are sent as they are stored; only those that a browser could not read as little
endian are decoded.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_pixel_data_frame
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from segsam.imaging.dicom_series import DicomSeries
from segsam_app.dicomweb.source import Answer, Resource, ResourceKind
from segsam_app.errors import NotFoundError

_JSON = "application/dicom+json"
_CACHED_HEADERS = 4096
_DEFERRED_BYTES = 1 << 12
_STUDY = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyDescription", "StudyID"),
    *("AccessionNumber", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("ReferringPhysicianName", "SpecificCharacterSet"),
)
_SERIES = (
    *("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime"),
    "Modality",
)
_INSTANCE = (
    *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns"),
    *("BitsAllocated", "NumberOfFrames"),
)
_COUNTS = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
_CONTROLS = frozenset({"limit", "offset", "fuzzymatching", "includefield"})


class FolderSource:
    """DICOM of the series that `series()` returns, by any name. Thread-safe; nothing is kept but
    headers.
    """

    def __init__(self, series: Callable[[], Mapping[str, DicomSeries]]) -> None:
        self._series = series

    def answer(self, resource: Resource) -> Answer:
        """Return the answer to a request. Raises `NotFoundError`, also for what is not offered."""
        if resource.kind.is_search:
            return _json(_searched(self._headers(resource), resource))
        files = [
            (path, header)
            for path, header in self._files(resource)
            if resource.instance in (None, header.SOPInstanceUID)
        ]
        if not files:
            raise NotFoundError("the study folder has no such study, series or instance")
        if resource.kind is ResourceKind.METADATA:
            return _json(_as_json(header) for _, header in files)
        if resource.kind is ResourceKind.FRAMES:
            return _frames(files[0][0], resource.frames)
        raise NotFoundError(
            "studies in a folder are offered to viewers as searches, metadata and frames; for more "
            "than that, start the server with a DICOMweb server (--studies http://...)"
        )

    def _headers(self, resource: Resource) -> Iterator[Dataset]:
        """Yield one header of each series, or of each file for a search for instances."""
        if resource.kind is ResourceKind.INSTANCES:
            yield from (header for _, header in self._files(resource))
            return
        listed: set[str] = set()
        for one, path in self._first_files():
            header = _header(path)
            if header is None or one.uid in listed:  # a copy of it lies in another folder
                continue
            if resource.study in (None, header.StudyInstanceUID):
                listed.add(one.uid)
                counted = Dataset(header)  # a copy: the header is shared
                counted.NumberOfSeriesRelatedInstances = len(one.names)
                yield counted

    def _first_files(self) -> Iterator[tuple[DicomSeries, Path]]:
        return ((one, one.folder / one.names[0]) for one in self._series().values())

    def _files(self, resource: Resource) -> Iterator[tuple[Path, Dataset]]:
        """Yield the files of a study or series with their headers, each instance once."""
        found: set[str] = set()
        for one, first in self._first_files():
            if resource.series not in (None, one.uid.partition("/")[0]):
                continue
            header = _header(first)
            if header is None or resource.study not in (None, header.StudyInstanceUID):
                continue
            for name in one.names:
                header = _header(one.folder / name)
                if header is not None and header.SOPInstanceUID not in found:
                    found.add(header.SOPInstanceUID)
                    yield one.folder / name, header


def _header(path: Path) -> Dataset | None:
    """Return the header of a file, without pixels; None if it is not there or not readable now."""
    try:
        status = path.stat()
        return _read_header(path, status.st_mtime_ns, status.st_size)
    except (OSError, InvalidDicomError):
        return None


@lru_cache(_CACHED_HEADERS)
def _read_header(path: Path, mtime_ns: int, size: int) -> Dataset:
    header = pydicom.dcmread(path, stop_before_pixels=True)
    header.remove_private_tags()
    return header


def _searched(headers: Iterable[Dataset], resource: Resource) -> list[dict[str, Any]]:
    """Return the answer to a search."""
    names = {
        ResourceKind.STUDIES: _STUDY,
        ResourceKind.SERIES: _STUDY + _SERIES,
        ResourceKind.INSTANCES: _STUDY + _SERIES + _INSTANCE,
    }[resource.kind]
    found = list(headers)
    if resource.kind is ResourceKind.STUDIES:
        found = [_study(group) for group in _by_study(found)]
        names = (*names, "ModalitiesInStudy", *_COUNTS)
    elif resource.kind is ResourceKind.SERIES:
        names = (*names, "NumberOfSeriesRelatedInstances")
    wanted = [(name, value) for name, value in resource.query if name not in _CONTROLS]
    found = [one for one in found if all(_matches(one, name, value) for name, value in wanted)]
    controls = dict(resource.query)
    first = int(controls.get("offset", 0))
    last = first + int(controls.get("limit", len(found)))
    return [_as_json(_picked(one, names)) for one in found[first:last]]


def _by_study(headers: Iterable[Dataset]) -> list[list[Dataset]]:
    groups: dict[str, list[Dataset]] = {}
    for header in headers:
        groups.setdefault(str(header.StudyInstanceUID), []).append(header)
    return list(groups.values())


def _study(series: Sequence[Dataset]) -> Dataset:
    """Return the attributes of a study, from one header of each of its series."""
    study = _picked(series[0], _STUDY)
    study.ModalitiesInStudy = sorted({str(one.get("Modality", "")) for one in series})
    study.NumberOfStudyRelatedSeries = len(series)
    study.NumberOfStudyRelatedInstances = sum(one.NumberOfSeriesRelatedInstances for one in series)
    return study


def _picked(header: Dataset, names: Iterable[str]) -> Dataset:
    picked = Dataset()
    for name in names:
        if name in header:
            picked[name] = header[name]
    return picked


def _matches(header: Dataset, name: str, value: str) -> bool:
    """Return True if an attribute has a value: with `*` and `?`, as a range of dates, or one of a
    list (PS3.4 C.2.2.2). An attribute of another level, which is not there, matches nothing.
    """
    if not value.strip("*"):
        return True
    element = header.get(Tag(name))
    values = [] if element is None else [str(each) for each in _values(element.value)]
    if element is not None and element.VR == "DA" and "-" in value:
        low, _, high = value.partition("-")
        return any((low or each) <= each <= (high or each) for each in values)
    patterns = value.casefold().replace("\\", ",").split(",")
    return any(fnmatchcase(each.casefold(), one) for each in values for one in patterns)


def _values(value: object) -> Sequence[object]:
    return value if isinstance(value, list | pydicom.multival.MultiValue) else [value]


def _as_json(header: Dataset) -> dict[str, Any]:
    """Return a data set in the JSON of DICOM, which is UTF-8 and knows finite numbers only."""
    found: dict[str, Any] = _finite(header.to_json_dict(suppress_invalid_tags=True))
    return {**found, "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}


def _finite(value: Any) -> Any:
    """Return JSON values without NaN and infinity, which scanners write for what they do not know
    and no browser reads.
    """
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json(items: Iterable[dict[str, Any]]) -> Answer:
    """Return a list of data sets, written one after the other."""

    def chunks() -> Iterator[bytes]:
        yield b"["
        for number, item in enumerate(items):
            yield (b"," if number else b"") + json.dumps(item, allow_nan=False).encode()
        yield b"]"

    return Answer(200, _JSON, chunks())


def _frames(path: Path, numbers: Sequence[int]) -> Answer:
    """Return frames, counted from 1, as parts of one body. Raises `NotFoundError`."""
    dataset = pydicom.dcmread(path, defer_size=_DEFERRED_BYTES)
    count = int(dataset.get("NumberOfFrames") or 1)
    if "PixelData" not in dataset or max(numbers) > count:
        raise NotFoundError(f"expected frames from 1 to {count} of an image, got {max(numbers)}")
    syntax, frame = _stored_frames(dataset, path, count)
    boundary = secrets.token_hex(16)
    head = f"Content-Type: application/octet-stream; transfer-syntax={syntax}\r\n\r\n"
    parts = [f"--{boundary}\r\n{head}".encode() + frame(number - 1) + b"\r\n" for number in numbers]
    body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
    kind = f'multipart/related; type="application/octet-stream"; boundary={boundary}'
    return Answer(200, kind, iter([body]), len(body))


def _stored_frames(dataset: Dataset, path: Path, count: int) -> tuple[str, Callable[[int], bytes]]:
    """Return the transfer syntax of frames, and a function from a frame's index to its bytes."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_compressed:
        packed = list(generate_pixel_data_frame(dataset.PixelData, count))
        return str(syntax), packed.__getitem__
    bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
    size, place = bits // 8, getattr(dataset.get_item("PixelData"), "value_tell", 0)
    if syntax == ExplicitVRBigEndian:
        order = np.dtype(f">u{max(dataset.BitsAllocated // 8, 1)}")
        pixels = np.frombuffer(dataset.PixelData, order).astype(order.newbyteorder("<")).tobytes()
    elif syntax.is_deflated or not place:
        pixels = dataset.PixelData
    else:
        return str(ExplicitVRLittleEndian), lambda index: _read_at(path, place + index * size, size)
    return str(ExplicitVRLittleEndian), lambda index: pixels[index * size : (index + 1) * size]


def _read_at(path: Path, place: int, size: int) -> bytes:
    """Read a part of a file: one frame of a file that may have thousands."""
    with path.open("rb") as stream:
        stream.seek(place)
        return stream.read(size)

"""A real Orthanc with its DICOMweb plug-in on loopback, and series of CT slices to fill it with."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from ..conftest import free_port

PLUGINS = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/lib/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/local/share/orthanc/plugins/libOrthancDicomWeb.so"),
)
LOGIN = ("annotator", "a-password-for-the-tests")


@dataclass(frozen=True)
class Geometry:
    """Where the slices of a series lie, in LPS and mm: a row, a column, the first pixel."""

    row: tuple[float, float, float] = (1.0, 0.0, 0.0)
    column: tuple[float, float, float] = (0.0, 1.0, 0.0)
    origin: tuple[float, float, float] = (-20.0, -35.0, 410.0)
    spacing: tuple[float, float] = (0.8, 0.75)  # between rows, between columns
    step: float = 2.5

    @property
    def normal(self) -> NDArray[np.float64]:
        return np.cross(self.row, self.column)

    def position(self, number: float) -> list[float]:
        """Of the first pixel of slice `number` along the normal, as DICOM writes numbers."""
        place = np.array(self.origin) + number * self.step * self.normal
        return [float(f"{value:.8g}") for value in place]

    def ras(self, ijk: Sequence[float]) -> NDArray[np.float64]:
        """World point, RAS mm, of column i, row j, slice k."""
        i, j, k = ijk
        lps = (
            np.array(self.position(k))
            + i * self.spacing[1] * np.array(self.row)
            + j * self.spacing[0] * np.array(self.column)
        )
        return lps * (-1, -1, 1)


def turned() -> Geometry:
    """Turned about two axes, anisotropic, off the origin."""
    a, b = np.deg2rad(25), np.deg2rad(-17)
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    axes = np.round(turn_z @ turn_x, 10)
    return Geometry(row=tuple(axes[:, 0]), column=tuple(axes[:, 1]), origin=(21.5, -33.0, 402.25))


@dataclass
class Study:
    """One series of one patient as it would be sent to a PACS; `slices` in the order of sending."""

    series: str = field(default_factory=generate_uid)
    study: str = field(default_factory=generate_uid)
    frame: str = field(default_factory=generate_uid)
    patient: str = "P-1"

    def slice(
        self, number: float, pixels: NDArray[np.int16], geometry: Geometry, **facts: Any
    ) -> FileDataset:
        """A CT slice: `pixels` are (rows, columns)."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        made.is_little_endian, made.is_implicit_VR = True, False
        values = {
            "SOPClassUID": CTImageStorage,
            "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "SeriesInstanceUID": self.series,
            "StudyInstanceUID": self.study,
            "FrameOfReferenceUID": self.frame,
            "PositionReferenceIndicator": "",
            "PatientID": self.patient,
            "PatientName": "Test^Case",
            "PatientBirthDate": "19700101",
            "PatientSex": "O",
            "StudyDate": "20260102",
            "StudyTime": "101112",
            "StudyID": "1",
            "AccessionNumber": "",
            "ReferringPhysicianName": "",
            "Modality": "CT",
            "Manufacturer": "Nobody",
            "SeriesDescription": "abdomen",
            "SeriesNumber": 3,
            "InstanceNumber": int(number * 10) + 1,
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "ImagePositionPatient": geometry.position(number),
            "ImageOrientationPatient": [float(f"{x:.8g}") for x in geometry.row + geometry.column],
            "PixelSpacing": list(geometry.spacing),
            "SliceThickness": geometry.step,
            "KVP": "120",
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
            "RescaleType": "HU",
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": pixels.shape[0],
            "Columns": pixels.shape[1],
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 1,
            "PixelData": np.ascontiguousarray(pixels).tobytes(),
            **facts,
        }
        for name, value in values.items():
            if value is not None:
                setattr(made, name, value)
        return made

    def slices(
        self, voxels: NDArray[np.int16], geometry: Geometry, **facts: Any
    ) -> list[FileDataset]:
        """The volume (i, j, k) as slices, sent from the last to the first."""
        return [
            self.slice(k, voxels[:, :, k].T, geometry, **facts)
            for k in reversed(range(voxels.shape[2]))
        ]


@dataclass(frozen=True)
class Orthanc:
    """A running PACS. `url` is its DICOMweb root, `rest` its own interface, for the tests."""

    url: str
    rest: str
    process: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """Its own REST interface, which SEG-SAM never uses."""
        answer = requests.request(method, f"{self.rest}{path}", auth=LOGIN, timeout=30, **more)
        answer.raise_for_status()
        return answer

    def send(self, slices: Sequence[FileDataset]) -> None:
        """Store instances without DICOMweb."""
        for made in slices:
            stream = BytesIO()
            made.save_as(stream, write_like_original=False)
            self.ask("POST", "/instances", data=stream.getvalue())

    def found(self, modality: str) -> list[str]:
        """Orthanc's own ids of the instances of a modality."""
        query = {"Level": "Instance", "Query": {"Modality": modality}}
        return list(self.ask("POST", "/tools/find", data=json.dumps(query)).json())

    def file(self, instance: str) -> bytes:
        """The DICOM file of an instance."""
        return self.ask("GET", f"/instances/{instance}/file").content


def missing() -> str | None:
    """Why there can be no Orthanc here; None when there can."""
    if shutil.which("Orthanc") is None:
        return "Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)"
    if not any(plugin.is_file() for plugin in PLUGINS):
        return "Orthanc's DICOMweb plug-in is not installed (apt-get install orthanc-dicomweb)"
    return None


@contextmanager
def orthanc(folder: Path, port: int | None = None) -> Iterator[Orthanc]:
    """Orthanc with its own configuration and storage in `folder`; it wants a password."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    configuration = {
        "Name": "tests",
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {LOGIN[0]: LOGIN[1]},
        "DicomServerEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(next(plugin for plugin in PLUGINS if plugin.is_file()))],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "HttpThreadsCount": 8,
        "KeepAlive": True,
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("ab") as log:
        process = subprocess.Popen(["Orthanc", str(file)], stdout=log, stderr=subprocess.STDOUT)
        running = Orthanc(f"http://127.0.0.1:{port}/dicom-web", f"http://127.0.0.1:{port}", process)
        try:
            _wait(running, folder / "orthanc.log")
            yield running
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(running: Orthanc, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.process.poll() is None:
        try:
            running.ask("GET", "/dicom-web/studies")
        except (requests.ConnectionError, requests.HTTPError):
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"Orthanc did not start:\n{log.read_text()[-2000:]}")


class Trouble(ThreadingHTTPServer):
    """Stands in front of a real Orthanc and lets everything through, but for what `fault` says.

    `status:503`, `html` and `silent` are its own answers; `cut` breaks the answer off in the
    middle, `lost` lets the request through and hangs up, `short` takes a slice out of a series.
    `only` limits it to requests whose line it is found in, as a pattern.
    """

    daemon_threads = True

    def __init__(self, behind: Orthanc) -> None:
        super().__init__(("127.0.0.1", 0), _Meddler)
        self.behind = behind
        self.fault: str | None = None
        self.only = ""
        self.seen: list[str] = []
        self.woken = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/dicom-web"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up here; that is what is tested."""


class _Meddler(BaseHTTPRequestHandler):
    server: Trouble
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._pass_on()

    do_POST = do_GET  # noqa: N815

    def _pass_on(self) -> None:
        line = f"{self.command} {self.path}"
        self.server.seen.append(line)
        fault = self.server.fault if re.search(self.server.only, line) else None
        body = self._body()
        if fault == "silent":
            self.server.woken.wait(20)
            return
        if fault == "html" or (fault or "").startswith("status:"):
            status = 200 if fault == "html" else int(str(fault).partition(":")[2])
            self._answer(status, {"Content-Type": "text/html"}, b"<html>maintenance</html>")
            return
        status, headers, content = self._ask(body)
        if fault == "lost":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault == "cut":
            self._answer(status, headers, content, sent=len(content) // 2)
        elif fault == "short":
            self._answer(status, headers, _without_one_part(content))
        else:
            self._answer(status, headers, content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        port = int(self.server.behind.rest.rpartition(":")[2])
        away = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        gone = ("transfer-encoding", "accept-encoding")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in gone}
        away.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
        answer = away.getresponse()
        content = answer.read()
        away.close()
        return answer.status, {"Content-Type": answer.headers.get("Content-Type", "")}, content

    def _answer(
        self, status: int, headers: dict[str, str], content: bytes, sent: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:sent])
        if sent is not None:
            self.connection.shutdown(socket.SHUT_RDWR)


def _without_one_part(content: bytes) -> bytes:
    """A multipart body without its second part."""
    boundary = content.lstrip(b"\r\n").split(b"\r\n", 1)[0]
    parts = content.split(boundary)
    return boundary.join(parts[:2] + parts[3:])


@contextmanager
def trouble(behind: Orthanc) -> Iterator[Trouble]:
    """`Trouble` in front of `behind`."""
    server = Trouble(behind)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.woken.set()
        server.shutdown()
        thread.join()
        server.server_close()

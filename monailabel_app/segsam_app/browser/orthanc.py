"""A DICOMweb server on this computer: Debian's Orthanc, on loopback, with a password."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import requests
from pydicom.dataset import Dataset

from segsam.errors import SegSamError
from segsam.remote.server import free_port

_PROGRAM = "Orthanc"
_PLUGINS = tuple(
    Path(folder, "libOrthancDicomWeb.so")
    for folder in (
        "/usr/share/orthanc/plugins",
        "/usr/lib/orthanc/plugins",
        "/usr/local/share/orthanc/plugins",
    )
)
_USER = "segsam"
_START_SECONDS = 60
_POLL_SECONDS = 0.2
_SECONDS = 60


class OrthancError(SegSamError):
    """Orthanc is not installed, or does not run."""


@dataclass(frozen=True)
class Orthanc:
    """Running Orthanc; `url` is the root of its DICOMweb services."""

    address: str
    user: str
    password: str

    @property
    def url(self) -> str:
        """Root of the DICOMweb services."""
        return f"{self.address}/dicom-web"

    def send(self, instances: Iterable[Dataset]) -> None:
        """Store instances. Raises `OrthancError`."""
        for instance in instances:
            stream = BytesIO()
            instance.save_as(stream, write_like_original=False)
            reply = requests.post(
                f"{self.address}/instances",
                data=stream.getvalue(),
                auth=(self.user, self.password),
                timeout=_SECONDS,
            )
            if not reply.ok:
                raise OrthancError(f"Orthanc did not store an image: status {reply.status_code}")


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Run Orthanc with its files in `folder`, until the end of the block.

    Raises `OrthancError` if it is not installed or does not start.
    """
    plugin = next((one for one in _PLUGINS if one.is_file()), None)
    if shutil.which(_PROGRAM) is None or plugin is None:
        raise OrthancError(
            "Orthanc and its DICOMweb plug-in are needed, and were not found; on Debian and Ubuntu "
            "apt-get install orthanc orthanc-dicomweb brings them"
        )
    folder.mkdir(parents=True, exist_ok=True)
    orthanc = Orthanc(f"http://127.0.0.1:{free_port()}", _USER, secrets.token_urlsafe(16))
    file = folder / "orthanc.json"
    file.touch(mode=0o600)  # it holds the password
    file.write_text(json.dumps(_configuration(orthanc, folder, plugin)), encoding="utf-8")
    with (folder / "orthanc.log").open("ab") as log:
        process = subprocess.Popen([_PROGRAM, str(file)], stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(orthanc, process, folder / "orthanc.log")
        yield orthanc
    finally:
        process.terminate()
        process.wait()


def _configuration(orthanc: Orthanc, folder: Path, plugin: Path) -> dict[str, object]:
    return {
        "Name": "SEG-SAM in a browser",
        "HttpPort": int(orthanc.address.rpartition(":")[2]),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {orthanc.user: orthanc.password},
        "DicomServerEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }


def _wait(orthanc: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            reply = requests.get(
                f"{orthanc.url}/studies", auth=(orthanc.user, orthanc.password), timeout=_SECONDS
            )
            if reply.ok:
                return
        except requests.ConnectionError:
            time.sleep(_POLL_SECONDS)
    raise OrthancError(f"Orthanc did not start; its log is {log}")

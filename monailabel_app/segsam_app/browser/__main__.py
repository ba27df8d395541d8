"""Command `python -m segsam_app.browser`; see `--help`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import requests
import typer

from segsam.cli.terminal import out
from segsam.datasets.sample import fetch_sample
from segsam.errors import SegSamError
from segsam.imaging.volume import Volume
from segsam.remote.client import ServerError
from segsam.remote.server import START_SECONDS, find_app
from segsam.system.telemetry import quiet_variables
from segsam_app.browser.ct_series import ct_series
from segsam_app.browser.orthanc import Orthanc, running_orthanc

_POLL_SECONDS = 0.5
_PUBLIC = "/ohif/segsam/server.json"
"""What the server answers without its token."""

app = typer.Typer(add_completion=False)


@app.command()
def browser(
    folder: Annotated[Path, typer.Option(help="Folder for the studies, the labels and the logs.")],
    port: Annotated[int, typer.Option(help="Port of the server.")] = 8000,
    pacs_only: Annotated[
        bool, typer.Option("--pacs-only", help="Run Orthanc only, for a server of your own.")
    ] = False,
) -> None:
    """Run Orthanc with the sample CT and the server, until Ctrl-C; print the address to open."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end what was started here
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with running_orthanc(folder / "orthanc") as orthanc:
            with out.status("Sending the sample CT to Orthanc"):
                _send_sample(orthanc)
            if pacs_only:
                _show_pacs(orthanc, folder)
                _wait_for_end()
                return
            with _running_server(orthanc, folder.absolute(), port) as process:
                out.print(f"\nOpen http://127.0.0.1:{port}/ohif/ in a browser. Ctrl-C ends it.")
                process.wait()
    except SegSamError as error:
        out.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        out.print("Ended.")


def _send_sample(orthanc: Orthanc) -> None:
    sample = fetch_sample()
    for path, name in ((sample.image, "sample-ct"), (sample.dicom_dir, "sample-ct-2")):
        orthanc.send(ct_series(Volume.load(path), name))


def _show_pacs(orthanc: Orthanc, folder: Path) -> None:
    password = folder / "orthanc" / "password"
    password.touch(mode=0o600)
    password.write_text(orthanc.password, encoding="utf-8")
    out.print(f"Orthanc: {orthanc.address} (user {orthanc.user}, password in {password})")
    out.print(
        f"MONAI_LABEL_DICOMWEB_USERNAME={orthanc.user} SEGSAM_DICOMWEB_PASSWORD_FILE={password} "
        f"make server STUDIES={orthanc.url}",
        soft_wrap=True,
    )


def _wait_for_end() -> None:
    while True:
        time.sleep(_POLL_SECONDS)


@contextmanager
def _running_server(orthanc: Orthanc, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server on Orthanc's studies. Raises `ServerError` if it does not start."""
    command = [sys.executable, "-m", "monailabel.main", "start_server"]
    command += ["--app", str(find_app()), "--studies", orthanc.url]
    command += ["--conf", "dicomweb_folder", str(folder / "labels")]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    log = folder / "server.log"
    environment = quiet_variables() | os.environ
    environment |= {
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "MONAI_LABEL_DICOMWEB_USERNAME": orthanc.user,
        "SEGSAM_DICOMWEB_PASSWORD": orthanc.password,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        with out.status("Starting the server"):
            _wait_for_start(process, port, log)
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait_for_start(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(f"http://127.0.0.1:{port}{_PUBLIC}", timeout=10).ok:
                return
        except requests.ConnectionError:
            time.sleep(_POLL_SECONDS)
    raise ServerError(f"The server did not start; its log is {log}")


if __name__ == "__main__":
    app()

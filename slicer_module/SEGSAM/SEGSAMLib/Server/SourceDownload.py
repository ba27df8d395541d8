"""Download of the project's source: `python SourceDownload.py URL FOLDER`. Run outside Slicer, by
the Python that the server's environment is made from. Standard library only.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

MAX_BYTES = 1 << 30
_SECONDS = 60


class SourceError(Exception):
    """Download that is not the project's source."""


def is_source(folder: Path) -> bool:
    """Return True if a folder contains the server and its list of requirements."""
    app = folder / "monailabel_app" / "main.py"
    return app.is_file() and (folder / "requirements.txt").is_file()


def download(url: str, folder: Path) -> None:
    """Download the zip archive at `url` and unpack it as `folder`, completely or not at all.

    Raises `SourceError` for a file that is not the archive, `OSError` if it cannot be downloaded or
    written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        archive = Path(work, "source.zip")
        request = urllib.request.urlopen(url, timeout=_SECONDS)  # noqa: S310 - the module's own URL
        with request as reply, archive.open("wb") as file:
            shutil.copyfileobj(reply, file)
        unpack(archive, folder)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the archive as `folder`. Raises `SourceError` if it is not the source, or contains a
    path outside the folder.
    """
    if not zipfile.is_zipfile(archive):
        raise SourceError("the downloaded file is no zip archive")
    root = archive.parent.resolve() / "unpacked"
    with zipfile.ZipFile(archive) as packed:
        if sum(entry.file_size for entry in packed.infolist()) > MAX_BYTES:
            raise SourceError(
                f"expected at most {MAX_BYTES >> 20} MB unpacked, and the archive has more"
            )
        for name in packed.namelist():
            if root not in (root / name).resolve().parents:
                raise SourceError(f"the archive contains {name:.80}, which lies outside its folder")
        packed.extractall(root)
    found = [each for each in (root, *root.iterdir()) if is_source(each)]
    if not found:
        raise SourceError("the archive is not the source of SEG-SAM")
    if folder.exists():
        shutil.rmtree(folder)
    shutil.move(str(found[0]), str(folder))


def main(arguments: list[str]) -> int:
    """Download the source. Return exit status 0, or 1 after a line about the problem."""
    url, folder = arguments
    sys.stdout.write(f"Downloading {url}\n")
    try:
        download(url, Path(folder))
    except (SourceError, OSError) as error:
        sys.stdout.write(f"The download failed: {error}.\n")
        return 1
    sys.stdout.write(f"The source is in {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

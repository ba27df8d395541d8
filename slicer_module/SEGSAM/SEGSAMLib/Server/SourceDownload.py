"""Fetches the project's source: `python Source.py URL FOLDER`, run by the Python that the server's
environment is made from, outside Slicer. Standard library only.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

MOST_BYTES = 1 << 30
_SECONDS = 60


class SourceError(Exception):
    """What was fetched is not the source; the sentence says what it is."""


def is_source(folder: Path) -> bool:
    """Whether a folder holds the server and what it needs."""
    app = folder / "monailabel_app" / "main.py"
    return app.is_file() and (folder / "requirements.txt").is_file()


def fetch(url: str, folder: Path) -> None:
    """The zip archive at `url`, unpacked as `folder`, whole or not at all.

    Raises `SourceError` for what is no such archive, `OSError` when it cannot be had or written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        archive = Path(work, "source.zip")
        request = urllib.request.urlopen(url, timeout=_SECONDS)  # noqa: S310 - the module's own URL
        with request as reply, archive.open("wb") as file:
            shutil.copyfileobj(reply, file)
        unpack(archive, folder)


def unpack(archive: Path, folder: Path) -> None:
    """Raises `SourceError` for what is no archive of the source, or would be written elsewhere."""
    if not zipfile.is_zipfile(archive):
        raise SourceError("what was downloaded is no zip archive")
    root = archive.parent.resolve() / "unpacked"
    with zipfile.ZipFile(archive) as packed:
        if sum(entry.file_size for entry in packed.infolist()) > MOST_BYTES:
            raise SourceError("the archive is larger than this project can be")
        for name in packed.namelist():
            if root not in (root / name).resolve().parents:
                raise SourceError(f"the archive holds {name:.80}, which leads out of it")
        packed.extractall(root)
    found = [each for each in (root, *root.iterdir()) if is_source(each)]
    if not found:
        raise SourceError("the archive is not the source of SEG-SAM")
    if folder.exists():
        shutil.rmtree(folder)
    shutil.move(str(found[0]), str(folder))


def main(arguments: list[str]) -> int:
    """Exit status 0 when the source is there, 1 with a line about what is wrong."""
    url, folder = arguments
    sys.stdout.write(f"Downloading {url}\n")
    try:
        fetch(url, Path(folder))
    except (SourceError, OSError) as error:
        sys.stdout.write(f"This did not work: {error}.\n")
        return 1
    sys.stdout.write(f"The source is in {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

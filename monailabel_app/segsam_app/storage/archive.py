"""Archive of the data set, made while it is sent: no file of it is ever on the server's disk."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segsam_app.errors import NotFoundError
from segsam_app.storage.disk import open_regular

_PIECE_BYTES = 1 << 20


class _Outbox:
    """Write-only stream that keeps what was written until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes, /) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Do nothing: what was written waits for `take`."""

    def close(self) -> None:
        """Do nothing, as `flush`."""

    def take(self) -> bytes:
        """Return what was written since the last call."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def cases_stream(
    cases: Sequence[Mapping[str, str]], most: int | None, metadata: object
) -> Iterator[bytes]:
    """Return a ZIP file of the first `most` cases, of all without a number above 0.

    A case maps the folder in the archive to a file. Raises `NotFoundError` without a case.
    """
    if not cases:
        raise NotFoundError("there is no final label yet, so the data set would be empty")
    chosen = cases[:most] if most and most > 0 else cases
    paths = [(folder, Path(path)) for case in chosen for folder, path in case.items()]
    return zip_stream([(f"{folder}/{path.name}", path) for folder, path in paths], metadata)


def zip_stream(files: Sequence[tuple[str, Path]], metadata: object) -> Iterator[bytes]:
    """Yield a ZIP file of (name in the archive, file) and a `metadata.json`, piece by piece.

    A file that has vanished meanwhile is left out. Images are compressed already, so they are
    stored as they are. Raises OSError.
    """
    outbox = _Outbox()
    with zipfile.ZipFile(outbox, "w") as archive:
        for name, path in files:
            try:
                source = open_regular(path)
            except (FileNotFoundError, FileExistsError):
                continue
            with source, archive.open(name, "w", force_zip64=True) as target:
                while piece := source.read(_PIECE_BYTES):
                    target.write(piece)
                    yield outbox.take()
        archive.writestr("metadata.json", json.dumps(metadata, default=str))
    yield outbox.take()

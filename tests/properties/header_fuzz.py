"""Child process of `test_header_fuzz.py`: reads damaged NIfTI and NRRD files in little memory.

`python header_fuzz.py COUNT SEED` changes bytes in the headers of valid files (1 to 8 random bytes,
or a part copied over another), reads each, and prints one line of JSON: the number of files read,
the number refused, and any other error. The limits are 2 GB of address space, and 10 s per file:
beyond that, the system ends the process.
"""

from __future__ import annotations

import gzip
import json
import resource
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np

from segsam.errors import VolumeError
from segsam.imaging.volume import Volume

BYTES, SECONDS = 2 << 30, 10
ENDINGS = {".nii": 352, ".nii.gz": 352, ".nrrd": 420}


def good_files(folder: Path) -> dict[str, bytes]:
    """A small valid file of each format; .nii.gz is uncompressed, so that its header can change."""
    values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    volume = Volume.from_array(values, np.diag([-1.0, 2, 3, 1]))
    files = {}
    for ending in ENDINGS:
        path = folder / f"good{ending}"
        volume.save(path)
        files[ending] = path.read_bytes()
    files[".nii.gz"] = gzip.decompress(files[".nii.gz"])
    return files


def damaged(content: bytes, header: int, rng: np.random.Generator) -> bytes:
    """The content with up to 8 changed bytes in its header, or a part copied to another place."""
    data = bytearray(content)
    if rng.random() < 0.7:
        for place in rng.integers(0, header, rng.integers(1, 9)):
            data[place] = rng.integers(256)
    else:
        start, to, size = rng.integers(0, header - 16), rng.integers(0, header - 16), 16
        data[to : to + size] = data[start : start + size]
    return bytes(data)


def main(count: int, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    rng, counts = np.random.default_rng(seed), {"read": 0, "refused": 0, "other": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = good_files(folder)
        for number in range(count):
            ending = list(ENDINGS)[number % len(ENDINGS)]
            content = damaged(files[ending], ENDINGS[ending], rng)
            path = folder / f"x{ending}"
            path.write_bytes(gzip.compress(content, 1) if ending == ".nii.gz" else content)
            signal.alarm(SECONDS)
            try:
                Volume.load(path)
                counts["read"] += 1
            except VolumeError:
                counts["refused"] += 1
            except Exception as error:  # noqa: BLE001 - any other exception is a finding
                counts["other"].append(f"{number}: {type(error).__name__}: {error}"[:200])
            signal.alarm(0)
    sys.stdout.write(json.dumps(counts))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

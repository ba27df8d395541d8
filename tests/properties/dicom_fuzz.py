"""Child of `test_dicom_fuzz.py`: damaged compressed frames and headers of DICOM, read in process.

Prints JSON: how many were read and refused, and errors that are neither. A codec that crashes ends
this process.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
from pathlib import Path

import pydicom
from pydicom.encaps import encapsulate, generate_pixel_data_frame

from segsam.errors import VolumeError
from segsam.imaging.volume import Volume

MEMORY = 4 << 30
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
COMPRESSED = (
    "MR_small_jpeg_ls_lossless", "MR_small_jp2klossless", "JPEG2000", "JPGExtended",
    "SC_rgb_jpeg_gdcm", "JPEG-lossy", "SC_rgb_small_odd_jpeg", "MR_small_RLE",
)  # fmt: skip
PLAIN = "MR_small"
WORDS = (
    "force=True", "attribute '", "Exception", "Error", "ITK", "gdcm", "GDCM", "pydicom", "handler",
    "NoneType", "expected length", "truncated", "not enough values", "object has no", "buffer",
)  # fmt: skip


def damaged(content: bytes, chance: random.Random, ends: int) -> bytes:
    """Cut off, with a part left out, or with 1 to 16 bytes changed, half of them near the start."""
    made, kind = bytearray(content), chance.random()
    if kind < 0.15:
        return bytes(made[: chance.randrange(1, len(made))])
    if kind < 0.3:
        begin = chance.randrange(len(made))
        del made[begin : begin + chance.randrange(1, 64)]
        return bytes(made)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(min(len(made), ends) if chance.random() < 0.5 else len(made))
        made[at] = chance.choice((0, 255, made[at] ^ 1 << chance.randrange(8)))
    return bytes(made)


def with_frame(name: str, chance: random.Random, path: Path) -> None:
    dataset = pydicom.dcmread(SAMPLES / f"{name}.dcm")
    frame = damaged(next(generate_pixel_data_frame(dataset.PixelData, 1)), chance, 700)
    dataset.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2)])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, write_like_original=False)


def main(count: int, seed: int) -> None:
    """Read so many files, of each kind in turn."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    chance = random.Random(seed)
    counts: dict[str, int] = {"read": 0, "refused": 0}
    other: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.dcm"
        for number in range(count):
            name = (*COMPRESSED, PLAIN)[number % (len(COMPRESSED) + 1)]
            if name == PLAIN:
                path.write_bytes(damaged((SAMPLES / f"{name}.dcm").read_bytes(), chance, 1500))
            else:
                with_frame(name, chance, path)
            try:
                Volume.load(path)
                counts["read"] += 1
            except VolumeError as error:
                counts["refused"] += 1
                if path.name not in str(error) or any(word in str(error) for word in WORDS):
                    other.append(f"{name} {number}: {error}")
            except Exception as error:  # noqa: BLE001 - that there is none is what is tested
                other.append(f"{name} {number}: {type(error).__name__}: {error}")
    sys.stdout.write(json.dumps({**counts, "other": other[:9]}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

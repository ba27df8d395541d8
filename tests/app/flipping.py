"""Single bits of files changed, as a disk changes them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0")


def flips(file: Path, count: int) -> Iterator[int]:
    """Bits of a file to change: the first, the last, and others at random, always the same."""
    bits = 8 * file.stat().st_size
    rng = random.Random(file.name)
    count = 20 * count if FULL else count
    yield from sorted({0, bits - 1, *(rng.randrange(bits) for _ in range(count - 2))})


@contextmanager
def flipped(file: Path, bit: int) -> Iterator[None]:
    """Change one bit of a file in place, with its time as it was, and change it back at the end."""
    status = file.stat()
    _change(file, bit, status)
    try:
        yield
    finally:
        if file.exists():
            _change(file, bit, status)


def flip(file: Path, bit: int) -> None:
    """Change one bit of a file in place, with its time as it was."""
    _change(file, bit, file.stat())


def _change(file: Path, bit: int, status: os.stat_result) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.chmod(0o644)
    file.write_bytes(content)
    file.chmod(status.st_mode)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

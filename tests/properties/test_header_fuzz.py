"""Damaged headers in a child process with little memory and time (matrix Z1): read or refused.

No crash, no hang, no other error. With SEGSAM_TEST_FULL=1, 100,000 files are read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0")
CHILD = Path(__file__).with_name("header_fuzz.py")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no RLIMIT_AS")
@pytest.mark.parametrize("seed", range(10 if FULL else 1))
def test_z1_damaged_headers(seed: int) -> None:
    count = 10_000 if FULL else 2_000
    command = [sys.executable, str(CHILD), str(count), str(seed)]
    child = subprocess.run(command, check=False, capture_output=True, text=True)
    assert child.returncode == 0, f"ended with {child.returncode}: {child.stderr[-2000:]}"
    counts = json.loads(child.stdout)
    assert counts["other"] == []
    assert counts["read"] + counts["refused"] == count
    assert min(counts["read"], counts["refused"]) > 0

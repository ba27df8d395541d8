"""Damaged headers in a child with little memory and time: matrix Z1. Read or refused; no crash, no
hang, nothing else. SEGSAM_TEST_FULL=1 reads a hundred thousand.
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
    told = json.loads(child.stdout)
    assert told["other"] == []
    assert told["read"] + told["refused"] == count
    assert min(told["read"], told["refused"]) > 0

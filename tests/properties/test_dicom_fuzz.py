"""Damaged DICOM in a child process: entropy-coded data of every codec, and headers.

Codecs are C++ code in our process, so a crash would take the server along. Read or refused, in our
own words; no crash, no hang. With SEGSAM_TEST_FULL=1, 40,000 files are read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0")
CHILD = Path(__file__).with_name("dicom_fuzz.py")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no RLIMIT_AS")
@pytest.mark.parametrize("seed", range(10 if FULL else 1))
def test_damaged_frames_and_headers(seed: int) -> None:
    count = 4_000 if FULL else 450
    command = [sys.executable, str(CHILD), str(count), str(seed)]
    child = subprocess.run(command, check=False, capture_output=True, text=True)
    assert child.returncode == 0, f"ended with {child.returncode}: {child.stderr[-2000:]}"
    counts = json.loads(child.stdout)
    assert counts["other"] == []
    assert counts["read"] + counts["refused"] == count
    assert min(counts["read"], counts["refused"]) > 0

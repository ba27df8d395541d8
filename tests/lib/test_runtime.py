from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from segsam import runtime


def ran(code: str) -> str:
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_glibc_takes_the_settings() -> None:
    assert ran("from segsam.runtime import tune_allocator; print(tune_allocator())") == "True"


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert runtime.tune_allocator() is False


def test_sharing_works_before_torch_and_says_when_it_is_too_late() -> None:
    code = "from segsam.runtime import share_the_processor as s; {}print(s())"
    assert ran(code.format("")) == "True"
    assert ran(code.format("import torch; ")) == "False"


def test_the_users_own_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    code = (
        "import os; from segsam.runtime import share_the_processor as s; s(); "
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    assert ran(code) == "ACTIVE"


def test_import_segsam_loads_no_torch() -> None:
    assert ran("import sys, segsam; print('torch' in sys.modules, len(segsam.__all__))") == (
        "False 11"
    )

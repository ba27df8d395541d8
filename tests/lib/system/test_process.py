from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from segsam.system import process


def ran(code: str) -> str:
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_glibc_accepts_the_settings() -> None:
    assert (
        ran("from segsam.system.process import tune_allocator; print(tune_allocator())") == "True"
    )


def test_other_c_libraries_are_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert process.tune_allocator() is False


def test_the_openmp_wait_policy_is_set_before_torch_is_imported() -> None:
    code = "from segsam.system.process import set_passive_openmp_wait as s; {}print(s())"
    assert ran(code.format("")) == "True"
    assert ran(code.format("import torch; ")) == "False"


def test_the_users_own_wait_policy_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    code = (
        "import os; from segsam.system.process import set_passive_openmp_wait as s; s(); "
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    assert ran(code) == "ACTIVE"


def test_import_segsam_loads_no_torch() -> None:
    assert ran("import sys, segsam; print('torch' in sys.modules, len(segsam.__all__))") == (
        "False 11"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_priority_is_lowered_for_one_thread_and_the_threads_it_starts() -> None:
    code = """
import os, threading
from segsam.system.process import lower_thread_priority
def nice():
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) - before
def child():
    values.append(nice())
def background():
    values.append(lower_thread_priority())
    values.append(nice())
    inner = threading.Thread(target=child)
    inner.start()
    inner.join()
values, before = [], os.getpriority(os.PRIO_PROCESS, 0)
thread = threading.Thread(target=background)
thread.start()
thread.join()
print(values, nice())
"""
    assert ran(code) == "[True, 10, 10] 0"


def test_priority_is_not_changed_on_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert not process.lower_thread_priority()

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from segsam.system import runtime


def ran(code: str) -> str:
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_glibc_takes_the_settings() -> None:
    assert (
        ran("from segsam.system.runtime import tune_allocator; print(tune_allocator())") == "True"
    )


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert runtime.tune_allocator() is False


def test_sharing_works_before_torch_and_says_when_it_is_too_late() -> None:
    code = "from segsam.system.runtime import share_the_processor as s; {}print(s())"
    assert ran(code.format("")) == "True"
    assert ran(code.format("import torch; ")) == "False"


def test_the_users_own_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    code = (
        "import os; from segsam.system.runtime import share_the_processor as s; s(); "
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    assert ran(code) == "ACTIVE"


def test_import_segsam_loads_no_torch() -> None:
    assert ran("import sys, segsam; print('torch' in sys.modules, len(segsam.__all__))") == (
        "False 11"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_giving_way_is_of_one_thread_and_of_those_that_it_starts() -> None:
    code = """
import os, threading
from segsam.runtime import give_way
def nice():
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) - before
def child():
    told.append(nice())
def lazy():
    told.append(give_way())
    told.append(nice())
    one = threading.Thread(target=child)
    one.start()
    one.join()
told, before = [], os.getpriority(os.PRIO_PROCESS, 0)
thread = threading.Thread(target=lazy)
thread.start()
thread.join()
print(told, nice())
"""
    assert ran(code) == "[True, 10, 10] 0"


def test_elsewhere_nothing_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert not runtime.give_way()

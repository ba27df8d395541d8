"""Process settings for speed on a CPU, applied by the command line and the server.

Nothing here runs at import, so that programs that use the library keep their own settings. The
effects are measured in `docs/lab/performance.md`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_TRIM_THRESHOLD_BYTES = 2**29
"""Freed memory that is kept: more than an encoder takes."""
_NICENESS_STEP = 10
_HIGHEST_NICENESS = 19


def tune_allocator() -> bool:
    """Make glibc keep freed activation buffers (16 to 67 MB) instead of returning them to Linux.

    Without this, page faults take about half of an image encoder's time on Linux. A single arena
    is needed too, because worker threads (the server's) would otherwise allocate from arenas that
    ignore the thresholds. Costs about 140 MB of resident memory. Returns False, and changes
    nothing, if the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES))
    return all([mallopt(*setting) == 1 for setting in settings])  # noqa: C419 - each must run


def set_passive_openmp_wait() -> bool:
    """Let idle OpenMP threads sleep instead of spin, so that other programs do not slow PyTorch.

    Spinning threads compete with a busy program such as 3D Slicer and multiply the run time. The
    user's own OMP_WAIT_POLICY is kept. Returns False if PyTorch is already imported: it is too
    late then.
    """
    before_torch = "torch" not in sys.modules
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return before_torch


def lower_thread_priority() -> bool:
    """Lower the priority of this thread and of the threads it starts.

    Other threads and programs then get about nine tenths of the processor. The thread keeps one
    tenth, because a thread that never runs would not release what others wait for, such as
    Python's global lock. Only Linux has priorities of single threads; elsewhere nothing changes
    and False is returned.
    """
    if sys.platform != "linux":
        return False
    thread = threading.get_native_id()
    niceness = os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS_STEP
    os.setpriority(os.PRIO_PROCESS, thread, min(niceness, _HIGHEST_NICENESS))
    return True

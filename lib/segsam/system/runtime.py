"""Process settings that decide how fast PyTorch runs on a CPU, applied where the process is ours
(command line, server).

A library user is not surprised by them: nothing here runs at import. What they do and why is
measured in `docs/performance.md`.
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
_KEEP_BYTES = 2**31 - 1
_POLITENESS = 10
_LOWEST = 19


def tune_allocator() -> bool:
    """Make glibc keep the 16-67 MB activation buffers instead of returning them to the system after
    each layer.

    Without this, page faults are about half of an image encoder's time on Linux. One arena is
    needed as well: worker threads (the server's) would otherwise allocate from arenas that ignore
    the thresholds. Costs about 140 MB of resident memory. Returns False, and changes nothing, where
    the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _KEEP_BYTES))
    return all([mallopt(*setting) == 1 for setting in settings])  # noqa: C419 - each must run


def share_the_processor() -> bool:
    """Let idle OpenMP threads sleep instead of spin, so that a busy neighbour (3D Slicer) costs no
    multiple of time.

    Only works before PyTorch is imported; returns whether it could still take effect. The user's
    own setting wins.
    """
    in_time = "torch" not in sys.modules
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return in_time


def give_way() -> bool:
    """Lower the priority of this thread, and of those that it starts: whoever else wants the
    processor, in this process or another one, gets about nine tenths of it.

    Not all of it: a thread that never comes to run keeps what others wait for, such as Python's
    lock. Only Linux has priorities of single threads; elsewhere nothing changes, and False is
    returned.
    """
    if sys.platform != "linux":
        return False
    thread = threading.get_native_id()
    lower = min(os.getpriority(os.PRIO_PROCESS, thread) + _POLITENESS, _LOWEST)
    os.setpriority(os.PRIO_PROCESS, thread, lower)
    return True

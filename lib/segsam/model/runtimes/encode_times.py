"""Times of the image encoder by both precisions on this machine, measured once and kept.

Instructions for half precision do not make it fast: among processors with AVX512-BF16 and without
AMX, it was measured at 1.6 times the speed of float32 and at half of it. So both are timed, in
turns, with the threads that will serve. The answer is kept in the cache folder, one record for each
machine (processor, its instructions, threads, version of OpenVINO) and encoder; without a readable
record they are timed again.
"""

from __future__ import annotations

import logging
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from segsam.errors import DamagedRecordError, OutputError
from segsam.system.atomic import write_json
from segsam.system.checked_json import digest, read_object, with_checksum
from segsam.system.folders import default_cache_dir, make_folder
from segsam.system.records import Record

logger = logging.getLogger(__name__)

WORTHWHILE = 1.2
"""Gain from which precision `auto` is fast: masks change a little by it, which less would not pay.
The same encoder in turns with itself differs by less, on a busy machine too."""

_ROUNDS = 5
_MAX_BYTES = 1 << 16
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """Facts of this machine on which the times depend."""

    processor: str
    instructions: str
    """All that Linux lists for the processor, which a virtual machine may hide in part."""
    threads: int
    openvino: str


@dataclass(frozen=True)
class EncodeTimes:
    """Seconds of one slice by both precisions: medians of runs in turns."""

    exact_s: float
    fast_s: float

    @property
    def gain(self) -> float:
        """Speed of precision fast as a multiple of that of exact."""
        return self.exact_s / self.fast_s

    @property
    def fast_is_worthwhile(self) -> bool:
        """True if precision `auto` is fast."""
        return self.gain >= WORTHWHILE

    @property
    def fast_is_slower(self) -> bool:
        """True if precision fast takes longer than exact."""
        return self.fast_s > self.exact_s

    @property
    def in_words(self) -> str:
        """Both times, without a full stop."""
        fast, exact = (1000 * seconds for seconds in (self.fast_s, self.exact_s))
        return f"fast takes {fast:.0f} ms here where exact takes {exact:.0f}"


_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Kept(Record):
    """Content of a record."""

    refusal = DamagedRecordError

    machine: Mapping[str, str | int]
    encoder: str
    exact_s: _Seconds
    fast_s: _Seconds


def this_machine(threads: int) -> Machine:
    """Return the facts of this machine. Needs the package openvino."""
    from segsam.model.runtimes.openvino_package import openvino

    name = str(openvino.Core().get_property("CPU", "FULL_DEVICE_NAME"))
    return Machine(name, _instructions(), threads, openvino.__version__)


def kept_times(machine: Machine, encoder_id: str) -> EncodeTimes | None:
    """Return the times in the record of this machine and encoder; None without a sound record."""
    path = _path(machine, encoder_id)
    try:
        kept = _Kept.model_validate(read_object(path, _MAX_BYTES))
    except FileNotFoundError:
        return None
    except (DamagedRecordError, OSError):
        logger.info("the record %s of times cannot be read: measured again", path.name)
        return None
    if (kept.machine, kept.encoder) != (asdict(machine), encoder_id):
        return None
    return EncodeTimes(kept.exact_s, kept.fast_s)


def keep_times(machine: Machine, encoder_id: str, times: EncodeTimes) -> None:
    """Write the record. If that is not possible, they are measured again at the next start."""
    path = _path(machine, encoder_id)
    record = {"machine": asdict(machine), "encoder": encoder_id, **asdict(times)}
    try:
        make_folder(path.parent)
        write_json(path, with_checksum(record))
    except OutputError as error:
        logger.info("the times of the image encoder are not kept: %s", error)


def measured_times(exact: Callable[[], object], fast: Callable[[], object]) -> EncodeTimes:
    """Time two ways to encode a slice in turns: what else the machine does slows down both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    exact(), fast()
    for _ in range(_ROUNDS):
        for encode, found in zip((exact, fast), seconds, strict=True):
            start = time.perf_counter()
            encode()
            found.append(time.perf_counter() - start)
    return EncodeTimes(*map(statistics.median, seconds))


def _path(machine: Machine, encoder_id: str) -> Path:
    key = digest({"machine": asdict(machine), "encoder": encoder_id})
    return default_cache_dir() / "encode_times" / f"{key[:16]}.json"


def _instructions() -> str:
    """Return the instructions that Linux lists for the processor; empty on other systems."""
    try:
        listed = _CPUINFO.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", listed, re.MULTILINE)
    return " ".join(sorted(found[1].split())) if found else ""

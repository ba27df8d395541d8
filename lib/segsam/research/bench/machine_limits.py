"""Peak arithmetic and memory speed of the machine, and how near the encoders come to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from segsam.model import Host
from segsam.research.bench.record import BenchRecord
from segsam.research.bench.timing import Measurements, timed

_SIDE = 2048
_COPIED_BYTES = 256 << 20
_ROUNDS = 5
_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@torch.inference_mode()
def measure_machine() -> Measurements:
    """Measure a large matrix product (10⁹ operations per second) and copying (GB/s)."""
    facts = {f"gflops_{name}": _product_gflops(dtype) for name, dtype in _TYPES.items()}
    source = torch.ones(_COPIED_BYTES // 4)
    target = torch.empty_like(source)
    facts["copied_gb_s"] = 2 * _COPIED_BYTES / _shortest_s(lambda: target.copy_(source)) / 1e9
    return Measurements(facts=facts)


@torch.inference_mode()
def encoder_gflop(host: Host) -> float:
    """Return 10⁹ operations of one slice through a host's image encoder, additions counted."""
    size = host.facts.input_size
    with FlopCounterMode(display=False) as counter:
        host.encode(torch.zeros(1, 3, size, size))
    return float(counter.get_total_flops()) / 1e9


def limit_rows(record: BenchRecord) -> list[tuple[str, ...]]:
    """Return (title, operations, measured time, time at peak speed, share) of each mode."""
    rows: list[tuple[str, ...]] = []
    for one in record.contenders:
        gflop, timing = one.facts.get("encoder_gflop"), one.items.get("encode")
        if gflop is None or timing is None:
            continue
        dtype = "bfloat16" if one.facts["runtime"]["precision"] == "fast" else "float32"
        peak = record.fact("machine", f"gflops_{dtype}")
        if peak is None:
            continue
        best_s = gflop / peak
        times = (f"{1000 * seconds:.0f} ms" for seconds in (timing.median_s, best_s))
        rows.append((one.title, f"{gflop:.1f}", *times, f"{best_s / timing.median_s:.0%}"))
    return rows


def limit_text(record: BenchRecord) -> str:
    """Return the machine's own figures in sentences; empty if they were not measured."""
    names = ("gflops_float32", "gflops_bfloat16", "copied_gb_s")
    float32, bfloat16, copied_gb_s = (record.fact("machine", name) for name in names)
    if float32 is None:
        return ""
    return (
        f"A product of two matrices of {_SIDE} x {_SIDE} ran at {float32:.0f} billion operations "
        f"per second in float32 and at {bfloat16:.0f} in bfloat16 on this machine. Memory was "
        f"copied at {copied_gb_s:.0f} GB/s, counting what is read and what is written. *At best* "
        "is the time that the encoder's arithmetic would take at that speed. The rest is the time "
        "of resizing the slice and of layers that wait for memory: the first stage of "
        "LiteMedSAM's encoder works on maps of 17 to 67 MB, more than the cache of a core holds."
    )


def _product_gflops(dtype: torch.dtype) -> float:
    one, other = (torch.ones(_SIDE, _SIDE, dtype=dtype) for _ in range(2))
    return 2 * _SIDE**3 / _shortest_s(lambda: one @ other) / 1e9


def _shortest_s(work: Callable[[], Any]) -> float:
    return timed(work, _ROUNDS).low_s

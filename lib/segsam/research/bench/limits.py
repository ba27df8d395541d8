"""What the machine could do at best, and how near an encoder comes to it."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from segsam.model import Host
from segsam.research.bench.measuring import Found

_SIDE = 2048
_COPIED_BYTES = 256 << 20
_ROUNDS = 5
_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Record = dict[str, Any]


@torch.inference_mode()
def machine() -> Found:
    """Billions of operations a second of a large matrix product, and of bytes copied."""
    facts: Record = {f"gflops_{name}": _product(one) for name, one in _TYPES.items()}
    source = torch.ones(_COPIED_BYTES // 4)
    target = torch.empty_like(source)
    facts["copied_gb_s"] = 2 * _COPIED_BYTES / _quickest(lambda: target.copy_(source)) / 1e9
    return Found(facts=facts)


@torch.inference_mode()
def encoder_gflop(host: Host) -> float:
    """Billions of operations of one slice through a host's image encoder, additions counted."""
    size = host.facts.input_size
    with FlopCounterMode(display=False) as counter:
        host.encode(torch.zeros(1, 3, size, size))
    return float(counter.get_total_flops()) / 1e9


def limit_rows(record: Record) -> list[tuple[str, ...]]:
    """(who, operations, measured, least time by arithmetic alone, share) of each of our modes."""
    facts = _machine_facts(record)
    rows: list[tuple[str, ...]] = []
    for one in record["contenders"]:
        work, timing = one.get("facts", {}).get("encoder_gflop"), one["items"].get("encode")
        if not facts or work is None or timing is None:
            continue
        half = one["facts"]["runtime"]["precision"] == "fast"
        least = work / facts["gflops_bfloat16" if half else "gflops_float32"]
        found = timing["median_s"]
        shown = (f"{1000 * found:.0f} ms", f"{1000 * least:.0f} ms", f"{least / found:.0%}")
        rows.append((one["title"], f"{work:.1f}", *shown))
    return rows


def limit_words(record: Record) -> str:
    """The machine's own figures in a sentence; empty when they were not measured."""
    facts = _machine_facts(record)
    if not facts:
        return ""
    return (
        f"A product of two matrices of {_SIDE} x {_SIDE} ran at {facts['gflops_float32']:.0f} "
        f"billion operations a second in float32 and at {facts['gflops_bfloat16']:.0f} in bfloat16 "
        f"on this machine, and memory was copied at {facts['copied_gb_s']:.0f} GB/s, read and "
        "written. *At best* is what an encoder's arithmetic would take at that pace; what lies "
        "above it is layers that wait for memory instead (the first stage of LiteMedSAM's encoder "
        "works on maps of 17 to 67 MB, more than a core's own cache holds) and resizing the slice."
    )


def _machine_facts(record: Record) -> Record:
    """Of the contender that is the machine itself; empty when it was not measured."""
    for one in record["contenders"]:
        if one["name"] == "machine":
            return dict(one.get("facts", {}))
    return {}


def _product(dtype: torch.dtype) -> float:
    one, other = (torch.ones(_SIDE, _SIDE, dtype=dtype) for _ in range(2))
    return 2 * _SIDE**3 / _quickest(lambda: one @ other) / 1e9


def _quickest(work: Any) -> float:
    """Seconds of the quickest round, after one to warm up."""
    seconds = []
    for _ in range(_ROUNDS + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])

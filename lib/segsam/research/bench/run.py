"""Whole run of the bench: the volumes are written once, then each contender is measured in turn in
a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from segsam.datasets.sample import fetch_sample
from segsam.errors import BenchError
from segsam.research.bench.case import BenchCase
from segsam.research.bench.plan import CONTENDER_BY_NAME, CONTENDERS, BenchPlan, Contender
from segsam.research.bench.record import BenchRecord
from segsam.research.machine import machine_facts

_SETTINGS = ("OMP_WAIT_POLICY", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Environment variables that SEG-SAM sets; other programs run without them, as at their users."""
_END_SECONDS = 30


def run_bench(
    plan: BenchPlan,
    *,
    only: Sequence[str] = (),
    app: Path | None = None,
    checkpoint: Path | None = None,
    report: Callable[[str], None],
) -> BenchRecord:
    """Measure all contenders, or those named in `only`.

    A contender that cannot be measured here has the reason in its record.

    Args:
        plan: amount of work.
        only: names of contenders; empty for all.
        app: folder of the MONAI Label app; None for the one of this checkout.
        checkpoint: weights of SEG-SAM; None for those in this package.
        report: called with a line of text when something begins.

    Raises:
        BenchError: an unknown name.
        SampleError: the sample CT is not available.
    """
    chosen = _select(only)
    machine = machine_facts() | {"load_before": _load()}
    options = [*_option("--app", app), *_option("--checkpoint", checkpoint)]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="segsam-bench-") as name:
        folder = Path(name)
        report("Writing the volumes")
        sample = fetch_sample()
        for slices in {plan.slices, plan.deep}:
            BenchCase.make(folder, sample, slices)
        records = []
        for number, one in enumerate(chosen, start=1):
            report(f"{number} of {len(chosen)}, {time.monotonic() - start:.0f} s: {one.title}")
            records.append(_measure(one, folder, plan, options))
            if records[-1]["skipped"]:
                report(f"   not measured: {records[-1]['skipped']}")
    return BenchRecord.model_validate(
        {
            "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": machine | {"load_after": _load()},
            "plan": asdict(plan),
            "seconds": round(time.monotonic() - start, 1),
            "contenders": records,
        }
    )


def _select(only: Sequence[str]) -> tuple[Contender, ...]:
    for name in only:
        if name not in CONTENDER_BY_NAME:
            known = ", ".join(CONTENDER_BY_NAME)
            raise BenchError(f"Expected one of the contenders {known}, got {name}.")
    return tuple(one for one in CONTENDERS if not only or one.name in only)


def _option(name: str, path: Path | None) -> list[str]:
    return [] if path is None else [name, str(path.absolute())]


def _measure(
    one: Contender, folder: Path, plan: BenchPlan, options: Sequence[str]
) -> dict[str, Any]:
    """Return the record of a contender: what its process wrote, or why it wrote nothing."""
    start = time.monotonic()
    target = folder / f"{one.name}.json"
    module = ["-m", "segsam.research.bench.worker"]
    arguments = [one.name, str(folder), str(target), json.dumps(asdict(plan)), *options]
    environment = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
    record: dict[str, Any] = {"name": one.name, "title": one.title, "skipped": "", "items": {}}
    process = subprocess.Popen(
        [sys.executable, *module, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, errors = process.communicate(timeout=plan.seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        return record | {"skipped": f"it took more than {plan.seconds} s."}
    except KeyboardInterrupt:
        _end(process)
        raise
    if process.returncode or not target.is_file():
        lines = errors.strip().splitlines() or ["it ended without a message"]
        return record | {"skipped": lines[-1].strip()}
    measured: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return record | measured | {"seconds": round(time.monotonic() - start, 1)}


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt a process as Ctrl-C does, so that it can end its server; then kill it."""
    if sys.platform != "win32":
        process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _load() -> float | None:
    """Return the number of processes that use or wait for a core, mean of the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None

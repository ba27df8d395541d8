"""The whole run: volumes written once, then each contender in a process of its own, in turn."""

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
from segsam.research.bench.plan import CONTENDERS, BenchPlan, Contender
from segsam.research.study.machine import machine_facts

Tell = Callable[[str], None]
_SETTINGS = ("OMP_WAIT_POLICY", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Of ours in the environment; the others run without them, as their users do."""

_END_SECONDS = 30


def run_bench(
    plan: BenchPlan,
    *,
    only: Sequence[str] = (),
    app: Path | None = None,
    fast_weights: Path | None = None,
    tell: Tell,
) -> dict[str, Any]:
    """Measure all contenders, or those named; what cannot be measured here says why.

    `app` is the MONAI Label app and `fast_weights` the checkpoint of segsam-fast, where they are
    not the ones of this package.

    Raises:
        BenchError: a name that is none.
        SampleError: the sample CT cannot be had.
    """
    chosen = _chosen(only)
    machine = machine_facts() | {"load_before": _load()}
    given = [*_option("--app", app), *_option("--fast-weights", fast_weights)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="segsam-bench-") as name:
        folder = Path(name)
        tell("Writing the volumes")
        sample = fetch_sample()
        for slices in {plan.slices, plan.deep}:
            BenchCase.make(folder, sample, slices)
        records = []
        for place, one in enumerate(chosen, start=1):
            tell(f"{place} of {len(chosen)}, {time.monotonic() - began:.0f} s: {one.title}")
            records.append(_measured(one, folder, plan, given))
            if records[-1]["skipped"]:
                tell(f"   not measured: {records[-1]['skipped']}")
    return {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine | {"load_after": _load()},
        "plan": asdict(plan),
        "seconds": round(time.monotonic() - began, 1),
        "contenders": records,
    }


def _chosen(only: Sequence[str]) -> tuple[Contender, ...]:
    known = {one.name: one for one in CONTENDERS}
    for name in only:
        if name not in known:
            raise BenchError(f"There is no contender {name!r}; known are {', '.join(known)}.")
    return tuple(one for one in CONTENDERS if not only or one.name in only)


def _option(name: str, path: Path | None) -> list[str]:
    return [] if path is None else [name, str(path.absolute())]


def _measured(
    one: Contender, folder: Path, plan: BenchPlan, given: Sequence[str]
) -> dict[str, Any]:
    """What a contender's process wrote, or why it wrote nothing."""
    began = time.monotonic()
    target = folder / f"{one.name}.json"
    command = [
        sys.executable,
        "-m",
        "segsam.research.bench.worker",
        one.name,
        str(folder),
        str(target),
    ]
    command += [json.dumps(asdict(plan)), *given]
    environment = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
    record: dict[str, Any] = {"name": one.name, "title": one.title, "skipped": "", "items": {}}
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, said = process.communicate(timeout=plan.seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        return record | {"skipped": f"it took more than {plan.seconds} s."}
    except KeyboardInterrupt:
        _end(process)
        raise
    if process.returncode or not target.is_file():
        lines = said.strip().splitlines() or ["it ended without a word"]
        return record | {"skipped": lines[-1].strip()}
    measured: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return record | measured | {"seconds": round(time.monotonic() - began, 1)}


def _end(process: subprocess.Popen[str]) -> None:
    """As by Ctrl-C first, so that it ends the server that it may have started."""
    if sys.platform != "win32":
        process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _load() -> float | None:
    """Processes that want a core, mean of the last minute: on an idle machine about 0."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None

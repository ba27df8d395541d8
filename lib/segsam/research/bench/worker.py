"""Process that measures one contender: `python -m segsam.research.bench.worker`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from segsam.errors import BenchError, SegSamError
from segsam.model.packaged import SHIPPED
from segsam.research.bench.case import BenchCase
from segsam.research.bench.plan import CONTENDER_BY_NAME, BenchPlan, Contender
from segsam.research.bench.timing import Measurements, peak_mb
from segsam.system.process import set_passive_openmp_wait, tune_allocator


def main() -> None:
    """Measure the contender that the arguments name, and write its measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("plan")
    parser.add_argument("--app", type=Path)
    parser.add_argument("--checkpoint", default=SHIPPED)
    given = parser.parse_args()
    plan = BenchPlan(**json.loads(given.plan))
    try:
        one = _with_checkpoint(CONTENDER_BY_NAME[given.name], given.checkpoint)
        found = measure(one, given.folder, plan, given.app)
    except SegSamError as error:
        raise SystemExit(str(error)) from None
    record = asdict(found) | {"peak_mb": peak_mb()}
    given.target.write_text(json.dumps(record, allow_nan=False), encoding="utf-8")


def measure(one: Contender, folder: Path, plan: BenchPlan, app: Path | None = None) -> Measurements:
    """Measure one contender on the volumes in a folder.

    Raises:
        BenchError: a package or weights that are not installed.
        SegSamError: an error of the contender.
    """
    case = BenchCase.read(folder, plan.slices)
    if one.name == "machine":
        from segsam.research.bench.machine_limits import measure_machine

        return measure_machine()
    if one.mode is not None or one.name in ("server", "training"):
        set_passive_openmp_wait()  # as the command line and the server do
        tune_allocator()
        return _measure_segsam(one, case, folder, plan, app)
    from segsam.research.bench import baselines

    try:
        if one.name == "litemedsam":
            return baselines.measure_litemedsam(case, plan)
        return (baselines.measure_sam if one.name == "sam" else baselines.measure_sam2)(case, plan)
    except ImportError as error:
        raise BenchError(
            f"{one.title} needs a package that is not installed ({error}): "
            "pip install 'segsam[research]'"
        ) from error


def _measure_segsam(
    one: Contender, case: BenchCase, folder: Path, plan: BenchPlan, app: Path | None
) -> Measurements:
    work = folder / one.name
    work.mkdir(exist_ok=True)
    if one.name == "server":
        from segsam.research.bench.server import measure_server

        return measure_server(case, BenchCase.read(folder, plan.deep), plan, work, app)
    if one.mode is None:
        from segsam.research.bench.training_step import measure_training

        return measure_training(case, plan, work)
    from segsam.research.bench.segsam_modes import measure_curve, measure_mode

    if one.name == "curve":
        return measure_curve(BenchCase.read(folder, plan.deep), one.mode)
    return measure_mode(case, plan, one.mode)


def _with_checkpoint(one: Contender, checkpoint: str) -> Contender:
    """Return the contender with the checkpoint that the command line gives for SEG-SAM's own."""
    if one.mode is None or one.mode.checkpoint != SHIPPED:
        return one
    return replace(one, mode=replace(one.mode, checkpoint=checkpoint))


if __name__ == "__main__":
    main()

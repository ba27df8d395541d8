"""One contender in its own process: `python -m segsam.research.bench.worker`; `run` starts it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from segsam.errors import BenchError, SegSamError
from segsam.research.bench.case import BenchCase
from segsam.research.bench.measuring import Found, peak_mb
from segsam.research.bench.plan import FASTEST, FULL, BenchPlan, Contender, contender
from segsam.system.process import set_passive_openmp_wait, tune_allocator


def main() -> None:
    """Measure the contender that the arguments name; its figures go to a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("plan")
    parser.add_argument("--app", type=Path)
    parser.add_argument("--fast-weights", default=FASTEST)
    asked = parser.parse_args()
    plan = replace(FULL, **json.loads(asked.plan))
    try:
        one = _with_weights(contender(asked.name), asked.fast_weights)
        found = measure(one, asked.folder, plan, asked.app)
    except SegSamError as error:
        raise SystemExit(str(error)) from None
    record = asdict(found) | {"peak_mb": peak_mb()}
    asked.target.write_text(json.dumps(record, allow_nan=False), encoding="utf-8")


def measure(one: Contender, folder: Path, plan: BenchPlan, app: Path | None = None) -> Found:
    """The figures of one contender on the volumes in a folder.

    Raises:
        BenchError: it is not one that can be measured here.
        SegSamError: whatever it says itself.
    """
    case = BenchCase.read(folder, plan.slices)
    if one.name == "machine":
        from segsam.research.bench.limits import machine

        return machine()
    if one.mode is not None or one.name in ("server", "training"):
        set_passive_openmp_wait()  # as our command line and our server do
        tune_allocator()
        return _ours(one, case, folder, plan, app)
    from segsam.research.bench import others

    measured = {"litemedsam": others.litemedsam, "sam": others.sam, "sam2": others.sam2}
    try:
        return measured[one.name](case, plan)
    except ImportError as error:
        raise BenchError(
            f"{one.title} needs a package that is not installed ({error}): "
            "pip install 'segsam[research]'"
        ) from error


def _ours(
    one: Contender, case: BenchCase, folder: Path, plan: BenchPlan, app: Path | None
) -> Found:
    work = folder / one.name
    work.mkdir(exist_ok=True)
    if one.name == "server":
        from segsam.research.bench.serving import server

        return server(case, BenchCase.read(folder, plan.deep), plan, work, app)
    if one.name == "training":
        from segsam.research.bench.learning import training

        return training(case, plan, work)
    from segsam.model.packaged import shipped_path
    from segsam.research.bench.ours import curve, ours

    if one.mode is None:
        raise BenchError(f"Nobody knows how to measure {one.title}.")
    if one.mode.checkpoint == FASTEST and shipped_path(FASTEST) is None:
        raise BenchError(
            "The weights of segsam-fast are not in this package; name a file with --fast-weights."
        )
    if one.name == "curve":
        return curve(BenchCase.read(folder, plan.deep), one.mode)
    return ours(case, plan, one.mode)


def _with_weights(one: Contender, fast: str) -> Contender:
    """The contender with the weights that stand for segsam-fast."""
    if one.mode is None or one.mode.checkpoint != FASTEST:
        return one
    return replace(one, mode=replace(one.mode, checkpoint=fast))


if __name__ == "__main__":
    main()

"""A training step as `segsam train` makes it, on slices of the bench's own CT."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from segsam.imaging.volume import Volume
from segsam.research.bench.case import BenchCase
from segsam.research.bench.measuring import Found, Timing
from segsam.research.bench.plan import BenchPlan
from segsam.training.config import TrainConfig
from segsam.training.loop import train


def training(case: BenchCase, plan: BenchPlan, work: Path) -> Found:
    """Train for a few steps of one image with five prompts; its embeddings are made first."""
    data = _dataset(work / "data", case, plan.steps)
    config = TrainConfig.model_validate(
        {
            "datasets": [str(data)],
            "out": str(work / "run"),
            "steps": plan.steps,
            "images_per_step": 1,
            "validation_share": 0,
            "checkpoint_every": 10 * plan.steps,
            "head": "maskcls",
            "grid": 32,
            "model": {"reduction": "pooled"},
            "tensorboard": False,
        }
    )
    clock: list[tuple[float, bool]] = []

    def progress(done: int, total: int, what: str) -> None:
        clock.append((time.perf_counter(), what.startswith("loss")))

    report = train(config, progress=progress)
    preparing = [when for when, is_step in clock if not is_step]
    steps = [when for when, is_step in clock if is_step]
    found = Found()
    cached = Timing.of(np.diff(steps).tolist(), "5 prompts, LiteMedSAM at grid 32")
    found.items["train_cached"] = cached
    each = (preparing[-1] - preparing[0]) / max(report.encoded, 1)
    found.items["train_uncached"] = Timing(
        cached.median_s + each,
        cached.low_s + each,
        cached.high_s + each,
        cached.runs,
        "the mean of preparing a slice added",
    )
    return found


def _dataset(folder: Path, case: BenchCase, slices: int) -> Path:
    """Some slices of the CT, each a case, labelled by the section of the box."""
    volume = Volume.load(case.path)
    (low_i, low_j, _), (high_i, high_j, _) = case.box.min_ijk, case.box.max_ijk
    label = np.zeros((*volume.shape_ijk[:2], 1), dtype=np.uint8)
    label[low_i : high_i + 1, low_j : high_j + 1] = 1
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for index in np.linspace(0, volume.shape_ijk[2] - 1, slices).round().astype(int):
        name = f"case{index:03d}.nii"
        plane = volume.voxels[..., index : index + 1]
        Volume.from_array(plane, volume.affine_ras).save(folder / "images" / name)
        Volume.from_array(label, volume.affine_ras).save(folder / "labels" / name)
    record = {"name": "bench", "modality": "CT", "licence": "none", "labels": {"1": "liver"}}
    (folder / "dataset.json").write_text(json.dumps(record), encoding="utf-8")
    return folder

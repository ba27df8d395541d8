"""Time of a training step of `segsam train`, on slices of the bench's CT."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from segsam.imaging.volume import Volume
from segsam.research.bench.case import BenchCase
from segsam.research.bench.plan import BenchPlan
from segsam.research.bench.timing import Measurements, Timing
from segsam.training.config import TrainConfig
from segsam.training.loop import train


def measure_training(case: BenchCase, plan: BenchPlan, work: Path) -> Measurements:
    """Time a few steps of one image with five prompts, with and without its embedding stored."""
    data = _make_dataset(work / "data", case, plan.steps)
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
    preparing: list[float] = []
    steps: list[float] = []

    def progress(done: int, total: int, text: str) -> None:
        (steps if text.startswith("loss") else preparing).append(time.perf_counter())

    report = train(config, progress=progress)
    cached = Timing.of(np.diff(steps).tolist(), "5 prompts, LiteMedSAM at grid 32")
    encoding_s = (preparing[-1] - preparing[0]) / max(report.encoded, 1)
    uncached = Timing(
        cached.median_s + encoding_s,
        cached.low_s + encoding_s,
        cached.high_s + encoding_s,
        cached.runs,
        "plus the mean time of preparing a slice",
    )
    return Measurements({"train_cached": cached, "train_uncached": uncached})


def _make_dataset(folder: Path, case: BenchCase, slices: int) -> Path:
    """Write a data set of some slices of the CT, each a case labelled by the section of the box."""
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

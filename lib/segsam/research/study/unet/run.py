"""Run of a network without prompts: preparation, training and evaluation."""

from __future__ import annotations

import time
from typing import Any

import torch

from segsam.datasets.folder import open_dataset
from segsam.datasets.splits import Split
from segsam.evaluation.cases import select
from segsam.evaluation.summary import report
from segsam.research.study.unet.config import UNetConfig
from segsam.research.study.unet.networks import build_network
from segsam.research.study.unet.scoring import evaluate_network
from segsam.research.study.unet.slices import categories_of, training_slices
from segsam.research.study.unet.training import UNetRun
from segsam.types import Progress


def run_unet(config: UNetConfig, progress: Progress) -> dict[str, Any]:
    """Train for the time that is left of a run, then measure.

    Returns:
        `training` {steps, training_seconds, seconds, slices}, `cost` {parameters,
        decoder_parameters} and `evaluation`, as `segsam evaluate --json` writes it; plain values.

    Raises:
        TrainingError, CategoryError, VolumeError: data that the network cannot be trained on, or
            the folder of another run.
        EvaluationError: a part of the split without cases.
        OutputError: a folder that cannot be written to.
    """
    start = time.monotonic()
    if config.threads:
        torch.set_num_threads(config.threads)
    datasets = [open_dataset(folder) for folder in config.datasets]
    split = Split.load(config.split)
    selections = select(config.datasets, split=f"{config.split}:{config.part}", limit=config.limit)
    categories = categories_of(datasets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = build_network(config.network, len(categories) + 1)
    network.to(memory_format=torch.channels_last)  # faster convolutions on processors
    run = UNetRun(config, network)
    slice_count = 0
    if not run.is_done:
        progress(0, 1, "cutting slices")
        slices = training_slices(datasets, split, categories, config.slices_per_volume_of)
        slice_count = len(slices)
        run.train(slices, progress)
    evaluation = evaluate_network(
        network, categories, selections, slices=config.slices, progress=progress
    )
    parameters = sum(one.numel() for one in network.parameters())
    return {
        "training": {
            "steps": run.spent.step,
            "training_seconds": run.spent.seconds,
            "seconds": time.monotonic() - start,
            "slices": {"train": slice_count},
        },
        "cost": {"parameters": parameters, "decoder_parameters": parameters},
        "evaluation": report(evaluation)
        | {"prompt": evaluation.prompt, "host": config.network, "seconds": evaluation.seconds},
    }

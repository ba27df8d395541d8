"""Train on a tiny host in a process of its own: train_tiny.py CONFIG.json [KILL_AT_STEP]."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch

from segsam.categories import Categories, Category
from segsam.model import SegSam
from segsam.training import loop
from segsam.training.config import TrainConfig


def tiny_start() -> SegSam:
    """As the fixtures `tiny_host` and `five_categories` make it."""
    path = Path(__file__).resolve().parents[1] / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_hosts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    host = module.TinyHost()
    rows = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    items = tuple(
        Category(name, (k, k, k), texture="Grey.", shape="Round.", position="Inside.")
        for k, name in enumerate(["liver", "spleen", "heart", "nerve", "polyp"])
    )
    return SegSam(host, Categories(items, rows, "made up for a test"))


def main() -> None:
    config = TrainConfig.model_validate(json.loads(Path(sys.argv[1]).read_text()))
    kill_at = int(sys.argv[2]) if len(sys.argv) > 2 else 0

    def watch(done: int, total: int, what: str) -> None:
        if what.startswith("loss") and done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    loop.train(config, start=tiny_start(), progress=watch)


if __name__ == "__main__":
    main()

"""Class weights of new names, or of all: fitted to labelled slices, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import torch

from segsam.datasets.splits import TRAIN
from segsam.model import build_variant
from segsam.training import loop
from segsam.training.class_rows import fit_class_rows
from segsam.training.described_objects import describe_samples
from segsam.training.distributed import Processes
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.run_data import RunData
from segsam.types import no_progress

from .test_dense_training import learnt, tiny_hosts  # noqa: F401
from .test_train_run import Starts, data, run, start  # noqa: F401


def test_a_few_slices_make_a_new_name_certain(
    data: Path,  # noqa: F811
    start: Starts,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The row of the spleen alone is fitted; a heart that no slice shows keeps its own."""
    origin = start()
    torch.manual_seed(3)
    model = build_variant("segsam", origin.host, origin.categories, head="maskcls").train()
    config, store = run(data, tmp_path / "run"), EmbeddingStore(tmp_path / "em", model)
    samples = RunData.of(config).samples(model, store, processes=Processes(), progress=no_progress)[
        TRAIN
    ]
    names = model.categories.names
    spleen, heart = names.index("spleen"), names.index("heart")

    def probability() -> float:
        """Least probability of the spleen among spleens."""
        objects = describe_samples(model, store, samples, config)
        assert objects is not None
        of_spleens = torch.from_numpy(objects.class_logits[objects.classes == spleen + 1])
        return float(of_spleens.softmax(dim=1)[:, spleen + 1].min())

    before = {name: value.clone() for name, value in model.state_dict().items()}
    uncertain = probability()
    fit_class_rows(model, store, samples, config, [spleen, heart])
    assert model.training
    assert uncertain < 0.5
    assert probability() > 0.6
    others = [row for row in range(len(names) + 1) if row != spleen + 1]
    for name, value in model.state_dict().items():
        same = others if name.startswith("semantic_decoder.head.classes") else ...
        assert torch.equal(value[same], before[name][same])


def test_a_run_of_the_class_layer_alone_names_what_the_steps_left_uncertain(
    data: Path,  # noqa: F811
    start: Starts,  # noqa: F811
    tmp_path: Path,
) -> None:
    """`fit_classes: all` without epochs: nothing but the class layer changes."""
    kept = {"head": "maskcls", "example_slices": 0}
    first = loop.train(run(data, tmp_path / "one", **kept), start=start())
    begun = learnt(first)
    before = {name: value.clone() for name, value in begun.state_dict().items()}
    config = run(data, tmp_path / "two", steps=0, epochs=0, fit_classes="all", **kept)
    report = loop.train(config, start=begun)
    assert (report.steps, report.first_loss) == (0, None)
    after = learnt(report)
    changed = {
        name for name, value in after.state_dict().items() if not torch.equal(value, before[name])
    }
    layer = "semantic_decoder.head.classes"
    assert changed == {f"{layer}.weight", f"{layer}.bias"}
    store = EmbeddingStore(tmp_path / "em", after)
    samples = RunData.of(config).samples(after, store, processes=Processes(), progress=no_progress)
    objects = describe_samples(after, store, samples[TRAIN], config)
    assert objects is not None
    of_true = torch.from_numpy(objects.class_logits).softmax(dim=1)[
        torch.arange(len(objects)), objects.classes.clip(0)
    ]
    assert float(of_true.min()) > 0.6

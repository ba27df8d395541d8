"""Parts of `python -m segsam_app.loop.first` that need no server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import segsam.model.checkpoint as checkpoint_module
from segsam.errors import CategoryError
from segsam.model import load_pretrained, save_checkpoint
from segsam_app.loop.first import app
from segsam_app.loop.forgetting import write_without

from ...lib.conftest import TinyHost
from ...lib.made_memory import with_distances
from ..tuning import tiny_checkpoint
from .test_loop import write_dataset


def test_a_checkpoint_that_has_never_heard_of_a_category(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
    path = tiny_checkpoint(tmp_path / "whole.safetensors")
    model = load_pretrained(path)
    count, gone = len(model.categories), model.categories.names[1]
    whole = with_distances(model, {number: 1.0 + number for number in range(count)})
    save_checkpoint(whole, path, replace(whole.card, categories_seen=whole.categories.names))
    less = load_pretrained(write_without(tmp_path / "less.safetensors", str(path), [gone]))
    kept = [number for number in range(count) if number != 1]
    assert less.categories.names == tuple(whole.categories.names[number] for number in kept)
    assert gone not in less.card.categories_seen
    assert less.memory is not None
    assert less.memory.examples[:, 0].tolist() == [1.0 + number for number in kept]
    assert less.memory.categories.tolist() == list(range(count - 1))
    decoders = [one.semantic_decoder for one in (whole, less)]
    classes = [one.head.classes.weight for one in decoders]  # type: ignore[union-attr]
    assert torch.equal(classes[1], classes[0][[0, *(number + 1 for number in kept)]])
    with pytest.raises(CategoryError, match="no category 'nothing'"):
        write_without(tmp_path / "less.safetensors", str(path), ["nothing"])


def test_too_few_cases_are_refused(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", 3)
    words = [str(folder), "-o", str(tmp_path / "out"), "--measure", "c0"]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 2
    assert "Expected 12 cases to label, got 2." in ended.output
    ended = CliRunner().invoke(app, [*words[:-1], "c9", "--labelled", "1"])
    assert "Expected cases of data, got c9." in ended.output

"""Memory that runs out: a second attempt without caches, then an error (F9)."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from segsam_app.config import AppConfig
from segsam_app.errors import is_out_of_memory
from segsam_app.inference.engine import Engine


class Model:
    """Computation that raises `error` for its first `failures` calls."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error

    def compute(self) -> str:
        if self.failures:
            self.failures -= 1
            raise self.error
        return "mask"


@pytest.fixture
def engine() -> Engine:
    return Engine(AppConfig(device="cpu"))


@pytest.fixture
def drops(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry each time that the engine dropped its caches."""
    calls: list[int] = []
    monkeypatch.setattr(engine, "drop_caches", lambda: calls.append(1))
    return calls


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    ],
    ids=["card", "python", "processor"],
)
def test_it_is_computed_again_without_caches(
    engine: Engine, drops: list[int], error: Exception
) -> None:
    assert is_out_of_memory(error)
    assert engine.retry_without_caches(Model(1, error).compute) == "mask"
    assert len(drops) == 1
    model = Model(2, error)
    with pytest.raises(type(error)):
        engine.retry_without_caches(model.compute)
    assert engine.retry_without_caches(model.compute) == "mask"


def test_the_error_of_main_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 60)
    assert is_out_of_memory(refused.value)


def test_another_error_is_not_tried_again(engine: Engine, drops: list[int]) -> None:
    model = Model(1, RuntimeError("sizes of tensors must match"))
    with pytest.raises(RuntimeError, match="sizes"):
        engine.retry_without_caches(model.compute)
    assert drops == []


def test_images_and_embeddings_are_dropped(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "one.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 2), np.int16), np.eye(4)), path)
    first = engine.volume(path)
    assert engine.volume(path) is first
    engine.drop_caches()
    assert engine.volume(path) is not first
    assert engine.cached.entries == 0

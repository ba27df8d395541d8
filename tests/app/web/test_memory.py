"""Memory that runs out: once more with room, then a refusal, and the next request works (F9)."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from segsam_app.config import AppConfig
from segsam_app.inference.engine import Engine
from segsam_app.web.memory import is_out_of_memory, with_room


class Model:
    """Fails so many times, with `error`."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.room = 0

    def answer(self) -> str:
        if self.failures:
            self.failures -= 1
            raise self.error
        return "mask"

    def make_room(self) -> None:
        self.room += 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    ],
    ids=["card", "python", "processor"],
)
def test_once_more_with_room(error: Exception) -> None:
    assert is_out_of_memory(error)
    model = Model(1, error)
    assert with_room(model.answer, model.make_room) == "mask"
    assert model.room == 1
    model = Model(2, error)
    with pytest.raises(type(error)):
        with_room(model.answer, model.make_room)
    assert with_room(model.answer, model.make_room) == "mask"


def test_the_processors_own_sentence_is_known() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 60)
    assert is_out_of_memory(refused.value)


def test_another_error_is_not_tried_again() -> None:
    model = Model(1, RuntimeError("sizes of tensors must match"))
    with pytest.raises(RuntimeError, match="sizes"):
        with_room(model.answer, model.make_room)
    assert model.room == 0


def test_room_is_what_can_be_made_again(tmp_path: Path) -> None:
    path = tmp_path / "one.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 2), np.int16), np.eye(4)), path)
    engine = Engine(AppConfig(device="cpu"))
    first = engine.volume(path)
    assert engine.volume(path) is first
    engine.make_room()
    assert engine.volume(path) is not first
    assert engine.cached.entries == 0

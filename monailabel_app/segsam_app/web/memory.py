"""What is done when memory runs out: forget what can be made again, try once more, then refuse."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_ALLOCATOR = "can't allocate memory"
"""In the RuntimeError that PyTorch raises for the processor's memory, which has no class."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, the graphics card's or the computer's."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _ALLOCATOR in str(error)


def with_room(answer: Callable[[], Answer], make_room: Callable[[], None]) -> Answer:
    """`answer()`; when memory runs out, once more after `make_room()`. Raises what the second try
    raises.
    """
    try:
        return answer()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        logger.warning("memory ran out; kept images and embeddings were dropped")
    make_room()
    return answer()

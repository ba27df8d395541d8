"""Runtimes of the image encoder: PyTorch, or OpenVINO; `choose_runtime` decides."""

from __future__ import annotations

from segsam.model.runtimes.choosing import PRECISIONS, RUNTIMES, choose_runtime
from segsam.model.runtimes.runner import EncoderRunner, RuntimeFacts

__all__ = ["PRECISIONS", "RUNTIMES", "EncoderRunner", "RuntimeFacts", "choose_runtime"]

"""What computes the image encoder: PyTorch, or OpenVINO; `choose_runtime` decides."""

from __future__ import annotations

from segsam.model.runtimes.choosing import PRECISIONS, RUNTIMES, RuntimeFacts, choose_runtime

__all__ = ["PRECISIONS", "RUNTIMES", "RuntimeFacts", "choose_runtime"]

"""Measuring: simulated prompts in, scores by data set, modality and category out."""

from __future__ import annotations

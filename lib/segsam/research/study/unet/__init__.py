"""Networks without prompts, trained on the same slices, to compare the semantic masks with."""

from __future__ import annotations

"""Training: targets, losses, simulated prompts, and the loop that learns from them."""

from __future__ import annotations

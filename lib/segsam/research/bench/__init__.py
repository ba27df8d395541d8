"""Speed, side by side in one run: the programs that people use today, and ours in each mode."""

from __future__ import annotations

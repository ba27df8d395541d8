"""The paper's tables in small: runs from a list, results as files, and a report made of them."""

from __future__ import annotations

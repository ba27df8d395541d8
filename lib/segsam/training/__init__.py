"""Learning: what a model is asked for, and how far it is from it."""

from __future__ import annotations

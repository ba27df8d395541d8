"""Evaluation: a model is prompted as an annotator would, and scored by data set, modality and
category.
"""

from __future__ import annotations

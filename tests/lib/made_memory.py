"""Memories of examples by which every object is at a chosen distance from each category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from segsam.model import SegSam
from segsam.model.memory import ExampleMemory
from segsam.model.naming_rule import NamingRule

RULE = NamingRule(
    decoder_weight=1.0,
    distance_weight=4.0,
    known_at_zero=4.0,
    known_slope=8.0,
    limit=0.5,
    disease_limit=0.9,
    image_limit=1.0,
)
EVERYWHERE = 3e4
"""Scale by which all descriptions are made nearly the same; half precision holds it."""


def with_distances(model: SegSam, distances: Mapping[int, float], **rule: Any) -> SegSam:
    """Return a model to which every object has these distances to categories, by index, and every
    image to images that show them; other categories have no examples.
    """
    width = 2 * model.host.facts.embed_dim
    numbers = torch.tensor(list(distances))
    rows = torch.zeros(len(numbers), width)
    rows[:, 0] = torch.tensor([float(each) for each in distances.values()])
    shows = torch.zeros(len(numbers), len(model.categories), dtype=torch.bool)
    shows[torch.arange(len(numbers)), numbers] = True
    memory = ExampleMemory(
        mean=torch.zeros(width),
        scale=torch.full((width,), EVERYWHERE),
        examples=rows,
        categories=numbers,
        reaches=torch.ones(len(numbers)),
        image_mean=torch.zeros(width),
        image_scale=torch.full((width,), EVERYWHERE),
        images=rows.clone(),
        images_show=shows,
    )
    naming = {
        "rule": asdict(replace(RULE, **rule)),
        "goals": {"unknown_named": 0.05},
        "objects": {"examples": len(numbers), "known": 40},
    }
    return model.with_memory(memory, replace(model.card, naming=naming))

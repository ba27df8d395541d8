"""What the fields of a training run may say: the words of some, least and most of the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import get_args

from segsam.model.config import HeadName

WORDS: Mapping[str, tuple[str, ...]] = {
    "head": get_args(HeadName),
    "categories": ("data", "all"),
    "precision": ("fp32", "bf16"),
    "encoding": ("exact", "fast"),
}
RANGES = (
    ("grid", 0, math.inf),
    ("epochs", 0, math.inf),
    ("steps", 0, math.inf),
    ("minutes", 0, math.inf),
    ("images_per_step", 1, math.inf),
    ("prompts_per_image", 1, math.inf),
    ("balance", 0, 1),
    ("learning_rate", 1e-12, 1),
    ("host_learning_rate", 0, 1),
    ("warmup_steps", 0, math.inf),
    ("weight_decay", 0, 1),
    ("clip_norm", 0, math.inf),
    ("weight_average", 0, 0.999999),
    ("point_share", 0, 1),
    ("points", 1, math.inf),
    ("jitter_px", 0, math.inf),
    ("loose_share", 0, 1),
    ("loose_by", 0, math.inf),
    ("neighbour_share", 0, 1),
    ("neighbour_by", 0, math.inf),
    ("correction_rounds", 0, math.inf),
    ("correction_share", 0, 1),
    ("mask_share", 0, 1),
    ("seed", 0, 2**31),
    ("validation_share", 0, 0.9),
    ("test_share", 0, 0.9),
    ("validate_every", 0, math.inf),
    ("validation_slices", 1, math.inf),
    ("patience", 0, math.inf),
    ("slices_per_volume", 0, math.inf),
    ("checkpoint_every", 1, math.inf),
    ("threads", 0, math.inf),
)

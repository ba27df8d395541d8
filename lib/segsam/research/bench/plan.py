"""What is measured, of whom, and how often."""

from __future__ import annotations

from dataclasses import dataclass

ITEMS = {
    "encode": "encode one slice of 512 x 512",
    "decode": "decoder alone, one box",
    "second": "second prompt on a slice, mask on its 512 x 512 pixels",
    "box_cold": "3D box, nothing encoded before",
    "box_warm": "3D box, all slices encoded",
    "propagate": "2D box followed through the volume, nothing encoded before",
    "http_click": "second prompt over HTTP (`result: slice`), end to end",
    "http_overhead": "of it, what HTTP adds to the predictor",
    "http_click_full": "the HTTP click with many other images in the store",
    "server_start": "server: start to first answer",
    "first_click": "server: image sent, first mask back",
    "train_cached": "training step of one image, embedding kept",
    "train_uncached": "the same with its slice encoded",
}
"""Key of each figure -> what it is."""


@dataclass(frozen=True)
class BenchPlan:
    """How much is done."""

    slices: int
    """Of 512 x 512, in the volume through which a box goes."""
    baseline_slices: int
    """Of them, those that LiteMedSAM's own code goes through; it keeps nothing from slice to slice,
    so the others are computed from these."""
    deep: int
    """Slices of the deep volume: of the curve, and of the server's memory."""
    rounds: int
    """Of quick work, after one round to warm up."""
    slow_rounds: int
    """Of work that takes seconds."""
    clicked: int
    """Slices of the deep volume that are clicked on before the server's memory is read."""
    stored: int
    """Other images in the store."""
    steps: int
    """Of training."""
    seconds: int
    """That one contender may take."""


FULL = BenchPlan(
    slices=100,
    baseline_slices=25,
    deep=400,
    rounds=9,
    slow_rounds=2,
    clicked=32,
    stored=300,
    steps=12,
    seconds=420,
)
QUICK = BenchPlan(
    slices=3,
    baseline_slices=2,
    deep=6,
    rounds=1,
    slow_rounds=1,
    clicked=2,
    stored=3,
    steps=2,
    seconds=900,
)


@dataclass(frozen=True)
class Mode:
    """One way to run ours."""

    checkpoint: str
    runtime: str
    precision: str
    volumes: bool = True
    """Whether a box goes through the volume as well, and not only clicks on a slice."""
    follows: bool = False
    """Whether an object is followed through the volume as well."""


@dataclass(frozen=True)
class Contender:
    """Who is measured, each in a process of its own; `mode` is of ours only."""

    name: str
    title: str
    mode: Mode | None = None


FASTEST = "segsam-fast"
"""The checkpoint with an encoder of our own; not everybody has it."""

OURS = (
    Contender(
        "torch",
        "LiteMedSAM in SEG-SAM, PyTorch",
        Mode("litemedsam", "torch", "exact", volumes=False),
    ),
    Contender(
        "exact",
        "LiteMedSAM in SEG-SAM, exact",
        Mode("litemedsam", "auto", "exact"),
    ),
    Contender(
        "fast", "LiteMedSAM in SEG-SAM, fast", Mode("litemedsam", "auto", "fast", follows=True)
    ),
    Contender("segsam", "SEG-SAM, both decoders, exact", Mode("segsam", "auto", "exact")),
    Contender(
        "segsam+fast",
        "SEG-SAM, both decoders, fast",
        Mode("segsam", "auto", "fast", volumes=False),
    ),
    Contender("segsam-fast", "segsam-fast, exact", Mode(FASTEST, "auto", "exact", follows=True)),
    Contender(
        "segsam-fast+fast", "segsam-fast, fast", Mode(FASTEST, "auto", "fast", volumes=False)
    ),
)
CONTENDERS = (
    Contender("machine", "The machine itself"),
    Contender("litemedsam", "LiteMedSAM, its own package"),
    Contender("sam", "SAM ViT-B at 1024 px (segment-anything)"),
    Contender("sam2", "SAM 2.1 large as MONAI Label runs it"),
    *OURS,
    Contender("curve", "SEG-SAM through a deep volume, fast", Mode("segsam", "auto", "fast")),
    Contender("server", "SEG-SAM's server"),
    Contender("training", "SEG-SAM's training"),
)
BASELINE = "litemedsam"
"""Targets are ratios of its times."""
BASELINES = {BASELINE: "LiteMedSAM", "sam": "SAM", "sam2": "SAM 2"}
"""Whom everybody is held against, and how a column is headed."""


def contender(name: str) -> Contender:
    """The contender of a name that is known."""
    return next(one for one in CONTENDERS if one.name == name)

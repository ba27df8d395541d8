"""Plan of a run: the items, the contenders, and how often each item is measured."""

from __future__ import annotations

from dataclasses import dataclass

ITEMS = {
    "encode": "encode one slice of 512 x 512",
    "decode": "decoder alone, one box",
    "naming": "name of one object, by decoder and memory of examples",
    "naming_plain": "name of one object, by the decoder alone",
    "second": "second prompt on a slice, mask on its 512 x 512 pixels",
    "box_cold": "3D box, no slice encoded before",
    "box_warm": "3D box, all slices encoded",
    "propagate": "2D box propagated through the volume, no slice encoded before",
    "http_click": "second prompt over HTTP (`result: slice`), end to end",
    "http_overhead": "part of it that HTTP adds to the predictor",
    "http_click_full": "second prompt over HTTP with many other images in the studies folder",
    "label_save_full": "save of a label over HTTP with many other images in the studies folder",
    "server_start": "server: start to first answer",
    "first_click": "server: upload of the image to its first mask",
    "train_cached": "training step of one image, embedding stored",
    "train_uncached": "training step of one image, slice encoded",
}
"""Key of each item -> its description."""


@dataclass(frozen=True)
class BenchPlan:
    """Amount of work of one run."""

    slices: int
    """Slices of 512 x 512 in the volume through which a 3D box goes."""
    baseline_slices: int
    """Slices of it that LiteMedSAM's own code segments. It has no cache, so the time of the others
    is computed from these."""
    deep: int
    """Slices of the deep volume, for the curve and the server's memory."""
    rounds: int
    """Rounds of quick work, after one round to warm up."""
    slow_rounds: int
    """Rounds of work that takes seconds."""
    clicked: int
    """Slices of the deep volume that are clicked on before the server's memory is read."""
    stored: int
    """Other images in the studies folder."""
    steps: int
    """Training steps."""
    seconds: int
    """Time limit of one contender."""


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
    """One way to run SEG-SAM."""

    checkpoint: str
    runtime: str
    precision: str
    volumes: bool = True
    """True if a 3D box is measured besides clicks on a slice."""
    propagates: bool = False
    """True if propagation through the volume is measured as well."""


@dataclass(frozen=True)
class Contender:
    """Program that is measured in a process of its own; only SEG-SAM has a `mode`."""

    name: str
    title: str
    mode: Mode | None = None


CONTENDERS = (
    Contender("machine", "The machine itself"),
    Contender("litemedsam", "LiteMedSAM, its own package"),
    Contender("sam", "SAM ViT-B at 1024 px (segment-anything)"),
    Contender("sam2", "SAM 2.1 large as MONAI Label runs it"),
    Contender(
        "torch",
        "LiteMedSAM in SEG-SAM, PyTorch",
        Mode("litemedsam", "torch", "exact", volumes=False),
    ),
    Contender("exact", "LiteMedSAM in SEG-SAM, exact", Mode("litemedsam", "auto", "exact")),
    Contender(
        "fast", "LiteMedSAM in SEG-SAM, fast", Mode("litemedsam", "auto", "fast", propagates=True)
    ),
    Contender("segsam", "SEG-SAM, exact", Mode("segsam", "auto", "exact", propagates=True)),
    Contender("segsam+fast", "SEG-SAM, fast", Mode("segsam", "auto", "fast")),
    Contender("curve", "SEG-SAM through a deep volume, fast", Mode("segsam", "auto", "fast")),
    Contender("server", "SEG-SAM's server"),
    Contender("training", "SEG-SAM's training"),
)
CONTENDER_BY_NAME = {one.name: one for one in CONTENDERS}
BASELINE = "litemedsam"
"""Contender whose times the targets are ratios of."""
BASELINES = {BASELINE: "LiteMedSAM", "sam": "SAM", "sam2": "SAM 2"}
"""Contenders that all others are compared with -> heading of their column."""

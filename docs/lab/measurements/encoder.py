"""One slice encoded and one box decoded: LiteMedSAM as its package runs it, and ours.

Run in the project's environment:  python docs/lab/measurements/encoder.py [ROUNDS] [CHECKPOINT]

With a checkpoint, it is measured as well, with all its decoders. Medians of the wall clock and of
processor time; on a busy machine with OMP_NUM_THREADS=1 only the latter says something.
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
from segsam.datasets.sample import fetch_sample
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView
from segsam.model import PromptTensors
from segsam.model.runtimes import choose_runtime
from segsam.research.bench.litemedsam import build_litemedsam
from segsam.system.process import tune_allocator

ROUNDS = 7
PACKAGE = ("package", "package, allocator tuned")
OURS = {
    "ours": ("torch", "exact"),
    "ours, allocator tuned": ("torch", "exact"),
    "ours, tuned, OpenVINO exact": ("openvino", "exact"),
    "ours, tuned, OpenVINO fast": ("openvino", "fast"),
}
"""How it is called -> what computes the encoder, and how precisely."""


def median_ms(work: Callable[[], Any], rounds: int) -> str:
    work()
    walls, processor = [], []
    for _ in range(rounds):
        start, used = time.perf_counter(), time.process_time()
        work()
        walls.append(1000 * (time.perf_counter() - start))
        processor.append(1000 * (time.process_time() - used))
    return f"{statistics.median(walls):5.0f} ms ({statistics.median(processor):5.0f} of processor)"


def measured(way: str, rounds: int, checkpoint: str) -> None:
    """In a process of its own, because the allocator's settings are the process's."""
    import torch

    if "tuned" in way:
        tune_allocator()
    volume = Volume.load(fetch_sample().image)
    picture = SliceView.of(volume, 2).image(volume, Intensity.for_volume(volume), 80)
    model = load_pretrained(checkpoint)
    image = model.host.prepare(picture)[None]
    box = torch.tensor([[60.0, 80.0, 120.0, 150.0]])
    with torch.inference_mode():
        if way in OURS:
            encoder = choose_runtime(model, *OURS[way])
            features = model.features(*encoder.encode(image))
            prompts, both = PromptTensors(boxes_px=box), model.card.semantic_is_trained
            encode = median_ms(lambda: model.features(*encoder.encode(image)), rounds)
            decode = median_ms(lambda: model.decode(features, prompts, semantic=both), rounds)
        else:
            network = build_litemedsam()
            embedding = network.image_encoder(image)
            encode = median_ms(lambda: network.image_encoder(image), rounds)
            decode = median_ms(lambda: decoded(network, embedding, box), rounds)
    name = way.replace("ours", checkpoint)
    sys.stdout.write(f"{name:33} encode {encode}   decode {decode}\n")


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
    if len(sys.argv) == 4:
        measured(sys.argv[1], int(sys.argv[2]), sys.argv[3])
        return
    rounds, more = (*sys.argv[1:], *(str(ROUNDS), "")[len(sys.argv) - 1 :])
    ways = [(way, "litemedsam") for way in (*PACKAGE, *OURS)]
    ways += [(way, more) for way in OURS if more and "tuned" in way]
    for way, checkpoint in ways:
        subprocess.run([sys.executable, __file__, way, rounds, checkpoint], check=True)


if __name__ == "__main__":
    main()

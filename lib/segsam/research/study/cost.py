"""Cost of a model: parameters, and the time of a prompt on an encoded slice."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from segsam.model import PromptTensors, SegSam

_WARM_UP = 3
_REPEATS = 15


@dataclass(frozen=True)
class Cost:
    """Cost of one model on this machine."""

    parameters: int
    """All parameters, with those of the host's image encoder."""
    decoder_parameters: int
    """Parameters without those of the image encoder; these are trained."""
    ms_per_prompt: float
    """Shortest time of several for one box on an encoded slice, with semantics if the model has
    them. The shortest time depends least on other work of the machine."""
    threads: int


@torch.inference_mode()
def measure_cost(model: SegSam) -> Cost:
    """Count the parameters of a model in evaluation mode, and time a prompt."""
    side = model.host.facts.input_size
    generator = torch.Generator().manual_seed(0)
    features = model.encode(torch.rand((1, 3, side, side), generator=generator))
    prompts = PromptTensors(boxes_px=torch.tensor([[side / 4, side / 4, side / 2, side / 2]]))
    times = []
    for _ in range(_WARM_UP + _REPEATS):
        start = time.perf_counter()
        model.decode(features, prompts, semantic=model.semantic_decoder is not None)
        times.append(time.perf_counter() - start)
    total = sum(one.numel() for one in model.parameters())
    encoder = sum(one.numel() for one in model.host.image_encoder.parameters())
    return Cost(
        parameters=total,
        decoder_parameters=total - encoder,
        ms_per_prompt=1000 * min(times[_WARM_UP:]),
        threads=torch.get_num_threads(),
    )

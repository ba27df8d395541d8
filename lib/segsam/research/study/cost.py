"""What a model costs: parameters, and the time that a prompt takes once a slice is encoded."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from segsam.model import PromptTensors, SegSam

_WARM_UP = 3
_REPEATS = 15


@dataclass(frozen=True)
class Cost:
    """Of one model on this machine."""

    parameters: int
    """The host's image encoder included."""
    decoder_parameters: int
    """All but the image encoder: what is trained."""
    ms_per_prompt: float
    """Quickest of several for one box on an encoded slice, with semantics where the model has them;
    the quickest depends least on what else the machine does."""
    threads: int


@torch.inference_mode()
def measure_cost(model: SegSam) -> Cost:
    """Count and time a model in evaluation mode."""
    facts = model.host.facts
    generator = torch.Generator().manual_seed(0)
    shape = (1, 3, facts.input_size, facts.input_size)
    features = model.encode(torch.rand(shape, generator=generator))
    side = facts.input_size
    box = torch.tensor([[side / 4, side / 4, side / 2, side / 2]])
    prompts = PromptTensors(boxes_px=box)
    times = []
    for _ in range(_WARM_UP + _REPEATS):
        began = time.perf_counter()
        model.decode(features, prompts, semantic=model.semantic_decoder is not None)
        times.append(time.perf_counter() - began)
    total = sum(one.numel() for one in model.parameters())
    encoder = sum(one.numel() for one in model.host.image_encoder.parameters())
    return Cost(
        parameters=total,
        decoder_parameters=total - encoder,
        ms_per_prompt=1000 * min(times[_WARM_UP:]),
        threads=torch.get_num_threads(),
    )

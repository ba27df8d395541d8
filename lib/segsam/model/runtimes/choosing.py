"""Choice of the runtime and precision of a model's image encoder: the user's, or the best one here.

`exact` equals PyTorch's float32 up to `EXACT_TOLERANCE` with either runtime. `fast` lets OpenVINO
compute in the half precision that the processor has instructions for, and changes masks a little
(`docs/lab/performance.md` has the Dice). `auto` is `fast` where that was measured to be clearly
faster. Decoders stay with PyTorch: they are a tenth of the work of a slice, and their inputs change
shape with every prompt.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from typing import get_args

import torch

from segsam.errors import RuntimeChoiceError
from segsam.model import SegSam
from segsam.model.runtimes.encode_times import (
    EncodeTimes,
    keep_times,
    kept_times,
    measured_times,
    this_machine,
)
from segsam.model.runtimes.runner import EncoderRunner, RuntimeFacts
from segsam.types import PrecisionChoice, PrecisionName, RuntimeName

RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
PRECISIONS: tuple[PrecisionChoice, ...] = get_args(PrecisionChoice)


def choose_runtime(
    model: SegSam,
    runtime: str | None = None,
    precision: str | None = None,
    *,
    compare: bool = True,
    env: Mapping[str, str] = os.environ,
) -> EncoderRunner:
    """Return the image encoder of a model by the chosen runtime.

    The first choice of precision `auto` or `fast` on a machine times this encoder both ways, which
    takes seconds; the answer is kept (see `encode_times`).

    Args:
        model: in evaluation mode, on its device; later changes of its weights have no effect.
        runtime: auto, torch or openvino; None is SEGSAM_RUNTIME, or else auto: OpenVINO if it is
            installed and the model is on a CPU.
        precision: exact, fast or auto; None is SEGSAM_PRECISION, or else exact.
        compare: False does not time precision `fast` where that was asked for.
        env: the environment.

    Raises:
        RuntimeChoiceError: an unknown word, or a choice that is not available here.
    """
    runtime = _checked("runtime", runtime or env.get("SEGSAM_RUNTIME") or "auto", RUNTIMES)
    precision = precision or env.get("SEGSAM_PRECISION") or "exact"
    fast = _checked("precision", precision, PRECISIONS) == "fast"
    runner = EncoderRunner(model)
    obstacle = "" if runtime == "torch" else _obstacle(model)
    if runtime == "torch" or (obstacle and runtime == "auto"):
        why = obstacle or "torch was requested."
        if fast:
            raise RuntimeChoiceError(f"Precision fast is OpenVINO's, which is not used here: {why}")
        return runner.with_runtime(None, RuntimeFacts("torch", "exact", why))
    if obstacle:
        raise RuntimeChoiceError(f"OpenVINO was requested: {obstacle}")
    try:
        return _by_openvino(runner, precision, compare=compare)
    except RuntimeChoiceError as error:
        if fast or runtime == "openvino":
            raise
        return runner.with_runtime(None, RuntimeFacts("torch", "exact", str(error)))


def _by_openvino(runner: EncoderRunner, precision: str, *, compare: bool) -> EncoderRunner:
    from segsam.model.runtimes.openvino_encoder import openvino_encoder

    is_auto = precision == "auto"
    times, reason = (
        _compared(runner) if is_auto or (precision == "fast" and compare) else (None, "")
    )
    gains = is_auto and times is not None and times.fast_is_worthwhile
    used: PrecisionName = "fast" if gains or precision == "fast" else "exact"
    encoder = openvino_encoder(runner.model.host, runner.encoder_id, fast=used == "fast")
    note = ""
    if not is_auto and times is not None and times.fast_is_slower:
        note = f"Precision {times.in_words}: use exact or auto."
    why = f"{encoder.why} Precision auto is {used}: {reason}" if is_auto else encoder.why
    return runner.with_runtime(encoder, RuntimeFacts("openvino", used, why, times, note))


def _compared(runner: EncoderRunner) -> tuple[EncodeTimes | None, str]:
    """Return the times of both precisions, None if one does not work here; and a sentence on it."""
    try:
        times = _times(runner)
    except RuntimeChoiceError as error:
        return None, str(error)
    return times, f"{times.in_words}."


def _times(runner: EncoderRunner) -> EncodeTimes:
    """Return the kept times of this encoder on this machine, or measure and keep them.

    Raises:
        RuntimeChoiceError: OpenVINO cannot compute it in both precisions.
    """
    from segsam.model.runtimes.openvino_encoder import openvino_encoder

    host, encoder_id = runner.model.host, runner.host_id
    machine = this_machine(torch.get_num_threads())
    if (kept := kept_times(machine, encoder_id)) is not None:
        return kept
    fast, exact = (openvino_encoder(host, encoder_id, fast=fast) for fast in (True, False))
    image = torch.rand((1, 3, host.facts.input_size, host.facts.input_size))
    times = measured_times(lambda: exact.encode(image), lambda: fast.encode(image))
    keep_times(machine, encoder_id, times)
    return times


def _obstacle(model: SegSam) -> str:
    """Return a sentence on why OpenVINO cannot compute this model's encoder; empty if it can."""
    if importlib.util.find_spec("openvino") is None:
        return "the package openvino is not installed (pip install openvino)."
    parameters = list(model.host.encoding_parts().parameters())
    if any(parameter.device.type != "cpu" for parameter in parameters):
        return f"the model is on {parameters[0].device}, and it computes on CPUs only."
    if any(parameter.requires_grad for parameter in parameters):
        return "parts of the image encoder are not frozen, and only PyTorch can train them."
    return ""


def _checked(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise RuntimeChoiceError(f"Expected one of {', '.join(known)} as {name}, got {value!r}.")
    return value
